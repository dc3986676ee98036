"""Batches of runs reduced in one pass: sums of deviations, and counts by value.

``states`` [B, T, S] and ``codes`` [B] are those of a batch; ``group`` [B] says which of G rows of
parameters a run belongs to. Runs that failed are left out. Kernels add to what their outputs hold.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import kernel
from tumble.kernels._mass_action import OK


@kernel
def add_moments(states, codes, group, count, reference, first, second):
    """Add deviations from a reference, and their squares, to ``first`` and ``second`` [G, T, S].

    ``count`` [G] is the number of runs so far, and the first run of a group becomes its
    ``reference`` [G, T, S]: sums of whole numbers are exact as long as they stay below 2⁵³.
    """
    num_runs = states.shape[0]
    size = states.shape[1] * states.shape[2]
    seen, origin = states.reshape((num_runs, size)), reference.reshape((len(count), size))
    sums, squares = first.reshape((len(count), size)), second.reshape((len(count), size))
    for b in range(num_runs):
        if codes[b] != OK:
            continue
        g = group[b]
        if count[g] == 0:
            for i in range(size):
                origin[g, i] = seen[b, i]
        count[g] += 1
        for i in range(size):
            d = np.float64(seen[b, i] - origin[g, i])
            sums[g, i] += d
            squares[g, i] += d * d


@kernel
def add_covariances(states, codes, group, count, reference, first, second):
    """As `add_moments`, with products of all pairs in ``second`` [G, T, S, S]."""
    num_runs, num_times, num_species = states.shape
    deviation = np.empty(num_species)
    for b in range(num_runs):
        if codes[b] != OK:
            continue
        g = group[b]
        if count[g] == 0:
            reference[g] = states[b]
        count[g] += 1
        for t in range(num_times):
            for s in range(num_species):
                deviation[s] = np.float64(states[b, t, s] - reference[g, t, s])
                first[g, t, s] += deviation[s]
                for r in range(s + 1):
                    product = deviation[s] * deviation[r]
                    second[g, t, s, r] += product
                    if r < s:
                        second[g, t, r, s] += product


@kernel
def add_values(states, codes, group, counts):
    """Count runs by value, in ``counts`` [G, T, S, K + 2].

    Bin 0 is below 0, bin k is the value k − 1, and the last one holds what is K or larger.
    """
    num_runs, num_times, num_species = states.shape
    last = counts.shape[3] - 1
    for b in range(num_runs):
        if codes[b] != OK:
            continue
        g = group[b]
        for t in range(num_times):
            for s in range(num_species):
                value = states[b, t, s]
                k = 0 if value < 0 else min(np.int64(value) + 1, last)
                counts[g, t, s, k] += 1


@kernel
def add_bins(states, codes, group, edges, counts):
    """Count runs between ``edges`` [K + 1], in ``counts`` [G, T, S, K + 2].

    Bin 0 is below the first edge, bin k from edge k − 1 up to edge k, the latter included in bin K
    only; the last one is above the last edge.
    """
    num_runs, num_times, num_species = states.shape
    last = counts.shape[3] - 1
    for b in range(num_runs):
        if codes[b] != OK:
            continue
        g = group[b]
        for t in range(num_times):
            for s in range(num_species):
                value = np.float64(states[b, t, s])
                k = np.searchsorted(edges, value, side="right")
                if k == last and value == edges[last - 1]:
                    k -= 1
                counts[g, t, s, k] += 1

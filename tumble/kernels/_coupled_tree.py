"""Pairs under the split coupling for large networks.

As `tumble.kernels._coupled`, with the larger propensities of both copies summed in a tree as in
`tumble.kernels._tree`: an event costs what it changes and not the size of the network.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import kernel, part
from tumble.kernels._laws import factor_of, is_valid, opened
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import two_uniforms
from tumble.kernels._tree import find_with_rest, leaves, sum_above
from tumble.kernels._uniforms import exponential


@kernel
def coupled_pairs_in_trees(job):
    """Run pairs of a large network; ``job`` as for `tumble.kernels._coupled_lanes`."""
    num_reactions, num_species = job.rates.shape[1] // 2, job.initial.shape[1] // 2
    num_params, num_times = job.params.shape[1] // 2, job.times.shape[0]
    width = leaves(num_reactions)
    tree = np.zeros(2 * width)
    state, propensity = np.empty((2, num_species), np.int64), np.empty((2, num_reactions))
    for b in range(job.rates.shape[0]):
        rates = job.rates[b].reshape(2, num_reactions)
        params = job.params[b].reshape(2, num_params)
        states = job.states[b].reshape(2, num_times, num_species)
        for side in range(2):
            for i in range(num_species):
                state[side, i] = job.initial[b, side * num_species + i]
        job.codes[b], job.culprits[b], job.events[b] = _follow(
            job.tables, job.laws, rates, params, state, propensity, tree, width, job.start,
            job.times, job.key, job.runs[b], job.max_events, states,
        )  # fmt: skip
        if job.codes[b] != OK:
            job.states[b, :, :] = -1


@part
def _follow(
    tables, laws, rates, params, state, propensity, tree, width, start, times, key, run,
    max_events, states,
):  # fmt: skip
    """Follow one pair to its last output; return code, culprit and number of events."""
    num_reactions = rates.shape[1]
    ptr, program, constants, stack = opened(laws)
    for r in range(num_reactions):
        for side in range(2):
            propensity[side, r] = rates[side, r] * factor_of(
                tables, laws, ptr, program, constants, stack, r, state[side], params[side]
            )
            if not (is_valid(rates[side, r]) and is_valid(propensity[side, r])):
                return INVALID_RATE, r, np.int64(0)
        tree[width + r] = max(propensity[0, r], propensity[1, r])
    for n in range(width - 1, 0, -1):
        tree[n] = tree[2 * n] + tree[2 * n + 1]
    nodes = np.empty(num_reactions, np.int64)
    draw, k = np.uint64(0), 0
    left = times[0] - start
    while True:
        total = tree[1]
        if not total < 1e300:
            return INVALID_RATE, -1, np.int64(draw)
        u, v = two_uniforms(key, run, draw)
        left -= exponential(u) / total
        while not left > 0.0:
            for side in range(2):
                for i in range(state.shape[1]):
                    states[side, k, i] = state[side, i]
            k += 1
            if k == times.shape[0]:
                return OK, -1, np.int64(draw)
            left += times[k] - times[k - 1]
        if np.int64(draw) == max_events:
            return MAX_EVENTS, -1, np.int64(draw)
        draw += np.uint64(1)
        chosen, inside = find_with_rest(tree, width, v * total)
        for side in range(2):
            # Rounding must not leave a step without an event: the larger one always fires.
            fires = inside < propensity[side, chosen]
            if fires or propensity[side, chosen] == tree[width + chosen]:
                code = fire(tables, chosen, state[side])
                if code != OK:
                    return code, chosen, np.int64(draw)
        begin = tables.affected_ptr[chosen]
        num_affected = tables.affected_ptr[chosen + 1] - begin
        for j in range(num_affected):
            r = tables.affected[begin + j]
            nodes[j] = width + r
            for side in range(2):
                propensity[side, r] = rates[side, r] * factor_of(
                    tables, laws, ptr, program, constants, stack, r, state[side], params[side]
                )
                if not is_valid(propensity[side, r]):
                    return INVALID_RATE, r, np.int64(draw)
            tree[width + r] = max(propensity[0, r], propensity[1, r])
        sum_above(tree, nodes, num_affected, width)

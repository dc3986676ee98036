"""Runs that were counted before, followed again to write down every event."""

from __future__ import annotations

import numpy as np

from tumble.kernels._direct import follow
from tumble.kernels._jit import inlined, kernel
from tumble.kernels._tree import follow_in_tree, leaves


@kernel
def record(
    tables,
    laws,
    rates,
    params,
    initial,
    start,
    times,
    key,
    runs,
    max_events,
    first,
    path_times,
    path_reactions,
):
    """Fill in the events of each run b, at ``first[b] … first[b + 1] - 1`` of the path's arrays.

    Inputs as in `tumble.kernels._direct.direct_method`. A run whose place is empty is left out.
    """
    state = np.empty(initial.shape[1], np.int64)
    states = np.empty((times.shape[0], initial.shape[1]), np.int64)
    for b in range(rates.shape[0]):
        here = slice(first[b], first[b + 1])
        if first[b] == first[b + 1]:
            continue
        for i in range(state.shape[0]):
            state[i] = initial[b, i]
        follow(
            tables, laws, None, rates[b], params[b], state, times[0] - start, 0, np.uint64(0),
            times, key, runs[b], max_events, states, None, None, None, path_times[here],
            path_reactions[here],
        )  # fmt: skip
        _keep_after(path_times[here], start)


@kernel
def record_in_trees(
    tables,
    laws,
    rates,
    params,
    initial,
    start,
    times,
    key,
    runs,
    max_events,
    first,
    path_times,
    path_reactions,
):
    """Do what `record` does, for a network of many reactions."""
    width = leaves(rates.shape[1])
    tree = np.zeros(2 * width)
    state = np.empty(initial.shape[1], np.int64)
    states = np.empty((times.shape[0], initial.shape[1]), np.int64)
    for b in range(rates.shape[0]):
        here = slice(first[b], first[b + 1])
        if first[b] == first[b + 1]:
            continue
        for i in range(state.shape[0]):
            state[i] = initial[b, i]
        follow_in_tree(
            tables, laws, rates[b], params[b], state, tree, width, start, times, key, runs[b],
            max_events, states, path_times[here], path_reactions[here],
        )  # fmt: skip
        _keep_after(path_times[here], start)


@inlined
def _keep_after(path_times, start):
    """Mend the times that were rounded to ``start`` or before it."""
    j = 0
    while j < path_times.shape[0] and path_times[j] <= start:
        path_times[j] = np.nextafter(start, np.inf)
        j += 1

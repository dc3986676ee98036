"""The direct method for large networks: a dependency graph, and propensities summed in a tree.

After an event only the propensities that it may have changed are computed again, and with each the
sums above it: the next event is found in log₂ R steps. Sums are added up anew from their parts,
never corrected by differences, so no error gathers however many events there are.

Reference: Gibson, Bruck, J. Phys. Chem. A 104 (2000), doi:10.1021/jp993732q (dependency graph);
Blue, Beichl, Sullivan, Phys. Rev. E 51 (1995), doi:10.1103/PhysRevE.51.R867 (sums in a tree).
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._direct import note
from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import factor_of, is_valid, opened
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential


@kernel
def direct_method_in_trees(job):
    """Run a `tumble.kernels._lanes.Job` of a network of many reactions."""
    width = leaves(job.rates.shape[1])
    tree = np.zeros(2 * width)
    state = np.empty(job.initial.shape[1], np.int64)
    for b in range(job.rates.shape[0]):
        for i in range(state.shape[0]):
            state[i] = job.initial[b, i]
        job.codes[b], job.culprits[b], job.events[b] = follow_in_tree(
            job.tables, job.laws, job.rates[b], job.params[b], state, tree, width, job.start,
            job.times, job.key, job.runs[b], job.max_events, job.states[b], None,
            None,
        )  # fmt: skip
        if job.codes[b] != OK:
            job.states[b, :, :] = -1


@part
def leaves(num_reactions):
    """Return the number of leaves of a tree: the first power of two that is enough.

    Node n has the children 2n and 2n + 1; reaction r is the leaf ``leaves + r``; 1 is the root.
    """
    width = 1
    while width < num_reactions:
        width *= 2
    return width


@part
def follow_in_tree(
    tables,
    laws,
    rates,
    params,
    state,
    tree,
    width,
    start,
    times,
    key,
    run,
    max_events,
    states,
    path_times,
    path_reactions,
):
    """Follow one run to its last output; fill ``states`` [T, S]; return code, culprit, events.

    ``path_times`` and ``path_reactions``, unless None, take the first events, as far as they
    reach.
    """
    ptr, program, constants, stack = opened(laws)
    for r in range(rates.shape[0]):
        tree[width + r] = rates[r] * factor_of(
            tables, laws, ptr, program, constants, stack, r, state, params
        )
        if not (is_valid(rates[r]) and is_valid(tree[width + r])):
            return INVALID_RATE, r, np.int64(0)
    for n in range(width - 1, 0, -1):
        tree[n] = tree[2 * n] + tree[2 * n + 1]
    nodes = np.empty(rates.shape[0], np.int64)
    draw = np.uint64(0)
    left = times[0] - start
    k = 0
    passed = -np.inf
    while True:
        total = tree[1]
        if not total < 1e300:
            return INVALID_RATE, -1, np.int64(draw)
        u, v = two_uniforms(key, run, draw)
        left -= exponential(u) / total
        while not left > 0.0:
            for i in range(state.shape[0]):
                states[k, i] = state[i]
            k += 1
            if k == times.shape[0]:
                return OK, -1, np.int64(draw)
            left += times[k] - times[k - 1]
            passed = times[k - 1]
        if np.int64(draw) == max_events:
            return MAX_EVENTS, -1, np.int64(draw)
        draw += np.uint64(1)
        chosen = find(tree, width, v * total)
        if path_times is not None:
            note(path_times, path_reactions, draw, times[k] - left, passed, chosen)
        code = fire(tables, chosen, state)
        if code != OK:
            return code, chosen, np.int64(draw)
        first = tables.affected_ptr[chosen]
        count = tables.affected_ptr[chosen + 1] - first
        for j in range(count):
            r = tables.affected[first + j]
            nodes[j] = width + r
            tree[width + r] = rates[r] * factor_of(
                tables, laws, ptr, program, constants, stack, r, state, params
            )
            if not is_valid(tree[width + r]):
                return INVALID_RATE, r, np.int64(draw)
        sum_above(tree, nodes, count, width)


@inlined
def sum_above(tree, nodes, count, width):
    """Sum up again all that lies above the first ``count`` of ``nodes``, each node once."""
    # Leaves are listed in order, so those with the same parent follow each other.
    while width > 1:
        width >>= 1
        kept = 0
        for j in range(count):
            n = nodes[j] >> 1
            if kept == 0 or nodes[kept - 1] != n:
                tree[n] = tree[2 * n] + tree[2 * n + 1]
                nodes[kept] = n
                kept += 1
        count = kept


@inlined
def find(tree, width, target):
    """Return the reaction in whose share of the sum ``target`` falls."""
    return find_with_rest(tree, width, target)[0]


@inlined
def find_with_rest(tree, width, target):
    """Return the same, and by how much ``target`` exceeds the lower end of its share."""
    n = 1
    while n < width:
        n *= 2
        # A share of nothing is never taken, though rounding may point there.
        if target >= tree[n] and tree[n + 1] > 0.0:
            target -= tree[n]
            n += 1
    return n - width, target

"""The score of large networks: firings counted and propensities integrated on the way.

The paths are those of `tumble.kernels._tree`. The integral of a propensity, and what a rate law
adds to the score, is brought up to date when the propensity changes and at outputs, so that an
event costs what it changes and not the size of the network.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import factor_of, find_slopes, is_valid, opened, opened_slopes
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import two_uniforms
from tumble.kernels._tree import find, leaves, sum_above
from tumble.kernels._uniforms import exponential


@kernel
def direct_method_in_trees_with_exposure(job, fired, exposure, scores):
    """Run a `tumble.kernels._lanes.Job`, and fill what the score needs.

    ``fired`` [B, T, R], ``exposure`` [B, T, R] and ``scores`` [B, T, Q] as in
    `tumble.kernels._scored_lanes`.
    """
    width = leaves(job.rates.shape[1])
    tree = np.zeros(2 * width)
    state = np.empty(job.initial.shape[1], np.int64)
    for b in range(job.rates.shape[0]):
        for i in range(state.shape[0]):
            state[i] = job.initial[b, i]
        job.codes[b], job.culprits[b], job.events[b] = _follow(
            job.tables, job.laws, job.rates[b], job.params[b], state, tree, width, job.start,
            job.times, job.key, job.runs[b], job.max_events, job.states[b], fired[b], exposure[b],
            scores[b],
        )  # fmt: skip
        if job.codes[b] != OK:
            job.states[b, :, :] = -1
            fired[b, :, :] = 0
            exposure[b, :, :] = np.nan
            scores[b, :, :] = np.nan


@part
def _follow(
    tables, laws, rates, params, state, tree, width, start, times, key, run, max_events, states,
    fired, exposure, scores,
):  # fmt: skip
    """Follow one run to its last output; return code, culprit and number of events."""
    num_reactions = rates.shape[0]
    ptr, program, constants, stack = opened(laws)
    first, parameter, slope_ptr, slope_code, slope_constants = opened_slopes(laws, num_reactions)
    factor, slope = np.empty(num_reactions), np.empty(parameter.shape[0])
    for r in range(num_reactions):
        factor[r] = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
        tree[width + r] = rates[r] * factor[r]
        if not (is_valid(rates[r]) and is_valid(tree[width + r])):
            return INVALID_RATE, r, np.int64(0)
        find_slopes(first, slope_ptr, slope_code, slope_constants, stack, r, state, params,
                    tree[width + r], slope)  # fmt: skip
    for n in range(width - 1, 0, -1):
        tree[n] = tree[2 * n] + tree[2 * n + 1]
    nodes = np.empty(num_reactions, np.int64)
    count, since = np.zeros(num_reactions, np.int64), np.zeros(num_reactions)
    integral, score = np.zeros(num_reactions), np.zeros(scores.shape[1])
    draw, k = np.uint64(0), 0
    # Times are counted from the last output, so that small steps stay exact late in a long run.
    gap = times[0] - start
    left = gap
    while True:
        total = tree[1]
        if not total < 1e300:
            return INVALID_RATE, -1, np.int64(draw)
        u, v = two_uniforms(key, run, draw)
        left -= exponential(u) / total
        while not left > 0.0:
            for r in range(num_reactions):
                _catch_up(r, gap, factor, slope, first, parameter, since, integral, score)
                since[r] = 0.0
            _write(k, state, count, integral, score, states, fired, exposure, scores)
            k += 1
            if k == times.shape[0]:
                return OK, -1, np.int64(draw)
            gap = times[k] - times[k - 1]
            left += gap
        if np.int64(draw) == max_events:
            return MAX_EVENTS, -1, np.int64(draw)
        draw += np.uint64(1)
        chosen = find(tree, width, v * total)
        count[chosen] += 1
        for p in range(first[chosen], first[chosen + 1]):
            score[parameter[p]] += slope[p] / tree[width + chosen]
        code = fire(tables, chosen, state)
        if code != OK:
            return code, chosen, np.int64(draw)
        begin = tables.affected_ptr[chosen]
        num_affected = tables.affected_ptr[chosen + 1] - begin
        for j in range(num_affected):
            r = tables.affected[begin + j]
            nodes[j] = width + r
            _catch_up(r, gap - left, factor, slope, first, parameter, since, integral, score)
            factor[r] = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
            tree[width + r] = rates[r] * factor[r]
            if not is_valid(tree[width + r]):
                return INVALID_RATE, r, np.int64(draw)
            find_slopes(first, slope_ptr, slope_code, slope_constants, stack, r, state, params,
                        tree[width + r], slope)  # fmt: skip
        sum_above(tree, nodes, num_affected, width)


@inlined
def _catch_up(reaction, now, factor, slope, first, parameter, since, integral, score):
    """Add the time in which a propensity has not changed to its integral and the score."""
    span = now - since[reaction]
    since[reaction] = now
    integral[reaction] += factor[reaction] * span
    for p in range(first[reaction], first[reaction + 1]):
        score[parameter[p]] -= slope[p] * span


@inlined
def _write(k, state, count, integral, score, states, fired, exposure, scores):
    """Write down all at output ``k``."""
    for i in range(state.shape[0]):
        states[k, i] = state[i]
    for r in range(count.shape[0]):
        fired[k, r] = count[r]
        exposure[k, r] = integral[r]
    for q in range(score.shape[0]):
        scores[k, q] = score[q]

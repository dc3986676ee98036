"""Gillespie's direct method, one trajectory after another.

Block ``e`` of a run's stream gives the waiting time and the choice of event ``e``; the pending
firing time is kept across output times, so a path does not depend on the output grid. Time is kept
as what is left until the next output, so that small steps stay exact late in a long run.

The vectorized kernels do the same operations in the same order and give bitwise the same paths;
`follow` also ends the last runs that they leave over.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import factor_of, find_slopes, is_valid, opened, opened_slopes
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential


@kernel
def direct_method(
    tables,
    laws,
    slopes,
    rates,
    params,
    initial,
    start,
    times,
    key,
    runs,
    max_events,
    states,
    fired,
    exposure,
    scores,
    codes,
    culprits,
    events,
):
    """Simulate every row of ``rates`` and fill the outputs.

    ``laws`` is None for mass action, ``slopes`` unless the score of rate laws is wanted; otherwise
    both are the `LawTables`. Inputs: ``rates`` [B, R], ``params`` [B, Q], ``initial`` [B, S],
    ``start`` scalar, ``times`` [T] ascending and ≥ start, ``key`` uint64, ``runs`` [B] uint64.
    Outputs: ``states`` [B, T, S]; ``codes`` [B]; ``culprits`` [B], the reaction that made a run
    fail, else -1; ``events`` [B]; and, unless these are None, from ``start`` to each time: firings
    ``fired`` [B, T, R], ``exposure`` [B, T, R] = ∫ h_r ds, and ``scores`` [B, T, Q], the score of
    the rate laws, with zero columns where there are none.
    """
    state = np.empty(initial.shape[1], np.int64)
    for b in range(rates.shape[0]):
        for i in range(state.shape[0]):
            state[i] = initial[b, i]
        if fired is None:
            codes[b], culprits[b], events[b] = follow(
                tables, laws, None, rates[b], params[b], state, times[0] - start, 0, np.uint64(0),
                times, key, runs[b], max_events, states[b], None, None, None, None, None,
            )  # fmt: skip
        else:
            codes[b], culprits[b], events[b] = follow(
                tables, laws, slopes, rates[b], params[b], state, times[0] - start, 0,
                np.uint64(0), times, key, runs[b], max_events, states[b], fired[b], exposure[b],
                scores[b], None, None,
            )  # fmt: skip
        if codes[b] != OK:
            states[b, :, :] = -1
            if fired is not None:
                fired[b, :, :] = 0
                exposure[b, :, :] = np.nan
                scores[b, :, :] = np.nan


@part
def follow(
    tables,
    laws,
    slopes,
    rates,
    params,
    state,
    left,
    k,
    draw,
    times,
    key,
    run,
    max_events,
    states,
    fired,
    exposure,
    scores,
    path_times,
    path_reactions,
):
    """Follow one run from ``state`` [S], a time ``left`` before output ``k``, to the last output.

    ``draw`` (uint64) is the number of events so far; the rest is one row of `direct_method`'s.
    Fills the outputs from k on, and, unless they are None, the first of the events into
    ``path_times`` and ``path_reactions`` as far as they reach; returns code, culprit and number of
    events. What is None is not compiled.
    """
    num_reactions = rates.shape[0]
    ptr, program, constants, stack = opened(laws)
    first, parameter, slope_ptr, slope_code, slope_constants = opened_slopes(slopes, num_reactions)
    factor = np.empty(num_reactions)
    propensity = np.empty(num_reactions)
    slope = np.empty(parameter.shape[0])
    count = np.empty(num_reactions, np.int64)
    integral = np.empty(num_reactions)
    score = np.empty(np.int64(0) if scores is None else scores.shape[1])
    passed = -np.inf
    for q in range(score.shape[0]):
        score[q] = 0.0
    for r in range(num_reactions):
        count[r], integral[r] = 0, 0.0
        factor[r] = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
        propensity[r] = rates[r] * factor[r]
        if not (is_valid(rates[r]) and is_valid(propensity[r])):
            return INVALID_RATE, r, np.int64(draw)
        if slopes is not None:
            find_slopes(
                first, slope_ptr, slope_code, slope_constants, stack, r, state, params,
                propensity[r], slope,
            )  # fmt: skip
    while True:
        total = 0.0
        for r in range(num_reactions):
            total += propensity[r]
        if not total < 1e300:
            return INVALID_RATE, -1, np.int64(draw)
        u, v = two_uniforms(key, run, draw)
        since = left
        left -= exponential(u) / total  # infinite where nothing can happen
        while not left > 0.0:
            for i in range(state.shape[0]):
                states[k, i] = state[i]
            if fired is not None:
                _pass_time(factor, slope, parameter, since, integral, score)
                # Loops, since assigning whole rows takes Numba seconds to compile.
                for r in range(num_reactions):
                    fired[k, r] = count[r]
                    exposure[k, r] = integral[r]
                for q in range(score.shape[0]):
                    scores[k, q] = score[q]
            k += 1
            if k == times.shape[0]:
                return OK, -1, np.int64(draw)
            since = times[k] - times[k - 1]
            left += since
            passed = times[k - 1]
        if np.int64(draw) == max_events:
            return MAX_EVENTS, -1, np.int64(draw)
        draw += np.uint64(1)
        chosen = choose(propensity, v * total)
        if fired is not None:
            _pass_time(factor, slope, parameter, since - left, integral, score)
            count[chosen] += 1
            for p in range(first[chosen], first[chosen + 1]):
                score[parameter[p]] += slope[p] / propensity[chosen]
        if path_times is not None:
            note(path_times, path_reactions, draw, times[k] - left, passed, chosen)
        code = fire(tables, chosen, state)
        if code != OK:
            return code, chosen, np.int64(draw)
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            factor[r] = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
            propensity[r] = rates[r] * factor[r]
            if not is_valid(propensity[r]):
                return INVALID_RATE, r, np.int64(draw)
            if slopes is not None:
                find_slopes(
                    first, slope_ptr, slope_code, slope_constants, stack, r, state, params,
                    propensity[r], slope,
                )  # fmt: skip


@inlined
def note(path_times, path_reactions, number, time, passed, reaction):
    """Write down event ``number`` = 1, 2, … if there is room.

    It came after the output time ``passed``, and is not rounded back to it.
    """
    if np.int64(number) <= path_times.shape[0]:
        path_times[np.int64(number) - 1] = max(time, np.nextafter(passed, np.inf))
        path_reactions[np.int64(number) - 1] = reaction


@part
def choose(weights, target):
    """Return the first index at which the running sum of ``weights`` exceeds ``target``.

    With target = v Σ weights, summed in the same order, and v ≤ 1 − 2⁻⁵³ there always is one, and
    its weight is positive: v Σ rounds to less than Σ.
    """
    chosen = 0
    running = weights[0]
    while running <= target:
        chosen += 1
        running += weights[chosen]
    return chosen


@inlined
def _pass_time(factor, slope, parameter, span, integral, score):
    """Add a time ``span`` without events to the exposures and to the score of the rate laws."""
    for r in range(factor.shape[0]):
        integral[r] += factor[r] * span
    for p in range(slope.shape[0]):
        score[parameter[p]] -= slope[p] * span

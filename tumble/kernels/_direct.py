"""Gillespie's direct method, table-driven, one trajectory after another.

Block ``e`` of a run's stream gives the waiting time and the choice of event ``e``; the pending
firing time is kept across output times, so a path does not depend on the output grid.
"""

from __future__ import annotations

import numba
import numpy as np

from tumble.kernels._interpreter import evaluate, is_valid
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, combinations, fire
from tumble.kernels._philox import two_uniforms

# Propensities are taken to stay the same between events: rates that read the time are not for this
# kernel, and the simulator refuses them.
NO_TIME = 0.0


@numba.njit(cache=True, nogil=True)
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
    fail, else -1; ``events`` [B]; and, unless they have zero columns, from ``start`` to each time:
    firings ``fired`` [B, T, R], ``exposure`` [B, T, R] = ∫ h_r ds, and ``scores`` [B, T, Q], the
    score of the rate laws.
    """
    num_runs, num_reactions = rates.shape
    num_times = times.shape[0]
    sufficient = fired.shape[2] > 0
    state = np.empty(initial.shape[1], np.int64)
    factor = np.empty(num_reactions)
    propensity = np.empty(num_reactions)
    if laws is not None:
        # Taken out here, and not where they are used: Numba counts references of what is taken out
        # of a tuple, which in the loop over events would cost more than all the rest.
        law_ptr, code, constants = laws.programs.ptr, laws.programs.code, laws.programs.constants
    if slopes is not None:
        slope_ptr, slope_parameter = slopes.slope_ptr, slopes.slope_parameter
        slope_program, slope_code, slope_constants = (
            slopes.slopes.ptr, slopes.slopes.code, slopes.slopes.constants
        )  # fmt: skip
    slope = np.empty(0 if slopes is None else slopes.slope_parameter.shape[0])
    stack = np.empty(0 if laws is None else laws.depth)
    count = np.zeros(num_reactions, np.int64)
    integral = np.zeros(num_reactions)
    score = np.zeros(scores.shape[2])
    for b in range(num_runs):
        state[:] = initial[b]
        row = params[b]
        count[:] = 0
        integral[:] = 0.0
        score[:] = 0.0
        ended, culprit = OK, -1
        for r in range(num_reactions):
            if not is_valid(rates[b, r]):
                ended, culprit = INVALID_RATE, r
            if laws is None or law_ptr[r] == law_ptr[r + 1]:
                factor[r] = combinations(tables, r, state)
            else:
                factor[r] = evaluate(
                    code, constants, law_ptr[r], law_ptr[r + 1], state, row, NO_TIME, stack
                )
            propensity[r] = rates[b, r] * factor[r]
            if not is_valid(propensity[r]):
                ended, culprit = INVALID_RATE, r
            if slopes is not None:
                _find_slopes(
                    slope_ptr, slope_program, slope_code, slope_constants, r, state, row, stack,
                    propensity[r], slope,
                )  # fmt: skip
        draw = np.uint64(0)
        num_events = 0
        k = 0
        waited = 0.0  # time since the last output time (or start), which keeps small steps exact
        last = start
        while k < num_times and ended == OK:
            total = 0.0
            for r in range(num_reactions):
                total += propensity[r]
            if not total < 1e300:
                ended = INVALID_RATE
                break
            u, v = two_uniforms(key, runs[b], draw)
            draw += np.uint64(1)
            wait = -np.log(u) / total if total > 0.0 else np.inf
            # Outputs that come before the next event.
            while k < num_times and waited + wait >= times[k] - last:
                step = (times[k] - last) - waited
                states[b, k] = state
                if sufficient:
                    _expose(factor, step, integral)
                    if slopes is not None:
                        _add_slopes(slope_parameter, slope, step, score)
                    fired[b, k] = count
                    exposure[b, k] = integral
                    scores[b, k] = score
                wait -= step
                waited = 0.0
                last = times[k]
                k += 1
            if k == num_times:
                break
            if num_events == max_events:
                ended = MAX_EVENTS
                break
            waited += wait
            if sufficient:
                _expose(factor, wait, integral)
                if slopes is not None:
                    _add_slopes(slope_parameter, slope, wait, score)
            chosen = _choose(propensity, v * total)
            num_events += 1
            count[chosen] += 1
            if slopes is not None:
                for p in range(slope_ptr[chosen], slope_ptr[chosen + 1]):
                    score[slope_parameter[p]] += slope[p] / propensity[chosen]
            ended = fire(tables, chosen, state)
            if ended != OK:
                culprit = chosen
                break
            for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
                r = tables.affected[j]
                if laws is None or law_ptr[r] == law_ptr[r + 1]:
                    factor[r] = combinations(tables, r, state)
                else:
                    factor[r] = evaluate(
                        code, constants, law_ptr[r], law_ptr[r + 1], state, row, NO_TIME, stack
                    )
                propensity[r] = rates[b, r] * factor[r]
                if not is_valid(propensity[r]):
                    ended, culprit = INVALID_RATE, r
                if slopes is not None:
                    _find_slopes(
                    slope_ptr, slope_program, slope_code, slope_constants, r, state, row, stack,
                    propensity[r], slope,
                )  # fmt: skip
        codes[b] = ended
        culprits[b] = culprit
        events[b] = num_events
        if ended != OK:
            states[b, :, :] = -1
            fired[b, :, :] = 0
            exposure[b, :, :] = np.nan
            scores[b, :, :] = np.nan


@numba.njit(inline="always")
def _choose(propensity, target):
    """Return the reaction in whose part of the cumulative propensities ``target`` lies."""
    chosen = 0
    running = propensity[0]
    while running <= target and chosen < propensity.shape[0] - 1:
        chosen += 1
        running += propensity[chosen]
    while propensity[chosen] == 0.0:  # rounding at the upper end of the sum
        chosen -= 1
    return chosen


@numba.njit(inline="always")
def _find_slopes(slope_ptr, ptr, code, constants, r, state, params, stack, propensity, slope):
    """Fill in ∂a_r / ∂params in ``state``.

    NaN where it is not finite, or where a_r is 0 and would not stay so: paths in which r fires here
    are never seen, and the score, which is about paths that are, misses them.
    """
    for p in range(slope_ptr[r], slope_ptr[r + 1]):
        slope[p] = evaluate(code, constants, ptr[p], ptr[p + 1], state, params, NO_TIME, stack)
        if not abs(slope[p]) < np.inf or (propensity == 0.0 and slope[p] != 0.0):
            slope[p] = np.nan


@numba.njit(inline="always")
def _expose(factor, span, integral):
    """Add a time ``span`` without events to the exposures."""
    for r in range(factor.shape[0]):
        integral[r] += factor[r] * span


@numba.njit(inline="always")
def _add_slopes(slope_parameter, slope, span, score):
    """Add a time ``span`` without events to the score of the rate laws."""
    for p in range(slope.shape[0]):
        score[slope_parameter[p]] -= slope[p] * span

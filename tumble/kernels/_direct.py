"""Gillespie's direct method, table-driven, one trajectory after another.

Block ``e`` of a run's stream gives the waiting time and the choice of event ``e``; the pending
firing time is kept across output times, so a path does not depend on the output grid. Time is kept
as what is left until the next output, so that small steps stay exact late in a long run.

The vectorized kernels do the same operations in the same order and give bitwise the same paths;
`follow` also ends the last runs that they leave over.
"""

from __future__ import annotations

import numba
import numpy as np

from tumble.kernels._mass_action import (
    INVALID_RATE,
    MAX_EVENTS,
    OK,
    OVERFLOW,
    combinations,
    fire,
    rates_are_valid,
)
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential


@numba.njit(cache=True, nogil=True, error_model="numpy")
def direct_method(
    tables,
    rates,
    initial,
    start,
    times,
    key,
    runs,
    max_events,
    states,
    fired,
    exposure,
    codes,
    events,
):
    """Simulate every row of ``rates`` and fill the outputs.

    Inputs: ``rates`` [B, R], ``initial`` [B, S], ``start`` scalar, ``times`` [T] ascending and
    ≥ start, ``key`` uint64, ``runs`` [B] uint64. Outputs: ``states`` [B, T, S]; ``codes`` [B];
    ``events`` [B]; and, unless they have zero columns, firings ``fired`` [B, T, R] and
    ``exposure`` [B, T, R] = ∫ h_r ds, both from ``start`` to each time.
    """
    state = np.empty(initial.shape[1], np.int64)
    no_times, no_reactions = np.empty(0), np.empty(0, np.int32)
    for b in range(rates.shape[0]):
        state[:] = initial[b]
        codes[b], events[b] = INVALID_RATE, 0
        if rates_are_valid(rates[b]):
            codes[b], events[b] = follow(
                tables, rates[b], state, times[0] - start, 0, np.uint64(0), times, key, runs[b],
                max_events, states[b], fired[b], exposure[b], no_times, no_reactions,
            )  # fmt: skip
        if codes[b] != OK:
            states[b, :, :] = -1
            if fired.shape[2] > 0:
                fired[b, :, :] = 0
                exposure[b, :, :] = np.nan


@numba.njit(cache=True, nogil=True, error_model="numpy")
def follow(
    tables,
    rates,
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
    path_times,
    path_reactions,
):
    """Follow one run from ``state`` [S], a time ``left`` before output ``k``, to the last output.

    ``draw`` (uint64) is the number of events so far. Fills ``states`` [T, S] and, unless they have
    zero columns, ``fired`` and ``exposure`` [T, R] from output k on, and the first of the events
    into ``path_times`` and ``path_reactions`` as far as they reach; returns code and events.
    """
    num_reactions = rates.shape[0]
    sufficient = fired.shape[1] > 0
    factor = np.empty(num_reactions)
    propensity = np.empty(num_reactions)
    count = np.zeros(num_reactions, np.int64)
    integral = np.zeros(num_reactions)
    passed = -np.inf
    for r in range(num_reactions):
        factor[r] = combinations(tables, r, state)
        propensity[r] = rates[r] * factor[r]
    while True:
        total = 0.0
        for r in range(num_reactions):
            total += propensity[r]
        if not total < 1e300:
            return INVALID_RATE, np.int64(draw)
        u, v = two_uniforms(key, run, draw)
        since = left
        left -= exponential(u) / total  # infinite where nothing can happen
        while not left > 0.0:
            for i in range(state.shape[0]):
                states[k, i] = state[i]
            if sufficient:
                for r in range(num_reactions):
                    integral[r] += factor[r] * since
                    fired[k, r] = count[r]
                    exposure[k, r] = integral[r]
            k += 1
            if k == times.shape[0]:
                return OK, np.int64(draw)
            since = times[k] - times[k - 1]
            left += since
            passed = times[k - 1]
        if np.int64(draw) == max_events:
            return MAX_EVENTS, np.int64(draw)
        draw += np.uint64(1)
        if sufficient:
            for r in range(num_reactions):
                integral[r] += factor[r] * (since - left)
        chosen = choose(propensity, v * total)
        count[chosen] += 1
        note(path_times, path_reactions, draw, times[k] - left, passed, chosen)
        if fire(tables, chosen, state):
            return OVERFLOW, np.int64(draw)
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            factor[r] = combinations(tables, r, state)
            propensity[r] = rates[r] * factor[r]


@numba.njit(inline="always", error_model="numpy")
def note(path_times, path_reactions, number, time, passed, reaction):
    """Write down event ``number`` = 1, 2, … if there is room.

    It came after the output time ``passed``, and is not rounded back to it.
    """
    if np.int64(number) <= path_times.shape[0]:
        path_times[np.int64(number) - 1] = max(time, np.nextafter(passed, np.inf))
        path_reactions[np.int64(number) - 1] = reaction


@numba.njit(inline="always", error_model="numpy")
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

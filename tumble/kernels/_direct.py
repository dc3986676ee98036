"""Gillespie's direct method, table-driven, one trajectory after another.

Block ``e`` of a run's stream gives the waiting time and the choice of event ``e``; the pending
firing time is kept across output times, so a path does not depend on the output grid.
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


@numba.njit(cache=True, nogil=True)
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
    num_runs, num_reactions = rates.shape
    num_times = times.shape[0]
    sufficient = fired.shape[2] > 0
    state = np.empty(initial.shape[1], np.int64)
    factor = np.empty(num_reactions)
    propensity = np.empty(num_reactions)
    count = np.zeros(num_reactions, np.int64)
    integral = np.zeros(num_reactions)
    for b in range(num_runs):
        state[:] = initial[b]
        code = OK if rates_are_valid(rates[b]) else INVALID_RATE
        for r in range(num_reactions):
            factor[r] = combinations(tables, r, state)
            propensity[r] = rates[b, r] * factor[r]
            count[r] = 0
            integral[r] = 0.0
        draw = np.uint64(0)
        num_events = 0
        k = 0
        waited = 0.0  # time since the last output time (or start), which keeps small steps exact
        last = start
        while k < num_times and code == OK:
            total = 0.0
            for r in range(num_reactions):
                total += propensity[r]
            if not total < 1e300:
                code = INVALID_RATE
                break
            u, v = two_uniforms(key, runs[b], draw)
            draw += np.uint64(1)
            wait = -np.log(u) / total if total > 0.0 else np.inf
            # Outputs that come before the next event.
            while k < num_times and waited + wait >= times[k] - last:
                step = (times[k] - last) - waited
                for i in range(state.shape[0]):
                    states[b, k, i] = state[i]
                if sufficient:
                    for r in range(num_reactions):
                        integral[r] += factor[r] * step
                        fired[b, k, r] = count[r]
                        exposure[b, k, r] = integral[r]
                wait -= step
                waited = 0.0
                last = times[k]
                k += 1
            if k == num_times:
                break
            if num_events == max_events:
                code = MAX_EVENTS
                break
            waited += wait
            if sufficient:
                for r in range(num_reactions):
                    integral[r] += factor[r] * wait
            target = v * total
            chosen = 0
            running = propensity[0]
            while running <= target and chosen < num_reactions - 1:
                chosen += 1
                running += propensity[chosen]
            while propensity[chosen] == 0.0:  # rounding at the upper end of the sum
                chosen -= 1
            num_events += 1
            count[chosen] += 1
            if fire(tables, chosen, state):
                code = OVERFLOW
                break
            for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
                r = tables.affected[j]
                factor[r] = combinations(tables, r, state)
                propensity[r] = rates[b, r] * factor[r]
        codes[b] = code
        events[b] = num_events
        if code != OK:
            states[b, :, :] = -1
            if sufficient:
                fired[b, :, :] = 0
                exposure[b, :, :] = np.nan

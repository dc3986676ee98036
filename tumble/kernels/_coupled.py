"""Two copies of a network under the split coupling, table-driven.

Reaction r fires in both copies at rate min(a_r, a'_r), and in one of them alone at the excess, so
each copy by itself follows its exact law while the two stay close.

Reference: Anderson, *An efficient finite difference method for parameter sensitivities of
continuous time Markov chains*, SIAM J. Numer. Anal. 50 (2012), doi:10.1137/110849079.
"""

from __future__ import annotations

import numba
import numpy as np

from tumble.kernels._direct import NO_TIME
from tumble.kernels._interpreter import evaluate, is_valid
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, combinations, fire
from tumble.kernels._philox import two_uniforms


@numba.njit(cache=True, nogil=True)
def coupled_pair(
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
    states,
    codes,
    culprits,
    events,
):
    """Simulate pairs and fill the outputs.

    ``laws`` is None for mass action, else the `LawTables`. Inputs: ``rates`` [B, 2, R], ``params``
    [B, 2, Q], ``initial`` [B, 2, S], ``start``, ``times`` [T], ``key`` uint64, ``runs`` [B] uint64.
    Outputs: ``states`` [B, 2, T, S], ``codes`` [B], ``culprits`` [B], the reaction that made a pair
    fail, else -1, ``events`` [B].
    """
    num_pairs, _, num_reactions = rates.shape
    num_times = times.shape[0]
    num_species = initial.shape[2]
    state = np.empty((2, num_species), np.int64)
    propensity = np.empty((2, num_reactions))
    if laws is not None:
        law_ptr, program, constants = laws.programs.ptr, laws.programs.code, laws.programs.constants
    stack = np.empty(0 if laws is None else laws.depth)
    for b in range(num_pairs):
        code, culprit = OK, -1
        for side in range(2):
            state[side] = initial[b, side]
            for r in range(num_reactions):
                if laws is None or law_ptr[r] == law_ptr[r + 1]:
                    factor = combinations(tables, r, state[side])
                else:
                    factor = evaluate(
                        program, constants, law_ptr[r], law_ptr[r + 1], state[side],
                        params[b, side], NO_TIME, stack,
                    )  # fmt: skip
                propensity[side, r] = rates[b, side, r] * factor
                if not (is_valid(rates[b, side, r]) and is_valid(propensity[side, r])):
                    code, culprit = INVALID_RATE, r
        draw = np.uint64(0)
        num_events = 0
        k = 0
        waited = 0.0
        last = start
        while k < num_times and code == OK:
            total = 0.0
            for r in range(num_reactions):
                total += max(propensity[0, r], propensity[1, r])
            if not total < 1e300:
                code = INVALID_RATE
                break
            u, v = two_uniforms(key, runs[b], draw)
            draw += np.uint64(1)
            wait = -np.log(u) / total if total > 0.0 else np.inf
            while k < num_times and waited + wait >= times[k] - last:
                wait -= (times[k] - last) - waited
                waited = 0.0
                last = times[k]
                for i in range(num_species):
                    states[b, 0, k, i] = state[0, i]
                    states[b, 1, k, i] = state[1, i]
                k += 1
            if k == num_times:
                break
            if num_events == max_events:
                code = MAX_EVENTS
                break
            waited += wait
            # max(a, a') = min(a, a') + excess: choose the reaction, then whether both take part.
            target = v * total
            chosen = 0
            below = 0.0
            width = max(propensity[0, 0], propensity[1, 0])
            while below + width <= target and chosen < num_reactions - 1:
                below += width
                chosen += 1
                width = max(propensity[0, chosen], propensity[1, chosen])
            while width == 0.0:  # rounding at the upper end of the sum
                chosen -= 1
                width = max(propensity[0, chosen], propensity[1, chosen])
                below -= width
            inside = target - below
            num_events += 1
            for side in range(2):
                if inside < propensity[side, chosen] and code == OK:
                    code = fire(tables, chosen, state[side])
            if code != OK:
                culprit = chosen
                break
            for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
                r = tables.affected[j]
                for side in range(2):
                    if laws is None or law_ptr[r] == law_ptr[r + 1]:
                        factor = combinations(tables, r, state[side])
                    else:
                        factor = evaluate(
                            program, constants, law_ptr[r], law_ptr[r + 1], state[side],
                            params[b, side], NO_TIME, stack,
                        )  # fmt: skip
                    propensity[side, r] = rates[b, side, r] * factor
                    if not is_valid(propensity[side, r]):
                        code, culprit = INVALID_RATE, r
        codes[b] = code
        culprits[b] = culprit
        events[b] = num_events
        if code != OK:
            states[b] = -1

"""Two copies of a network under the split coupling, table-driven.

Reaction r fires in both copies at rate min(a_r, a'_r), and in one of them alone at the excess, so
each copy by itself follows its exact law while the two stay close.

Reference: Anderson, *An efficient finite difference method for parameter sensitivities of
continuous time Markov chains*, SIAM J. Numer. Anal. 50 (2012), doi:10.1137/110849079.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import factor_of, is_valid, opened
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import two_uniforms


@kernel
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
    num_pairs, _, num_species = initial.shape
    state = np.empty((2, num_species), np.int64)
    for b in range(num_pairs):
        for side in range(2):
            for i in range(num_species):
                state[side, i] = initial[b, side, i]
        codes[b], culprits[b], events[b] = _follow(
            tables, laws, rates[b], params[b], state, start, times, key, runs[b], max_events,
            states[b],
        )  # fmt: skip
        if codes[b] != OK:
            states[b, :, :, :] = -1


@part
def _follow(
    tables, laws, rates, params, state, start, times, key, run, max_events, states
):  # fmt: skip
    """Follow one pair from ``state`` [2, S]; return code, culprit and number of events."""
    num_reactions, num_times = rates.shape[1], times.shape[0]
    propensity = np.empty((2, num_reactions))
    opened_laws = opened(laws)
    for side in range(2):
        for r in range(num_reactions):
            found = _propensity(tables, laws, opened_laws, rates, params, state, side, r)
            propensity[side, r] = found
            if not (is_valid(rates[side, r]) and is_valid(found)):
                return INVALID_RATE, r, 0
    draw, k = np.uint64(0), 0
    waited, last = 0.0, start
    while True:
        total = 0.0
        for r in range(num_reactions):
            total += max(propensity[0, r], propensity[1, r])
        num_events = np.int64(draw)
        if not total < 1e300:
            return INVALID_RATE, -1, num_events
        u, v = two_uniforms(key, run, draw)
        wait = -np.log(u) / total if total > 0.0 else np.inf
        while waited + wait >= times[k] - last:
            wait -= (times[k] - last) - waited
            waited = 0.0
            last = times[k]
            for side in range(2):
                for i in range(state.shape[1]):
                    states[side, k, i] = state[side, i]
            k += 1
            if k == num_times:
                return OK, -1, num_events
        if num_events == max_events:
            return MAX_EVENTS, -1, num_events
        waited += wait
        draw += np.uint64(1)
        chosen, inside = _choose(propensity, v * total)
        for side in range(2):
            if inside < propensity[side, chosen]:
                code = fire(tables, chosen, state[side])
                if code != OK:
                    return code, chosen, num_events + 1
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            for side in range(2):
                found = _propensity(tables, laws, opened_laws, rates, params, state, side, r)
                propensity[side, r] = found
                if not is_valid(found):
                    return INVALID_RATE, r, num_events + 1


@inlined
def _propensity(tables, laws, opened_laws, rates, params, state, side, reaction):
    """Return the propensity of a reaction in one copy."""
    ptr, program, constants, stack = opened_laws
    return rates[side, reaction] * factor_of(
        tables, laws, ptr, program, constants, stack, reaction, state[side], params[side]
    )


@part
def _choose(propensity, target):
    """Return the reaction whose part of the sum of the larger propensities holds ``target``, and
    by how much it exceeds the lower end: max(a, a') = min(a, a') + excess.
    """
    num_reactions = propensity.shape[1]
    chosen, below = 0, 0.0
    width = max(propensity[0, 0], propensity[1, 0])
    while below + width <= target and chosen < num_reactions - 1:
        below += width
        chosen += 1
        width = max(propensity[0, chosen], propensity[1, chosen])
    while width == 0.0:  # rounding at the upper end of the sum
        chosen -= 1
        width = max(propensity[0, chosen], propensity[1, chosen])
        below -= width
    return chosen, target - below

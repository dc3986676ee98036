"""Two runs at the same parameters, under the split coupling, until they meet.

Reaction r fires in both at rate min(a, a'), and in one of them alone at the excess, so each by
itself follows its exact law. From where their states are equal they would stay so for ever.

Reference: Anderson, SIAM J. Numer. Anal. 50 (2012), doi:10.1137/110849079 (split coupling).
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import inlined
from tumble.kernels._laws import factor_of, is_valid
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential

_ONE = np.uint64(1)


@inlined
def follow_until_equal(
    tables,
    laws,
    ptr,
    program,
    constants,
    stack,
    rates,
    params,
    one,
    two,
    k,
    left,
    times,
    key,
    run,
    max_events,
    pair,
    here,
    there,
    upper,
):
    """Follow two runs from states ``one`` and ``two`` [S], a time ``left`` before output ``k``.

    They end when they are equal, or at the last output. ``rates`` [R] and ``params`` [Q] are those
    of both; ``ptr``, ``program``, ``constants`` and ``stack`` the opened laws; ``here``, ``there``
    and ``upper`` [R] space for the propensities of both and the larger ones. Block ``e`` of the
    run's stream gives event ``e`` = 1, 2, … Fills ``pair`` [2, T, S] from output k on; returns
    code, culprit and number of events.
    """
    num_reactions = rates.shape[0]
    for r in range(num_reactions):
        factor = factor_of(tables, laws, ptr, program, constants, stack, r, one, params)
        here[r] = rates[r] * factor
        factor = factor_of(tables, laws, ptr, program, constants, stack, r, two, params)
        there[r] = rates[r] * factor
        upper[r] = max(here[r], there[r])
        if not (is_valid(here[r]) and is_valid(there[r])):
            return INVALID_RATE, np.int64(r), np.int64(0)
    draw = np.uint64(0)
    apart = _differ(one, two)
    while apart:
        total = 0.0
        for r in range(num_reactions):
            total += upper[r]
        if not total < 1e300:
            return INVALID_RATE, np.int64(-1), np.int64(draw)
        u, v = two_uniforms(key, run, draw + _ONE)
        left -= exponential(u) / total
        while not left > 0.0:
            for i in range(one.shape[0]):
                pair[0, k, i] = one[i]
                pair[1, k, i] = two[i]
            k += 1
            if k == times.shape[0]:
                return OK, np.int64(-1), np.int64(draw)
            left += times[k] - times[k - 1]
        if np.int64(draw) == max_events:
            return MAX_EVENTS, np.int64(-1), np.int64(draw)
        draw += _ONE
        # max(a, a') = min(a, a') + excess: choose the reaction, then whether both take part.
        chosen = 0
        running = upper[0]
        while running <= v * total:
            chosen += 1
            running += upper[chosen]
        inside = v * total - (running - upper[chosen])
        code = OK
        if here[chosen] == there[chosen] or inside < here[chosen]:
            code = fire(tables, chosen, one)
        if code == OK and (here[chosen] == there[chosen] or inside < there[chosen]):
            code = fire(tables, chosen, two)
        if code != OK:
            return code, np.int64(chosen), np.int64(draw)
        if here[chosen] != there[chosen]:
            apart = _differ(one, two)
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            factor = factor_of(tables, laws, ptr, program, constants, stack, r, one, params)
            here[r] = rates[r] * factor
            factor = factor_of(tables, laws, ptr, program, constants, stack, r, two, params)
            there[r] = rates[r] * factor
            upper[r] = max(here[r], there[r])
            if not (is_valid(here[r]) and is_valid(there[r])):
                return INVALID_RATE, r, np.int64(draw)
    for j in range(k, times.shape[0]):
        for i in range(one.shape[0]):
            pair[0, j, i] = one[i]
            pair[1, j, i] = two[i]
    return OK, np.int64(-1), np.int64(draw)


@inlined
def _differ(one, two):
    """Return whether two states are not the same."""
    for i in range(one.shape[0]):
        if one[i] != two[i]:
            return True
    return False

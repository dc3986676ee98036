"""Explicit tau-leaping with an adaptive step, table-driven.

References: Cao, Gillespie, Petzold, J. Chem. Phys. 124 (2006), doi:10.1063/1.2159468 (the step);
J. Chem. Phys. 123 (2005), doi:10.1063/1.1992473 (critical reactions).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.kernels._direct import choose
from tumble.kernels._draws import poisson
from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import factor_of, is_valid, opened
from tumble.kernels._mass_action import INVALID_RATE, LARGEST_COUNT, OK, OVERFLOW, fire
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential

MAX_STEPS = 8
# A leap of fewer than this many events is not worth it; then so many are simulated one by one.
_WORTH, _ONE_BY_ONE = 10.0, 100
_NO_LEAP, _DONE = -1, 0
_BLOCK = np.uint64(1)


class _Work(NamedTuple):
    """``pace`` [R], propensities; ``critical`` [R] and their ``alone`` [R]; and for each species
    the ``drift`` and ``spread`` of the other reactions, its ``order`` and its count after a leap.
    """

    pace: FloatArray
    critical: BoolArray
    alone: FloatArray
    drift: FloatArray
    spread: FloatArray
    order: FloatArray
    after: IntArray


@kernel
def tau_leaping(
    tables,
    laws,
    reads,
    rates,
    params,
    initial,
    start,
    times,
    key,
    runs,
    epsilon,
    num_critical,
    max_step,
    max_steps,
    states,
    codes,
    culprits,
    events,
):
    """Simulate every row of ``rates`` and fill the outputs.

    Inputs and outputs are those of `tumble.kernels._direct.direct_method`, with ``reads`` [S, R],
    which species each propensity depends on, and the settings of `TauLeaping`.
    """
    num_species, num_reactions = initial.shape[1], rates.shape[1]
    work = _Work(
        np.empty(num_reactions),
        np.empty(num_reactions, np.bool_),
        np.empty(num_reactions),
        np.empty(num_species),
        np.empty(num_species),
        np.empty(num_species),
        np.empty(num_species, np.int64),
    )
    state = np.empty(num_species, np.int64)
    for b in range(rates.shape[0]):
        state[:] = initial[b]
        codes[b], culprits[b], events[b] = _follow(
            tables, laws, reads, rates[b], params[b], state, work, start, times, key, runs[b],
            epsilon, num_critical, max_step, max_steps, states[b],
        )  # fmt: skip
        if codes[b] != OK:
            states[b, :, :] = -1


@part
def _follow(
    tables,
    laws,
    reads,
    rates,
    params,
    state,
    work,
    start,
    times,
    key,
    run,
    epsilon,
    num_critical,
    max_step,
    max_steps,
    states,
):
    """Follow one run to its last output; fill ``states`` [T, S]; return code, culprit, events."""
    law = opened(laws)
    ptr, program, constants, stack = law
    left = times[0] - start
    draw = np.uint64(0)
    num_events, num_steps, one_by_one, k = 0, 0, 0, 0
    culprit = _set_pace(tables, laws, law, rates, params, state, work.pace)
    while True:
        if culprit >= 0:
            return INVALID_RATE, culprit, num_events
        while not left > 0.0:
            for i in range(state.shape[0]):
                states[k, i] = state[i]
            k += 1
            if k == times.shape[0]:
                return OK, -1, num_events
            left = times[k] - times[k - 1]
        total = 0.0
        for r in range(rates.shape[0]):
            total += work.pace[r]
        if not total < 1e300:
            return INVALID_RATE, -1, num_events
        if total == 0.0:
            left = 0.0
            continue
        if num_steps == max_steps:
            return MAX_STEPS, -1, num_events
        num_steps += 1
        if one_by_one == 0:
            _set_orders(tables, laws, reads, law, rates, params, state, work)
            code, span, fired, draw = _leap(
                tables, state, work, total, left, key, run, draw, epsilon, num_critical,
                max_step,
            )  # fmt: skip
            if code > 0:
                return code, -1, num_events
            if code == _DONE:
                left -= span
                num_events += fired
                culprit = _set_pace(tables, laws, law, rates, params, state, work.pace)
                continue
            one_by_one = _ONE_BY_ONE
        one_by_one -= 1
        u, v = two_uniforms(key, run, draw)
        draw += _BLOCK
        # A wait beyond the output is drawn anew from there: exponential times have no memory.
        left -= exponential(u) / total
        if left > 0.0:
            chosen = choose(work.pace, v * total)
            num_events += 1
            code = fire(tables, chosen, state)
            if code != OK:
                return code, chosen, num_events
            for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
                r = tables.affected[j]
                work.pace[r] = rates[r] * factor_of(
                    tables, laws, ptr, program, constants, stack, r, state, params
                )
                if not is_valid(work.pace[r]):
                    culprit = r


@inlined
def _set_pace(tables, laws, law, rates, params, state, pace):
    """Compute all propensities; return a reaction whose propensity makes no sense, or -1."""
    ptr, program, constants, stack = law
    culprit = -1
    for r in range(rates.shape[0]):
        factor = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
        pace[r] = rates[r] * factor
        if not (is_valid(rates[r]) and is_valid(pace[r])):
            culprit = r
    return culprit


@part
def _leap(tables, state, work, total, left, key, run, draw, epsilon, num_critical, max_step):
    """Leap once, not beyond a time ``left``; return a code, the time it took, events and draw.

    The code is `_NO_LEAP` where events had better be simulated one by one.
    """
    num_reactions = work.pace.shape[0]
    critical_total = 0.0
    for r in range(num_reactions):
        work.critical[r] = work.pace[r] > 0.0 and _is_critical(tables, r, state, num_critical)
        work.alone[r] = work.pace[r] if work.critical[r] else 0.0
        critical_total += work.alone[r]
    longest = min(_longest_step(tables, state, work, epsilon), max_step)
    while longest >= _WORTH / total:
        u, v = two_uniforms(key, run, draw)
        draw += _BLOCK
        until_critical = exponential(u) / critical_total
        span = min(longest, left)
        fires = until_critical < span
        if fires:
            span = until_critical
        work.after[:] = state
        fired = 0.0
        for r in range(num_reactions):
            mean = work.pace[r] * span
            if work.critical[r] or not mean > 0.0:
                continue
            if mean > LARGEST_COUNT:
                return OVERFLOW, span, 0, draw
            count, draw = poisson(mean, key, run, draw)
            fired += count
            if not _add(tables, r, count, work.after):
                return OVERFLOW, span, 0, draw
        if fires:
            fired += 1.0
            if not _add(tables, choose(work.alone, v * critical_total), 1.0, work.after):
                return OVERFLOW, span, 0, draw
        if work.after.min() >= 0:
            state[:] = work.after
            return _DONE, span, np.int64(fired), draw
        longest = 0.5 * span
    return _NO_LEAP, 0.0, 0, draw


@inlined
def _is_critical(tables, r, state, num_critical):
    """Return whether r could exhaust a reactant by firing ``num_critical`` times."""
    for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
        amount = tables.change_amount[j]
        if amount < 0 and state[tables.change_species[j]] // -amount < num_critical:
            return True
    return False


@inlined
def _add(tables, r, count, state):
    """Let r fire ``count`` times; return whether the counts are still such that can be held."""
    for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
        species = tables.change_species[j]
        change = tables.change_amount[j] * count
        if not abs(state[species] + change) < LARGEST_COUNT:
            return False
        state[species] += np.int64(change)
    return True


@part
def _longest_step(tables, state, work, epsilon):
    """Return the step in which no propensity is expected to change by more than ε of itself.

    For each reactant i, of order g_i: mean and standard deviation of its change by reactions that
    are not critical are at most max(ε x_i / g_i, 1).
    """
    work.drift[:] = 0.0
    work.spread[:] = 0.0
    for r in range(work.pace.shape[0]):
        if work.critical[r]:
            continue
        for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
            species, amount = tables.change_species[j], tables.change_amount[j]
            work.drift[species] += amount * work.pace[r]
            work.spread[species] += amount * amount * work.pace[r]
    longest = np.inf
    for i in range(state.shape[0]):
        if work.order[i] > 0.0 and work.spread[i] > 0.0:
            allowed = max(epsilon * state[i] / work.order[i], 1.0)
            longest = min(longest, allowed / abs(work.drift[i]), allowed * allowed / work.spread[i])
    return longest


@inlined
def _set_orders(tables, laws, reads, law, rates, params, state, work):
    """Compute by how much of itself a propensity changes at most when a reactant does: the g_i.

    If a reaction takes m of x copies, n molecules in all, the relative change of a_r is at most
    that of x times (n / m) Σ_{k<m} x / (x − k): for n ≤ 3 the g of Cao, Gillespie and Petzold.
    For a rate law it is Σ_i x_i |a_r(x + e_i) − a_r(x)| / a_r over the species that it reads.
    """
    ptr = law[0]
    work.order[:] = 0.0
    for r in range(work.pace.shape[0]):
        if laws is not None and ptr[r] < ptr[r + 1]:
            slope = _slope_of_law(tables, laws, reads, law, rates, params, state, r, work.pace[r])
            for i in range(state.shape[0]):
                if reads[i, r]:
                    work.order[i] = max(work.order[i], slope)
            continue
        first, last = tables.reactant_ptr[r], tables.reactant_ptr[r + 1]
        molecules = 0
        for j in range(first, last):
            molecules += tables.reactant_order[j]
        for j in range(first, last):
            species, taken = tables.reactant_species[j], tables.reactant_order[j]
            slope = float(taken)
            if state[species] >= taken:
                slope = 0.0
                for k in range(taken):
                    slope += state[species] / (state[species] - k)
            work.order[species] = max(work.order[species], molecules * slope / taken)


@inlined
def _slope_of_law(tables, laws, reads, law, rates, params, state, r, here):
    """Return the g of a rate law whose value is ``here``; at least 1."""
    ptr, program, constants, stack = law
    slope = 0.0
    if here > 0.0:
        for i in range(state.shape[0]):
            if reads[i, r]:
                state[i] += 1
                factor = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
                state[i] -= 1
                slope += max(state[i], 1) * abs(rates[r] * factor - here) / here
    # Not a number, or infinite: then every change by more than one copy counts.
    return max(slope, 1.0) if slope < 1e300 else 1e300

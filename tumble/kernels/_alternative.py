"""Runs of the direct method with phantoms: alternative paths on which one more reaction fires.

∂/∂θ E[f] = E ∫ Σ_r ∂a_r(X(s)) [f(path with one more r at s) − f(path)] ds. A run is followed twice
with the same random numbers: once to measure Q = ∫ Σ_r w_r ds, where w_r is the length of the
scaled ∂a_r, and once to find the moments at which the integral passes (m + u_m) Q / M. There the
reaction of phantom m is drawn in proportion to w_r. What it changes is the difference of a pair of
runs that starts there with and without it, under the split coupling, until the two meet.

Block ``e`` of a run's stream gives event ``e`` of the run itself, as in the direct method. Phantom
m has a stream of its own: its block 0 places it, block ``e`` gives event ``e`` of its pair.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.kernels._direct import choose
from tumble.kernels._interpreter import evaluate
from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import NO_TIME, factor_of, is_valid, opened, opened_slopes
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._meeting import follow_until_equal
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential

_FIRST = np.uint64(0)
_ONE = np.uint64(1)


class SlopeTables(NamedTuple):
    """The derivatives ∂a_r / ∂params that matter.

    Entries ``ptr[r] … ptr[r+1]-1`` belong to reaction r: the ``parameter``, its ``scale`` > 0, and
    the ``program`` of the derivative in `LawTables`, or -1 for mass action.
    """

    ptr: IntArray
    parameter: IntArray
    program: IntArray
    scale: FloatArray


class _Phantoms(NamedTuple):
    """Where the phantoms of a run begin.

    ``aims`` [M], values of the integral; ``marks`` [M], uniforms that choose the reactions;
    ``states`` [M, 2, S], with the reaction and without it; ``left`` [M], the time to output
    ``output`` [M], the next one.
    """

    aims: FloatArray
    marks: FloatArray
    states: IntArray
    left: FloatArray
    output: IntArray


class _Work(NamedTuple):
    """Propensities ``here``, ``there`` on the other side, and the larger one ``upper``, all [R];
    ∂a_r of each entry [E], and their lengths w_r [R].
    """

    here: FloatArray
    there: FloatArray
    upper: FloatArray
    slope: FloatArray
    width: FloatArray


@kernel
def run_with_phantoms(
    tables,
    laws,
    slopes,
    gains,
    rates,
    params,
    initial,
    start,
    times,
    key,
    phantom_keys,
    runs,
    max_events,
    states,
    pairs,
    weights,
    codes,
    culprits,
    events,
):
    """Simulate runs with M phantoms each, and fill the outputs.

    ``laws`` is None for mass action. Inputs: ``slopes``, a `SlopeTables` of E entries; ``gains``
    [B, E], the derivatives of the constants of mass action; ``phantom_keys`` [M] uint64; the others
    as in `direct_method`. Outputs: ``states`` [B, T, S]; ``pairs`` [B, M, 2, T, S]; ``weights``
    [B, M, Q]; ``codes``, ``culprits`` and ``events`` [B].
    """
    num_phantoms, num_species, num_reactions = pairs.shape[1], initial.shape[1], rates.shape[1]
    work = _Work(
        np.empty(num_reactions), np.empty(num_reactions), np.empty(num_reactions),
        np.empty(gains.shape[1]), np.empty(num_reactions),
    )  # fmt: skip
    phantoms = _Phantoms(
        np.empty(num_phantoms), np.empty(num_phantoms),
        np.empty((num_phantoms, 2, num_species), np.int64), np.empty(num_phantoms),
        np.empty(num_phantoms, np.int64),
    )  # fmt: skip
    state = np.empty(num_species, np.int64)
    ptr, program, constants, stack = opened(laws)
    _, _, slope_ptr, slope_code, slope_constants = opened_slopes(laws, num_reactions)
    for b in range(rates.shape[0]):
        integral = 0.0
        num_events = 0
        for placing in range(2):
            code, culprit, count, integral = _follow(
                tables, laws, ptr, program, constants, stack, slope_ptr, slope_code,
                slope_constants, slopes, gains[b], rates[b], params[b], initial[b], start, times,
                key, runs[b], max_events, placing * num_phantoms, integral, state, states[b],
                phantoms, weights[b], work,
            )  # fmt: skip
            num_events += count
            if code != OK or not integral > 0.0:
                break
            if placing == 0:
                _aim(phantoms, phantom_keys, runs[b], integral)
        m = 0
        while code == OK and m < num_phantoms:
            if integral > 0.0:
                _copy(states[b], pairs[b, m], phantoms.output[m])
                code, culprit, count = follow_until_equal(
                    tables, laws, ptr, program, constants, stack, rates[b], params[b],
                    phantoms.states[m, 0], phantoms.states[m, 1], phantoms.output[m],
                    phantoms.left[m], times, phantom_keys[m], runs[b], max_events, pairs[b, m],
                    work.here, work.there, work.upper,
                )  # fmt: skip
                num_events += count
            else:
                _copy(states[b], pairs[b, m], times.shape[0])
            m += 1
        codes[b], culprits[b], events[b] = code, culprit, num_events
        if code != OK:
            states[b, :, :] = -1
            pairs[b, :, :, :, :] = -1
            weights[b, :, :] = np.nan


@inlined
def _aim(phantoms, phantom_keys, run, integral):
    """Draw for each phantom a place in its stratum, and the uniform that chooses its reaction."""
    num_phantoms = phantom_keys.shape[0]
    for m in range(num_phantoms):
        u, v = two_uniforms(phantom_keys[m], run, _FIRST)
        phantoms.aims[m] = (m + u) / num_phantoms * integral
        phantoms.marks[m] = v


@part
def _follow(
    tables,
    laws,
    ptr,
    program,
    constants,
    stack,
    slope_ptr,
    slope_code,
    slope_constants,
    slopes,
    gains,
    rates,
    params,
    initial,
    start,
    times,
    key,
    run,
    max_events,
    num_aims,
    integral,
    state,
    states,
    phantoms,
    weights,
    work,
):
    """Follow one run; see `run_with_phantoms`.

    Place the first ``num_aims`` phantoms, of a run with the ``integral`` Q, and stop when they are;
    with none, follow the run to its end. Return code, culprit, number of events and the integral.
    """
    num_reactions = rates.shape[0]
    first, which, scale = slopes.ptr, slopes.program, slopes.scale
    propensity, slope, width = work.here, work.slope, work.width
    aims = phantoms.aims
    share = integral / max(num_aims, 1)
    for i in range(state.shape[0]):
        state[i] = initial[i]
    for m in range(weights.shape[0]):
        for q in range(weights.shape[1]):
            weights[m, q] = 0.0
    for r in range(num_reactions):
        factor = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
        propensity[r] = rates[r] * factor
        width[r] = _find_width(
            laws, first, which, scale, gains, slope_ptr, slope_code, slope_constants, stack, r,
            factor, state, params, slope,
        )  # fmt: skip
        if not (is_valid(rates[r]) and is_valid(propensity[r]) and is_valid(width[r])):
            return INVALID_RATE, r, np.int64(0), np.nan
    left = times[0] - start
    k = np.int64(0)
    draw = np.uint64(0)
    placed = np.int64(0)
    passed = 0.0
    while True:
        total, pace = 0.0, 0.0
        for r in range(num_reactions):
            total += propensity[r]
            pace += width[r]
        if not (total < 1e300 and pace < 1e300):
            return INVALID_RATE, np.int64(-1), np.int64(draw), np.nan
        u, v = two_uniforms(key, run, draw)
        since = left
        left -= exponential(u) / total  # infinite where nothing can happen
        while True:
            span = since if not left > 0.0 else since - left
            after = passed + pace * span
            while placed < num_aims and aims[placed] <= after:
                ahead = (aims[placed] - passed) / pace
                chosen = choose(width, phantoms.marks[placed] * pace)
                code = _place(tables, slopes, slope, width, share, phantoms, placed, chosen, state,
                              k, max(since - ahead, 0.0), weights)  # fmt: skip
                placed += 1
                if code != OK:
                    return code, np.int64(chosen), np.int64(draw), after
            if 0 < num_aims == placed:
                return OK, np.int64(-1), np.int64(draw), integral
            passed = after
            if left > 0.0:
                break
            for i in range(state.shape[0]):
                states[k, i] = state[i]
            k += 1
            if k == times.shape[0]:
                return OK, np.int64(-1), np.int64(draw), passed
            since = times[k] - times[k - 1]
            left += since
        if np.int64(draw) == max_events:
            return MAX_EVENTS, np.int64(-1), np.int64(draw), passed
        draw += _ONE
        chosen = choose(propensity, v * total)
        code = fire(tables, chosen, state)
        if code != OK:
            return code, np.int64(chosen), np.int64(draw), passed
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            factor = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
            propensity[r] = rates[r] * factor
            width[r] = _find_width(
                laws, first, which, scale, gains, slope_ptr, slope_code, slope_constants, stack, r,
                factor, state, params, slope,
            )  # fmt: skip
            if not (is_valid(propensity[r]) and is_valid(width[r])):
                return INVALID_RATE, r, np.int64(draw), np.nan


@inlined
def _find_width(
    laws, first, which, scale, gains, ptr, code, constants, stack, reaction, factor, state, params,
    slope,
):  # fmt: skip
    """Fill in ∂a_r of each entry of a reaction; return the length of the scaled ones.

    They are those of a_r itself, also where a_r is 0.
    """
    square = 0.0
    for e in range(first[reaction], first[reaction + 1]):
        p = which[e]
        if laws is None or p < 0:
            slope[e] = gains[e] * factor
        else:
            slope[e] = evaluate(code, constants, ptr[p], ptr[p + 1], state, params, NO_TIME, stack)
        square += (scale[e] * slope[e]) ** 2
    return math.sqrt(square)


@inlined
def _place(
    tables, slopes, slope, width, share, phantoms, m, reaction, state, k, left, weights
):  # fmt: skip
    """Let phantom m begin here with ``reaction``; return what is wrong with its counts, or OK."""
    for i in range(state.shape[0]):
        phantoms.states[m, 0, i] = state[i]
        phantoms.states[m, 1, i] = state[i]
    phantoms.output[m] = k
    phantoms.left[m] = left
    for e in range(slopes.ptr[reaction], slopes.ptr[reaction + 1]):
        weights[m, slopes.parameter[e]] = slope[e] / width[reaction] * share
    return fire(tables, reaction, phantoms.states[m, 0])


@inlined
def _copy(states, pair, count):
    """Give both sides of a ``pair`` [2, T, S] the first ``count`` of ``states`` [T, S]."""
    for k in range(count):
        for i in range(states.shape[1]):
            pair[0, k, i] = states[k, i]
            pair[1, k, i] = states[k, i]

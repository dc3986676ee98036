"""The next reaction method in random time changes, table-driven.

Reaction r fires when its internal time ∫ a_r ds reaches the next jump of a unit-rate Poisson
process of its own, its clock. Kept for each reaction are the internal time that is left until that
jump (``rest``) as of a time ``mark``, and the time at which it would fire if nothing else did
(``due``); only what an event changes is computed again. Times are counted from the last output, so
that small steps stay exact late in a long run.

Clock r of run i draws its n-th gap (n = 0, 1, …) from Philox block ⌊n / 2⌋, each block holding
two: counter words (⌊n / 2⌋, r, i mod 2³², i >> 32). The key belongs to a stream that nothing but
clocks draws from, so no other counter can meet these; a clock holds 2³³ gaps.

References: Anderson, J. Chem. Phys. 127 (2007), doi:10.1063/1.2799998; Gibson, Bruck, J. Phys.
Chem. A 104 (2000), doi:10.1021/jp993732q (indexed priority queue).
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.kernels._mass_action import (
    INVALID_RATE,
    MAX_EVENTS,
    OK,
    OVERFLOW,
    fire,
    rates_are_valid,
)
from tumble.kernels._philox import philox
from tumble.kernels._propensity import propensity
from tumble.kernels._uniforms import exponential, uniform

_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


class _Clocks(NamedTuple):
    """One entry a reaction; ``due`` is filled up to a power of two with infinity.

    ``first`` is the priority queue: node n of a tree has the children 2n and 2n + 1 and holds which
    reaction below it is due first; reaction r is the leaf ``len(due)`` + r, node 1 is the root.
    """

    pace: FloatArray
    rest: FloatArray
    mark: FloatArray
    spare: FloatArray
    drawn: IntArray
    due: FloatArray
    first: IntArray


@numba.njit(cache=True, nogil=True, error_model="numpy")
def next_reaction_method(
    tables, rates, initial, start, times, key, runs, max_events, states, codes, events
):
    """Simulate every row of ``rates`` and fill the outputs.

    Inputs: ``rates`` [B, R], ``initial`` [B, S], ``start``, ``times`` [T], ``key`` uint64 of the
    stream of clocks, ``runs`` [B] uint64, ``max_events`` ≤ 2³³. Outputs: ``states`` [B, T, S],
    ``codes`` [B], ``events`` [B].
    """
    num_reactions = rates.shape[1]
    width = 1
    while width < num_reactions:
        width *= 2
    clocks = _Clocks(
        np.empty(num_reactions),
        np.empty(num_reactions),
        np.empty(num_reactions),
        np.empty(num_reactions),
        np.empty(num_reactions, np.int64),
        np.full(width, np.inf),
        np.empty(2 * width, np.int64),
    )
    state = np.empty(initial.shape[1], np.int64)
    for b in range(rates.shape[0]):
        state[:] = initial[b]
        codes[b], events[b] = INVALID_RATE, 0
        if rates_are_valid(rates[b]):
            codes[b], events[b] = _follow(
                tables, rates[b], state, clocks, start, times, key, runs[b], max_events, states[b]
            )
        if codes[b] != OK:
            states[b, :, :] = -1


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _follow(tables, rates, state, clocks, start, times, key, run, max_events, states):
    """Follow one run to its last output; fill ``states`` [T, S]; return code and events."""
    if not _wind_up(tables, rates, state, clocks, key, run):
        return INVALID_RATE, 0
    until = times[0] - start  # the next output, counted from the last one
    k = 0
    num_events = 0
    while True:
        chosen = clocks.first[1]
        now = clocks.due[chosen]
        while not now < until:
            for i in range(state.shape[0]):
                states[k, i] = state[i]
            k += 1
            if k == times.shape[0]:
                return OK, num_events
            for r in range(rates.shape[0]):
                clocks.mark[r] -= until
                clocks.due[r] -= until
            until = times[k] - times[k - 1]
            now = clocks.due[chosen]
        if num_events == max_events:
            return MAX_EVENTS, num_events
        num_events += 1
        if fire(tables, chosen, state):
            return OVERFLOW, num_events
        clocks.rest[chosen] = _gap(clocks, key, run, chosen)
        clocks.mark[chosen] = now
        _set_due(clocks, chosen)
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            passed = clocks.pace[r] * (now - clocks.mark[r])
            clocks.rest[r] = max(clocks.rest[r] - passed, 0.0)
            clocks.mark[r] = now
            clocks.pace[r] = propensity(tables, rates, r, state)
            if not clocks.pace[r] < 1e300:
                return INVALID_RATE, num_events
            _set_due(clocks, r)


@numba.njit(inline="always", error_model="numpy")
def _wind_up(tables, rates, state, clocks, key, run):
    """Start every clock at time 0; return whether all propensities are numbers."""
    width = clocks.due.shape[0]
    for n in range(width):
        clocks.first[width + n] = n
    for n in range(width - 1, 0, -1):
        clocks.first[n] = clocks.first[2 * n]
    clocks.due[:] = np.inf
    clocks.drawn[:] = 0
    clocks.mark[:] = 0.0
    for r in range(rates.shape[0]):
        clocks.pace[r] = propensity(tables, rates, r, state)
        if not clocks.pace[r] < 1e300:
            return False
        clocks.rest[r] = _gap(clocks, key, run, r)
        _set_due(clocks, r)
    return True


@numba.njit(inline="always", error_model="numpy")
def _gap(clocks, key, run, r):
    """Return the next gap between jumps of clock r."""
    n = clocks.drawn[r]
    clocks.drawn[r] = n + 1
    if n & 1:
        return clocks.spare[r]
    a, b, c, d = philox(
        np.uint64(n >> 1), np.uint64(r), run & _LOW, run >> _32, key & _LOW, key >> _32
    )
    clocks.spare[r] = exponential(uniform(c, d))
    return exponential(uniform(a, b))


@numba.njit(inline="always", error_model="numpy")
def _set_due(clocks, r):
    """Compute when r is due, and put the queue in order."""
    due, first = clocks.due, clocks.first
    due[r] = clocks.mark[r] + clocks.rest[r] / clocks.pace[r] if clocks.pace[r] > 0.0 else np.inf
    n = (due.shape[0] + r) >> 1
    while n > 0:
        before = first[n]
        left, right = first[2 * n], first[2 * n + 1]
        first[n] = left if due[left] <= due[right] else right
        # Above a node that still holds another reaction than r, nothing has changed.
        if first[n] == before and before != r:
            break
        n >>= 1

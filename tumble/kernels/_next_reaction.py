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

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._laws import factor_of, is_valid, opened
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, fire
from tumble.kernels._philox import philox
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


@kernel
def next_reaction_method(
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
    """Simulate every row of ``rates`` and fill the outputs.

    Inputs and outputs are those of `tumble.kernels._direct.direct_method`; ``key`` belongs to the
    stream of clocks, ``max_events`` is at most 2³³.
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
        codes[b], culprits[b], events[b] = _follow(
            tables, laws, rates[b], params[b], state, clocks, start, times, key, runs[b],
            max_events, states[b],
        )  # fmt: skip
        if codes[b] != OK:
            states[b, :, :] = -1


@part
def _follow(tables, laws, rates, params, state, clocks, start, times, key, run, max_events, states):
    """Follow one run to its last output; fill ``states`` [T, S]; return code, culprit, events."""
    ptr, program, constants, stack = opened(laws)
    _wind_up(clocks)
    for r in range(rates.shape[0]):
        factor = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
        clocks.pace[r] = rates[r] * factor
        if not (is_valid(rates[r]) and is_valid(clocks.pace[r])):
            return INVALID_RATE, r, 0
        clocks.rest[r] = _gap(clocks, key, run, r)
        _set_due(clocks, r)
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
                return OK, -1, num_events
            for r in range(rates.shape[0]):
                clocks.mark[r] -= until
                clocks.due[r] -= until
            until = times[k] - times[k - 1]
            now = clocks.due[chosen]
        if num_events == max_events:
            return MAX_EVENTS, -1, num_events
        num_events += 1
        code = fire(tables, chosen, state)
        if code != OK:
            return code, chosen, num_events
        clocks.rest[chosen] = _gap(clocks, key, run, chosen)
        clocks.mark[chosen] = now
        _set_due(clocks, chosen)
        for j in range(tables.affected_ptr[chosen], tables.affected_ptr[chosen + 1]):
            r = tables.affected[j]
            passed = clocks.pace[r] * (now - clocks.mark[r])
            clocks.rest[r] = max(clocks.rest[r] - passed, 0.0)
            clocks.mark[r] = now
            factor = factor_of(tables, laws, ptr, program, constants, stack, r, state, params)
            clocks.pace[r] = rates[r] * factor
            if not is_valid(clocks.pace[r]):
                return INVALID_RATE, r, num_events
            _set_due(clocks, r)


@inlined
def _wind_up(clocks):
    """Set every clock to time 0, with nothing due."""
    width = clocks.due.shape[0]
    for n in range(width):
        clocks.first[width + n] = n
    for n in range(width - 1, 0, -1):
        clocks.first[n] = clocks.first[2 * n]
    clocks.due[:] = np.inf
    clocks.drawn[:] = 0
    clocks.mark[:] = 0.0


@inlined
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


@inlined
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

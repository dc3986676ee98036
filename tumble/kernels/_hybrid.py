"""Exact simulation with rates that depend on time, variables and events, one run after another.

The next reaction takes place when ∫ Σ a_r dt has reached −log u; block ``e`` of a run's stream
gives u and the choice of reaction ``e``, as in `_direct.py`. Where nothing changes continuously,
the integral is a sum, and the moments at which modes change are known; else `_hybrid_flow.py` finds
both. At each discrete moment modes and events are settled twice, see `_hybrid_modes.py`; outputs at
that time show the state in between.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._borrowed import borrowed
from tumble.kernels._hybrid_events import INTEGRATION, INVALID_ASSIGNMENT, next_due_time, settle
from tumble.kernels._hybrid_flow import FIRING, STEPPED, STOP, advance, hazard, place
from tumble.kernels._hybrid_modes import AFTER, AT
from tumble.kernels._hybrid_tables import (
    AFFECTED,
    AFFECTED_PTR,
    FIRST_INITIAL,
    INTEGRATES,
    MODES_READ_COUNTS,
    NUM_PARAMS,
    NUM_VARIABLES,
    STARTS_TRUE,
)
from tumble.kernels._hybrid_work import (
    EXECUTED,
    FIRED,
    LEFT,
    NEXT_CHANGE,
    PROPENSITY,
    STEPS,
    STEPS_OF_A_STOP,
    TOUCHED,
    borrow,
    choose,
    compute,
    fire,
    layout,
    refresh,
    renew,
    row,
)
from tumble.kernels._jit import kernel, part
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK
from tumble.kernels._philox import two_uniforms


@kernel
def hybrid_method(
    owned_tables,
    owned_work,
    params,
    initial,
    start,
    times,
    key,
    runs,
    max_events,
    tolerance,
    max_step,
    states,
    variables,
    codes,
    culprits,
    events,
):
    """Simulate every row of ``params`` and fill the outputs.

    Inputs: `HybridTables` and `Work`; ``params`` [B, Q], ``initial`` [B, S], ``start`` scalar,
    ``times`` [T] ascending and ≥ start, ``key`` uint64, ``runs`` [B] uint64. Outputs: ``states``
    [B, T, S]; ``variables`` [B, T, V]; ``codes`` [B]; ``culprits`` [B], the reaction, or R plus the
    event, that made a run fail, else -1; ``events`` [B], reactions fired.
    """
    tables, work = borrow(owned_tables, owned_work)
    num_params = layout(tables, NUM_PARAMS)
    for b in range(params.shape[0]):
        work.state[:] = initial[b]
        work.values[:num_params] = params[b]
        code, culprit = _run(
            tables, work, start, borrowed(times), key, runs[b], max_events, tolerance, max_step,
            borrowed(states[b]), borrowed(variables[b]),
        )  # fmt: skip
        codes[b] = code
        culprits[b] = culprit
        events[b] = work.tally[FIRED]
        if code != OK:
            states[b, :, :] = -1
            variables[b, :, :] = np.nan


@part
def _run(
    tables, work, time, times, key, run, max_events, tolerance, max_step, states, variables
):  # fmt: skip
    """Simulate one run; return (code, culprit)."""
    integrates = layout(tables, INTEGRATES)
    if not _begin(tables, work, time):
        return INVALID_ASSIGNMENT, -1
    code, culprit, k = _stop(tables, work, time, key, run, times, np.int64(0), states, variables)
    u, v = two_uniforms(key, run, np.uint64(0))
    work.clock[LEFT] = -np.log(u)
    while code == OK and k < times.shape[0]:
        stop = _next_stop(work)
        if integrates:
            ending, h, part, code, culprit = advance(tables, work, time, stop, tolerance, max_step)
            if code != OK:
                break
            until = stop if ending == STOP else time + part * h
            while k < times.shape[0] and (
                times[k] < until or (ending == STEPPED and times[k] == until)
            ):
                place(tables, work, min(max((times[k] - time) / h, 0.0), part))
                k = _write(tables, work, k, states, variables)
            place(tables, work, part)
            work.clock[LEFT] -= hazard(tables, work, part)
            time = until
        else:
            total = np.sum(work.reactions[PROPENSITY])
            if not total < 1e300:
                code = INVALID_RATE
                break
            until = time + work.clock[LEFT] / total if total > 0.0 else np.inf
            ending = FIRING if until < stop else STOP
            until = min(until, stop)
            while k < times.shape[0] and times[k] < until:
                k = _write(tables, work, k, states, variables)
            work.clock[LEFT] -= total * (until - time)
            time = until
        if k == times.shape[0]:
            break
        if ending == FIRING:
            if work.tally[FIRED] + work.tally[EXECUTED] >= max_events:
                code = MAX_EVENTS
                break
            code, culprit = _fire(tables, work, time, v, key, run)
            u, v = two_uniforms(key, run, np.uint64(work.tally[FIRED]))
            work.clock[LEFT] = -np.log(u)
        elif ending != STEPPED:
            code, culprit, k = _stop(tables, work, time, key, run, times, k, states, variables)
            work.tally[STEPS] += STEPS_OF_A_STOP
            if code == OK and work.tally[EXECUTED] > max_events:
                code = MAX_EVENTS
    return code, culprit


@part
def _begin(tables, work, time):
    """Put the run to its start; return whether every variable has a value there."""
    work.tally[:] = 0
    work.clock[:] = 0.0
    work.reactions[:] = 0.0
    work.modes[:] = 0.0
    work.truth[:] = row(tables, STARTS_TRUE)
    first = layout(tables, NUM_PARAMS)
    for i in range(layout(tables, NUM_VARIABLES)):
        value = compute(tables, work, layout(tables, FIRST_INITIAL) + i, time)
        if not abs(value) < np.inf:
            return False
        work.values[first + i] = value
    return True


@part
def _next_stop(work):
    """Return the next moment at which a mode changes or an event is due."""
    stop = next_due_time(work)
    for change in work.modes[NEXT_CHANGE]:
        stop = min(stop, change)
    return stop


@part
def _stop(tables, work, time, key, run, times, k, states, variables):
    """Settle a discrete moment and write what is seen at it; return (code, culprit, output)."""
    num_reactions = work.reactions.shape[1]
    code, event = settle(tables, work, time, AT, key, run)
    if code != OK:
        return code, num_reactions + event, k
    work.modes[TOUCHED] = 0.0
    while k < times.shape[0] and times[k] <= time:
        k = _write(tables, work, k, states, variables)
    code, event = settle(tables, work, time, AFTER, key, run)
    if code != OK:
        return code, num_reactions + event, k
    culprit = refresh(tables, work, time)
    return INVALID_RATE if culprit >= 0 else OK, culprit, k


@part
def _fire(tables, work, time, v, key, run):
    """Let a reaction fire, and what it triggers; return (code, culprit)."""
    num_reactions = work.reactions.shape[1]
    if layout(tables, INTEGRATES):
        culprit = refresh(tables, work, time)
        if culprit >= 0:
            return INVALID_RATE, culprit
    chosen = choose(work.reactions, v)
    if chosen < 0:
        return INTEGRATION, -1
    work.tally[FIRED] += 1
    work.tally[STEPS] = 0
    code = fire(tables, work, chosen)
    if code != OK:
        return code, chosen
    executed = work.tally[EXECUTED]
    if layout(tables, MODES_READ_COUNTS) or work.truth.shape[0] > 0:
        code, event = settle(tables, work, time, AFTER, key, run)
        if code != OK:
            return code, num_reactions + event
    culprit = -1
    if layout(tables, INTEGRATES):
        return OK, -1  # the next step computes them all
    if layout(tables, MODES_READ_COUNTS) or work.tally[EXECUTED] > executed:
        culprit = refresh(tables, work, time)
    else:
        ptr, affected = row(tables, AFFECTED_PTR), row(tables, AFFECTED)
        for j in range(ptr[chosen], ptr[chosen + 1]):
            if not renew(tables, work, affected[j], time):
                culprit = affected[j]
    return INVALID_RATE if culprit >= 0 else OK, culprit


@part
def _write(tables, work, k, states, variables):
    """Write output ``k`` and return the next."""
    states[k, :] = work.state
    first = layout(tables, NUM_PARAMS)
    variables[k, :] = work.values[first : first + variables.shape[1]]
    return k + 1

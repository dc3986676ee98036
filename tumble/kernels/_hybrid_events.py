"""Events of the hybrid kernel: triggered, waiting, executed or cancelled."""

from __future__ import annotations

import numpy as np

from tumble.kernels._hybrid_modes import set_modes
from tumble.kernels._hybrid_tables import (
    ASSIGNMENT_PTR,
    FIRST_ASSIGNMENT,
    FIRST_DELAY,
    FIRST_PRIORITY,
    FIRST_TRIGGER,
    HAS_PRIORITY,
    IS_EARLY,
    IS_PERSISTENT,
    TARGET,
)
from tumble.kernels._hybrid_work import (
    CAPACITY,
    DUE,
    EVENT,
    EXECUTED,
    LARGEST,
    TIES,
    VALUES,
    WAITING,
    compute,
    layout,
    row,
)
from tumble.kernels._jit import part
from tumble.kernels._mass_action import LARGEST_COUNT, OK
from tumble.kernels._philox import two_uniforms

INVALID_ASSIGNMENT, ENDLESS_EVENTS, INTEGRATION = 5, 6, 7
# The most events at one and the same time.
MOST_AT_ONCE = 10_000
# Draws for ties are far from those for reactions, so that neither moves the other.
_FIRST_TIE = np.uint64(2**63)
# A value counts as whole within this, relative.
_WHOLE = 1e-9


@part
def settle(tables, work, time, phase, key, run):
    """Bring modes and events up to date; return (code, event to blame or -1).

    Every event that is due takes place, and those that it triggers in turn.
    """
    set_modes(tables, work, time, phase)
    if work.truth.shape[0] == 0:
        return OK, -1
    executed = 0
    while True:
        code, event = _update_triggers(tables, work, time)
        if code != OK:
            return code, event
        place = _next_due(tables, work, time, key, run)
        if place < 0:
            return OK, -1
        if executed == MOST_AT_ONCE:
            return ENDLESS_EVENTS, int(work.waiting[place, EVENT])
        event = int(work.waiting[place, EVENT])
        code = _execute(tables, work, place, time)
        if code != OK:
            return code, event
        executed += 1
        work.tally[EXECUTED] += 1
        set_modes(tables, work, time, phase)


@part
def next_due_time(work):
    """Return when the first of the waiting events is due; inf if none waits."""
    first = np.inf
    for i in range(work.tally[WAITING]):
        first = min(first, work.waiting[i, DUE])
    return first


@part
def _update_triggers(tables, work, time):
    persistent = row(tables, IS_PERSISTENT)
    for e in range(work.truth.shape[0]):
        value = compute(tables, work, layout(tables, FIRST_TRIGGER) + e, time)
        now = 1 if value != 0.0 and value == value else 0
        if now > work.truth[e]:
            code = _enqueue(tables, work, e, time)
            if code != OK:
                return code, e
        elif now < work.truth[e] and not persistent[e]:
            _cancel(work.waiting, work.tally, e)
        work.truth[e] = now
    return OK, -1


@part
def _enqueue(tables, work, event, time):
    place = work.tally[WAITING]
    if place == CAPACITY:
        return ENDLESS_EVENTS
    delay = compute(tables, work, layout(tables, FIRST_DELAY) + event, time)
    if not 0.0 <= delay < LARGEST:
        return INVALID_ASSIGNMENT
    work.waiting[place, DUE] = time + delay
    work.waiting[place, EVENT] = event
    if row(tables, IS_EARLY)[event]:
        _compute_values(tables, work, event, place, time)
    work.tally[WAITING] += 1
    return OK


@part
def _compute_values(tables, work, event, place, time):
    """Fill in the values that an event assigns."""
    ptr = row(tables, ASSIGNMENT_PTR)
    for j in range(ptr[event], ptr[event + 1]):
        value = compute(tables, work, layout(tables, FIRST_ASSIGNMENT) + j, time)
        work.waiting[place, VALUES + j - ptr[event]] = value


@part
def _cancel(waiting, count, event):
    place = 0
    while place < count[WAITING]:
        if waiting[place, EVENT] == event:
            _remove(waiting, count, place)
        else:
            place += 1


@part
def _remove(waiting, count, place):
    """Take one out; its row goes to the spare place, where it can still be read."""
    last = count[WAITING] - 1
    for j in range(waiting.shape[1]):
        waiting[CAPACITY, j] = waiting[place, j]
        waiting[place, j] = waiting[last, j]
    count[WAITING] = last


@part
def _next_due(tables, work, time, key, run):
    """Return the place of the event to execute, one at random of those of highest priority."""
    best, highest, num_best = -1, -np.inf, 0
    for i in range(work.tally[WAITING]):
        if work.waiting[i, DUE] > time:
            continue
        priority = _priority(tables, work, int(work.waiting[i, EVENT]), time)
        if best < 0 or priority > highest:
            best, highest, num_best = i, priority, 1
        elif priority == highest:
            num_best += 1
    if num_best < 2:
        return best
    u, _ = two_uniforms(key, run, _FIRST_TIE + np.uint64(work.tally[TIES]))
    work.tally[TIES] += 1
    rank = min(int(u * num_best), num_best - 1)
    for i in range(best, work.tally[WAITING]):
        if work.waiting[i, DUE] > time:
            continue
        if _priority(tables, work, int(work.waiting[i, EVENT]), time) == highest:
            if rank == 0:
                return i
            rank -= 1
    return best


@part
def _priority(tables, work, event, time):
    if not row(tables, HAS_PRIORITY)[event]:
        return -np.inf
    priority = compute(tables, work, layout(tables, FIRST_PRIORITY) + event, time)
    return priority if priority == priority else -np.inf


@part
def _execute(tables, work, place, time):
    event = int(work.waiting[place, EVENT])
    if not row(tables, IS_EARLY)[event]:
        _compute_values(tables, work, event, place, time)
    _remove(work.waiting, work.tally, place)
    ptr, targets = row(tables, ASSIGNMENT_PTR), row(tables, TARGET)
    num_species = work.state.shape[0]
    for j in range(ptr[event], ptr[event + 1]):
        value, target = work.waiting[CAPACITY, VALUES + j - ptr[event]], targets[j]
        if not abs(value) < LARGEST:
            return INVALID_ASSIGNMENT
        if target >= num_species:
            work.values[target - num_species] = value
            continue
        whole = np.rint(value)
        if whole < 0.0 or whole > LARGEST_COUNT or abs(value - whole) > _WHOLE * max(1.0, whole):
            return INVALID_ASSIGNMENT
        work.state[target] = np.int64(whole)
    return OK

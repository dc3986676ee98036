"""From one discrete moment to the next while rates or variables change continuously.

The variables, the hazard ∫ Σ a_r dt and the levels of watched modes are integrated together. Steps
do not know the times of output: those are read from the continuous extension, so that a path does
not depend on when it is looked at.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._dormand_prince import error_of, extend, inside, stage
from tumble.kernels._hybrid_events import INTEGRATION
from tumble.kernels._hybrid_modes import bit_of
from tumble.kernels._hybrid_tables import (
    FIRST_FLOW,
    FIRST_LEVEL,
    FIRST_SLOPE,
    FLOWING,
    KIND,
    WATCHED,
)
from tumble.kernels._hybrid_work import (
    BIT,
    DENSE,
    LEFT,
    MOST_STEPS,
    PEAK,
    SIZE,
    SLOPES,
    STEP,
    STEPS,
    TOUCHED,
    Y_NEW,
    Y,
    compute,
    is_tolerable,
    layout,
    propensity_of,
    row,
)
from tumble.kernels._jit import part
from tumble.kernels._mass_action import INVALID_RATE, OK
from tumble.kernels._tableau import NODES, NUM_STAGES

# What an advance ended with: a reaction, a moment known beforehand, a watched mode that changes, or
# nothing but the end of a step.
FIRING, STOP, CROSSING, STEPPED = 0, 1, 2, 3

# At how many points inside a step modes are looked at.
_LOOKS = 8
_BISECTIONS = 60
# Levels of watched modes only have to be followed well enough not to miss their changes.
_LEVEL_TOLERANCE = 1e-6
# A step should not hold many reactions, since it ends at the first.
_FIRINGS_A_STEP = 2.0
_FIRST_STEP = 1e-3
_TINY = 1e-300
_FINE, _NEGATIVE, _NOT_FINITE = 0, 1, 2


@part
def advance(tables, work, time, stop, tolerance, max_step):
    """Take one step towards ``stop`` and see what happens in it.

    Returns (ending, h, part, code, culprit): the step is h long, of which ``part`` is used, and
    ``work.dense`` holds the solution in it.
    """
    num_flows = row(tables, FLOWING).shape[0]
    _load(tables, work)
    status, culprit = _slopes(tables, work, time, Y, np.int64(0))
    if status != _FINE:
        return STEPPED, 0.0, 0.0, INVALID_RATE if culprit >= 0 else INTEGRATION, culprit
    total = work.flow[SLOPES, num_flows]
    wish = work.clock[STEP] if work.clock[STEP] > 0.0 else _first_step(tables, work)
    h = min(wish, max_step, stop - time)
    if total > 0.0:
        h = min(h, _FIRINGS_A_STEP * work.clock[LEFT] / total)
    while True:
        work.tally[STEPS] += 1
        if work.tally[STEPS] > MOST_STEPS:
            return STEPPED, h, 0.0, INTEGRATION, -1
        factor = 0.25
        status, error, blamed = _attempt(tables, work, time, h, tolerance)
        if blamed >= 0:
            culprit = blamed
        if status != _NOT_FINITE:
            factor = min(max(0.9 * max(error, 1e-10) ** -0.2, 0.2), 3.0)
            if error <= 1.0:
                ending, part, blamed = _examine(tables, work, time, h, status == _NEGATIVE)
                if blamed < 0:
                    break
                culprit, factor = blamed, 0.25
        if h <= 4e-16 * abs(time) + 1e-25:
            return STEPPED, h, 0.0, INVALID_RATE if culprit >= 0 else INTEGRATION, culprit
        h *= factor
        wish = h
    if ending == CROSSING:  # fast switching needs short steps to be found
        wish, factor = min(wish, 8.0 * part * h), min(factor, 8.0 * part)
    work.clock[STEP] = max(wish, h * factor)
    if ending == STEPPED and h == stop - time:
        ending = STOP
    return ending, h, part, OK, -1


@part
def place(tables, work, part):
    """Put the variables to where they are at a part of the step."""
    flowing = row(tables, FLOWING)
    for i in range(flowing.shape[0]):
        work.values[flowing[i]] = inside(work.flow[DENSE:], i, part)


@part
def hazard(tables, work, part):
    """Return ∫ Σ a_r dt over a part of the step."""
    return inside(work.flow[DENSE:], row(tables, FLOWING).shape[0], part)


@part
def _load(tables, work):
    """Start a step from the present values; the hazard and the levels count from 0."""
    flowing = row(tables, FLOWING)
    work.flow[Y, :] = 0.0
    for i in range(flowing.shape[0]):
        work.flow[Y, i] = work.values[flowing[i]]


@part
def _first_step(tables, work):
    """Return a step in which no variable changes much."""
    step = _FIRST_STEP
    for i in range(row(tables, FLOWING).shape[0]):
        value, slope = abs(work.flow[Y, i]), abs(work.flow[SLOPES, i])
        if value > 0.0 and slope > 0.0:
            step = min(step, 0.01 * value / slope)
    return step


@part
def _slopes(tables, work, time, point, s):
    """Fill in the slopes of stage ``s`` at a row of the flow; return (status, culprit)."""
    flowing, watched = row(tables, FLOWING), row(tables, WATCHED)
    num_flows = flowing.shape[0]
    flow, values, reactions = work.flow, work.values, work.reactions
    status, culprit = _FINE, -1
    for i in range(num_flows):
        values[flowing[i]] = flow[point, i]
    for i in range(num_flows):
        slope = compute(tables, work, layout(tables, FIRST_FLOW) + i, time)
        flow[SLOPES + s, i] = slope
        if not abs(slope) < np.inf:
            status = _NOT_FINITE
    total = 0.0
    for r in range(reactions.shape[1]):
        a = propensity_of(tables, work, r, time)
        if s == 0:
            reactions[PEAK, r] = max(reactions[PEAK, r], abs(a))
        if not is_tolerable(reactions, r, a):
            culprit = r
            status = max(status, _NEGATIVE if -np.inf < a < 0.0 else _NOT_FINITE)
        total += a
    flow[SLOPES + s, num_flows] = total
    for i in range(watched.shape[0]):
        slope = compute(tables, work, layout(tables, FIRST_SLOPE) + watched[i], time)
        flow[SLOPES + s, num_flows + 1 + i] = slope if abs(slope) < np.inf else 0.0
    return status, culprit


@part
def _attempt(tables, work, time, h, tolerance):
    """Take a step; return (status, error relative to what is tolerated, reaction to blame)."""
    status, culprit = _FINE, -1
    flow = work.flow
    y, y_new, slopes = flow[Y], flow[Y_NEW], flow[SLOPES : SLOPES + NUM_STAGES]
    for s in range(1, NUM_STAGES):
        stage(y, slopes, s, h, y_new)
        found, blamed = _slopes(tables, work, time + NODES[s] * h, Y_NEW, s)
        if found == _NOT_FINITE:
            return found, np.inf, blamed
        if found == _NEGATIVE:
            status, culprit = found, blamed
    num_flows, watched = row(tables, FLOWING).shape[0], row(tables, WATCHED)
    error = 0.0
    for i in range(y.shape[0]):
        moved = abs(h * slopes[0, i])
        if i < num_flows:
            size = tolerance * (max(abs(y[i]), abs(y_new[i])) + moved)
        elif i == num_flows:
            size = tolerance
        else:
            size = _LEVEL_TOLERANCE * (work.modes[SIZE, watched[i - num_flows - 1]] + moved)
        error = max(error, abs(error_of(slopes, i, h)) / (size + _TINY))
    if not error < np.inf:
        return _NOT_FINITE, np.inf, culprit
    extend(y, y_new, slopes, h, flow[DENSE:])
    return status, error, -1


# -- what happens in a step -----------------------------------------------------------------------


@part
def _examine(tables, work, time, h, doubtful):
    """Return (ending, part of the step used, reaction whose rate turns invalid before, or -1)."""
    left = work.clock[LEFT]
    if row(tables, WATCHED).shape[0] == 0 and not doubtful and hazard(tables, work, 1.0) < left:
        return STEPPED, 1.0, -1
    before = 0.0
    for look in range(1, _LOOKS + 1):
        part = look / _LOOKS
        fires = hazard(tables, work, part) >= left
        if fires:
            component = row(tables, FLOWING).shape[0]
            part = _find_firing(work.flow[DENSE:], component, before, part, left)
        if _modes_change(tables, work, time, h, part):
            return CROSSING, _find_crossing(tables, work, time, h, before, part), -1
        if doubtful:
            place(tables, work, part)
            culprit = _invalid(tables, work, time + part * h)
            if culprit >= 0:
                return STEPPED, part, culprit
        if fires:
            return FIRING, part, -1
        before = part
    return STEPPED, 1.0, -1


@part
def _find_firing(dense, component, low, high, left):
    """Return where the hazard reaches what was left of it."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if inside(dense, component, middle) >= left:
            high = middle
        else:
            low = middle
    return high


@part
def _find_crossing(tables, work, time, h, low, high):
    """Return the first part, but for 1e-18, at which a mode has changed, and put the run there."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if _modes_change(tables, work, time, h, middle):
            high = middle
        else:
            low = middle
    _modes_change(tables, work, time, h, high)
    return high


@part
def _modes_change(tables, work, time, h, part):
    """Return whether a watched mode is another at a part of the step; note which are."""
    watched, kinds = row(tables, WATCHED), row(tables, KIND)
    if watched.shape[0] == 0:
        return False
    place(tables, work, part)
    any_change = False
    for m in watched:
        level = compute(tables, work, layout(tables, FIRST_LEVEL) + m, time + part * h)
        changed = bit_of(kinds[m], level) != work.modes[BIT, m]
        work.modes[TOUCHED, m] = 1.0 if changed else 0.0
        any_change |= changed
    return any_change


@part
def _invalid(tables, work, time):
    """Return the first reaction whose propensity is not valid where the run is, else -1."""
    for r in range(work.reactions.shape[1]):
        if not is_tolerable(work.reactions, r, propensity_of(tables, work, r, time)):
            return r
    return -1

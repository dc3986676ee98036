"""Modes of the hybrid kernel: what they are at a moment, and when they change next."""

from __future__ import annotations

import numpy as np

from tumble.kernels._hybrid_tables import (
    FIRST_LEVEL,
    FIRST_SLOPE,
    IS_AFFINE,
    KIND,
    KINDS,
    NUM_PARAMS,
    NUM_VARIABLES,
)
from tumble.kernels._hybrid_work import (
    BIT,
    LARGEST,
    NEXT_CHANGE,
    SIZE,
    TOUCHED,
    compute,
    layout,
    row,
)
from tumble.kernels._jit import part

# A moment is looked at twice: as it is, where `time >= 25` holds at 25 and `time > 25` does not,
# and as what follows right after.
AT, AFTER = map(np.int64, range(2))

_LESS = KINDS["less"]
_LESS_EQUAL = KINDS["less_equal"]
_GREATER = KINDS["greater"]
_GREATER_EQUAL = KINDS["greater_equal"]
_EQUAL = KINDS["equal"]
_NOT_EQUAL = KINDS["not_equal"]
_FLOOR = KINDS["floor"]


@part
def set_modes(tables, work, time, phase):
    """Compute the modes at a time, as they are (AT) or as they will be right after (AFTER)."""
    first = layout(tables, NUM_PARAMS) + layout(tables, NUM_VARIABLES)
    kinds, affine = row(tables, KIND), row(tables, IS_AFFINE)
    for m in range(kinds.shape[0]):
        work.modes[NEXT_CHANGE, m] = np.inf
        if not affine[m]:
            work.values[first + m] = _watched_mode(tables, work, m, kinds[m], time, phase)
            continue
        slope = compute(tables, work, layout(tables, FIRST_SLOPE) + m, 0.0)
        at_zero = compute(tables, work, layout(tables, FIRST_LEVEL) + m, 0.0)
        if kinds[m] == _FLOOR:
            mode = _floor(tables, work, m, time, phase, at_zero, slope)
        else:
            mode = _comparison(tables, work, m, kinds[m], time, phase, at_zero, slope)
        work.values[first + m] = mode


@part
def _comparison(tables, work, m, kind, time, phase, at_zero, slope):
    """Return the mode, and note when it changes: at the root, which is found from the slope.

    Which side of the root the time is on says the truth, rather than the sign of the level: so a
    mode that has changed does not change back by rounding.
    """
    if slope == 0.0 or not abs(slope) < np.inf:
        return holds(kind, at_zero)
    root = _root(tables, work, m, 0.0, at_zero, slope)
    if time < root:
        work.modes[NEXT_CHANGE, m] = root
        return holds(kind, -slope)
    return holds(kind, 0.0 if time == root and phase == AT else slope)


@part
def _floor(tables, work, m, time, phase, at_zero, slope):
    """Return the mode, and note when the level passes the next whole number."""
    whole = np.floor(at_zero + slope * time)
    if slope == 0.0 or not abs(slope) < np.inf or not abs(whole) < LARGEST:
        return whole
    rises = slope > 0.0
    step = 1.0 if rises else -1.0
    # A falling level leaves a whole number only after it has been there.
    stays = not rises and phase == AT
    leave = np.inf
    for _ in range(4):  # rounding may have put it one too far
        leave = _root(tables, work, m, whole + rises, at_zero, slope)
        enter = _root(tables, work, m, whole + (not rises), at_zero, slope)
        if leave < time or (leave == time and not stays):
            whole += step
        elif enter > time or (enter == time and stays):
            whole -= step
        else:
            break
    work.modes[NEXT_CHANGE, m] = leave if leave > time else np.inf
    return whole


@part
def _root(tables, work, m, target, at_zero, slope):
    """Return when an affine level is at a target, corrected once for rounding."""
    root = (target - at_zero) / slope
    if not abs(root) < np.inf:
        return np.inf
    level = compute(tables, work, layout(tables, FIRST_LEVEL) + m, root)
    return root - (level - target) / slope


@part
def _watched_mode(tables, work, m, kind, time, phase):
    """Return the mode by its level, and note what would show a change."""
    level = compute(tables, work, layout(tables, FIRST_LEVEL) + m, time)
    bit = bit_of(kind, level)
    work.modes[BIT, m] = bit
    work.modes[SIZE, m] = max(work.modes[SIZE, m], abs(level))
    if kind not in (_EQUAL, _NOT_EQUAL):
        return bit
    slope = compute(tables, work, layout(tables, FIRST_SLOPE) + m, time)
    passing = phase == AT and (work.modes[TOUCHED, m] == 1.0 or level == 0.0)
    equal = passing or (level == 0.0 and slope == 0.0)
    return 1.0 if equal == (kind == _EQUAL) else 0.0


@part
def bit_of(kind, level):
    """Return what changes when a watched mode does: its value, or the side of an equality."""
    if kind == _FLOOR:
        return np.floor(level)
    return holds(_GREATER if kind in (_EQUAL, _NOT_EQUAL) else kind, level)


@part
def holds(kind, difference):
    """Return 1 where a comparison holds, given left side minus right side, else 0."""
    if kind == _LESS:
        truth = difference < 0.0
    elif kind == _LESS_EQUAL:
        truth = difference <= 0.0
    elif kind == _GREATER:
        truth = difference > 0.0
    elif kind == _GREATER_EQUAL:
        truth = difference >= 0.0
    elif kind == _EQUAL:
        truth = difference == 0.0
    else:
        truth = difference != 0.0
    return 1.0 if truth else 0.0

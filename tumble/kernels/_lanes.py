"""What all vectorized direct methods share: runs side by side in lanes, one event each a step.

All lanes draw, choose and fire in lock-step, in loops over lanes that the compiler turns into
vector instructions. A lane whose next event comes after its next output time, so that the time left
is not positive, is settled on its own: its state before the event is written down, and when its run
is over the next run takes its place. A lane that has no time left because its rates are no numbers,
or because it is at its last event, has NaN there. When few runs are left, they are followed one by
one.

A workspace ``w`` [rows, L] of floats holds, for each lane, one quantity a row: `WAIT` (a unit
exponential), `CHOICE` (a uniform) and `LEFT` (the time left until the next output); then twice the
S counts, before and after an event by turns; then the R rates; and the Q parameters where rate laws
need them. ``ids`` [3, L] (uint64) holds the number of the next draw and the two words of the run's
id. Counts are floats here, exact to 2⁵³.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import FloatArray, IdArray, IntArray
from tumble.kernels._direct import follow
from tumble.kernels._jit import inlined, part
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK, rates_are_valid
from tumble.kernels._philox import philox
from tumble.kernels._tables import LawTables, NetworkTables
from tumble.kernels._uniforms import exponential, trailing_zeros, uniform

WAIT, CHOICE, LEFT, FIRST_STATE = 0, 1, 2, 3
# Below this many runs lock-step wastes more than it gains.
FEW = 8
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_ZERO, _ONE, _56 = np.uint64(0), np.uint64(1), np.uint64(56)
# Times this, eight bytes that are 0 or 1 have their values in the bits of the highest byte.
_GATHER = np.uint64(0x0102040810204080)
OVER, NOTHING = -1, -2  # in the place of the number of a lane's run


class Job(NamedTuple):
    """What to run and where to put it; see `tumble.kernels._direct.direct_method`."""

    tables: NetworkTables
    laws: LawTables | None
    rates: FloatArray
    params: FloatArray
    initial: IntArray
    start: float
    times: FloatArray
    key: np.uint64
    runs: IdArray
    max_events: int
    states: IntArray
    codes: IntArray
    culprits: IntArray
    events: IntArray


class Bookkeeping(NamedTuple):
    """What is noted of each lane beside the workspace: made in Python, which is not compiled.

    The workspace is made in the kernel, where the compiler knows that its rows do not overlap.
    """

    ids: IdArray
    row: IntArray
    output: IntArray


def bookkeeping(num_lanes: int) -> Bookkeeping:
    """Return that of lanes which are all free."""
    return Bookkeeping(
        np.zeros((3, num_lanes), np.uint64),
        np.full(num_lanes, OVER),
        np.zeros(num_lanes, np.int64),
    )


@inlined
def draw(w, ids, key, num_lanes):
    """Fill the rows `WAIT` and `CHOICE` with the next draw of every lane."""
    low, high = key & _LOW, key >> _32
    # Two loops, since short ones leave the processor more to do at a time.
    for i in range(num_lanes):
        number = ids[0, i]
        a, b, c, d = philox(number & _LOW, number >> _32, ids[1, i], ids[2, i], low, high)
        w[WAIT, i] = uniform(a, b)
        w[CHOICE, i] = uniform(c, d)
        ids[0, i] = number + _ONE
    for i in range(num_lanes):
        w[WAIT, i] = exponential(w[WAIT, i])


@inlined
def late_lanes(w, first, num_lanes):
    """Return a bit for each of 64 lanes from ``first`` on: whether it has no time left.

    Found by vector instructions; bytes one by one took a fifth of all time.
    """
    word = _ZERO
    for i in range(min(64, num_lanes - first)):
        word |= np.uint64(not w[LEFT, first + i] > 0.0) << np.uint64(i)
    return word


@part
def blank(states, b):
    """Fill the counts of run ``b`` with -1; loops, as Numba takes long to compile assignments."""
    for k in range(states.shape[1]):
        for i in range(states.shape[2]):
            states[b, k, i] = -1


@inlined
def settle(
    w, ids, row, output, before, num_lanes, num_species, times, max_events, states, codes, events
):
    """Settle the lanes that have no time left; counts before the event start at row ``before``.

    Outputs that come before the pending event are written; returns how many runs are `OVER`.
    """
    num_times = times.shape[0]
    num_over = 0
    for first in range(0, num_lanes, 64):
        word = late_lanes(w, first, num_lanes)
        while word != _ZERO:
            lane = first + trailing_zeros(word)
            word &= word - _ONE
            b = row[lane]
            if b < 0:
                continue
            left = w[LEFT, lane]
            num_events = np.int64(ids[0, lane]) - 1
            crossing = left <= 0.0
            if crossing:
                k = output[lane]
                while left <= 0.0:
                    for i in range(num_species):
                        states[b, k, i] = np.int64(w[before + i, lane])
                    k += 1
                    if k == num_times:
                        break
                    left += times[k] - times[k - 1]
                output[lane], w[LEFT, lane] = k, left
                if k < num_times and num_events < max_events and left > 0.0:
                    continue
                codes[b] = OK if k == num_times else MAX_EVENTS
            else:
                # If not at its last event, then its total is no number.
                codes[b] = MAX_EVENTS if num_events >= max_events else INVALID_RATE
            if codes[b] != OK:
                blank(states, b)
            events[b] = num_events
            row[lane] = OVER
            num_over += 1
    return num_over


@part
def refill(w, ids, row, output, job, todo, after):
    """Give each lane whose run is `OVER` the next one, or `NOTHING`.

    ``after`` is the first row of the counts that the next step starts from. Returns the number of
    the next run, and how many lanes fell idle.
    """
    idle = 0
    for lane in range(row.shape[0]):
        if row[lane] == OVER:
            todo = _fill(w, ids, row, output, job, todo, lane, after)
            idle += row[lane] == NOTHING
    return todo, idle


@part
def _fill(w, ids, row, output, job, todo, lane, after):
    num_species, num_reactions = job.initial.shape[1], job.rates.shape[1]
    row[lane] = NOTHING
    w[LEFT, lane] = np.inf
    while todo < job.rates.shape[0]:
        b = todo
        todo += 1
        if not rates_are_valid(job.rates[b]):
            job.codes[b], job.events[b] = INVALID_RATE, 0
            blank(job.states, b)
            continue
        row[lane], output[lane] = b, 0
        w[LEFT, lane] = job.times[0] - job.start
        for i in range(num_species):
            w[after + i, lane] = job.initial[b, i]
        for r in range(num_reactions):
            w[FIRST_STATE + 2 * num_species + r, lane] = job.rates[b, r]
        first = FIRST_STATE + 2 * num_species + num_reactions
        for q in range(min(job.params.shape[1], w.shape[0] - first)):
            w[first + q, lane] = job.params[b, q]
        ids[0, lane] = 0
        ids[1, lane] = job.runs[b] & _LOW
        ids[2, lane] = job.runs[b] >> _32
        break
    return todo


@part
def finish(w, ids, row, output, job, after):
    """Follow the runs that are left, one by one."""
    state = np.empty(job.initial.shape[1], np.int64)
    for lane in range(w.shape[1]):
        b = row[lane]
        if b < 0:
            continue
        negative = False
        for i in range(state.shape[0]):
            state[i] = np.int64(w[after + i, lane])
            negative |= state[i] < 0
        if negative:  # by its last event, as the next step in lanes would have found
            job.codes[b], job.events[b] = INVALID_RATE, np.int64(ids[0, lane])
            blank(job.states, b)
            continue
        job.codes[b], job.culprits[b], job.events[b] = follow(
            job.tables, job.laws, None, job.rates[b], job.params[b], state, w[LEFT, lane],
            output[lane], ids[0, lane], job.times, job.key, job.runs[b], job.max_events,
            job.states[b], None, None, None, None, None,
        )  # fmt: skip
        if job.codes[b] != OK:
            blank(job.states, b)


@part
def overdue(w, ids, row, max_events):
    """Mark the lanes at their last event; return after how many steps to look again."""
    most = np.int64(0)
    for lane in range(row.shape[0]):
        num_events = np.int64(ids[0, lane]) - 1
        if row[lane] >= 0:
            if num_events >= max_events:
                w[LEFT, lane] = w[LEFT, lane] if w[LEFT, lane] <= 0.0 else np.nan
            else:
                most = max(most, num_events)
    return max_events - most

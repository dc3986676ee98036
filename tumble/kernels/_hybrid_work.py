"""What the hybrid kernel keeps of a run, and how its propensities follow from it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.kernels._borrowed import borrowed
from tumble.kernels._hybrid_tables import (
    ASSIGNMENT_PTR,
    CHANGE_AMOUNT,
    CHANGE_PTR,
    CHANGE_SPECIES,
    FIRST_RATE,
    FLOWING,
    IS_LAW,
    KIND,
    LAYOUT,
    NUM_VALUES,
    REACTANT_ORDER,
    REACTANT_PTR,
    REACTANT_SPECIES,
    WATCHED,
    HybridTables,
)
from tumble.kernels._interpreter import evaluate
from tumble.kernels._jit import part
from tumble.kernels._mass_action import LARGEST_COUNT, NEGATIVE_COUNT, OK, OVERFLOW
from tumble.kernels._programs import Programs

# The most events that may wait for their delay to pass.
CAPACITY = 10_000
# How much below zero, relative to its own largest value, counts as the rounding of a propensity.
ROUNDING = 1e-9
LARGEST = 1e300
# The most steps between two reactions; of these a moment at which something switches counts as ten.
MOST_STEPS = 1_000_000
STEPS_OF_A_STOP = 10

# Rows of `Work`.
PROPENSITY, PEAK = 0, 1
NEXT_CHANGE, BIT, TOUCHED, SIZE = range(4)
LEFT, STEP = 0, 1
WAITING, EXECUTED, TIES, FIRED, STEPS = range(5)
DUE, EVENT, VALUES = range(3)
Y, Y_NEW, SLOPES, DENSE = map(np.int64, (0, 1, 2, 9))


class Work(NamedTuple):
    """Arrays that belong to one run at a time.

    ``state`` [S]; ``values``, see `HybridTables`; ``reactions`` [2, R], PROPENSITY and its PEAK;
    ``modes`` [4, M]: NEXT_CHANGE, when it is known, BIT, what would show a change of a watched one,
    TOUCHED, whether it passes its level right now, SIZE, the largest level seen; ``truth`` [E] of
    the triggers; ``waiting``, a row an event that is to come: when it is DUE, which EVENT, and its
    VALUES, with one row to spare; ``clock``, the hazard LEFT until the next reaction and the STEP
    that the integrator would like; ``tally``, numbers of WAITING and EXECUTED events, of draws for
    TIES, of reactions FIRED and of STEPS since the last; ``flow`` [14, N], the integrator's Y,
    Y_NEW, seven SLOPES and five polynomials of the DENSE output.
    """

    state: IntArray
    values: FloatArray
    reactions: FloatArray
    modes: FloatArray
    truth: IntArray
    waiting: FloatArray
    clock: FloatArray
    tally: IntArray
    flow: FloatArray
    stack: FloatArray


@part
def row(tables, index):
    """Return a row of the tables."""
    return tables.data[tables.ptr[index] : tables.ptr[index + 1]]


@part
def layout(tables, index):
    """Return a number of the layout."""
    return tables.data[tables.ptr[LAYOUT] + index]


def new_work(tables: HybridTables, num_species: int) -> Work:
    """Return the arrays for runs of a network. Python's part: kernels only borrow them."""
    ptr = _row(tables, ASSIGNMENT_PTR)
    num_events = len(ptr) - 1
    most = int(np.diff(ptr).max(initial=0))
    size = len(_row(tables, FLOWING)) + 1 + len(_row(tables, WATCHED))
    return Work(
        np.empty(num_species, np.int64),
        np.empty(_row(tables, LAYOUT)[NUM_VALUES]),
        np.empty((2, len(_row(tables, IS_LAW)))),
        np.empty((4, len(_row(tables, KIND)))),
        np.empty(num_events, np.int64),
        np.empty((CAPACITY + 1 if num_events else 0, VALUES + most)),
        np.empty(2),
        np.empty(5, np.int64),
        np.empty((14, size)),
        np.empty(tables.programs.depth),
    )


def _row(tables: HybridTables, index: Any) -> IntArray:
    return tables.data[tables.ptr[index] : tables.ptr[index + 1]]


@part
def borrow(tables, work):
    """Return both with arrays that are not counted."""
    code = tables.programs
    programs = Programs(
        borrowed(code.ptr), borrowed(code.code), borrowed(code.constants), code.depth
    )
    return HybridTables(programs, borrowed(tables.ptr), borrowed(tables.data)), Work(
        borrowed(work.state),
        borrowed(work.values),
        borrowed(work.reactions),
        borrowed(work.modes),
        borrowed(work.truth),
        borrowed(work.waiting),
        borrowed(work.clock),
        borrowed(work.tally),
        borrowed(work.flow),
        borrowed(work.stack),
    )


@part
def compute(tables, work, program, time):
    """Return the value of a program in the present state."""
    programs = tables.programs
    begin, end = programs.ptr[program], programs.ptr[program + 1]
    return evaluate(
        programs.code, programs.constants, begin, end, work.state, work.values, time, work.stack
    )


# -- reactions ------------------------------------------------------------------------------------


@part
def propensity_of(tables, work, reaction, time):
    """Return a propensity in the present state, whatever its value."""
    data, ptr, state = tables.data, tables.ptr, work.state
    rate = compute(tables, work, layout(tables, FIRST_RATE) + reaction, time)
    if data[ptr[IS_LAW] + reaction]:
        return rate
    species, orders, rows = ptr[REACTANT_SPECIES], ptr[REACTANT_ORDER], ptr[REACTANT_PTR] + reaction
    for j in range(data[rows], data[rows + 1]):
        count = state[data[species + j]]
        for k in range(data[orders + j]):
            rate *= float(count - k) / (k + 1)
    return rate


@part
def refresh(tables, work, time):
    """Compute all propensities; return the first reaction whose is not valid, else -1."""
    for r in range(work.reactions.shape[1]):
        if not renew(tables, work, r, time):
            return r
    return -1


@part
def renew(tables, work, reaction, time):
    """Compute one propensity, rounding below zero apart; return whether it is valid."""
    a = propensity_of(tables, work, reaction, time)
    reactions = work.reactions
    reactions[PEAK, reaction] = max(reactions[PEAK, reaction], abs(a))
    if not is_tolerable(reactions, reaction, a):
        return False
    reactions[PROPENSITY, reaction] = max(a, 0.0)
    return True


@part
def is_tolerable(reactions, reaction, a):
    """Return whether a propensity is finite, and not negative but for rounding."""
    return -ROUNDING * reactions[PEAK, reaction] <= a < LARGEST


@part
def choose(reactions, v):
    """Return the reaction in whose part of the sum ``v`` lies, -1 if all are 0."""
    total = 0.0
    for r in range(reactions.shape[1]):
        total += reactions[PROPENSITY, r]
    chosen, running = -1, 0.0
    for r in range(reactions.shape[1]):
        if reactions[PROPENSITY, r] > 0.0:
            chosen = r
            running += reactions[PROPENSITY, r]
            if v * total < running:
                break
    return chosen


@part
def fire(tables, work, reaction):
    """Apply a reaction to the counts; return OK, or what is wrong with them then."""
    data, ptr, state = tables.data, tables.ptr, work.state
    species, amounts, rows = ptr[CHANGE_SPECIES], ptr[CHANGE_AMOUNT], ptr[CHANGE_PTR] + reaction
    code = OK
    for j in range(data[rows], data[rows + 1]):
        s = data[species + j]
        state[s] += data[amounts + j]
        if state[s] > LARGEST_COUNT:
            code = OVERFLOW
        elif state[s] < 0:
            code = NEGATIVE_COUNT
    return code

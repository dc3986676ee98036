"""Rate laws of many lanes at once: each instruction of a program is done for all of them.

What an instruction costs to look up is shared by the lanes, and what it does is a loop that the
compiler turns into vector instructions. Values are bitwise those of
`tumble.kernels._interpreter.evaluate`.
"""

from __future__ import annotations

import numpy as np

from tumble._typing import FloatArray
from tumble.kernels._interpreter import binary, power, unary
from tumble.kernels._jit import inlined, part
from tumble.kernels._laws import NO_TIME
from tumble.kernels._programs import (
    CONSTANT,
    FIRST_BINARY,
    FIRST_UNARY,
    OPCODES,
    PARAMETER,
    SPECIES,
)
from tumble.kernels._tables import LawTables

_ADD = OPCODES["add"]
_MULTIPLY = OPCODES["multiply"]
_DIVIDE = OPCODES["divide"]
_SUBTRACT = OPCODES["subtract"]
_POWER = OPCODES["power"]
_WHERE = OPCODES["where"]


def stack_for(laws: LawTables | None, num_lanes: int) -> FloatArray:
    """Return a stack [depth, L] for the programs of ``laws``."""
    return np.empty((0 if laws is None else laws.depth, num_lanes))


def slopes_for(laws: LawTables | None, num_lanes: int) -> FloatArray:
    """Return zeros [·, L], a row for each derivative of ``laws``."""
    return np.zeros((0 if laws is None else len(laws.slope_parameter), num_lanes))


@inlined
def has_law(laws, reaction):
    """Return whether the rate of a reaction is not mass action."""
    return laws.programs.ptr[reaction] < laws.programs.ptr[reaction + 1]


@part
def rate_in_lanes(tables, laws, stack, reaction, w, first_state, first_param, rate):
    """Fill ``rate`` [L] with the law of a reaction; NaN where it gives no rate.

    Nor is there one where a count that the reaction takes from is negative.
    """
    evaluate_in_lanes(laws.programs, reaction, w, first_state, first_param, stack)
    value = stack[0]
    for i in range(rate.shape[0]):
        rate[i] = value[i] if (value[i] >= 0.0) & (value[i] < 1e300) else np.nan
    for j in range(tables.change_ptr[reaction], tables.change_ptr[reaction + 1]):
        if tables.change_amount[j] < 0:
            count = w[first_state + tables.change_species[j]]
            for i in range(rate.shape[0]):
                rate[i] = rate[i] if count[i] >= 0.0 else np.nan


@part
def slopes_in_lanes(laws, stack, reaction, w, first_state, first_param, rate, slope):
    """Fill the rows of ``slope`` [·, L] that belong to a reaction with its derivatives.

    As `tumble.kernels._laws.find_slopes`; ``rate`` [L] is that of the reaction.
    """
    for p in range(laws.slope_ptr[reaction], laws.slope_ptr[reaction + 1]):
        evaluate_in_lanes(laws.slopes, p, w, first_state, first_param, stack)
        value, here = stack[0], slope[p]
        for i in range(here.shape[0]):
            sound = (abs(value[i]) < np.inf) & ((rate[i] != 0.0) | (value[i] == 0.0))
            here[i] = value[i] if sound else np.nan


@part
def evaluate_in_lanes(programs, program, w, first_state, first_param, stack):
    """Leave the values of a program in ``stack[0]`` [L].

    Counts and parameters are rows of ``w``, from ``first_state`` and ``first_param`` on.
    """
    code, constants = programs.code, programs.constants
    num_lanes = stack.shape[1]
    top = -1
    for j in range(programs.ptr[program], programs.ptr[program + 1]):
        opcode, operand = code[j, 0], code[j, 1]
        if opcode < FIRST_BINARY:
            top += 1
            here = stack[top]
            if opcode in (SPECIES, PARAMETER):
                there = w[(first_state if opcode == SPECIES else first_param) + operand]
                for i in range(num_lanes):
                    here[i] = there[i]
            else:
                value = constants[operand] if opcode == CONSTANT else NO_TIME
                for i in range(num_lanes):
                    here[i] = value
        elif opcode < FIRST_UNARY:
            top -= 1
            _binary_in_lanes(opcode, stack[top], stack[top + 1])
        elif opcode == _WHERE:
            top -= 2
            here, yes, no = stack[top], stack[top + 1], stack[top + 2]
            for i in range(num_lanes):
                here[i] = yes[i] if here[i] != 0.0 else no[i]
        else:
            here = stack[top]
            for i in range(num_lanes):
                here[i] = unary(opcode, here[i])


@part
def _binary_in_lanes(opcode, a, b):
    """Put a function of ``a`` and ``b`` [L] in place of ``a``."""
    if opcode == _ADD:
        for i in range(a.shape[0]):
            a[i] = a[i] + b[i]
    elif opcode == _MULTIPLY:
        for i in range(a.shape[0]):
            a[i] = a[i] * b[i]
    elif opcode == _DIVIDE:
        for i in range(a.shape[0]):
            a[i] = a[i] / b[i]
    elif opcode == _SUBTRACT:
        for i in range(a.shape[0]):
            a[i] = a[i] - b[i]
    elif opcode == _POWER:
        for i in range(a.shape[0]):
            a[i] = power(a[i], b[i])
    else:
        for i in range(a.shape[0]):
            a[i] = binary(opcode, a[i], b[i])

"""An interpreter of programs, for Numba."""

from __future__ import annotations

import math

import numpy as np

from tumble.kernels._jit import inlined, part
from tumble.kernels._programs import (
    CONSTANT,
    FIRST_BINARY,
    FIRST_UNARY,
    OPCODES,
    PARAMETER,
    SPECIES,
)

# Numba takes global numbers for constants, but reads no dictionaries.
_ADD = OPCODES["add"]
_MULTIPLY = OPCODES["multiply"]
_DIVIDE = OPCODES["divide"]
_SUBTRACT = OPCODES["subtract"]
_POWER = OPCODES["power"]
_LESS = OPCODES["less"]
_LESS_EQUAL = OPCODES["less_equal"]
_GREATER = OPCODES["greater"]
_GREATER_EQUAL = OPCODES["greater_equal"]
_EQUAL = OPCODES["equal"]
_NOT_EQUAL = OPCODES["not_equal"]
_AND = OPCODES["and"]
_OR = OPCODES["or"]
_MIN = OPCODES["min"]
_MAX = OPCODES["max"]
_NEGATIVE = OPCODES["negative"]
_EXP = OPCODES["exp"]
_LOG = OPCODES["log"]
_LOG10 = OPCODES["log10"]
_LOG2 = OPCODES["log2"]
_SQRT = OPCODES["sqrt"]
_ABS = OPCODES["abs"]
_SIGN = OPCODES["sign"]
_FLOOR = OPCODES["floor"]
_CEIL = OPCODES["ceil"]
_SIN = OPCODES["sin"]
_COS = OPCODES["cos"]
_TAN = OPCODES["tan"]
_ASIN = OPCODES["asin"]
_ACOS = OPCODES["acos"]
_ATAN = OPCODES["atan"]
_SINH = OPCODES["sinh"]
_COSH = OPCODES["cosh"]
_TANH = OPCODES["tanh"]
_FACTORIAL = OPCODES["factorial"]
_DIGAMMA = OPCODES["digamma"]
_NOT = OPCODES["not"]
_WHERE = OPCODES["where"]


@part
def _digamma(x):
    """Return ψ(x) by recurrence to x ≥ 10 and the asymptotic series (DLMF 5.11.2)."""
    if not x > -100.0:
        return np.nan
    value = 0.0
    while x < 10.0:
        value -= 1.0 / x
        x += 1.0
    y = 1.0 / (x * x)
    series = y * (1 / 12 - y * (1 / 120 - y * (1 / 252 - y * (1 / 240 - y * (1 / 132)))))
    return value + np.log(x) - 0.5 / x - series


@inlined
def power(a, b):
    """Return a to the power b.

    Whole exponents that are common in rate laws are products, which take a tenth of the time.
    Compilers replace some of these powers by something that may round in another way when they see
    b, as in kernels that are written for one network; so all do it.
    """
    if b == 2.0:
        return a * a
    if b == 3.0:
        return a * a * a
    if b == 4.0:
        return (a * a) * (a * a)
    if b == 1.0:
        return a
    if b == -1.0:
        return 1.0 / a
    if b == 0.5 and a >= 0.0:
        return np.sqrt(a)
    return a**b


@part
def binary(opcode, a, b):
    """Return a function of two arguments."""
    if opcode == _ADD:
        return a + b
    if opcode == _MULTIPLY:
        return a * b
    if opcode == _DIVIDE:
        return a / b
    if opcode == _SUBTRACT:
        return a - b
    if opcode == _POWER:
        return power(a, b)
    if opcode == _LESS:
        return 1.0 if a < b else 0.0
    if opcode == _LESS_EQUAL:
        return 1.0 if a <= b else 0.0
    if opcode == _GREATER:
        return 1.0 if a > b else 0.0
    if opcode == _GREATER_EQUAL:
        return 1.0 if a >= b else 0.0
    if opcode == _EQUAL:
        return 1.0 if a == b else 0.0
    if opcode == _NOT_EQUAL:
        return 1.0 if a != b else 0.0
    if opcode == _AND:
        return 1.0 if a != 0.0 and b != 0.0 else 0.0
    if opcode == _OR:
        return 1.0 if a != 0.0 or b != 0.0 else 0.0
    if opcode == _MIN:
        return a if a <= b or a != a else b
    if opcode == _MAX:
        return a if a >= b or a != a else b
    return np.nan


@part
def unary(opcode, a):
    """Return a function of one argument."""
    if opcode == _NEGATIVE:
        return -a
    if opcode == _EXP:
        return np.exp(a)
    if opcode == _LOG:
        return np.log(a)
    if opcode == _LOG10:
        return np.log10(a)
    if opcode == _LOG2:
        return np.log2(a)
    if opcode == _SQRT:
        return np.sqrt(a)
    if opcode == _ABS:
        return abs(a)
    if opcode == _SIGN:
        return np.sign(a)
    if opcode == _FLOOR:
        return np.floor(a)
    if opcode == _CEIL:
        return np.ceil(a)
    if opcode == _SIN:
        return np.sin(a)
    if opcode == _COS:
        return np.cos(a)
    if opcode == _TAN:
        return np.tan(a)
    if opcode == _ASIN:
        return np.arcsin(a)
    if opcode == _ACOS:
        return np.arccos(a)
    if opcode == _ATAN:
        return np.arctan(a)
    if opcode == _SINH:
        return np.sinh(a)
    if opcode == _COSH:
        return np.cosh(a)
    if opcode == _TANH:
        return np.tanh(a)
    if opcode == _FACTORIAL:
        return math.gamma(a + 1.0)
    if opcode == _DIGAMMA:
        return _digamma(a)
    if opcode == _NOT:
        return 1.0 if a == 0.0 else 0.0
    return np.nan


@part
def evaluate(code, constants, begin, end, state, params, time, stack):
    """Return the value of instructions ``begin … end-1`` of ``code``; 1/0 is inf, as in arrays.

    Inputs: ``code`` and ``constants`` of `Programs`, ``state`` [S], ``params`` [Q], ``time``, and
    ``stack`` [≥ depth] to work on. Few arrays, since each costs time to pass.
    """
    top = -1
    for i in range(begin, end):
        opcode, operand = code[i, 0], code[i, 1]
        if opcode < FIRST_BINARY:
            top += 1
            if opcode == SPECIES:
                stack[top] = float(state[operand])
            elif opcode == PARAMETER:
                stack[top] = params[operand]
            elif opcode == CONSTANT:
                stack[top] = constants[operand]
            else:
                stack[top] = time
        elif opcode < FIRST_UNARY:
            top -= 1
            stack[top] = binary(opcode, stack[top], stack[top + 1])
        elif opcode == _WHERE:
            top -= 2
            stack[top] = stack[top + 1] if stack[top] != 0.0 else stack[top + 2]
        else:
            stack[top] = unary(opcode, stack[top])
    return stack[0]

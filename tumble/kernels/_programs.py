"""Expressions as bytecode: programs for a stack, in flat arrays.

Program i is the instructions ``ptr[i] … ptr[i+1]-1``, each an opcode and an operand. The first four
opcodes put a constant, a count, a parameter or the time onto the stack; the operand says which. The
others are the functions of `tumble._expressions.ARITIES`: they take their arguments from the top of
the stack and leave their value there. An empty program has no value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tumble._expressions import ARITIES, TIME, Expression, Name, Number, postorder
from tumble._typing import FloatArray, IntArray

CONSTANT, SPECIES, PARAMETER, MODEL_TIME = range(4)
# Functions of two arguments come first, then those of one, then `where`.
FIRST_BINARY = 4
FIRST_UNARY = FIRST_BINARY + sum(arity == 2 for arity in ARITIES.values())
_BY_ARITY = sorted(ARITIES, key=lambda name: (2, 1, 3).index(ARITIES[name]))
OPCODES = {name: FIRST_BINARY + i for i, name in enumerate(_BY_ARITY)}


class Programs(NamedTuple):
    """Programs one after another.

    ``code`` [L, 2] holds opcodes and operands; ``depth`` is the largest stack that any needs.
    """

    ptr: IntArray
    code: IntArray
    constants: FloatArray
    depth: int


def compile_programs(
    expressions: Sequence[Expression | None],
    species: Sequence[str],
    parameters: Sequence[str],
) -> Programs:
    """Return the programs of expressions of species, parameters and time; empty ones for None."""
    places = {name: (SPECIES, i) for i, name in enumerate(species)}
    places |= {name: (PARAMETER, i) for i, name in enumerate(parameters)}
    places[TIME] = (MODEL_TIME, 0)
    constants: dict[float, int] = {}
    ptr, depth = [0], 1
    code: list[tuple[int, int]] = []
    for expression in expressions:
        if expression is not None:
            instructions, needed = _compile(expression, places, constants)
            code.extend(instructions)
            depth = max(depth, needed)
        ptr.append(len(code))
    return Programs(
        np.array(ptr, dtype=np.int64),
        np.array(code, dtype=np.int64).reshape(-1, 2),
        np.array([*constants, 0.0]),  # never empty, so that its type is known
        depth,
    )


def _compile(
    expression: Expression, places: Mapping[str, tuple[int, int]], constants: dict[float, int]
) -> tuple[list[tuple[int, int]], int]:
    """Return the instructions of one program, and the stack it needs; extends ``constants``."""
    instructions: list[tuple[int, int]] = []
    height, depth = 0, 0
    for node in postorder(expression.tree):
        if isinstance(node, Number):
            instructions.append((CONSTANT, constants.setdefault(node.value, len(constants))))
            height += 1
        elif isinstance(node, Name):
            instructions.append(places[node.name])
            height += 1
        else:
            instructions.append((OPCODES[node.function], 0))
            height -= len(node.arguments) - 1
        depth = max(depth, height)
    return instructions, depth

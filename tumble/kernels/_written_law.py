"""An expression as source text for Numba, computed as the interpreter of programs does."""

from __future__ import annotations

from collections.abc import Mapping

from tumble._expressions import Name, Node, Number
from tumble.kernels._programs import OPCODES

_OPERATORS = {
    "add": "({} + {})",
    "subtract": "({} - {})",
    "multiply": "({} * {})",
    "divide": "({} / {})",
    "negative": "(-{})",
    "less": "(1.0 if {} < {} else 0.0)",
    "less_equal": "(1.0 if {} <= {} else 0.0)",
    "greater": "(1.0 if {} > {} else 0.0)",
    "greater_equal": "(1.0 if {} >= {} else 0.0)",
    "equal": "(1.0 if {} == {} else 0.0)",
    "not_equal": "(1.0 if {} != {} else 0.0)",
    "where": "({1} if {0} != 0.0 else {2})",
}


def written(node: Node, names: Mapping[str, str]) -> str:
    """Return the source of a tree; ``names`` says what each name is called there.

    Operators are written out. Every other function is a call of `tumble.kernels._interpreter`'s
    own, with its opcode, so that both compute the same.
    """
    if isinstance(node, Number):
        return repr(float(node.value)) if node.value >= 0 else f"({float(node.value)!r})"
    if isinstance(node, Name):
        return names[node.name]
    arguments = [written(argument, names) for argument in node.arguments]
    if node.function in _OPERATORS:
        return _OPERATORS[node.function].format(*arguments)
    if len(arguments) == 1:
        return f"unary({OPCODES[node.function]}, {arguments[0]})"
    return f"binary({OPCODES[node.function]}, {arguments[0]}, {arguments[1]})"

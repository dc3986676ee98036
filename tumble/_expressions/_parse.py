"""Reading expressions: Python's parser, and a whitelist of what may come out of it."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

from tumble._errors import ModelError, did_you_mean
from tumble._expressions._derivative import negative
from tumble._expressions._expression import Expression
from tumble._expressions._nodes import ARITIES, Call, Name, Node, Number

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.Pow: "power",
}
_COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
_OPERATORS = {*_BINARY.values(), *_COMPARISONS.values(), "and", "or", "not", "negative"}
# What can be called by name, with the least and the largest number of arguments.
_ANY = 100
_CALLS = {name: (n, n) for name, n in ARITIES.items() if name not in _OPERATORS} | {
    "min": (2, _ANY),
    "max": (2, _ANY),
    "pow": (2, 2),
    "piecewise": (3, _ANY),
}
_MAX_LENGTH = 10_000
_MAX_DEPTH = 200
_LARGEST = 1e300
# A rate may be called lambda, which Python reserves: another name stands in for it while parsing.
_RESERVED = re.compile(r"\b(lambda)\b(?!\s*(\w+\s*)?:)")
_STAND_IN = "_reserved_"


class Macro(NamedTuple):
    """A function that is written as an expression of its arguments."""

    arguments: tuple[str, ...]
    body: Expression


def parse(text: str, macros: Mapping[str, Macro] | None = None) -> Expression:
    """Return the `Expression` of ``text``.

    Allowed are numbers, names, ``+ - * / ** ^``, ``< <= > >= == !=``, ``and or not``, parentheses,
    the functions of `ARITIES` and those of ``macros``, ``pow(a, b)``, ``min`` and ``max`` of two or
    more, and ``piecewise(value, condition, …, otherwise)``: the first value whose condition holds.
    Raises `ModelError` for anything else.
    """
    if len(text) > _MAX_LENGTH:
        raise ModelError(f"expression of {len(text)} characters; at most {_MAX_LENGTH} are read.")
    source = _RESERVED.sub(rf"{_STAND_IN}\1", text.strip().replace("^", "**"))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about what is refused below
            tree = ast.parse(source, mode="eval").body
        return Expression(_Reader(text, macros or {}).read(tree, _MAX_DEPTH))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"expression {text!r} cannot be read; expected arithmetic such as 'beta * S / N'."
        ) from None


class _Reader(NamedTuple):
    """Turns Python's tree into ours, within a depth that is left to go."""

    text: str
    macros: Mapping[str, Macro]

    def read(self, node: ast.expr, depth: int) -> Node:
        if depth <= 0:
            raise ModelError(f"an expression nests more than {_MAX_DEPTH} deep; split it up.")
        if isinstance(node, ast.Name):
            return Name(node.id.removeprefix(_STAND_IN))
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            if not abs(node.value) <= _LARGEST:  # type: ignore[arg-type]
                raise ModelError(f"expression {self.text[:40]!r} holds a number beyond 1e300.")
            return Number(float(node.value))  # type: ignore[arg-type]
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            sides = [self.read(side, depth - 1) for side in (node.left, node.right)]
            return Call(_BINARY[type(node.op)], tuple(sides))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd, ast.Not)):
            operand = self.read(node.operand, depth - 1)
            if isinstance(node.op, ast.Not):
                return Call("not", (operand,))
            return negative(operand) if isinstance(node.op, ast.USub) else operand
        if isinstance(node, ast.BoolOp):
            parts = self._each(node.values, depth)
            return _chain("and" if isinstance(node.op, ast.And) else "or", parts)
        if isinstance(node, ast.Compare) and all(type(op) in _COMPARISONS for op in node.ops):
            return self._comparison(node, depth)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
            return self._call(node.func.id, node.args, depth)
        raise ModelError(
            f"expression {self.text!r} uses {ast.unparse(node)!r}; only numbers, names, "
            f"+ - * / **, comparisons, and, or, not and {', '.join(_CALLS)} are allowed."
        )

    def _each(self, nodes: Sequence[ast.expr], depth: int) -> list[Node]:
        # What is chained two by two goes as deep as it is long.
        return [self.read(node, depth - len(nodes)) for node in nodes]

    def _comparison(self, node: ast.Compare, depth: int) -> Node:
        terms = self._each([node.left, *node.comparators], depth)
        links = [
            Call(_COMPARISONS[type(op)], (a, b))
            for op, a, b in zip(node.ops, terms, terms[1:], strict=False)
        ]
        return _chain("and", links)

    def _call(self, name: str, nodes: Sequence[ast.expr], depth: int) -> Node:
        self._check_call(name, len(nodes))
        arguments = self._each(nodes, depth)
        if name in self.macros:
            names, body = self.macros[name]
            by = {k: Expression(a) for k, a in zip(names, arguments, strict=True)}
            return body.substitute(by).tree
        return _BUILDERS.get(name, lambda parts: Call(name, tuple(parts)))(arguments)

    def _check_call(self, name: str, count: int) -> None:
        known = [*_CALLS, *self.macros]
        if name not in known:
            raise ModelError(
                f"expression {self.text!r} calls {name!r}, but the known functions are "
                f"{', '.join(known)}.{did_you_mean(name, known)}"
            )
        if name in self.macros:
            least = most = len(self.macros[name].arguments)
        else:
            least, most = _CALLS[name]
        if not least <= count <= most:
            expected = str(least) if least == most else f"{least} or more"
            raise ModelError(
                f"expression {self.text!r}: {name} takes {expected} argument(s), got {count}."
            )
        if name == "piecewise" and count % 2 == 0:
            raise ModelError(
                f"expression {self.text!r}: piecewise takes pairs of value and condition, and a "
                f"last value for otherwise; got {count} arguments, expected an odd number."
            )


def _chain(function: str, parts: Sequence[Node]) -> Node:
    return reduce(lambda a, b: Call(function, (a, b)), parts)


def _piecewise(parts: Sequence[Node]) -> Node:
    value = parts[-1]
    for i in range(len(parts) - 3, -1, -2):
        value = Call("where", (parts[i + 1], parts[i], value))
    return value


_BUILDERS: dict[str, Callable[[Sequence[Node]], Node]] = {
    "min": lambda parts: _chain("min", parts),
    "max": lambda parts: _chain("max", parts),
    "pow": lambda parts: Call("power", tuple(parts)),
    "piecewise": _piecewise,
}

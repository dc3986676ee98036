"""Modes: the parts of expressions that jump in time, taken out so that the rest is smooth.

Between two moments at which something jumps, a rate such as ``k * (time < 5) * V`` is smooth once
``time < 5`` is a constant. So each comparison and each ``floor`` of what changes continuously,
and each choice of ``min``, ``max`` and ``abs``,
becomes a *mode*: a number that is held until its *level*, the difference of the two sides or the
argument of ``floor``, passes zero or a whole number. Modes may be nested, the inner ones first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tumble._errors import ModelError
from tumble._expressions import TIME, Call, Expression, Name, Node, Number

COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
FLOOR = "floor"
_BOOLEAN = {*COMPARISONS, "and", "or", "not"}


class Mode(NamedTuple):
    """What a mode is: its kind, one of `COMPARISONS` or `FLOOR`, and its level.

    ``slope`` is the derivative of the level by time. ``is_affine`` says that it is constant while
    no reaction fires and no other mode changes: then the next change is known without searching.
    """

    kind: str
    level: Expression
    slope: Expression
    is_affine: bool


@dataclass
class ModeFinder:
    """Replaces what jumps by names, and remembers for what they stand.

    Arguments: ``continuous``, names of what changes continuously: `TIME`, and variables that have a
    rate.
    """

    continuous: frozenset[str]
    found: dict[tuple[str, Node], str] = field(default_factory=dict)

    def smooth(self, expression: Expression) -> Expression:
        """Return the expression with modes in place of what jumps."""
        return Expression(self._smooth(expression.tree))

    def smooth_condition(self, expression: Expression) -> Expression:
        """Return a condition with modes in place of all that changes continuously."""
        return Expression(self._smooth(self._condition(expression.tree)))

    def modes(self, flows: Mapping[str, Expression]) -> list[Mode]:
        """Return the modes found, in the order of their names, given the rates of the variables."""
        return [_mode(kind, Expression(level), flows) for kind, level in self.found]

    def _smooth(self, node: Node) -> Node:
        if not isinstance(node, Call) or not self._moves(node):
            return node
        arguments = list(node.arguments)
        if node.function in ("and", "or", "not"):
            arguments = [self._condition(argument) for argument in arguments]
        elif node.function == "where":
            arguments[0] = self._condition(arguments[0])
        parts = tuple(self._smooth(argument) for argument in arguments)
        if not any(self._moves(part) for part in parts):
            return Call(node.function, parts)
        if node.function in COMPARISONS:
            return self._name(node.function, _difference(*parts))
        if node.function == "floor":
            return self._name(FLOOR, parts[0])
        if node.function == "ceil":
            return Call("negative", (self._name(FLOOR, Call("negative", parts)),))
        if node.function in ("min", "max"):
            return self._choice("less_equal" if node.function == "min" else "greater_equal", *parts)
        if node.function == "abs":
            return self._choice("greater_equal", parts[0], Call("negative", parts))
        if node.function == "sign":
            above, below = (self._name(kind, parts[0]) for kind in ("greater", "less"))
            return Call("subtract", (above, below))
        return Call(node.function, parts)

    def _choice(self, comparison: str, a: Node, b: Node) -> Node:
        """Return a where it compares so with b, else b: both are smooth, the choice has corners."""
        return Call("where", (self._name(comparison, _difference(a, b)), a, b))

    def _condition(self, node: Node) -> Node:
        """Return a condition that is 0 or 1: a moving number that stands for one is compared."""
        if not self._moves(node) or _is_boolean(node):
            return node
        return Call("not_equal", (node, Number(0.0)))

    def _moves(self, node: Node) -> bool:
        return not self.continuous.isdisjoint(Expression(node).names)

    def _name(self, kind: str, level: Node) -> Name:
        return Name(self.found.setdefault((kind, level), mode_name(len(self.found))))


def mode_name(index: int) -> str:
    """Return the name of a mode, which nothing in a network can have."""
    return f"mode {index}"


def _mode(kind: str, level: Expression, flows: Mapping[str, Expression]) -> Mode:
    affine = level.derivative(TIME)
    if TIME not in affine.names and flows.keys().isdisjoint(level.names):
        return Mode(kind, level, affine, True)
    try:
        slope = affine.tree
        for name, flow in flows.items():
            if name in level.names:
                by_name = level.derivative(name).tree
                slope = Call("add", (slope, Call("multiply", (by_name, flow.tree))))
    except ModelError:  # no derivative is known: the steps are not chosen for this level
        slope = Number(0.0)
    return Mode(kind, level, Expression(slope), False)


def _difference(left: Node, right: Node) -> Node:
    return left if right == Number(0.0) else Call("subtract", (left, right))


def _is_boolean(node: Node) -> bool:
    if not isinstance(node, Call):
        return False
    if node.function == "where":
        return all(_is_boolean(branch) for branch in node.arguments[1:])
    return node.function in _BOOLEAN

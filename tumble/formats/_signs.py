"""Which laws are never negative, and which are a difference of two that are not.

A law is never negative if this can be read off its form: numbers ≥ 0, names that are known not to
be negative, their sums, products, quotients and powers; ``exp``, ``abs``, conditions; a ``where``,
``min`` or ``max`` of such; and combinations of reactants such as ``P * (P - 1) / 2``, which are not
negative at whole numbers. The test errs on one side only: what it accepts is never negative.
"""

from __future__ import annotations

from dataclasses import dataclass

from tumble._expressions import Call, Expression, Name, Node, Number
from tumble.formats._mass_action import find_mass_action
from tumble.formats._mathml_read import is_truth

_POSITIVE = {"exp", "abs", "cosh"}
_KEEPS_SIGN = {"add", "multiply", "divide", "sqrt", "floor", "ceil", "min", "factorial"}
_ZERO = Number(0.0)


@dataclass(frozen=True)
class Signs:
    """What is known about signs.

    Arguments: ``positive``, names that are taken never to be negative; ``species``, those of them
    that are whole numbers.
    """

    positive: frozenset[str]
    species: tuple[str, ...]

    def nonnegative(self, law: Expression) -> bool:
        """Whether ``law`` is never negative, as far as its form shows it."""
        return self._is_fine(law.tree) or self._is_mass_action(law)

    def difference(self, law: Expression) -> tuple[Expression, Expression] | None:
        """Return f and r, never negative, with ``law`` = f − r; None where none is found.

        Products and quotients of a difference and something that is never negative are multiplied
        out: ``V * (a - b)`` is ``V * a`` and ``V * b``.
        """
        parts = self._parts(law.tree)
        if parts is None:
            return None
        forward, backward = (Expression(_ZERO if part is None else part) for part in parts)
        return forward, backward

    def _parts(self, node: Node) -> tuple[Node | None, Node | None] | None:
        if self.nonnegative(Expression(node)):
            return (None if node == _ZERO else node), None
        if not isinstance(node, Call):
            negative = isinstance(node, Number) and node.value < 0
            return (None, Number(-node.value)) if negative else None  # type: ignore[union-attr]
        sides = [self._parts(argument) for argument in node.arguments]
        if node.function == "negative" and sides[0] is not None:
            return sides[0][1], sides[0][0]
        if len(sides) != 2 or sides[0] is None or sides[1] is None:
            return None
        (plus, minus), (other_plus, other_minus) = sides[0], sides[1]
        if node.function == "add":
            return _sum(plus, other_plus), _sum(minus, other_minus)
        if node.function == "subtract":
            return _sum(plus, other_minus), _sum(minus, other_plus)
        if node.function in ("multiply", "divide") and other_minus is None:
            by = node.arguments[1]
            return _by(node.function, plus, by), _by(node.function, minus, by)
        if node.function == "multiply" and minus is None:
            by = node.arguments[0]
            return _by("multiply", by, other_plus), _by("multiply", by, other_minus)
        return None

    def _is_fine(self, node: Node) -> bool:
        if isinstance(node, Number):
            return node.value >= 0
        if isinstance(node, Name):
            return node.name in self.positive
        if node.function in _POSITIVE or is_truth(node):
            return True
        if node.function in _KEEPS_SIGN:
            return all(self._is_fine(argument) for argument in node.arguments) or (
                node.function == "multiply" and self._is_combination(node)
            )
        if node.function == "where":
            return all(self._is_fine(argument) for argument in node.arguments[1:])
        if node.function == "max":
            return any(self._is_fine(argument) for argument in node.arguments)
        if node.function == "power":
            exponent = node.arguments[1]
            even = isinstance(exponent, Number) and exponent.value % 2 == 0
            return even or self._is_fine(node.arguments[0])
        return False

    def _is_combination(self, node: Node) -> bool:
        """Whether a product holds n before n - 1, and n - 1 before n - 2; the rest is fine."""
        factors = _factors(node)
        for factor in factors:
            if self._is_fine(factor):
                continue
            name, taken = _taken(factor)
            before = [Call("subtract", (Name(name), Number(float(k)))) for k in range(1, taken)]
            whole = name in self.species and 1 <= taken <= 12 and taken == int(taken)
            if not whole or not all(part in factors for part in [Name(name), *before]):
                return False
        return True

    def _is_mass_action(self, law: Expression) -> bool:
        found = find_mass_action(law, self.species)
        return found is not None and self._is_fine(found.constant.tree)


def _factors(node: Node) -> list[Node]:
    if isinstance(node, Call) and node.function == "multiply":
        return [factor for argument in node.arguments for factor in _factors(argument)]
    return [node]


def _taken(node: Node) -> tuple[str, int]:
    """Return n and k of ``n - k``."""
    if isinstance(node, Call) and node.function == "subtract":
        name, number = node.arguments
        if isinstance(name, Name) and isinstance(number, Number) and number.value % 1 == 0:
            return name.name, int(number.value)
    return "", 0


def _sum(a: Node | None, b: Node | None) -> Node | None:
    if a is None or b is None:
        return b if a is None else a
    return Call("add", (a, b))


def _by(function: str, a: Node | None, b: Node | None) -> Node | None:
    return None if a is None or b is None else Call(function, (a, b))

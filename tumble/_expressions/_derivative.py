"""Symbolic derivatives, simplified as far as constants go."""

from __future__ import annotations

import math
from collections.abc import Callable

from tumble._errors import ModelError
from tumble._expressions._nodes import Call, Name, Node, Number, iterate

ZERO, ONE, TWO = Number(0.0), Number(1.0), Number(2.0)
_LARGEST = 1e300
_FLAT = {
    *("less", "less_equal", "greater", "greater_equal", "equal", "not_equal"),
    *("and", "or", "not", "sign", "floor", "ceil"),
}


def differentiate(node: Node, name: str) -> Node:
    """Return ∂/∂name of a tree.

    Steps count as flat: comparisons, ``floor``, ``ceil`` and ``sign`` have derivative 0; ``min``,
    ``max``, ``abs`` and ``where`` have that of the branch taken. The derivative of aᵇ with respect
    to what b depends on is 0 where a is 0, its limit for b > 0.
    """
    if not any(isinstance(part, Name) and part.name == name for part in iterate(node)):
        return ZERO
    if isinstance(node, Name):
        return ONE
    assert isinstance(node, Call)
    if node.function in _FLAT:
        return ZERO
    if node.function == "where":
        condition, a, b = node.arguments
        return where(condition, differentiate(a, name), differentiate(b, name))
    slopes = [differentiate(argument, name) for argument in node.arguments]
    if len(slopes) == 2:
        return _BINARY[node.function](*node.arguments, *slopes)
    (argument,), (slope,) = node.arguments, slopes
    return _UNARY[node.function](node, argument, slope)


# -- constructors that fold what is constant ------------------------------------------------------


def add(a: Node, b: Node) -> Node:
    """Return a + b."""
    if a == ZERO:
        return b
    if b == ZERO:
        return a
    return _folded("add", a, b, lambda x, y: x + y)


def subtract(a: Node, b: Node) -> Node:
    """Return a − b."""
    if b == ZERO:
        return a
    return negative(b) if a == ZERO else _folded("subtract", a, b, lambda x, y: x - y)


def multiply(a: Node, b: Node) -> Node:
    """Return a · b; nothing times anything is nothing."""
    if ZERO in (a, b):
        return ZERO
    if a == ONE:
        return b
    return a if b == ONE else _folded("multiply", a, b, lambda x, y: x * y)


def divide(a: Node, b: Node) -> Node:
    """Return a / b; nothing divided by anything is nothing."""
    if a == ZERO:
        return ZERO
    if b == ONE:
        return a
    return Call("divide", (a, b)) if b == ZERO else _folded("divide", a, b, lambda x, y: x / y)


def power(a: Node, b: Node) -> Node:
    """Return aᵇ."""
    if b == ZERO:
        return ONE
    return a if b == ONE else Call("power", (a, b))


def negative(a: Node) -> Node:
    """Return −a."""
    if isinstance(a, Number):
        return Number(-a.value)
    if isinstance(a, Call) and a.function == "negative":
        return a.arguments[0]
    return Call("negative", (a,))


def where(condition: Node, a: Node, b: Node) -> Node:
    """Return a where the condition holds, else b."""
    return a if a == b else Call("where", (condition, a, b))


def _folded(function: str, a: Node, b: Node, rule: Callable[[float, float], float]) -> Node:
    if isinstance(a, Number) and isinstance(b, Number):
        value = rule(a.value, b.value)
        if abs(value) <= _LARGEST:
            return Number(value)
    return Call(function, (a, b))


# -- rules ----------------------------------------------------------------------------------------


def _call(function: str, *arguments: Node) -> Call:
    return Call(function, arguments)


def _product(a: Node, b: Node, da: Node, db: Node) -> Node:
    return add(multiply(da, b), multiply(a, db))


def _quotient(a: Node, b: Node, da: Node, db: Node) -> Node:
    if db == ZERO:
        return divide(da, b)
    return divide(subtract(multiply(da, b), multiply(a, db)), power(b, TWO))


def _power(a: Node, b: Node, da: Node, db: Node) -> Node:
    by_base: Node = ZERO
    if da != ZERO:
        by_base = multiply(multiply(b, power(a, subtract(b, ONE))), da)
    if db == ZERO:
        return by_base
    by_exponent = multiply(power(a, b), _call("log", a))
    if not isinstance(a, Number):
        by_exponent = where(_call("equal", a, ZERO), ZERO, by_exponent)
    return add(by_base, multiply(by_exponent, db))


def _no_second_derivative(node: Node, a: Node, da: Node) -> Node:
    raise ModelError("the second derivative of factorial is not available.")


_BINARY: dict[str, Callable[[Node, Node, Node, Node], Node]] = {
    "add": lambda a, b, da, db: add(da, db),
    "subtract": lambda a, b, da, db: subtract(da, db),
    "multiply": _product,
    "divide": _quotient,
    "power": _power,
    "min": lambda a, b, da, db: where(_call("less_equal", a, b), da, db),
    "max": lambda a, b, da, db: where(_call("greater_equal", a, b), da, db),
}
_UNARY: dict[str, Callable[[Node, Node, Node], Node]] = {
    "negative": lambda f, a, da: negative(da),
    "exp": lambda f, a, da: multiply(f, da),
    "log": lambda f, a, da: divide(da, a),
    "log10": lambda f, a, da: divide(da, multiply(a, Number(math.log(10)))),
    "log2": lambda f, a, da: divide(da, multiply(a, Number(math.log(2)))),
    "sqrt": lambda f, a, da: divide(da, multiply(TWO, f)),
    "abs": lambda f, a, da: multiply(_call("sign", a), da),
    "sin": lambda f, a, da: multiply(_call("cos", a), da),
    "cos": lambda f, a, da: negative(multiply(_call("sin", a), da)),
    "tan": lambda f, a, da: multiply(add(ONE, power(f, TWO)), da),
    "asin": lambda f, a, da: divide(da, _call("sqrt", subtract(ONE, power(a, TWO)))),
    "acos": lambda f, a, da: negative(divide(da, _call("sqrt", subtract(ONE, power(a, TWO))))),
    "atan": lambda f, a, da: divide(da, add(ONE, power(a, TWO))),
    "sinh": lambda f, a, da: multiply(_call("cosh", a), da),
    "cosh": lambda f, a, da: multiply(_call("sinh", a), da),
    "tanh": lambda f, a, da: multiply(subtract(ONE, power(f, TWO)), da),
    "factorial": lambda f, a, da: multiply(multiply(f, _call("digamma", add(a, ONE))), da),
    "digamma": _no_second_derivative,
}

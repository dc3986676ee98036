"""Computing an expression with NumPy or `jax.numpy`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tumble._expressions._nodes import Name, Node, Number, postorder


def evaluate(node: Node, values: Mapping[str, Any], xp: Any) -> Any:
    """Return the value of a tree with the names bound to ``values``."""
    stack: list[Any] = []  # and no recursion: derivatives nest deep
    for part in postorder(node):
        if isinstance(part, Name):
            value = values[part.name]
            stack.append(np.float64(value) if isinstance(value, (int, float)) else value)
        elif isinstance(part, Number):
            stack.append(np.float64(part.value))
        else:
            count = len(part.arguments)
            stack[-count:] = [_RULES[part.function](xp, *stack[-count:])]
    return stack[0]


def _truth(xp: Any, condition: Any) -> Any:
    return xp.where(condition, np.float64(1.0), np.float64(0.0))


def _named(function: str) -> Callable[..., Any]:
    return lambda xp, *arguments: getattr(xp, function)(*arguments)


def _special(xp: Any) -> Any:
    if xp is np:
        import scipy.special as special
    else:
        import jax.scipy.special as special
    return special


_RULES: dict[str, Callable[..., Any]] = {
    "add": lambda xp, a, b: a + b,
    "subtract": lambda xp, a, b: a - b,
    "multiply": lambda xp, a, b: a * b,
    "divide": lambda xp, a, b: a / b,
    "power": lambda xp, a, b: a**b,
    "negative": lambda xp, a: -a,
    "less": lambda xp, a, b: _truth(xp, a < b),
    "less_equal": lambda xp, a, b: _truth(xp, a <= b),
    "greater": lambda xp, a, b: _truth(xp, a > b),
    "greater_equal": lambda xp, a, b: _truth(xp, a >= b),
    "equal": lambda xp, a, b: _truth(xp, a == b),
    "not_equal": lambda xp, a, b: _truth(xp, a != b),
    "and": lambda xp, a, b: _truth(xp, xp.logical_and(a != 0, b != 0)),
    "or": lambda xp, a, b: _truth(xp, xp.logical_or(a != 0, b != 0)),
    "not": lambda xp, a: _truth(xp, a == 0),
    "where": lambda xp, c, a, b: xp.where(c != 0, a, b),
    "min": _named("minimum"),
    "max": _named("maximum"),
    "asin": _named("arcsin"),
    "acos": _named("arccos"),
    "atan": _named("arctan"),
    "factorial": lambda xp, a: _special(xp).gamma(a + np.float64(1.0)),
    "digamma": lambda xp, a: _special(xp).digamma(a + np.float64(0.0)),
    **{
        name: _named(name)
        for name in (
            *("exp", "log", "log10", "log2", "sqrt", "abs", "sign", "floor", "ceil"),
            *("sin", "cos", "tan", "sinh", "cosh", "tanh"),
        )
    },
}

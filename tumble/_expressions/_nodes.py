"""The tree of an expression: the form that evaluators, compilers and writers walk.

A tree is made of three kinds of nodes. Operators are functions like any other: ``a + b`` is
``Call("add", (a, b))``. `ARITIES` lists every function with the number of its arguments, which is
fixed: ``min(a, b, c)`` is a ``min`` of a ``min``, and ``piecewise`` a ``where`` within a ``where``.
Whoever walks trees has to know these functions and no others.

Truth is a number: comparisons, ``and``, ``or`` and ``not`` give 1 or 0, and what is not 0 counts as
true. ``where(condition, a, b)`` is a when the condition is true; both are computed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

TIME = "time"
"""The reserved name of the model's time."""

CONSTANTS = {"pi": math.pi, "e": math.e}
"""Names that stand for a number where nothing of that name is declared."""


@dataclass(frozen=True)
class Number:
    """A number."""

    value: float


@dataclass(frozen=True)
class Name:
    """What has this name: a species, a parameter, a definition, `TIME`, or one of `CONSTANTS`."""

    name: str


@dataclass(frozen=True)
class Call:
    """A function of `ARITIES` with its arguments."""

    function: str
    arguments: tuple[Node, ...]


Node: TypeAlias = Number | Name | Call

ARITIES = {
    "add": 2,
    "subtract": 2,
    "multiply": 2,
    "divide": 2,
    "power": 2,
    "negative": 1,
    "less": 2,
    "less_equal": 2,
    "greater": 2,
    "greater_equal": 2,
    "equal": 2,
    "not_equal": 2,
    "and": 2,
    "or": 2,
    "not": 1,
    "exp": 1,
    "log": 1,  # natural
    "log10": 1,
    "log2": 1,
    "sqrt": 1,
    "abs": 1,
    "sign": 1,
    "floor": 1,
    "ceil": 1,
    "sin": 1,
    "cos": 1,
    "tan": 1,
    "asin": 1,
    "acos": 1,
    "atan": 1,
    "sinh": 1,
    "cosh": 1,
    "tanh": 1,
    "factorial": 1,  # Γ(x + 1)
    "digamma": 1,  # the derivative of log Γ, which that of factorial needs
    "min": 2,
    "max": 2,
    "where": 3,
}


def iterate(node: Node) -> Iterator[Node]:
    """Yield ``node`` and everything below it, in order of appearance."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        if isinstance(found, Call):
            waiting.extend(reversed(found.arguments))


def postorder(node: Node) -> Iterator[Node]:
    """Yield every part of a tree after its arguments: the order in which a stack computes it."""
    waiting = [(node, False)]
    while waiting:
        found, ready = waiting.pop()
        if ready or not isinstance(found, Call):
            yield found
        else:
            waiting.append((found, True))
            waiting.extend((child, False) for child in reversed(found.arguments))


def measure(node: Node) -> tuple[int, int]:
    """Return (size, depth) of a tree: its nodes, and the longest way down.

    Parts that are the same object are visited once, so that it takes little time even where
    repeated substitution made the tree very large.
    """
    known: dict[int, tuple[int, int]] = {}
    waiting = [node]
    while waiting:
        top = waiting[-1]
        below = top.arguments if isinstance(top, Call) else ()
        missing = [child for child in below if id(child) not in known]
        if missing:
            waiting.extend(missing)
            continue
        sizes = [known[id(child)] for child in below]
        known[id(top)] = (1 + sum(s for s, _ in sizes), 1 + max((d for _, d in sizes), default=0))
        waiting.pop()
    return known[id(node)]


def replace(node: Node, by: Mapping[str, Node]) -> Node:
    """Return the tree with the names in ``by`` replaced, all at once."""
    if isinstance(node, Name):
        return by.get(node.name, node)
    if isinstance(node, Call):
        return Call(node.function, tuple(replace(child, by) for child in node.arguments))
    return node

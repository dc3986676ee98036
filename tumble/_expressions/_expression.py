"""A parsed expression, and what can be done with it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._errors import ModelError
from tumble._expressions._derivative import differentiate
from tumble._expressions._evaluate import evaluate
from tumble._expressions._fold import fold
from tumble._expressions._format import write
from tumble._expressions._nodes import CONSTANTS, Name, Node, Number, iterate, measure, replace

_MAX_SIZE = 100_000
_MAX_DEPTH = 250


@dataclass(frozen=True)
class Expression:
    """An expression of named quantities. Made by `parse`.

    Equal trees are equal expressions, however they were written; ``str`` gives the canonical text,
    which `parse` reads back as the same expression.

    Arguments: ``tree``, made of `Number`, `Name` and `Call`.
    """

    tree: Node

    def __call__(self, values: Mapping[str, Any], xp: Any = np) -> Any:
        """Return the value with the names bound to ``values``, computed by the namespace ``xp``."""
        with np.errstate(all="ignore"):  # 1/0 is inf, as in the arrays of either namespace
            return evaluate(self.tree, values, xp)

    def __str__(self) -> str:
        return write(self.tree)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What it refers to, in order of appearance in its canonical text."""
        found = (node.name for node in iterate(self.tree) if isinstance(node, Name))
        return tuple(dict.fromkeys(found))

    @property
    def is_name(self) -> bool:
        """Whether the expression is a single name."""
        return isinstance(self.tree, Name)

    @property
    def is_number(self) -> bool:
        """Whether the expression is a single number."""
        return isinstance(self.tree, Number)

    def substitute(self, by: Mapping[str, Expression]) -> Expression:
        """Return the expression with the names in ``by`` replaced, all at once.

        Raises `ModelError` where it grows too large to be computed.
        """
        if not any(name in by for name in self.names):
            return self
        tree = replace(self.tree, {name: value.tree for name, value in by.items()})
        size, depth = measure(tree)
        if size > _MAX_SIZE or depth > _MAX_DEPTH:
            raise ModelError(
                f"an expression grows to {size} terms that nest {depth} deep, expected at most "
                f"{_MAX_SIZE} and {_MAX_DEPTH}; use fewer definitions of definitions."
            )
        return Expression(tree)

    def with_constants(self, declared: Container[str]) -> Expression:
        """Return the expression with ``pi`` and ``e`` as numbers, unless they are ``declared``."""
        free = {k: Expression(Number(v)) for k, v in CONSTANTS.items() if k not in declared}
        return self.substitute(free)

    def derivative(self, name: str) -> Expression:
        """Return ∂/∂name, in which what is constant has vanished.

        Where it has a corner or a step, the derivative is that of the branch taken.
        """
        return Expression(differentiate(self.tree, name))

    def folded(self) -> Expression:
        """Return the expression with numbers in place of what depends on nothing."""
        return Expression(fold(self.tree))

"""What an input is: a function of time, as an expression."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np

from tumble._errors import ParameterError
from tumble._expressions import TIME, Call, Expression, Name, Node, Number
from tumble._typing import FloatArray


class AbstractInput(abc.ABC):
    """A function of time that stands where a parameter's value may stand."""

    @property
    @abc.abstractmethod
    def expression(self) -> Expression:
        """The function, an expression of ``time``."""

    @property
    @abc.abstractmethod
    def knots(self) -> FloatArray:
        """The values at its times, [K]."""


def checked_knots(times: object, values: object, least: int) -> tuple[FloatArray, FloatArray]:
    """Return the knots as arrays. Raises `ParameterError`."""
    try:
        x, y = np.array(times, dtype=float), np.array(values, dtype=float)
    except (TypeError, ValueError):
        raise ParameterError(f"`times` is {times!r}, expected numbers, like `values`.") from None
    if x.ndim != 1 or x.shape != y.shape or len(x) < least:
        raise ParameterError(
            f"`times` has shape {x.shape} and `values` {y.shape}, expected lists of the same "
            f"length, at least {least}."
        )
    if not np.all(np.isfinite(x)) or np.any(np.diff(x) <= 0) or not np.all(np.isfinite(y)):
        raise ParameterError(
            "`times` must be finite and ascending without repeats, `values` finite."
        )
    return x, y


def piecewise(breaks: FloatArray, pieces: Sequence[Node]) -> Node:
    """Return piece i between breaks i-1 and i, the last one after all breaks.

    It is a tree of halves, so that even a thousand pieces do not nest deep.
    """
    if len(pieces) == 1:
        return pieces[0]
    middle = len(pieces) // 2
    before = Call("less", (Name(TIME), Number(float(breaks[middle - 1]))))
    left = piecewise(breaks[: middle - 1], pieces[:middle])
    right = piecewise(breaks[middle:], pieces[middle:])
    return Call("where", (before, left, right))


def polynomial(at: float, coefficients: Sequence[float]) -> Node:
    """Return Σ c_k (time − at)^k, by Horner's rule; without the powers at the end that are 0."""
    significant = list(coefficients)
    while len(significant) > 1 and significant[-1] == 0.0:
        significant.pop()
    shifted = Call("subtract", (Name(TIME), Number(float(at))))
    value: Node = Number(float(significant[-1]))
    for coefficient in reversed(significant[:-1]):
        value = Call("add", (Number(float(coefficient)), Call("multiply", (shifted, value))))
    return value

"""The family of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._expressions import Expression, Number
from tumble._typing import FloatArray
from tumble.inputs._base import AbstractInput, checked_knots, piecewise, polynomial


@dataclass(frozen=True, eq=False)
class StepInput(AbstractInput):
    """A parameter that jumps: ``values[i]`` from ``times[i]`` until ``times[i+1]``.

    Before ``times[0]`` it is ``values[0]``, after the last time the last value. Simulated exactly.

    Arguments: ``times`` [K], ascending; ``values`` [K].

    >>> lockdown = StepInput([0, 10], [2.0, 0.5])
    >>> float(lockdown.expression({"time": 9.9})), float(lockdown.expression({"time": 10.0}))
    (2.0, 0.5)
    """

    times: Any
    values: Any

    def __post_init__(self) -> None:
        _set_knots(self, 1)

    @property
    def expression(self) -> Expression:
        """The function, an expression of ``time``."""
        return Expression(piecewise(self.times[1:], [Number(float(v)) for v in self.values]))

    @property
    def knots(self) -> FloatArray:
        """The values at its times, [K]."""
        return self.values


@dataclass(frozen=True, eq=False)
class LinearInput(AbstractInput):
    """A parameter that goes in straight lines from ``values[i]`` at ``times[i]`` to the next.

    Before the first time it has the first value, after the last the last.

    Arguments: ``times`` [K], ascending; ``values`` [K], at least two.
    """

    times: Any
    values: Any

    def __post_init__(self) -> None:
        _set_knots(self, 2)

    @property
    def expression(self) -> Expression:
        """The function, an expression of ``time``."""
        slopes = np.diff(self.values) / np.diff(self.times)
        return _with_ends(self.times, self.values, np.column_stack([self.values[:-1], slopes]))

    @property
    def knots(self) -> FloatArray:
        """The values at its times, [K]."""
        return self.values


@dataclass(frozen=True, eq=False)
class SplineInput(AbstractInput):
    """A parameter that follows the natural cubic spline through ``values`` at ``times``.

    Before the first time it has the first value, after the last the last. Between positive values a
    spline may be negative: a run whose rate becomes so ends with `SampleCode.INVALID_RATE`.

    Arguments: ``times`` [K], ascending; ``values`` [K], at least two.

    Reference: de Boor, *A Practical Guide to Splines* (2001), ISBN 978-0-387-95366-3, chapter IV.
    """

    times: Any
    values: Any

    def __post_init__(self) -> None:
        _set_knots(self, 2)

    @property
    def expression(self) -> Expression:
        """The function, an expression of ``time``."""
        from scipy.interpolate import CubicSpline

        coefficients = CubicSpline(self.times, self.values, bc_type="natural").c[::-1].T
        return _with_ends(self.times, self.values, coefficients)

    @property
    def knots(self) -> FloatArray:
        """The values at its times, [K]."""
        return self.values


def _set_knots(member: Any, least: int) -> None:
    times, values = checked_knots(member.times, member.values, least)
    object.__setattr__(member, "times", times)
    object.__setattr__(member, "values", values)


def _with_ends(times: FloatArray, values: FloatArray, coefficients: FloatArray) -> Expression:
    """Return the pieces [K-1, powers] between the knots, and constants outside."""
    first, last = Number(float(values[0])), Number(float(values[-1]))
    between = [polynomial(t, c) for t, c in zip(times[:-1], coefficients.tolist(), strict=True)]
    return Expression(piecewise(times, [first, *between, last]))

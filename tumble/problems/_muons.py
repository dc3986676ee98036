"""Angles of muons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from tumble._typing import FloatArray
from tumble.problems._base import AbstractReferenceProblem

_BISECTIONS = 40  # of an interval of length 2
_LEAST = -1e6  # of log-likelihoods
_ACROSS = 801  # points of the asymmetry, and of each parameter


@dataclass(frozen=True)
class MuonAngles(AbstractReferenceProblem):
    """Cosines c of the angles at which muons leave electron–positron collisions: simplified.

    The density is ∝ max(0, 1 + c² + a c) on [−1, 1], of asymmetry a = 2 tanh((2 E − 90) / 9) G, for
    a beam energy E on [40, 50] and a Fermi constant G on [0.5, 1.5]: only their combination in a is
    identified. The estimate is the mean of the posterior. See `AbstractReferenceProblem`.
    """

    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"E": (40.0, 50.0), "G": (0.5, 1.5)}
    outputs: ClassVar[tuple[str, ...]] = ("cosine",)

    @staticmethod
    def asymmetry(energy: Any, constant: Any) -> Any:
        """Return a of energies and Fermi constants."""
        return 2 * np.tanh((2 * np.asarray(energy) - 90) / 9) * np.asarray(constant)

    def draw(self, params: Mapping[str, Any], times: FloatArray, choices: Any) -> FloatArray:
        """See `AbstractReferenceProblem.draw`: by the inverse of the distribution function."""
        a = self.asymmetry(params["E"], params["G"])
        share = np.exp(-choices.wait(np.ones_like(a)))
        low, high = _support(a)
        wanted = _integral(low, a) + share * (_integral(high, a) - _integral(low, a))
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            below = _integral(middle, a) < wanted
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return ((low + high) / 2)[:, None, None]

    def log_posterior(self, theta: FloatArray, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.log_posterior`: by quadrature over both parameters."""
        a, logs = self._by_asymmetry(data)
        own = np.interp(self.asymmetry(*np.moveaxis(np.asarray(theta), -1, 0)), a, logs)
        return np.asarray(own - self._evidence(a, logs))

    def estimate(self, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.estimate`."""
        energies, constants = self._axes
        return np.array([self._mean(energies[:, None], data), self._mean(constants, data)])

    def mean_asymmetry(self, data: FloatArray) -> float:
        """Return the posterior mean of a, given data [N, 1]."""
        return self._mean(self._table, data)

    def log_likelihood(self, a: FloatArray, data: FloatArray) -> FloatArray:
        """Return log p(data | a) [n] of asymmetries [n] and cosines [N, 1]; −∞ where it is 0."""
        low, high = _support(a)
        norms = _integral(high, a) - _integral(low, a)
        heights = 1 + data**2 + a * data  # [N, n]
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(heights, 0.0)).sum(0) - len(data) * np.log(norms)

    @cached_property
    def _axes(self) -> tuple[FloatArray, FloatArray]:
        """Energies and Fermi constants of a grid."""
        energies, constants = (np.linspace(*self.bounds[name], _ACROSS) for name in "EG")
        return energies, constants

    @cached_property
    def _table(self) -> FloatArray:
        """Asymmetries on the grid."""
        energies, constants = self._axes
        return np.asarray(self.asymmetry(energies[:, None], constants))

    def _by_asymmetry(self, data: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return asymmetries [n] and log-likelihoods there."""
        a = np.linspace(self._table.min(), self._table.max(), _ACROSS)
        return a, np.maximum(self.log_likelihood(a, data), _LEAST)

    def _evidence(self, a: FloatArray, logs: FloatArray) -> float:
        top = float(logs.max())
        return top + float(np.log(self._integrated(np.exp(np.interp(self._table, a, logs) - top))))

    def _mean(self, values: FloatArray, data: FloatArray) -> float:
        """Return the posterior mean of values on the grid."""
        a, logs = self._by_asymmetry(data)
        weights = np.exp(np.interp(self._table, a, logs) - logs.max())
        return self._integrated(weights * values) / self._integrated(weights)

    def _integrated(self, values: FloatArray) -> float:
        energies, constants = self._axes
        return float(np.trapezoid(np.trapezoid(values, constants, axis=1), energies))


def _integral(c: Any, a: Any) -> Any:
    return c * (1 + c * (a / 2 + c / 3))


def _support(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return between which cosines the density is above 0."""
    root = np.sqrt(np.maximum(a**2 - 4, 0.0))
    low = np.where(a > 2, (root - a) / 2, -1.0)
    high = np.where(a < -2, (-root - a) / 2, 1.0)
    return low, high

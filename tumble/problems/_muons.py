"""Angles of muons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._typing import FloatArray
from tumble.problems._base import AbstractReferenceProblem

_BISECTIONS = 40  # of an interval of length 2
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
        logs, evidence, _ = self._on_grid(data)
        a, known = logs
        own = np.interp(self.asymmetry(*np.moveaxis(np.asarray(theta), -1, 0)), a, known)
        return np.asarray(own - evidence)

    def estimate(self, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.estimate`."""
        return self._on_grid(data)[2]

    def log_likelihood(self, a: FloatArray, data: FloatArray) -> FloatArray:
        """Return log p(data | a) [n] of asymmetries [n] and cosines [N, 1]; −∞ where it is 0."""
        low, high = _support(a)
        norms = _integral(high, a) - _integral(low, a)
        heights = 1 + data**2 + a * data  # [N, n]
        with np.errstate(divide="ignore"):
            return np.log(np.maximum(heights, 0.0)).sum(0) - len(data) * np.log(norms)

    def _on_grid(self, data: FloatArray) -> tuple[tuple[FloatArray, FloatArray], float, FloatArray]:
        """Return log-likelihoods by asymmetry, the log evidence, and the posterior mean."""
        energies, constants = (np.linspace(*self.bounds[name], _ACROSS) for name in "EG")
        table = self.asymmetry(energies[:, None], constants)
        a = np.linspace(table.min(), table.max(), _ACROSS)
        logs = np.maximum(self.log_likelihood(a, data), -1e6)
        found = np.interp(table, a, logs)
        weights = np.exp(found - found.max())
        total = np.trapezoid(np.trapezoid(weights, constants, axis=1), energies)
        means = [
            np.trapezoid(np.trapezoid(weights * values, constants, axis=1), energies) / total
            for values in (energies[:, None], constants)
        ]
        return (a, logs), float(found.max() + np.log(total)), np.array(means)


def _integral(c: Any, a: Any) -> Any:
    return c * (1 + c * (a / 2 + c / 3))


def _support(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return between which cosines the density is above 0."""
    root = np.sqrt(np.maximum(a**2 - 4, 0.0))
    low = np.where(a > 2, (root - a) / 2, -1.0)
    high = np.where(a < -2, (-root - a) / 2, 1.0)
    return low, high

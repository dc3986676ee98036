"""Counts of a Poisson law."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._typing import FloatArray
from tumble.problems._base import AbstractReferenceProblem, fine_grid, log_integral


@dataclass(frozen=True)
class PoissonCounts(AbstractReferenceProblem):
    """x ~ Poisson(exp θ), θ on [0.2, 7]. The estimate is the maximum of the likelihood.

    See `AbstractReferenceProblem`.
    """

    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {"theta": (0.2, 7.0)}
    outputs: ClassVar[tuple[str, ...]] = ("x",)

    def draw(self, params: Mapping[str, Any], times: FloatArray, choices: Any) -> FloatArray:
        """See `AbstractReferenceProblem.draw`."""
        counts = choices.count(np.exp(params["theta"]))
        return np.asarray(counts, dtype=float)[:, None, None]

    def log_posterior(self, theta: FloatArray, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.log_posterior`: by quadrature."""
        total, count = float(data.sum()), len(data)

        def log_likelihood(t: Any) -> Any:
            return total * t - count * np.exp(t)

        low, high = self.bounds["theta"]
        points = fine_grid(low, high, float(self.estimate(data)[0]), (total + 1) ** -0.5)
        evidence = log_integral(log_likelihood(points), points)
        return np.asarray(log_likelihood(np.asarray(theta)[..., 0]) - evidence)

    def estimate(self, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.estimate`."""
        low, high = self.bounds["theta"]
        return np.clip(np.log(np.maximum(data.mean(0), np.exp(low))), low, high)

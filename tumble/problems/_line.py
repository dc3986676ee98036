"""Points about a line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.stats import norm

from tumble._typing import FloatArray
from tumble.problems._base import AbstractReferenceProblem, fine_grid, log_integral


@dataclass(frozen=True)
class NoisyLine(AbstractReferenceProblem):
    """x uniform on [−1, 1], y ~ Normal(tan(angle) x + intercept, 0.1).

    The angle is on [0, π/2], the intercept on [−1, 1]; the estimate is that of least squares. See
    `AbstractReferenceProblem`.
    """

    bounds: ClassVar[Mapping[str, tuple[float, float]]] = {
        "angle": (0.0, np.pi / 2), "intercept": (-1.0, 1.0),
    }  # fmt: skip
    outputs: ClassVar[tuple[str, ...]] = ("x", "y")
    sd: ClassVar[float] = 0.1

    def draw(self, params: Mapping[str, Any], times: FloatArray, choices: Any) -> FloatArray:
        """See `AbstractReferenceProblem.draw`."""
        slope = np.tan(params["angle"])
        x = 2 * np.exp(-choices.wait(np.ones_like(slope))) - 1
        y = choices.normal(slope * x + params["intercept"], self.sd)
        return np.stack([x, y], axis=1)[:, None, :]

    def log_posterior(self, theta: FloatArray, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.log_posterior`: by quadrature over the slope."""
        x, y = data.T
        best, middle, sum_of_squares = _least_squares(x, y)
        angle, intercept = np.moveaxis(np.asarray(theta), -1, 0)[..., None]
        residual = y - np.tan(angle) * x - intercept
        log_likelihood = -(residual**2).sum(-1) / (2 * self.sd**2)
        low, high = self.bounds["intercept"]
        # Given a slope, the intercept is normal within its bounds; the slope's own likelihood is.
        width = self.sd / np.sqrt(len(x))
        b = fine_grid(0.0, 1e9, best, self.sd / np.sqrt(sum_of_squares))
        center = y.mean() - b * x.mean()
        inside = norm.cdf((high - center) / width) - norm.cdf((low - center) / width)
        at_best = y - best * x - middle
        logs = (
            -((at_best**2).sum() + (b - best) ** 2 * sum_of_squares) / (2 * self.sd**2)
            + np.log(np.maximum(inside, 1e-300) * width * np.sqrt(2 * np.pi)) - np.log1p(b**2)
        )  # fmt: skip
        return np.asarray(log_likelihood - log_integral(logs, b))

    def estimate(self, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.estimate`."""
        slope, intercept, _ = _least_squares(*data.T)
        return np.array([np.arctan(slope), intercept])


def _least_squares(x: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    """Return slope, intercept and Σ (x − mean)²."""
    away = x - x.mean()
    spread = float(away @ away)
    slope = float(away @ y) / spread
    return slope, float(y.mean() - slope * x.mean()), spread

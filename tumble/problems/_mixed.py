"""Sources that are seen mixed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.stats import norm

from tumble._typing import FloatArray
from tumble.problems._base import AbstractReferenceProblem, fine_grid, log_integral

# Any invertible matrix does: what is known of the sources does not depend on it.
_MIXING = np.array(
    [
        [1.3, 0.9, 0.0, 0.4, 0.0],
        [-0.9, 1.1, 0.5, 0.0, 0.3],
        [0.0, 0.6, 1.2, -0.7, 0.0],
        [0.5, 0.0, -0.4, 1.0, 0.8],
        [0.0, -0.3, 0.7, 0.0, 1.4],
    ]
)
_UNMIXING = np.linalg.inv(_MIXING)


@dataclass(frozen=True)
class MixedSources(AbstractReferenceProblem):
    """Five sources z, of which five mixtures x = R z are seen.

    z0 ~ Normal(a, 1); z1 ~ Normal(3, exp(b / 3)); z2 ~ ½ Normal(−2, 1) + ½ Normal(2, 0.5); z3 is
    uniform on [−5, c]; z4 is exponential with rate 0.5. a, b and c are on [−3, 3]. The estimate is
    the maximum of the likelihood. See `AbstractReferenceProblem`.
    """

    bounds: ClassVar[Mapping[str, tuple[float, float]]] = dict.fromkeys("abc", (-3.0, 3.0))
    outputs: ClassVar[tuple[str, ...]] = ("x0", "x1", "x2", "x3", "x4")

    def draw(self, params: Mapping[str, Any], times: FloatArray, choices: Any) -> FloatArray:
        """See `AbstractReferenceProblem.draw`."""
        a, b, c = (params[name] for name in "abc")
        one = np.ones_like(a)
        second = choices.flip(0.5 * one)
        z = [
            choices.normal(a, one),
            choices.normal(3 * one, np.exp(b / 3)),
            choices.normal(np.where(second, 2.0, -2.0), np.where(second, 0.5, 1.0)),
            -5 + (c + 5) * np.exp(-choices.wait(one)),
            choices.wait(0.5 * one),
        ]
        return (np.stack(z, axis=1) @ _MIXING.T)[:, None, :]

    def log_posterior(self, theta: FloatArray, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.log_posterior`: each parameter has its own source."""
        z, count = data @ _UNMIXING.T, len(data)
        a, b, c = np.moveaxis(np.asarray(theta), -1, 0)
        low, high = self.bounds["a"]
        width, middle = count**-0.5, z[:, 0].mean()
        mass = norm.cdf((high - middle) / width) - norm.cdf((low - middle) / width)
        first = norm.logpdf(a, middle, width) - np.log(mass)

        squares = ((z[:, 1] - 3) ** 2).sum()

        def log_likelihood(b: Any) -> Any:
            return -count * b / 3 - squares / 2 * np.exp(-2 * b / 3)

        points = fine_grid(low, high, float(self.estimate(data)[1]), 3 * (2 * count) ** -0.5)
        second = log_likelihood(b) - log_integral(log_likelihood(points), points)

        least = max(float(z[:, 3].max()), low)
        power = count - 1
        # ∫ (c + 5)^−n from the least possible c to the highest.
        log_ratio = power * (np.log(least + 5) - np.log(high + 5))
        evidence = -power * np.log(least + 5) + np.log1p(-np.exp(log_ratio)) - np.log(power)
        third = np.where(c >= least, -count * np.log(c + 5) - evidence, -np.inf)
        return np.asarray(first + second + third)

    def estimate(self, data: FloatArray) -> FloatArray:
        """See `AbstractReferenceProblem.estimate`."""
        z = data @ _UNMIXING.T
        found = [z[:, 0].mean(), 3 * np.log(np.sqrt(((z[:, 1] - 3) ** 2).mean())), z[:, 3].max()]
        low, high = self.bounds["a"]
        return np.clip(found, low, high)

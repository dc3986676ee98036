"""Expected squared error: the mean loss of single runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._problem import Problem
from tumble._typing import JaxArray
from tumble.objectives._base import AbstractOutputObjective, BoundOutputs, FeatureData


@dataclass(frozen=True)
class ExpectedLoss(AbstractOutputObjective):
    """Expected squared error between one simulated run and the mean of the data.

    Definition: mean over observables and times of E[(Y − ȳ)²] / s², with Y a simulated datum, ȳ the
    mean over replicates and s the largest ȳ of the observable.

    Guarantee: batch values and gradients are unbiased for it. It contains the simulator's own
    variance, so its minimum is in general **not** at the parameters that made the data: it prefers
    parameters under which runs vary less.

    When: to reproduce published fits that used it, or when a single run must come close to a
    target. To estimate parameters use `PathLikelihood` or `MomentMatching`.
    """

    loss_name: ClassVar[str] = "expected squared error"
    citations: ClassVar[tuple[str, ...]] = ()

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractOutputObjective.bind`."""
        data = []
        for experiment in problem.experiments:
            values = experiment.data.values
            count = np.isfinite(values).sum(axis=0)
            center = np.nansum(values, axis=0) / np.maximum(count, 1)
            scale = np.abs(center).max(axis=0)
            weight = np.where(count > 0, 1 / np.where(scale > 0, scale, 1.0) ** 2, 0.0)
            data.append(FeatureData(center, np.zeros_like(center), weight))
        total = sum(int((d.weight > 0).sum()) for d in data)
        data = [d._replace(weight=d.weight / total) for d in data]
        return BoundOutputs(self, problem, data, quadratic=False)

    def features(self, x: JaxArray, variance: JaxArray, data: FeatureData, xp: Any) -> JaxArray:
        """See `AbstractOutputObjective.features`."""
        return (x - data.center) ** 2 + variance

    def gaussian_features(
        self, mean: JaxArray, variance: JaxArray, data: FeatureData, xp: Any
    ) -> JaxArray:
        """See `AbstractOutputObjective.gaussian_features`."""
        return (mean - data.center) ** 2 + variance

"""Moment matching: a loss of expectations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, shown
from tumble._experiment import Experiment
from tumble._problem import Problem
from tumble._typing import FloatArray, JaxArray
from tumble.losses import Quadratic
from tumble.noise import DatumLaw
from tumble.objectives._base import (
    AbstractOutputObjective,
    BoundOutputs,
    FeatureData,
    stacked,
)

# Weights are inverse variances; a moment that hardly varies must not take all the weight.
_VARIANCE_FLOOR = 0.02


@dataclass(frozen=True)
class MomentMatching(AbstractOutputObjective):
    """Squared distance between expected and observed moments.

    Definition: mean over features f of ((E[f] − observed f) / s_f)². Order 1 compares the mean of
    each observable at each time; order 2 also its mean square about the observed mean, which is the
    variance when the means agree. s_f² is the variance of f between replicates where there are at
    least ten (floored at 2 % of its mean over time), otherwise the square of the largest observed
    value.

    Guarantee: a loss of expectations; values and gradients from batches of three runs or more are
    unbiased (U-statistics). Its minimum is consistent for many replicates. For a single series
    it is not: the simulator's own variability is then read as misfit.

    Arguments: ``order``, 1 or 2. Default: 2 where every experiment has two replicates or more, else
    1; averages (kind ``"mean"``) hold no variances.

    When: ten replicates or more, averages, snapshots. Not for one or few time series: use
    `PathLikelihood`.

    Reference: Hansen, Econometrica 50 (1982), doi:10.2307/1912775; Zechner et al., PNAS 109 (2012),
    doi:10.1073/pnas.1200161109.
    """

    order: int | None = None
    loss_name: ClassVar[str] = "moment distance"
    citations: ClassVar[tuple[str, ...]] = (
        "Hansen, Econometrica 50 (1982), doi:10.2307/1912775",
        "Zechner et al., PNAS 109 (2012), doi:10.1073/pnas.1200161109",
    )

    def __post_init__(self) -> None:
        if self.order is not None and not (type(self.order) is int and self.order in (1, 2)):
            raise ParameterError(f"`order` is {shown(self.order)}, expected 1, 2 or None.")

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractOutputObjective.bind`."""
        order = self._order(problem)
        data = [_feature_data(e, order) for e in problem.experiments]
        count = sum(int((d.weight > 0).sum()) for d in data)
        data = [d._replace(weight=d.weight / count) for d in data]
        return BoundOutputs(MomentMatching(order), problem, data, Quadratic(*stacked(data)))

    def features(self, law: DatumLaw, data: FeatureData, xp: Any) -> JaxArray:
        """See `AbstractOutputObjective.features`."""
        if self.order == 1:
            return law.mean
        return xp.concatenate([law.mean, (law.mean - data.center) ** 2 + law.variance], axis=-1)

    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, data: FeatureData, xp: Any
    ) -> JaxArray:
        """See `AbstractOutputObjective.gaussian_features`."""
        if self.order == 1:
            return mean
        variance = xp.diagonal(covariance, axis1=-2, axis2=-1)
        return xp.concatenate([mean, (mean - data.center) ** 2 + variance], axis=-1)

    def _order(self, problem: Problem) -> int:
        fewest = min(e.data.num_replicates for e in problem.experiments)
        has_variances = problem.kind != "mean" and fewest > 1
        if self.order == 2 and not has_variances:
            what = "averages hold" if problem.kind == "mean" else "a single replicate holds"
            raise ParameterError(f"{what} no variances: use MomentMatching(order=1).")
        return self.order or (2 if has_variances else 1)


def _feature_data(experiment: Experiment, order: int) -> FeatureData:
    values = experiment.data.values
    present = np.isfinite(values)
    count = present.sum(axis=0)
    safe = np.where(present, values, 0.0)
    center = safe.sum(axis=0) / np.maximum(count, 1)
    features = [values]
    if order == 2:
        features.append((values - center) ** 2)
    target = np.concatenate([_mean(f, count) for f in features], axis=-1)
    scale2 = np.concatenate([_scale2(f, count) for f in features], axis=-1)
    counts = np.concatenate([count] * len(features), axis=-1)
    return FeatureData(center, target, np.where(counts > 0, 1 / scale2, 0.0))


def _mean(values: FloatArray, count: FloatArray) -> FloatArray:
    return np.nansum(values, axis=0) / np.maximum(count, 1)


def _scale2(values: FloatArray, count: FloatArray) -> FloatArray:
    """Return s_f² [T, O]."""
    mean = _mean(values, count)
    if values.shape[0] >= 10:
        spread = np.nansum((values - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
        typical = spread.mean(axis=0)
        floored = np.maximum(spread, _VARIANCE_FLOOR * typical)
        return np.where(typical > 0, floored, 1.0)
    largest = np.abs(mean).max(axis=0)
    return np.broadcast_to(np.where(largest > 0, largest, 1.0) ** 2, mean.shape)

"""Distribution matching: a loss of whole distributions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._binding import Binding
from tumble._errors import CapabilityError, DataError, require_flag, require_member
from tumble._problem import Problem
from tumble._typing import BoolArray, FloatArray, JaxArray
from tumble.distances import AbstractDistance, EnergyDistance
from tumble.noise import DatumLaw
from tumble.objectives._base import (
    AbstractOutputObjective,
    BoundOutputs,
    FeatureData,
    stacked,
)

_FLOOR = 0.02
_ROWS = 1024  # of data whose features are held at once


@dataclass(frozen=True)
class DistributionMatching(AbstractOutputObjective):
    """Distance between the simulated and the observed distribution at each time.

    Definition: mean over times and observables, weighted by their numbers of data, of the distance
    d(simulated, observed) / s, with s the distance that data from the same distribution would have
    for a sample of one: E|y − y'| for the energy distance (floored at 2 % of its mean over time).
    With ``joint=True`` the joint distribution of all observables at each time is compared, from the
    data in which all of them are present. Paths are not: nothing relates one time to another.

    Guarantee: that of the distance: unbiased values and gradients from batches of three runs or
    more for `EnergyDistance` and `MaximumMeanDiscrepancy`. Its minimum is consistent, and its
    standard errors, of a sandwich, are right for many data.

    Arguments: ``distance``, a member of `tumble.distances`, default `EnergyDistance`; ``joint``,
    default ``False``.

    Raises `DataError` for averages, which have no distribution; `CapabilityError` where distance
    and noise do not go together.

    When: snapshots, or many replicates, whose law is not told by two moments: two modes, many
    zeros. Where it is, `MomentMatching` is as precise and cheaper.

    Reference: that of the distance.
    """

    distance: AbstractDistance = field(default_factory=EnergyDistance)
    joint: bool = False
    costly: ClassVar[bool] = True
    beyond_moments: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_member(
            "distance", self.distance, AbstractDistance,
            "a member of tumble.distances such as EnergyDistance()",
        )  # fmt: skip
        require_flag("joint", self.joint)

    @property
    def loss_name(self) -> str:  # type: ignore[override]
        """What to call its value."""
        return self.distance.name

    @property
    def citations(self) -> tuple[str, ...]:  # type: ignore[override]
        """What to cite."""
        return self.distance.citations

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractOutputObjective.bind`."""
        if problem.kind == "mean":
            raise DataError(
                "distribution matching compares distributions, but averages (kind='mean') hold "
                "none; use objectives.MomentMatching()."
            )
        observed = [self._observe(binding) for binding in problem.bindings]
        total = sum(float(o.num_data.sum()) for o in observed)
        if total == 0:
            raise DataError("no time has data of all observables; use joint=False.")
        data = []
        for o in observed:
            rows, weight = len(o.target), o.weight * (o.num_data / total)[..., None]
            data.append(FeatureData(o.points, o.target.reshape(rows, -1), weight.reshape(rows, -1)))
        return BoundOutputs(self, problem, data, self.distance.loss(*stacked(data)))

    def features(self, law: DatumLaw, data: FeatureData, xp: Any) -> JaxArray:
        """See `AbstractOutputObjective.features`."""
        features = self.distance.features(law, data.center, xp)
        return features.reshape(*features.shape[:-2], -1)

    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, data: FeatureData, xp: Any
    ) -> JaxArray:
        """See `AbstractOutputObjective.gaussian_features`."""
        features = self.distance.gaussian_features(mean, covariance, data.center, xp)
        return features.reshape(*features.shape[:-2], -1)

    def _observe(self, binding: Binding) -> _Observed:
        values = binding.observed.values
        noises = [binding.observables[name].noise for name in binding.observed.names]
        if binding.exact_and_unknown and not self.distance.smooth:
            raise CapabilityError(
                f"observable {binding.exact_and_unknown[0]!r} is exact and depends on an unknown "
                "parameter, so that P(Y ≤ x) jumps as that parameter moves and has no gradient; "
                "give the observable its measurement noise, or use "
                "distances.MaximumMeanDiscrepancy()."
            )
        whole = np.array([n.counts for n in noises]) & _are_whole(values)
        positive = np.array([n.counts or n.positive for n in noises])
        points, weight = self.distance.grid(values, whole, positive, self.joint)
        space = binding.space
        middle = np.asarray(space.from_fit((space.lower + space.upper) / 2))
        law = binding.law(np.ones((1, *values.shape[1:])), middle)
        self.distance.features(law, points, np)  # raises where distance and noise do not agree
        target, variance, count = self._summaries(values, points)
        spread = (weight * variance).sum(-1)
        seen = count > 0
        typical = spread.sum(0) / np.maximum(seen.sum(0), 1)
        floored = np.maximum(spread, _FLOOR * typical)
        scale = np.where(floored > 0, floored, 1.0)
        return _Observed(points, target, weight / scale[..., None], count)

    def _summaries(
        self, values: FloatArray, points: Any
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return mean and variance [T, G, K] of the features of data, and their number [T, G]."""
        first: Any = 0.0
        second: Any = 0.0
        count: Any = 0.0
        for start in range(0, len(values), _ROWS):
            law = DatumLaw.known(values[start : start + _ROWS])
            features = np.asarray(self.distance.features(law, points, np))
            present = np.isfinite(features)
            safe = np.where(present, features, 0.0)
            first, second = first + safe.sum(0), second + (safe**2).sum(0)
            count = count + present.sum(0)
        mean = first / np.maximum(count, 1)
        return mean, second / np.maximum(count, 1) - mean**2, count[..., 0]


class _Observed(NamedTuple):
    """Of one experiment: the points; target and weight [T, G, K]; number of data [T, G]."""

    points: Any
    target: FloatArray
    weight: FloatArray
    num_data: FloatArray


def _are_whole(values: FloatArray) -> BoolArray:
    """Return which observables [O] of data [N, T, O] are whole numbers throughout."""
    return np.all(~np.isfinite(values) | (values == np.rint(values)), axis=(0, 1))

"""Several estimators, averaged by what each is worth for each parameter."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, is_number, shown
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._base import AbstractEstimator, require_estimators
from tumble.gradients._estimate import GradientEstimate, SampledJacobian
from tumble.objectives import BoundOutputs
from tumble.simulators import AbstractSimulator

_ITERATIONS = 200
_LEAST_SHARE = 0.02
# A pilot may see no variance where there is some: it is taken to be this part of the largest.
_LEAST_VARIANCE = 1e-4


@dataclass(frozen=True)
class Pooled(AbstractEstimator):
    """Σ_k w_kj g_kj: the estimates g_k of several members, with weights for each parameter j.

    Definition: a share of the runs goes to pilots, one a member, which measure variances V_kj for
    a run. The other runs are divided among the members such that the predicted variance of the
    pool, Σ_j 1 / Σ_k n_k / V_kj for n_k runs each, is least, and their estimates are averaged with
    weights w_kj in proportion to n_k / V_kj. What the pilots estimated is not used.

    Guarantee: that of its members together, since the weights do not depend on the runs that are
    averaged: unbiased if they all are.

    Arguments: ``members``, two estimators or more; ``pilot``, the share of the runs for pilots, all
    together, default 0.1. They count as runs.

    When: one member is good at some parameters and another at others, as scores at reactions that
    fire rarely and coupled differences at those that fire often. Not otherwise: a pool never beats
    a member that is best at every parameter, and pays for the pilots; `Auto` takes that one.

    References: Cochran, Biometrics 10 (1954), doi:10.2307/3001666 (weights by variance); Silvey,
    Titterington, Torsney, Commun. Stat. Theory Methods 7 (1978), doi:10.1080/03610927808827719
    (how the runs are divided).
    """

    members: Sequence[AbstractEstimator]
    pilot: float = 0.1
    requires: ClassVar[type] = AbstractSimulator
    unbiased: ClassVar[bool] = False
    guarantee: ClassVar[str] = "that of its members together"
    divisible: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_estimators("members", self.members, 2)
        object.__setattr__(self, "members", tuple(self.members))
        if not (is_number(self.pilot) and 0 < self.pilot < 1):
            raise ParameterError(
                f"`pilot` is {shown(self.pilot)}, expected a share between 0 and 1."
            )

    def check(self, objective: BoundOutputs) -> None:
        """Raise `CapabilityError` unless the problem's simulator can serve all members."""
        for member in self.members:
            member.check(objective)

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`: one sample of each member."""
        return sum(member.runs_per_sample(objective) for member in self.members)

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """Draw joint samples of each member, and average them with equal weights."""
        drawn = [
            member.sample(objective, z, num_samples, stream.child("member", k), executor)
            for k, member in enumerate(self.members)
        ]
        return SampledJacobian(
            np.mean([d.features for d in drawn], axis=0),
            np.mean([d.jacobians for d in drawn], axis=0),
            sum(d.num_runs for d in drawn),
            sum(d.num_events for d in drawn),
        )

    def estimate(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_runs: int,
        stream: Stream,
        executor: Any = None,
    ) -> GradientEstimate:
        """See `AbstractEstimator.estimate`. Every member draws four joint samples or more."""
        self.check(objective)
        began = time.perf_counter()
        each = int(self.pilot * num_runs / len(self.members))
        pilots = [
            member.estimate(objective, z, each, stream.child("pilot", k), executor)
            for k, member in enumerate(self.members)
        ]
        # Of a run, [K, P]
        variances = _floored(np.stack([np.diag(p.covariance) * p.num_runs for p in pilots]))
        shares = divide(variances)
        left = num_runs - sum(p.num_runs for p in pilots)
        used = [int(k) for k in np.flatnonzero(shares)]
        found = []
        for k in used:
            branch, runs = stream.child("member", k), int(left * shares[k])
            found.append(self.members[k].estimate(objective, z, runs, branch, executor))
        of_value = _floored(np.array([p.value_variance * p.num_runs for p in pilots]))
        counts = np.array([f.num_runs for f in found], dtype=float)
        return _combine(
            found,
            pilots,
            _normalized(counts[:, None] / variances[used]),
            _normalized(counts / of_value[used]),
            time.perf_counter() - began,
        )


def divide(variances: FloatArray) -> FloatArray:
    """Return the shares of runs [K] that make Σ_j 1 / Σ_k s_k / V_kj least, for V [K, P].

    By multiplicative steps, each of which makes it less; shares below 0.02 are rounded to none.
    """
    precision = 1 / variances
    shares = np.full(len(variances), 1 / len(variances))
    for _ in range(_ITERATIONS):
        shares = shares * np.sqrt((precision / (shares @ precision) ** 2).sum(axis=1))
        shares /= shares.sum()
    shares[shares < _LEAST_SHARE] = 0.0
    return shares / shares.sum()


def _combine(
    found: list[GradientEstimate],
    pilots: list[GradientEstimate],
    weights: FloatArray,
    of_value: FloatArray,
    seconds: float,
) -> GradientEstimate:
    """Average gradients with ``weights`` [K, P], values ``of_value`` [K], curvatures by runs."""
    by_runs = np.array([f.num_runs for f in found]) / sum(f.num_runs for f in found)
    curvature = [f.curvature for f in found if f.curvature is not None]
    noise = [f.curvature_noise for f in found if f.curvature_noise is not None]
    majorant = [f.majorant for f in found if f.majorant is not None]
    return GradientEstimate(
        float(of_value @ [f.value for f in found]),
        float(of_value**2 @ [f.value_variance for f in found]),
        (weights * np.stack([f.gradient for f in found])).sum(axis=0),
        np.einsum("ki,kij,kj->ij", weights, np.stack([f.covariance for f in found]), weights),
        np.tensordot(by_runs, np.stack(curvature), axes=1) if curvature else None,
        np.tensordot(by_runs, np.stack(noise), axes=1) if noise else None,
        sum(f.num_runs for f in [*found, *pilots]),
        sum(f.work for f in [*found, *pilots]),
        seconds,
        found[0].remaining_bias,
        np.tensordot(by_runs, np.stack(majorant), axes=1) if majorant else None,
    )


def _floored(variances: FloatArray) -> FloatArray:
    """Return variances [K, ...] of which none is zero, and all 1 where all were."""
    largest = variances.max(axis=0)
    return np.maximum(variances, np.where(largest > 0, _LEAST_VARIANCE * largest, 1.0))


def _normalized(weights: FloatArray) -> FloatArray:
    return weights / weights.sum(axis=0)

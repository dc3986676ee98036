"""The gradient of the linear-noise approximation of a loss, without a single run."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tumble._errors import SimulationError, require_member
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._base import AbstractEstimator
from tumble.gradients._estimate import GradientEstimate, SampledJacobian
from tumble.objectives import BoundOutputs
from tumble.objectives._surrogate import Surrogate
from tumble.simulators import AbstractSimulator, LinearNoise

_NOT_FINITE = (
    "the mean-field moments are not finite here: the solver gave up, or a population explodes; "
    "move the parameters, or use an estimator that simulates."
)


@dataclass(frozen=True)
class MeanField(AbstractEstimator):
    """∂E[f]/∂z of the mean-field equations and the linear noise around them.

    Definition: means and covariances of the species follow ordinary differential equations (see
    `LinearNoise`), which are solved together with their derivatives in the parameters; features
    have the expectation that they have for observables with these means and variances.

    Guarantee: deterministic, with covariance zero. Exact for networks of first-order reactions and
    observables linear in the state; otherwise off by the error of the approximation, of the order
    of one over the number of copies, and more where populations die out or have two states. That
    error does not show in standard errors; `audit_gradient` measures it.

    Arguments: ``method``, a `LinearNoise`, which has the tolerance of the solver.

    When: to come near a minimum at no cost in runs, and to see by comparison what noise does. Not
    for estimates, nor for intervals. As a control variate it is of no use: it is the same for every
    run, so it is correlated with none.

    Reference: Komorowski et al., BMC Bioinformatics 10 (2009), doi:10.1186/1471-2105-10-343.
    """

    method: LinearNoise = field(default_factory=LinearNoise)
    requires: ClassVar[type] = AbstractSimulator
    unbiased: ClassVar[bool] = False
    proven: ClassVar[bool] = False
    divisible: ClassVar[bool] = False
    guarantee: ClassVar[str] = "exact for the linear-noise approximation, whose error is unknown"

    def __post_init__(self) -> None:
        require_member("method", self.method, LinearNoise, "a LinearNoise()")

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """Return 1, as an estimator must; no runs are made."""
        return 1

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """Return the expected features and their derivatives, ``num_samples`` times."""
        moments, slopes = Surrogate(self.method, objective).moments(np.asarray(z, dtype=float))
        if not (np.all(np.isfinite(moments)) and np.all(np.isfinite(slopes))):
            raise SimulationError(_NOT_FINITE)
        n = num_samples
        return SampledJacobian(
            np.broadcast_to(moments, (n, *moments.shape)),
            np.broadcast_to(slopes, (n, *slopes.shape)),
            0,
            0,
        )

    def estimate(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_runs: int,
        stream: Stream,
        executor: Any = None,
    ) -> GradientEstimate:
        """Return loss and gradient at z [P] of the approximation.

        No runs are made, but one is counted, so that optimizers can weigh it and budgets end.

        Raises `CapabilityError` for networks with variables or events, `SimulationError` where the
        moments are not finite.
        """
        began = time.perf_counter()
        found = Surrogate(self.method, objective).evaluate(np.asarray(z, dtype=float)[None])
        if not np.isfinite(found.values[0]):
            raise SimulationError(_NOT_FINITE)
        size = len(z)
        curvature = None if found.curvatures is None else found.curvatures[0]
        return GradientEstimate(
            float(found.values[0]),
            0.0,
            found.gradients[0],
            np.zeros((size, size)),
            curvature,
            None if curvature is None else np.zeros((size, size)),
            1,
            0.0,
            time.perf_counter() - began,
        )

"""Central finite differences of coupled runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._base import AbstractEstimator
from tumble.gradients._directions import AbstractDirections, CoordinateDirections
from tumble.gradients._estimate import SampledJacobian
from tumble.gradients._perturbation import (
    Perturbation,
    coupled_runs,
    require_directions,
    require_step,
    sample_differences,
)
from tumble.objectives import BoundOutputs
from tumble.simulators import SupportsCoupling


@dataclass(frozen=True)
class CoupledDifference(AbstractEstimator):
    """∂E[f]/∂z_j ≈ E[f(X⁺) − f(X⁻)] / (z_j⁺ − z_j⁻) with X⁺ and X⁻ coupled.

    Definition: runs at z_j ± ε are pairs of the simulator's own coupling. With `DirectMethod` that
    is the split coupling: reaction r fires in both at rate min(a, a'), the excess apart. With
    `NextReactionMethod` it is the common reaction path: each reaction has one clock for both. Where
    z_j ± ε leaves the bounds it is cut there (one-sided).

    By default one parameter after another is moved. With random ``directions`` all are moved at
    once, z ± ε u, and a pair costs two runs whatever P; the quotient times u is then a gradient on
    average, with the noise of the directions added.

    Guarantee: bias O(ε²) in the interior, O(ε) at a bound; unbiased for the difference quotient at
    every batch size of four or more.

    Arguments: ``step``, ε on the fit scale (log and logit), or as a fraction of half the width of
    the bounds (linear), default 0.02; ``directions``, `CoordinateDirections` (default),
    `RademacherDirections`, `OrthogonalDirections` or `GaussianDirections`.

    When: large populations, few parameters. Not for many parameters one after another: a sample
    costs two runs for each.

    References: Anderson, SIAM J. Numer. Anal. 50 (2012), doi:10.1137/110849079 (split coupling);
    Rathinam, Sheppard, Khammash, J. Chem. Phys. 132 (2010), doi:10.1063/1.3280166 (common reaction
    path).
    """

    step: float = 0.02
    directions: AbstractDirections = field(default_factory=CoordinateDirections)
    requires: ClassVar[type] = SupportsCoupling
    unbiased: ClassVar[bool] = False
    guarantee: ClassVar[str] = "bias of the order of its step squared"
    law_evaluations: ClassVar[tuple[float, float]] = (2.0, 0.0)

    def __post_init__(self) -> None:
        require_step(self.step)
        require_directions(self.directions)

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`."""
        return 2 * Perturbation.count_of(objective, self.directions)

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        perturbation = Perturbation.of(objective, z, self.step, self.directions)
        return sample_differences(
            objective, perturbation, num_samples, stream, executor, coupled_runs
        )

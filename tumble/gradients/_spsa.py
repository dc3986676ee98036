"""Simultaneous perturbation: differences along random signs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from tumble._errors import require_flag
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._directions import RademacherDirections
from tumble.gradients._estimate import SampledJacobian
from tumble.gradients._perturbation import (
    Perturbation,
    common_runs,
    independent_runs,
    sample_differences,
)
from tumble.gradients._smoothing import AbstractSmoothing
from tumble.objectives import BoundOutputs

_DIRECTIONS = RademacherDirections()


@dataclass(frozen=True)
class SPSA(AbstractSmoothing):
    """∂E[f]/∂z_j ≈ E[(f(X at z + cΔ) − f(X at z − cΔ)) / 2cΔ_j] with independent random signs Δ.

    Definition: simultaneous perturbation, two-sided; one pair of runs serves all parameters. It
    differs from `GaussianSmoothing` in that every step has the same length, which leaves less noise
    of the directions: with gradient g a variance of |g|² − g_j² for component j of a pair, instead
    of |g|² + g_j². Parameters of observables and noise are not perturbed, their derivatives are
    explicit. Where z_j ± c leaves the bounds it is cut there (one-sided).

    Guarantee: bias O(c²) in the interior, O(c) at a bound; unbiased, at every batch size of four
    or more, for the loss and the average difference quotient of the expectations at z ± cΔ.
    Consistent as the number of runs grows, with the default schedule.

    Arguments: ``step``, c on the fit scale (log and logit), or as a fraction of half the width of
    the bounds (linear), default 0.2; ``schedule``, how c shrinks for estimates from many runs,
    default `ShrinkingStep`; ``common``, whether the two sides of a pair are runs of the same id,
    with the same random numbers, as in `GaussianSmoothing`, default ``True``.

    When: black boxes with many parameters and few runs a step. Not for precise gradients, nor where
    the simulator offers scores or pairs.

    Reference: Spall, IEEE Trans. Autom. Control 37 (1992), doi:10.1109/9.119632.
    """

    common: bool = True
    guarantee: ClassVar[str] = "bias of the order of its step squared"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_flag("common", self.common)

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`."""
        return 2

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        step = self.tuned(2 * num_samples).step
        perturbation = Perturbation.of(objective, z, step, _DIRECTIONS)
        run = common_runs if self.common else independent_runs
        return sample_differences(objective, perturbation, num_samples, stream, executor, run)

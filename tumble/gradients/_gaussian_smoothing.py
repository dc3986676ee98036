"""Gradients of a loss that is smoothed with a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tumble._errors import ParameterError, require_flag
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._directions import AbstractDirections, OrthogonalDirections
from tumble.gradients._estimate import SampledJacobian
from tumble.gradients._perturbation import (
    Perturbation,
    common_runs,
    independent_runs,
    require_directions,
    sample_differences,
)
from tumble.gradients._smoothing import AbstractSmoothing
from tumble.objectives import BoundOutputs


@dataclass(frozen=True)
class GaussianSmoothing(AbstractSmoothing):
    """∂E[f]/∂z ≈ E[(f(X at z + σu) − f(X at z − σu)) u] / 2σ with standard normal u.

    Definition: with m(z) = E[f(X)] the features are those of m_σ(z) = E m(z + σu), and their
    derivative is exactly that of m_σ (Stein's identity). Only parameters that move the states are
    perturbed; derivatives in parameters of observables and noise are explicit. Points outside the
    bounds are moved to the nearest inside, and differences are divided by the probability that a
    coordinate stays inside, so that a bound does not damp the gradient.

    Guarantee: unbiased, at every batch size of four joint samples or more, for the gradient of the
    loss of the smoothed expectations m_σ; for a loss that is linear in them, such as
    `ExpectedLoss`, that is the smoothed loss. Against the loss itself a bias of O(σ²), of O(σ)
    within a few σ of a bound. Consistent as the number of runs grows, with the default schedule.

    Arguments: ``step``, σ on the fit scale (log and logit), or as a fraction of half the width of
    the bounds (linear), default 0.2; ``schedule``, how σ shrinks for estimates from many runs,
    default `ShrinkingStep`; ``directions``, `OrthogonalDirections` (default) or
    `GaussianDirections`; ``common``, whether the two sides of a pair are runs of the same id, with
    the same random numbers, default ``True``. What that makes them share is the simulator's affair:
    with `NextReactionMethod` the clock of each reaction, with `Langevin` the noise of each, with
    `DirectMethod` the sequence of uniforms, which soon mean different things on the two sides.
    For pairs under a simulator's own coupling take `CoupledDifference`, which has directions, too.

    When: simulators that offer nothing but samples (`TauLeaping`, `Langevin`, black boxes), rates
    that depend on time, events; losses with steps and kinks. Not for precise optima, nor where the
    directions make most of the noise: with gradient g they alone add |g|² + g_j² to the variance of
    component j of a pair, which is what is left of it in large populations.

    References: Nesterov, Spokoiny, Found. Comput. Math. 17 (2017), doi:10.1007/s10208-015-9296-2;
    Kreikemeyer, Andelfinger, arXiv (2023), doi:10.48550/arXiv.2310.03585 (in simulation).
    """

    directions: AbstractDirections = field(default_factory=OrthogonalDirections)
    common: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_flag("common", self.common)
        require_directions(self.directions)
        if not self.directions.is_normal:
            raise ParameterError(
                f"`directions` is {self.directions}, but smoothing with a Gaussian needs normal "
                "ones: OrthogonalDirections() or GaussianDirections(); or use SPSA."
            )

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
        step = self.tuned(num_samples * self.runs_per_sample(objective)).step
        perturbation = Perturbation.of(objective, z, step, self.directions)
        run = common_runs if self.common else independent_runs
        return sample_differences(objective, perturbation, num_samples, stream, executor, run)

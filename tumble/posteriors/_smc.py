"""Sequential Monte Carlo: ever nearer, generation by generation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tumble._errors import (
    ParameterError,
    SimulationError,
    require_flag,
    require_member,
    require_whole,
    shown,
)
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import (
    AbstractPosteriorMethod,
    Generation,
    Particles,
    PosteriorTask,
    State,
)
from tumble.posteriors._kernels import AbstractKernel, LocalNormal, Mixture

_FOR_SCALE = 10_000  # summaries of a generation that are kept to take the scale from
_SAFETY = 1.2  # times the data sets that are expected to be needed, in a batch
_SHRINKS = 1e-4  # by which share a tolerance has to fall
_COLLAPSED = 0.1  # of the acceptance that ends it, where a generation is given up
_ALL_FAIL = 2000  # data sets of which one has to be well


@dataclass(frozen=True)
class SMCABC(AbstractPosteriorMethod):
    """Sequential Monte Carlo ABC, with tolerances and distances that adapt.

    Definition: the first generation are draws from the prior. Every later one accepts data sets
    nearer than the ``quantile`` of the last one's distances; parameters are proposed by ``kernel``
    around the particles of the last generation, and weighted by prior over proposal. The scale of
    summaries is that of all data sets of the last generation. It ends where fewer than
    ``min_acceptance`` of the proposals are accepted, where the tolerance is reached or all are
    equally far, or the budget is spent.

    Guarantee: weighted draws from p(θ | distance ≤ tolerance), exact for the posterior as the
    tolerance goes to 0 and the summary is sufficient. ``adjustment`` moves them on; see there.
    Memory does not grow with generations.

    Arguments: ``num_particles``, default 1,000; ``quantile`` in (0, 1), default 0.5;
    ``min_acceptance``, default 0.02; ``tolerance`` at which to stop, default 0;
    ``max_generations``, default 50; ``adapts_distance``, default True, else the scale of summaries
    stays that of the first generation; ``kernel``, default `LocalNormal`; ``adjustment``, default
    `LocalLinear`, or None.

    References: Toni et al., J. R. Soc. Interface 6 (2009), doi:10.1098/rsif.2008.0172; Beaumont et
    al., Biometrika 96 (2009), doi:10.1093/biomet/asp052 (weights); Del Moral, Doucet, Jasra, Stat.
    Comput. 22 (2012), doi:10.1007/s11222-011-9271-y (adaptive tolerances); Prangle, Bayesian
    Analysis 12 (2017), doi:10.1214/16-BA1002 (adaptive distances).
    """

    num_particles: int = 1000
    quantile: float = 0.5
    min_acceptance: float = 0.02
    tolerance: float = 0.0
    max_generations: int = 50
    adapts_distance: bool = True
    kernel: AbstractKernel = field(default_factory=LocalNormal)
    adjustment: LocalLinear | None = field(default_factory=LocalLinear)

    def __post_init__(self) -> None:
        for name in ("num_particles", "max_generations"):
            require_whole(name, getattr(self, name))
        if self.num_particles < 10:
            raise ParameterError(f"`num_particles` is {self.num_particles}, expected at least 10.")
        for name in ("quantile", "min_acceptance"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < 1):
                raise ParameterError(f"`{name}` is {shown(value)}, expected between 0 and 1.")
        if not (isinstance(self.tolerance, (int, float)) and 0 <= self.tolerance < np.inf):
            raise ParameterError(f"`tolerance` is {shown(self.tolerance)}, expected ≥ 0.")
        require_flag("adapts_distance", self.adapts_distance)
        require_member("kernel", self.kernel, AbstractKernel, "such as LocalNormal()")

    def init(self, task: PosteriorTask) -> State:
        """See `AbstractPosteriorMethod.init`: particles from the prior."""
        width = len(task.comparison.observed)
        nothing = Particles(
            np.empty((0, task.problem.space.size)), np.empty(0), np.empty((0, width)), np.empty(0)
        )
        proposals = _FromPrior(task)
        state = State(nothing, np.ones(width))
        return self._generation(task, state, proposals, np.inf, 1.0)

    def step(self, task: PosteriorTask, state: State) -> State:
        """See `AbstractPosteriorMethod.step`: one generation."""
        last, particles = state.generations[-1], state.particles
        distances = particles.distances
        if distances.max() <= self.tolerance:
            return state.ended(ResultCode.SUCCESS, f"the tolerance is {distances.max():.3g}")
        if len(state.generations) > self.max_generations:
            return state.ended(ResultCode.MAX_STEPS, f"{self.max_generations} generations are over")
        if last.acceptance < self.min_acceptance:
            return state.ended(
                ResultCode.SUCCESS,
                f"of {last.num_simulated:,} data sets {100 * last.acceptance:.2g} % were accepted "
                f"at the tolerance {last.tolerance:.3g}; nearer ones would cost more",
            )
        tolerance = _quantile(distances, particles.weights, self.quantile)
        below = distances[distances < distances.max() * (1 - _SHRINKS)]
        if not len(below):
            return state.ended(
                ResultCode.SUCCESS, f"all data sets are at the same distance, {tolerance:.3g}"
            )
        # Of counts, half and more may be at the largest distance that there is.
        tolerance = max(min(tolerance, float(below.max())), self.tolerance)
        near = distances <= tolerance
        mixture = Mixture(
            particles.z, particles.weights,
            self.kernel.covariances(particles.z, particles.weights, near),
        )  # fmt: skip
        acceptance = last.acceptance * self.quantile if np.isfinite(last.tolerance) else 1.0
        return self._generation(task, state, _FromParticles(task, mixture), tolerance, acceptance)

    def progress(self, state: State) -> float:
        """See `AbstractPosteriorMethod.progress`: on the scale of logarithms of acceptance."""
        last = state.generations[-1].acceptance if state.generations else 1.0
        return min(np.log(max(last, 1e-12)) / np.log(self.min_acceptance), 1.0)

    # -- private -----------------------------------------------------

    def _generation(
        self,
        task: PosteriorTask,
        state: State,
        proposals: _FromPrior | _FromParticles,
        tolerance: float,
        acceptance: float,
    ) -> State:
        """Return the state after one generation; the old one, ended, where it is given up."""
        wanted, first = self.num_particles, state.num_simulated
        at, failed, taken = first, 0, 0
        z_kept: list[FloatArray] = []
        s_kept: list[FloatArray] = []
        seen: list[FloatArray] = []
        least = self.min_acceptance * _COLLAPSED
        while taken < wanted:
            if task.spending.exhausted:
                if not state.generations:
                    raise SimulationError(
                        "the budget was spent before the first generation was full; raise it."
                    )
                return replace(state, num_simulated=at, num_failed=state.num_failed + failed).ended(
                    ResultCode.OUT_OF_BUDGET, "the budget is spent amid a generation, which is lost"
                )
            if failed == at - first >= _ALL_FAIL:
                raise SimulationError(
                    f"all of the first {failed:,} data sets failed; check the bounds and priors of "
                    "the parameters."
                )
            if state.generations and taken < (at - first) * least - 1:
                return replace(state, num_simulated=at, num_failed=state.num_failed + failed).ended(
                    ResultCode.SUCCESS,
                    f"acceptance collapsed: of {at - first:,} data sets {taken} were nearer than "
                    f"{tolerance:.3g}; what is kept is the generation before",
                )
            count = int(np.ceil(_SAFETY * (wanted - taken) / max(acceptance, 1e-3)))
            count = task.affordable(int(np.clip(count, 100, task.data_sets.at_once)))
            z = proposals.drawn(count, task.stream.child("generation", at).numpy())
            summaries, num_failed = task.tried(z, at)
            distances = task.comparison.distances(summaries, state.scale)
            well = np.isfinite(distances)
            near = np.flatnonzero(well & (distances <= tolerance))
            z_kept.append(z[near])
            s_kept.append(summaries[near])
            if sum(len(some) for some in seen) < _FOR_SCALE:
                seen.append(summaries[well])
            at, failed, taken = at + len(z), failed + num_failed, taken + len(near)
            acceptance = max(taken / (at - first), 1e-4)
        scale = state.scale
        if self.adapts_distance or not state.generations:
            scale = task.comparison.scale(np.concatenate(seen)[:_FOR_SCALE])
        z, summaries = np.concatenate(z_kept)[:wanted], np.concatenate(s_kept)[:wanted]
        weights = proposals.weights(z)
        particles = Particles(z, weights, summaries, task.comparison.distances(summaries, scale))
        done = Generation(tolerance, at - first, taken / (at - first),
                          particles.effective_sample_size)  # fmt: skip
        return State(particles, scale, (*state.generations, done), at, state.num_failed + failed)


class _FromPrior:
    """Proposals of the first generation. Final."""

    def __init__(self, task: PosteriorTask) -> None:
        self._prior = task.prior

    def drawn(self, count: int, rng: np.random.Generator) -> FloatArray:
        return self._prior.sample(count, rng)

    def weights(self, z: FloatArray) -> FloatArray:
        return np.full(len(z), 1 / len(z))


class _FromParticles:
    """Proposals of later generations: around particles, where the prior allows any. Final."""

    def __init__(self, task: PosteriorTask, mixture: Mixture) -> None:
        self._prior, self._mixture = task.prior, mixture

    def drawn(self, count: int, rng: np.random.Generator) -> FloatArray:
        kept: list[FloatArray] = []
        while sum(len(some) for some in kept) < count:
            z = self._mixture.sample(count, rng)
            kept.append(z[np.isfinite(self._prior.log_density(z))])
        return np.concatenate(kept)[:count]

    def weights(self, z: FloatArray) -> FloatArray:
        logs = self._prior.log_density(z) - self._mixture.log_density(z)
        weights = np.exp(logs - logs.max())
        return np.asarray(weights / weights.sum())


def _quantile(values: FloatArray, weights: FloatArray, level: float) -> float:
    """Return the quantile of weighted values."""
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    at = min(int(np.searchsorted(total, level * total[-1])), len(values) - 1)
    return float(values[order[at]])

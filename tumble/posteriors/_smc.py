"""Sequential Monte Carlo ABC."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

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
from tumble.posteriors._abc import (
    ABCState,
    AbstractABC,
    AbstractABCSampler,
    Generation,
    Particles,
    require_some,
)
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._joint_prior import JointPrior
from tumble.posteriors._kernels import AbstractKernel, LocalNormal, Mixture
from tumble.posteriors._summaries import AbstractSummary

_FOR_SCALE = 20_000  # data sets, at most about, to take the scale from
_SAFETY = 1.2  # times the data sets that are expected to be needed, in a batch
_SHRINKS = 1e-4  # by which share a tolerance has to fall
_FEWEST = 10  # particles
_ALL_FAIL = 2000  # data sets of which one has to be well
_COLLAPSED = 0.1  # of the acceptance that ends it, where a generation is given up


@dataclass(frozen=True)
class SMCABC(AbstractABC):
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
    stays that of the first generation; ``kernel``, default `LocalNormal`; ``summary`` of a data set
    that is compared, default by the data, see `default_summary`; ``adjustment``, default
    `LocalLinear`, or None.

    References: Toni et al., J. R. Soc. Interface 6 (2009), doi:10.1098/rsif.2008.0172; Beaumont et
    al., Biometrika 96 (2009), doi:10.1093/biomet/asp052 (weights); Del Moral, Doucet, Jasra, Stat.
    Comput. 22 (2012), doi:10.1007/s11222-011-9271-y (adaptive tolerances); Prangle, Bayesian
    Analysis 12 (2017), doi:10.1214/16-BA1002 (adaptive distances).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Toni et al., J. R. Soc. Interface 6 (2009), doi:10.1098/rsif.2008.0172",
        "Del Moral, Doucet, Jasra, Stat. Comput. 22 (2012), doi:10.1007/s11222-011-9271-y",
    )
    num_particles: int = 1000
    quantile: float = 0.5
    min_acceptance: float = 0.02
    tolerance: float = 0.0
    max_generations: int = 50
    adapts_distance: bool = True
    kernel: AbstractKernel = field(default_factory=LocalNormal)
    summary: AbstractSummary | None = None
    adjustment: LocalLinear | None = field(default_factory=LocalLinear)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("num_particles", "max_generations"):
            require_whole(name, getattr(self, name))
        if self.num_particles < _FEWEST:
            raise ParameterError(
                f"`num_particles` is {self.num_particles}, expected at least {_FEWEST}."
            )
        for name in ("quantile", "min_acceptance"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and 0 < value < 1):
                raise ParameterError(f"`{name}` is {shown(value)}, expected between 0 and 1.")
        if not (isinstance(self.tolerance, (int, float)) and 0 <= self.tolerance < np.inf):
            raise ParameterError(f"`tolerance` is {shown(self.tolerance)}, expected ≥ 0.")
        require_flag("adapts_distance", self.adapts_distance)
        require_member("kernel", self.kernel, AbstractKernel, "such as LocalNormal()")

    def bind(self, task: PosteriorTask) -> SMCSampler:
        """See `AbstractPosteriorMethod.bind`."""
        return SMCSampler(self, task)


class SMCSampler(AbstractABCSampler):
    """`SMCABC` of one problem. Final."""

    def __init__(self, method: SMCABC, task: PosteriorTask) -> None:
        super().__init__(method, task)
        self._method = method

    def init(self) -> ABCState:
        """See `AbstractSampler.init`: particles from the prior."""
        return self._generation(self.nothing(), _FromPrior(self.task.prior), np.inf, 1.0)

    def step(self, state: ABCState) -> ABCState:
        """See `AbstractSampler.step`: one generation."""
        reason = self._done(state)
        if reason:
            return state.ended(ResultCode.SUCCESS, reason)
        if len(state.rounds) > self._method.max_generations:
            return state.ended(
                ResultCode.MAX_STEPS, f"{self._method.max_generations} generations are over"
            )
        particles, last = state.particles, state.rounds[-1]
        tolerance = self._next_tolerance(particles)
        if tolerance is None:
            return state.ended(
                ResultCode.SUCCESS,
                f"all data sets are at the same distance, {particles.distances.max():.3g}",
            )
        near = particles.distances <= tolerance
        mixture = Mixture(
            particles.z, particles.weights,
            self._method.kernel.covariances(particles.z, particles.weights, near),
        )  # fmt: skip
        expected = last.acceptance * self._method.quantile if np.isfinite(last.tolerance) else 1.0
        proposals = _FromParticles(self.task.prior, mixture)
        return self._generation(state, proposals, tolerance, expected)

    def progress(self, state: ABCState) -> float:
        """See `AbstractSampler.progress`: on the scale of logarithms of acceptance."""
        last = state.rounds[-1].acceptance if state.rounds else 1.0
        return min(np.log(max(last, 1e-12)) / np.log(self._method.min_acceptance), 1.0)

    # -- private -----------------------------------------------------

    def _done(self, state: ABCState) -> str:
        """Return why nothing more is to be gained, empty where something is."""
        last, top = state.rounds[-1], state.particles.distances.max()
        if top <= self._method.tolerance:
            return f"the tolerance is {top:.3g}"
        if last.acceptance < self._method.min_acceptance:
            return (
                f"of {last.num_simulated:,} data sets {100 * last.acceptance:.2g} % were accepted "
                f"at the tolerance {last.tolerance:.3g}; nearer ones would cost more"
            )
        return ""

    def _next_tolerance(self, particles: Particles) -> float | None:
        """Return the tolerance of the next generation, None where it cannot fall."""
        distances = particles.distances
        below = distances[distances < distances.max() * (1 - _SHRINKS)]
        if not len(below):
            return None
        # Of counts, half and more may be at the largest distance that there is.
        wanted = _quantile(distances, particles.weights, self._method.quantile)
        return max(min(wanted, float(below.max())), self._method.tolerance)

    def _generation(
        self, state: ABCState, proposals: _FromPrior | _FromParticles, tolerance: float,
        expected: float,
    ) -> ABCState:  # fmt: skip
        """Return the state after one generation; the old one, ended, where it is given up.

        ``expected``: what share of data sets are thought to be accepted.
        """
        wanted = self._method.num_particles
        batch = _Accepted(state.num_simulated)
        while batch.taken < wanted:
            end = self._given_up(state, batch, tolerance)
            if end is not None:
                return replace(
                    state, num_simulated=batch.at, num_failed=state.num_failed + batch.failed
                ).ended(*end)
            share = max(batch.acceptance if batch.tried else expected, 1e-3)
            count = int(np.ceil(_SAFETY * (wanted - batch.taken) / share))
            self._try(batch, max(count, 100), proposals, tolerance, state.scale)
        scale = state.scale
        if self._method.adapts_distance or not state.rounds:
            scale = self.comparison.scale(np.concatenate(batch.seen)[:_FOR_SCALE])
        z = np.concatenate(batch.z)[:wanted]
        summaries = np.concatenate(batch.summaries)[:wanted]
        particles = Particles(
            z, proposals.weights(z), summaries, self.comparison.distances(summaries, scale)
        )
        done = Generation(tolerance, batch.tried, batch.acceptance, particles.effective_sample_size)
        return ABCState(
            particles=particles, scale=scale, rounds=(*state.rounds, done),
            num_simulated=batch.at, num_failed=state.num_failed + batch.failed,
        )  # fmt: skip

    def _given_up(
        self, state: ABCState, batch: _Accepted, tolerance: float
    ) -> tuple[ResultCode, str] | None:
        """Return how it ends amid a generation, or None. Raises `SimulationError` in the first."""
        if batch.tried >= _ALL_FAIL:
            require_some(batch.tried - batch.failed, batch.tried)
        if self.task.spending.exhausted:
            if not state.rounds:
                raise SimulationError(
                    "the budget was spent before the first generation was full; raise it."
                )
            return ResultCode.OUT_OF_BUDGET, "the budget is spent amid a generation, which is lost"
        least = self._method.min_acceptance * _COLLAPSED
        if state.rounds and batch.taken < batch.tried * least - 1:
            return ResultCode.SUCCESS, (
                f"acceptance collapsed: of {batch.tried:,} data sets {batch.taken} were nearer "
                f"than {tolerance:.3g}; what is kept is the generation before"
            )
        return None

    def _try(
        self, batch: _Accepted, count: int, proposals: _FromPrior | _FromParticles,
        tolerance: float, scale: FloatArray,
    ) -> None:  # fmt: skip
        """Simulate data sets, and add those that are near."""
        rng = self.task.stream.child("generation", batch.at).numpy()
        z = proposals.drawn(self.simulated.affordable(count), rng)
        summaries, failed = self.simulated.tried(z, batch.at)
        distances = self.comparison.distances(summaries, scale)
        well = np.isfinite(distances)
        near = np.flatnonzero(well & (distances <= tolerance))
        batch.z.append(z[near])
        batch.summaries.append(summaries[near])
        if sum(len(some) for some in batch.seen) < _FOR_SCALE:
            batch.seen.append(summaries[well])
        batch.at, batch.failed = batch.at + len(z), batch.failed + failed
        batch.taken += len(near)


@dataclass
class _Accepted:
    """What a generation has so far. Final.

    Parameters ``z`` and ``summaries`` that were accepted, ``seen`` of all; the number ``at`` of the
    next data set; ``failed`` and ``taken``.
    """

    at: int
    failed: int = 0
    taken: int = 0
    z: list[FloatArray] = field(default_factory=list)
    summaries: list[FloatArray] = field(default_factory=list)
    seen: list[FloatArray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._first = self.at

    @property
    def tried(self) -> int:
        """Data sets of this generation."""
        return self.at - self._first

    @property
    def acceptance(self) -> float:
        """The share of data sets that was accepted; 0 before there are any."""
        return self.taken / self.tried if self.tried else 0.0


class _FromPrior:
    """Proposals of the first generation. Final."""

    def __init__(self, prior: JointPrior) -> None:
        self._prior = prior

    def drawn(self, count: int, rng: np.random.Generator) -> FloatArray:
        return self._prior.sample(count, rng)

    def weights(self, z: FloatArray) -> FloatArray:
        return np.full(len(z), 1 / len(z))


class _FromParticles:
    """Proposals of later generations: around particles, where the prior allows any. Final."""

    def __init__(self, prior: JointPrior, mixture: Mixture) -> None:
        self._prior, self._mixture = prior, mixture

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

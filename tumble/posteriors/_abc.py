"""What the ways that compare simulated data sets with the observed one share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import SimulationError, require_member
from tumble._typing import FloatArray
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._base import (
    AbstractBasis,
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Draws,
    PosteriorTask,
)
from tumble.posteriors._comparison import Comparison
from tumble.posteriors._data_sets import DataSets
from tumble.posteriors._summaries import AbstractSummary, default_summary


@dataclass(frozen=True)
class Generation:
    """What one round did.

    ``tolerance``, the largest distance of an accepted data set; ``num_simulated`` data sets;
    ``acceptance``, the share of them that was accepted; ``effective_sample_size`` of the weights.
    """

    tolerance: float
    num_simulated: int
    acceptance: float
    effective_sample_size: float


@dataclass(frozen=True)
class Particles:
    """Accepted parameters ``z`` [N, P] on the fit scale, with their ``weights`` [N] (sum 1).

    ``summaries`` [N, K] of their data sets and ``distances`` [N] of these.
    """

    z: FloatArray
    weights: FloatArray
    summaries: FloatArray
    distances: FloatArray

    @classmethod
    def none(cls, size: int, width: int) -> Particles:
        """Return no particles, of ``size`` parameters and ``width`` summaries."""
        return cls(np.empty((0, size)), np.empty(0), np.empty((0, width)), np.empty(0))

    @property
    def effective_sample_size(self) -> float:
        """(Σ w)² / Σ w²."""
        return float(1 / (self.weights**2).sum()) if len(self.weights) else 0.0

    def nearest(self, count: int) -> Particles:
        """Return those ``count`` whose data sets are nearest, evenly weighted."""
        first = np.argsort(self.distances, kind="stable")[:count]
        even = np.full(len(first), 1 / max(len(first), 1))
        return Particles(self.z[first], even, self.summaries[first], self.distances[first])

    def joined(self, other: Particles) -> Particles:
        """Return both, evenly weighted."""
        z = np.concatenate([self.z, other.z])
        return Particles(
            z, np.full(len(z), 1 / max(len(z), 1)),
            np.concatenate([self.summaries, other.summaries]),
            np.concatenate([self.distances, other.distances]),
        )  # fmt: skip


@dataclass(frozen=True)
class NearDataSets(AbstractBasis):
    """What draws by comparison rest on.

    ``summary``, what was compared; ``unadjusted`` [N, P] draws in the natural scale and
    ``unadjusted_weights`` [N], before regression adjustment; ``distances`` [N] of their data sets.
    """

    cost: ClassVar[str] = "data_sets"
    summary: AbstractSummary
    unadjusted: FloatArray
    unadjusted_weights: FloatArray
    distances: FloatArray

    @property
    def words(self) -> str:
        """See `AbstractBasis.words`."""
        return f"tolerance {self.distances.max(initial=0.0):.3g} of {self.summary}"


@dataclass(frozen=True, kw_only=True)
class AbstractSimulatedState(AbstractState):
    """Where a way that simulates data sets has got: ``num_simulated``, ``num_failed`` of them."""

    num_simulated: int = 0
    num_failed: int = 0

    @property
    def costs(self) -> dict[str, float]:
        """See `AbstractState.costs`."""
        return {"data_sets": float(self.num_simulated), "failed": float(self.num_failed)}

    @property
    def news(self) -> str:
        """See `AbstractState.news`."""
        return f"{self.num_simulated:,} data sets"


@dataclass(frozen=True, kw_only=True)
class ABCState(AbstractSimulatedState):
    """Where a comparison has got: ``particles``; ``scale`` [K] of summaries."""

    rounds: tuple[Generation, ...] = ()
    particles: Particles
    scale: FloatArray

    @property
    def has_draws(self) -> bool:
        """See `AbstractState.has_draws`."""
        return bool(self.rounds)


class Simulated:
    """Data sets at parameters, compared with the observed one; what they cost is charged. Final."""

    def __init__(
        self, task: PosteriorTask, summary: AbstractSummary | None, name: str = "data"
    ) -> None:
        problem = task.problem
        self.task = task
        self.sets = DataSets(problem, task.stream.child(name), task.executor)
        self.comparison = Comparison.of(
            default_summary(problem) if summary is None else summary,
            [b.observed.values for b in problem.bindings],
        )

    def tried(self, z: FloatArray, first: int) -> tuple[FloatArray, int]:
        """Return summaries [B, K] of data sets at z [B, P], and how many failed: NaN rows.

        ``first`` is the number of the first data set, see `DataSets`.
        """
        data, well = self.sets.simulate(z, first)
        self.task.spending.simulations += len(z) * self.sets.runs_each
        summaries = self.comparison.summaries(data)
        summaries[~well] = np.nan
        return summaries, int((~well).sum())

    def summaries(self, z: FloatArray, first: int) -> FloatArray:
        """Return summaries [B, K] as `tried` does, of any number of data sets."""
        at_once = self.sets.at_once
        pieces = [
            self.tried(z[at : at + at_once], first + at)[0] for at in range(0, len(z), at_once)
        ]
        return np.concatenate([np.empty((0, len(self.comparison.observed))), *pieces])

    def affordable(self, count: int) -> int:
        """Return how many of ``count`` data sets are simulated at once, and paid for."""
        return self.task.affordable(min(count, self.sets.at_once), self.sets.runs_each)


class AbstractABC(AbstractPosteriorMethod):
    """A way that compares data sets, with a ``summary`` of them and an ``adjustment``."""

    summary: AbstractSummary | None
    adjustment: LocalLinear | None

    def __post_init__(self) -> None:
        if self.summary is not None:
            require_member("summary", self.summary, AbstractSummary, "such as AllData()")
        if self.adjustment is not None:
            require_member("adjustment", self.adjustment, LocalLinear, "LocalLinear() or None")


class AbstractABCSampler(AbstractSampler):
    """A way that compares data sets, and its problem."""

    state_type = ABCState

    def __init__(self, method: AbstractABC, task: PosteriorTask) -> None:
        self.task, self.simulated = task, Simulated(task, method.summary)
        self.comparison = self.simulated.comparison
        self._adjustment = method.adjustment

    def draws(self, state: ABCState) -> Draws:
        """See `AbstractSampler.draws`."""
        particles, space = state.particles, self.task.problem.space
        z, weights = particles.z, particles.weights
        if self._adjustment is not None:
            z, weights = self._adjustment.adjusted(
                z, weights, particles.summaries, particles.distances, self.comparison, state.scale,
                (space.lower, space.upper),
            )  # fmt: skip
        basis = NearDataSets(
            self.comparison.summary, np.asarray(space.from_fit(particles.z)), particles.weights,
            particles.distances,
        )  # fmt: skip
        return Draws(z, weights, basis)

    def nothing(self) -> ABCState:
        """Return the state before anything is simulated."""
        width = len(self.comparison.observed)
        return ABCState(
            particles=Particles.none(self.task.problem.space.size, width), scale=np.ones(width)
        )


def require_some(num_well: int, num_tried: int) -> None:
    """Raise `SimulationError` where nothing can be simulated."""
    if not num_well:
        raise SimulationError(
            f"all of the first {num_tried:,} data sets failed, or their summaries are no numbers; "
            "check the bounds and priors of the parameters."
        )

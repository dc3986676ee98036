"""What every way to sample a posterior by simulation shares."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field, replace

import numpy as np

from tumble._budget import Spending
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._adjustment import LocalLinear
from tumble.posteriors._comparison import Comparison
from tumble.posteriors._data_sets import DataSets
from tumble.posteriors._joint_prior import JointPrior


@dataclass(frozen=True)
class Generation:
    """What one round of a method did.

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
class State:
    """What the next round needs: where the last one has got.

    ``scale`` [K] of summaries; ``num_simulated`` data sets so far; ``num_failed`` of them; how the
    method ended, ``code`` and ``reason``, while it goes on None.
    """

    particles: Particles
    scale: FloatArray
    generations: tuple[Generation, ...] = ()
    num_simulated: int = 0
    num_failed: int = 0
    code: ResultCode | None = None
    reason: str = ""

    def ended(self, code: ResultCode, reason: str) -> State:
        """Return the state with an end."""
        return replace(self, code=code, reason=reason)


@dataclass(frozen=True)
class PosteriorTask:
    """What is to be sampled, and what may be spent."""

    problem: Problem
    comparison: Comparison
    stream: Stream
    spending: Spending
    data_sets: DataSets
    prior: JointPrior = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", JointPrior(self.problem.space))

    def tried(self, z: FloatArray, first: int) -> tuple[FloatArray, int]:
        """Return summaries [B, K] of data sets at z [B, P], and how many failed: NaN rows."""
        data, well = self.data_sets.simulate(z, first)
        self.spending.simulations += len(z) * self.data_sets.runs_each
        summaries = self.comparison.summaries(data)
        summaries[~well] = np.nan
        return summaries, int((~well).sum())

    def affordable(self, count: int) -> int:
        """Return how many of ``count`` data sets the budget allows, at least one."""
        left = self.spending.simulations_left / self.data_sets.runs_each
        return int(max(min(count, left), 1))


class AbstractPosteriorMethod(abc.ABC):
    """A way to sample a posterior by comparing simulated data sets with the observed one.

    Members are frozen dataclasses. `init` and `step` make rounds, `Posterior` is made of the last
    state.
    """

    adjustment: LocalLinear | None

    @abc.abstractmethod
    def init(self, task: PosteriorTask) -> State:
        """Return the first state."""

    @abc.abstractmethod
    def step(self, task: PosteriorTask, state: State) -> State:
        """Make one round. A state with a ``code`` is the last."""

    @abc.abstractmethod
    def progress(self, state: State) -> float:
        """Return about how much of the work is done, 0 to 1."""

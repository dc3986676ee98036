"""Where chains through a loss have its slopes from."""

from __future__ import annotations

import abc
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from tumble._errors import SimulationError, require_whole
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import AbstractEstimator
from tumble.objectives import BoundOutputs
from tumble.posteriors._adjusted_loss import Optimum
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._langevin import Slopes

_FEWEST, _FEWEST_SMOOTH, _MOST = 8, 32, 2**16  # runs of a slope
_NOISY = 0.02  # the share of steps in which there may be more noise than is taken off
_SHARE = 0.5  # of the noise that can be taken off, the most that slopes are to have
_ROUNDS = 8  # of getting ready, at most


class Setting(NamedTuple):
    """What slopes are of, and where: a loss, its optimum, and the ``weight`` that it gets."""

    task: PosteriorTask
    bound: BoundOutputs
    estimator: AbstractEstimator
    optimum: Optimum
    weight: float


class Tried(NamedTuple):
    """What a round of chains saw: ``u`` [N, P] where slopes were asked for, ``share_noisy``."""

    u: FloatArray
    share_noisy: float


class AbstractSlopesState(abc.ABC):
    """What is known of the slopes of one loss. Members are frozen dataclasses of numbers.

    As part of a state they are written to a checkpoint; the loss is in the `Setting`.
    """

    ready: bool
    """Whether chains may count."""

    @abc.abstractmethod
    def at(self, setting: Setting, u: FloatArray, stream: Stream) -> Slopes:
        """Return slopes of L at u [C, P] on the fit scale, NaN where the simulator fails."""

    @abc.abstractmethod
    def after(self, setting: Setting, tried: Tried, stream: Stream) -> AbstractSlopesState:
        """Return what is known after a round of the warm-up."""

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What they are, in a few words."""


class AbstractSlopes(abc.ABC):
    """A way to have slopes for chains. Members are frozen dataclasses."""

    num_chains: ClassVar[int]
    """How many chains are best: many, where a slope at one more place costs nothing."""

    step: ClassVar[float]
    """How far steps are best to go: little, where slopes cost nothing."""

    @abc.abstractmethod
    def init(self, setting: Setting, noise: FloatArray, most: float) -> AbstractSlopesState:
        """Return what is known of the slopes of a loss at first.

        Arguments: ``noise`` [P, P] that the slope of one run has, by the measure of the chains;
        ``most`` of it, by this measure, can be taken off.
        """


@dataclass(frozen=True)
class FreshRuns(AbstractSlopes):
    """Each slope from runs of its own. Final.

    Guarantee: that of the estimator at so few runs: none of its errors is seen twice.

    Arguments: ``num_runs`` of the simulator a slope, default as many as leave half of the noise
    that can be taken off.

    When: runs cost little beside the data, or expected features bend so much within the posterior
    that no polynomial follows.
    """

    num_chains: ClassVar[int] = 4
    step: ClassVar[float] = 0.5
    num_runs: int | None = None

    def __post_init__(self) -> None:
        if self.num_runs is not None:
            require_whole("num_runs", self.num_runs)

    def init(self, setting: Setting, noise: FloatArray, most: float) -> FreshRunsState:
        """See `AbstractSlopes.init`."""
        if self.num_runs is not None:
            return FreshRunsState(self.num_runs, True)
        fewest = _FEWEST if setting.bound.loss.polynomial else _FEWEST_SMOOTH
        wanted = np.ceil(np.linalg.eigvalsh(noise)[-1] / (_SHARE * most))
        return FreshRunsState(int(np.clip(wanted, fewest, _MOST)), False)


@dataclass(frozen=True)
class FreshRunsState(AbstractSlopesState):
    """`FreshRuns` of one loss, with ``num_runs`` a slope, tried for ``num_rounds``. Final."""

    num_runs: int
    ready: bool
    num_rounds: int = 0

    @property
    def words(self) -> str:
        """See `AbstractSlopesState.words`."""
        return f"{self.num_runs} runs a gradient"

    def at(self, setting: Setting, u: FloatArray, stream: Stream) -> Slopes:
        """See `AbstractSlopesState.at`.

        Beyond the bounds, where nothing can be simulated, the slope is that at the bound, and goes
        on with the curvature of the optimum.
        """
        found = [self._at_one(setting, row, stream.child("chain", c)) for c, row in enumerate(u)]
        return Slopes(np.stack([g for g, _ in found]), np.stack([s for _, s in found]))

    def after(self, setting: Setting, tried: Tried, stream: Stream) -> FreshRunsState:
        """See `AbstractSlopesState.after`: twice the runs, where slopes were too noisy."""
        if self.ready:
            return self
        count = self.num_rounds + 1
        if tried.share_noisy <= _NOISY or self.num_runs >= _MOST or count >= _ROUNDS:
            return replace(self, ready=True)
        return replace(self, num_runs=min(2 * self.num_runs, _MOST), num_rounds=count)

    def _at_one(
        self, setting: Setting, u: FloatArray, stream: Stream
    ) -> tuple[FloatArray, FloatArray]:
        task = setting.task
        inside = np.asarray(task.problem.space.clip(u))
        try:
            found = setting.estimator.estimate(
                setting.bound, inside, self.num_runs, stream, task.executor
            )
        except SimulationError:
            return np.full(len(u), np.nan), np.zeros((len(u), len(u)))
        task.spending.simulations += found.num_runs
        beyond = setting.optimum.curvature @ (u - inside)
        return found.gradient + beyond, found.covariance

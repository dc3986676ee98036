"""What every machine that learns to infer shares."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from tumble._budget import Spending
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors import JointPrior


@dataclass(frozen=True)
class TrainingTask:
    """What a machine is to learn to infer, and what may be spent. Final."""

    problem: Problem
    stream: Stream
    spending: Spending
    executor: Any = None
    prior: JointPrior = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", JointPrior(self.problem.space))


@dataclass(frozen=True)
class AbstractTrainingState(abc.ABC):
    """What the next round of a training needs.

    ``rounds``, what each did; how the training ended, ``code`` and ``reason``, while it goes on
    None.
    """

    rounds: tuple[Any, ...] = ()
    code: ResultCode | None = None
    reason: str = ""

    def ended(self, code: ResultCode, reason: str) -> Self:
        """Return the state with an end."""
        return replace(self, code=code, reason=reason)

    @property
    @abc.abstractmethod
    def news(self) -> str:
        """How far it is, in a few words."""


class AbstractTraining(abc.ABC):
    """A machine that has met its problem, and learns."""

    @abc.abstractmethod
    def init(self) -> Any:
        """Return the first state, an `AbstractTrainingState`."""

    @abc.abstractmethod
    def step(self, state: Any) -> Any:
        """Make one round. A state with a ``code`` is the last."""

    @abc.abstractmethod
    def progress(self, state: Any) -> float:
        """Return about how much of the work is done, 0 to 1."""

    @abc.abstractmethod
    def inference(self, state: Any) -> AbstractInference:
        """Return what the last state has learnt."""


class AbstractInference(abc.ABC):
    """What a machine has learnt: a density of parameters for every data set."""

    @abc.abstractmethod
    def log_density(self, w: FloatArray, data: Sequence[FloatArray]) -> FloatArray:
        """Return log densities [B] at w [B, P], each given a data set: [B, N, T, O] a part.

        Coordinates w are those in which the prior is standard normal.
        """

    @abc.abstractmethod
    def sample(self, data: Sequence[FloatArray], count: int, stream: Stream) -> FloatArray:
        """Return draws w [B, count, P] given each of B data sets."""

    @abc.abstractmethod
    def features(self, data: Sequence[FloatArray]) -> FloatArray:
        """Return what of data sets is looked at, [B, K], to tell those unlike any seen."""


class AbstractMachine(abc.ABC):
    """A machine that learns to infer. Members are frozen dataclasses: what to learn, no weights."""

    citations: ClassVar[tuple[str, ...]]
    """What to cite."""

    @abc.abstractmethod
    def bind(self, task: TrainingTask) -> AbstractTraining:
        """Return the training of a task. Raises `CapabilityError` or `ParameterError`."""

    @abc.abstractmethod
    def restored(self, task: TrainingTask, arrays: Any) -> AbstractInference:
        """Return what was learnt, from what a file holds of it."""

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
class TrainingRound:
    """What one round did.

    ``num_simulated`` data sets; the ``loss``, in nats, on what was held out or of its batches, and
    ``num_steps`` of the optimizer, where the round learnt: else NaN and 0.
    """

    num_simulated: int
    loss: float = float("nan")
    num_steps: int = 0


@dataclass(frozen=True)
class AbstractTrainingState(abc.ABC):
    """What the next round of a training needs.

    ``rounds``, what each did; how the training ended, ``code`` and ``reason``, while it goes on
    None; data sets ``num_simulated`` so far, and ``num_failed`` besides.
    """

    rounds: tuple[TrainingRound, ...] = ()
    code: ResultCode | None = None
    reason: str = ""
    num_simulated: int = 0
    num_failed: int = 0

    def ended(self, code: ResultCode, reason: str) -> Self:
        """Return the state with an end."""
        return replace(self, code=code, reason=reason)

    @property
    @abc.abstractmethod
    def news(self) -> str:
        """How far it is, in a few words."""


class AbstractTraining(abc.ABC):
    """A machine that has met its problem, and learns.

    A round depends on the state that it is given, and on nothing that came before.
    """

    state_type: ClassVar[type[AbstractTrainingState]]
    """What its states are."""

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

    @abc.abstractmethod
    def features(self, state: Any) -> FloatArray:
        """Return the features [N, K] of the data sets that it has learnt from."""


class AbstractInference(abc.ABC):
    """What a machine has learnt: a density of parameters for every data set.

    ``weights``, all that there is to know of it but the machine and its problem.
    """

    weights: Any

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
    """A machine that learns to infer. Members are frozen dataclasses, without weights."""

    citations: ClassVar[tuple[str, ...]]
    """What to cite."""

    @abc.abstractmethod
    def bind(self, task: TrainingTask) -> AbstractTraining:
        """Return the training of a task. Raises `CapabilityError` or `ParameterError`."""

    @abc.abstractmethod
    def runs_to_infer(self, problem: Problem) -> int:
        """Return how many runs of the simulator an answer takes, once it has learnt."""

    weights_type: ClassVar[type]
    """What is kept of what was learnt: a dataclass of arrays."""

    @abc.abstractmethod
    def restored(self, task: TrainingTask, weights: Any) -> AbstractInference:
        """Return what was learnt, from the ``weights`` of an `AbstractInference`."""

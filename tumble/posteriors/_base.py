"""What every way to sample a posterior shares."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np

from tumble._budget import Spending
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._joint_prior import JointPrior


@dataclass(frozen=True)
class PosteriorTask:
    """What is to be sampled, and what may be spent. Final."""

    problem: Problem
    stream: Stream
    spending: Spending
    executor: Any = None
    prior: JointPrior = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", JointPrior(self.problem.space))

    def affordable(self, count: int, runs_each: int) -> int:
        """Return for how many of ``count`` times ``runs_each`` runs the budget is, at least 1."""
        return int(max(min(count, self.spending.simulations_left / max(runs_each, 1)), 1))


@dataclass(frozen=True)
class AbstractState(abc.ABC):
    """All that the next round needs: where the last one has got.

    ``rounds``, what each did; how the sampling ended, ``code`` and ``reason``, while it goes on
    None. Fields hold numbers, arrays, and tuples and dataclasses of these, or None, and are
    annotated as such: so a state is written to a checkpoint, and read.
    """

    rounds: tuple[Any, ...] = ()
    code: ResultCode | None = None
    reason: str = ""

    def ended(self, code: ResultCode, reason: str) -> Self:
        """Return the state with an end."""
        return replace(self, code=code, reason=reason)

    @property
    @abc.abstractmethod
    def has_draws(self) -> bool:
        """Whether it is worth anything yet."""

    @property
    @abc.abstractmethod
    def costs(self) -> dict[str, float]:
        """What it has cost, by name."""

    @property
    @abc.abstractmethod
    def news(self) -> str:
        """How far it is, in a few words."""


class AbstractBasis(abc.ABC):
    """What draws rest on."""

    cost: ClassVar[str]
    """What of the ``stats`` of a posterior it cost, such as ``"data_sets"``."""

    @property
    @abc.abstractmethod
    def words(self) -> str:
        """What it is, in a few words."""

    def effective_each(self, weights: FloatArray, size: int) -> FloatArray:
        """Return how many independent draws they are worth for each of ``size`` parameters, [P].

        By their ``weights`` [N], of which all draws have one.
        """
        return np.full(size, weights.sum() ** 2 / (weights**2).sum())


@dataclass(frozen=True)
class Draws:
    """What came out: parameters ``z`` [N, P] on the fit scale, with ``weights`` [N] (sum 1).

    ``basis``: what they rest on.
    """

    z: FloatArray
    weights: FloatArray
    basis: AbstractBasis


class AbstractSampler(abc.ABC):
    """A way to sample a posterior that has met its problem.

    A round depends on the state that it is given, and on nothing that came before.
    """

    state_type: ClassVar[type[AbstractState]]
    """What its states are."""

    @abc.abstractmethod
    def init(self) -> Any:
        """Return the first state, an `AbstractState`."""

    @abc.abstractmethod
    def step(self, state: Any) -> Any:
        """Make one round. A state with a ``code`` is the last."""

    @abc.abstractmethod
    def progress(self, state: Any) -> float:
        """Return about how much of the work is done, 0 to 1."""

    @abc.abstractmethod
    def draws(self, state: Any) -> Draws:
        """Return what a state that has draws is worth."""


class AbstractPosteriorMethod(abc.ABC):
    """A way to sample a posterior. Members are frozen dataclasses: what to do, and no data."""

    citations: ClassVar[tuple[str, ...]]
    """What to cite."""

    checks_data: ClassVar[bool] = False
    """Whether it tells by itself data that are unlike those of the model."""

    @abc.abstractmethod
    def bind(self, task: PosteriorTask) -> AbstractSampler:
        """Return the sampler of a task. Raises `DataError` or `CapabilityError`."""

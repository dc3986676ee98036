"""The contract between simulators and everything that uses them.

A simulator offers `AbstractSimulator.sample`; what more it can do it says by inheriting capability
classes, which estimators and objectives name in their ``requires``.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError, ParameterError
from tumble._random import Stream
from tumble._relaxation import AbstractRelaxation
from tumble._typing import FloatArray, IdArray, IntArray
from tumble.models import ReactionNetwork


@dataclass(frozen=True)
class Batch:
    """What to run: a run a row.

    Arguments: ``params`` [B, Q] in the model's order; ``initial`` [B, S] counts at ``start``;
    ``times`` [T], ascending and ≥ ``start``; ``stream`` and ``runs`` [B], the ids of the rows in
    it: rows that share an id share their random numbers. Pairs have ``params`` [B, 2, Q] and
    ``initial`` [B, 2, S]. ``out`` [B, T, S], whole numbers, where states may be written to spare
    memory; a simulator may make an array of its own all the same.
    """

    params: FloatArray
    initial: IntArray
    times: FloatArray
    stream: Stream
    runs: IdArray
    start: float = 0.0
    out: IntArray | None = None


@dataclass(frozen=True)
class Sample:
    """A batch of runs.

    ``states`` [B, T, S] counts (-1 where a run failed), or real numbers (NaN where it failed) if
    the simulator is not `AbstractSimulator.discrete`; ``codes`` [B], see `SampleCode`; ``events``
    [B], reactions fired, 0 where a simulator does not count them; ``culprits`` [B], the index of
    the reaction that made a run fail, or the number of reactions plus the index of the event, -1
    where none is to blame, or None if the simulator does not say; ``variables`` [B, T, V], NaN
    where a run failed, or None without; ``messages``, of each code that has one, what the first run
    said that ended with it.
    """

    states: IntArray | FloatArray
    codes: IntArray
    events: IntArray
    culprits: IntArray | None = field(default=None, kw_only=True)
    variables: FloatArray | None = field(default=None, kw_only=True)
    messages: Mapping[int, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class ScoredSample(Sample):
    """A batch of runs with ``score`` [B, T, Q] = ∂ log p(path up to each time) / ∂ params.

    Columns of parameters at zero, where the score is not defined, are NaN. ``fired`` [B, T, R] and
    ``expected`` [B, T, R]: how often each reaction has fired, and ∫ a ds, if the simulator says;
    those of reactions with rate laws mean nothing.
    """

    score: FloatArray
    fired: IntArray | None = field(default=None, kw_only=True)
    expected: FloatArray | None = field(default=None, kw_only=True)

    def score_along(self, slopes: FloatArray) -> FloatArray:
        """Return the score [B, T, P] of other parameters, by their slopes ∂ params / ∂ them.

        ``slopes`` are [B, Q, P]; [1, Q, P] or [Q, P] where they are those of all runs. Raises
        `ParameterError` where the score depends on a parameter at zero.
        """
        slopes = slopes.reshape(-1, *slopes.shape[-2:])
        moving = np.any(slopes != 0, axis=(0, 2))
        score = self.score[..., moving]
        if np.any(np.isnan(score[self.codes == 0])):
            raise ParameterError(
                "the score is not defined at a zero rate; keep the rate above 0 (a log scale "
                "does), and probabilities between 0 and 1 (a logit scale does)."
            )
        along = slopes[0] if len(slopes) == 1 else slopes
        return np.asarray(score @ along[..., moving, :])


@dataclass(frozen=True)
class PairSample:
    """A batch of coupled pairs: ``states`` [B, 2, T, S]; the rest as in `Sample`."""

    states: IntArray | FloatArray
    codes: IntArray
    events: IntArray
    culprits: IntArray | None = field(default=None, kw_only=True)
    messages: Mapping[int, str] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True)
class AlternativeSample(Sample):
    """A batch of runs with M alternatives each.

    ``pairs`` [B, M, 2, T, S]: the states of two runs that differ by one random choice, with and
    without it; before that choice both are the run itself, and once they have met they stay at the
    state where they did. ``weights`` [B, M, Q]: the expectation over the run's alternatives of
    Σ_m weights[m] (f(pairs[m, 0]) − f(pairs[m, 1])) is ∂ E[f] / ∂ params. ``events`` count what all
    of that took.
    """

    pairs: IntArray
    weights: FloatArray


@dataclass(frozen=True)
class RelaxedSample(Sample):
    """A batch of runs with ``slopes`` [B, T, S, Q], what stands for ∂ states / ∂ params.

    ``states`` are those of `AbstractSimulator.sample`, whatever the relaxation; slopes are 0 where
    a run failed.
    """

    slopes: FloatArray


class AbstractSimulator(abc.ABC):
    """Runs a model.

    Rows of a batch are independent. Row ``b`` depends only on its own inputs, ``stream`` and
    ``runs[b]``: results are bitwise the same however rows are put into batches or spread over
    threads.
    """

    exact: ClassVar[bool]
    """Whether samples follow the law of the model, without approximation."""

    discrete: ClassVar[bool] = True
    """Whether states are whole numbers; if not, they are real."""

    citations: ClassVar[tuple[str, ...]] = ()
    """What to cite for its samples."""

    takes: ClassVar[type] = ReactionNetwork
    """The models that it can run."""

    shares_out: ClassVar[bool] = False
    """Whether it spreads a batch over workers itself, or cannot use threads: it is then called
    from the thread of the user, so that an interruption reaches it."""

    def work_of_run(self, model: Any, batch: Batch) -> float:
        """Return the work of one run, about one for a change of one number; 0 if it is not known.

        Fits of models whose runs are much work begin with fewer of them.
        """
        return 0.0

    def require_model(self, model: Any) -> None:
        """Raise `CapabilityError` unless it can run ``model``."""
        if not isinstance(model, self.takes):
            raise CapabilityError(
                f"{type(self).__name__} runs a {self.takes.__name__}, but the model is a "
                f"{type(model).__name__}; leave out `simulator` to have one that fits."
            )

    def offers(self, capability: type, model: Any) -> bool:
        """Return whether it has a capability, for this model."""
        return isinstance(self, capability)

    @abc.abstractmethod
    def sample(self, model: Any, batch: Batch, *, executor: Any = None) -> Sample:
        """Run the model once a row of ``batch``, on anything with ``.submit``."""


class SupportsScore(abc.ABC):
    """Offers the score (likelihood ratio derivative) of each path."""

    @abc.abstractmethod
    def sample_with_score(self, model: Any, batch: Batch, *, executor: Any = None) -> ScoredSample:
        """Run the model once a row of ``batch``, with the score."""


class SupportsCoupling(abc.ABC):
    """Offers pairs of runs at two parameters that stay close to each other."""

    @abc.abstractmethod
    def sample_pairs(self, model: Any, batch: Batch, *, executor: Any = None) -> PairSample:
        """Run a coupled pair a row of ``batch``."""


class SupportsAlternative(SupportsCoupling):
    """Offers, beside each run, pairs of runs that go on with and without one more random choice.

    It can couple runs, too: what an unknown initial count changes is told by a pair from the start.
    """

    @abc.abstractmethod
    def sample_with_alternatives(
        self,
        model: Any,
        batch: Batch,
        scales: FloatArray,
        num_phantoms: int,
        *,
        executor: Any = None,
    ) -> AlternativeSample:
        """Run the model once a row of ``batch``, with ``num_phantoms`` M ≥ 1 alternatives each.

        ``scales`` [Q] ≥ 0 say how much each of the model's parameters matters: alternatives are
        drawn in proportion to the length of the derivatives times these, and the derivatives of
        parameters at scale 0 are not there (weights 0).
        """


class SupportsRelaxation(abc.ABC):
    """Offers pathwise derivatives of its states, those of discrete outcomes by a relaxation."""

    @abc.abstractmethod
    def sample_relaxed(
        self,
        model: Any,
        batch: Batch,
        relaxation: AbstractRelaxation,
        *,
        executor: Any = None,
    ) -> RelaxedSample:
        """Run the model once a row of ``batch``, as `AbstractSimulator.sample` does, with slopes.

        Raises `DerivativeError` where a derivative does not exist, or would be lost unnoticed.
        """


class SupportsPaths(abc.ABC):
    """Can write down every event of a run."""

    @abc.abstractmethod
    def record_paths(
        self, model: Any, batch: Batch, first: IntArray
    ) -> tuple[FloatArray, IntArray]:
        """Return the times and the reactions (their indices) of all events, run after run.

        ``first`` [B + 1]: the events of run b are numbers ``first[b] … first[b + 1] - 1``. There
        are as many as `AbstractSimulator.sample` says, or none for a run that is not wanted. Times
        ascend, and those of events after an output time are later than it. Runs in this thread.
        """


class SupportsFrames(abc.ABC):
    """Can keep the whole state of a run, of which its outputs are but numbers."""

    @abc.abstractmethod
    def record_frames(self, model: Any, batch: Batch) -> tuple[Any, IntArray]:
        """Return the states, arrays [B, T, ...], and the codes [B]. Runs in this thread."""


class SupportsLikelihood(abc.ABC):
    """Offers log p(data | parameters) of time series, exactly or in its own approximation."""

    deterministic: ClassVar[bool] = False
    """Whether it is computed, and not estimated from runs."""

    @abc.abstractmethod
    def likelihood(self, problem: Any) -> Any:
        """Return an object with ``value_and_gradient(theta [P]) -> (float, [P])`` for a problem.

        ``theta`` are the problem's parameters in their natural scale, the value is the log
        likelihood of all its experiments.
        """

"""A posterior that is learnt once, for every data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError, require_member, require_whole
from tumble._problem import Problem
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.densities import AbstractDensity, Learner, SplineFlow
from tumble.machines._base import (
    AbstractMachine,
    AbstractTraining,
    AbstractTrainingState,
    TrainingRound,
    TrainingTask,
)
from tumble.machines._encoding import Encoding
from tumble.machines._learnt import (
    AmortizedWeights,
    LearntPosterior,
    numbers_of,
    with_numbers,
)
from tumble.machines._stock import Stock

_PILOT = 2000  # data sets, by which scales are set
_FEWEST = 100
_PIECES = 20  # rounds of simulation
_EDGE = 3.3  # of a standard normal law, where tables end
_RIDGE = 1e-3
_MOST_NUMBERS = 2**29  # that are held: 2 GiB


@dataclass(frozen=True)
class AmortizedPosterior(AbstractMachine):
    """The density of parameters given a data set, learnt from simulated problems.

    Definition: parameters are drawn from the prior and a data set is simulated at each. Networks
    learn the density of the parameters given the data set, by its mean logarithm. They are given
    `pooled moments <tumble.machines.pooled_moments>`, squeezed to a like scale, and, where
    replicates are many and hold several numbers, pooled statistics of learnt linear combinations of
    these, which start from independent components. They tell a place (a line of the moments that
    starts from least squares, and what two layers add to it), widths, how parameters depend on each
    other, and what ``density`` is given for the shape that remains.

    Guarantee: as the number of data sets and the networks grow, the posterior given what they are
    given. For finite numbers nothing is known but by trial, and `train` tries it on problems that
    were kept apart.

    Arguments: ``num_data_sets``, default 40,000, or as many as the budget allows; ``density`` of
    the shape, default `SplineFlow` of three layers; ``width`` of the networks, default 128;
    ``num_given``, numbers that the shape is given, default 32; ``num_networks`` that are averaged,
    default 1; ``learner``. Needs ``pip install "tumble[machines]"``.

    When: many data sets of one kind are to be told, each in milliseconds.

    References: Papamakarios, Murray, NeurIPS (2016), arXiv:1605.06376; Radev, Mertens, Voss,
    Ardizzone, Köthe, IEEE TNNLS 33 (2022), arXiv:2003.06281.
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Radev, Mertens, Voss, Ardizzone, Köthe, IEEE TNNLS 33 (2022), arXiv:2003.06281",
        "Durkan, Bekasov, Murray, Papamakarios, NeurIPS (2019), arXiv:1906.04032",
    )
    weights_type: ClassVar[type] = AmortizedWeights
    num_data_sets: int = 40_000
    density: AbstractDensity = field(default_factory=lambda: SplineFlow(num_layers=3))
    width: int = 128
    num_given: int = 32
    num_networks: int = 1
    learner: Learner = field(default_factory=Learner)

    def __post_init__(self) -> None:
        for name in ("num_data_sets", "width", "num_given", "num_networks"):
            require_whole(name, getattr(self, name))
        require_member("density", self.density, AbstractDensity, "such as SplineFlow()")
        require_member("learner", self.learner, Learner, "Learner()")

    def bind(self, task: TrainingTask) -> AmortizedTraining:
        """See `AbstractMachine.bind`."""
        return AmortizedTraining(self, task)

    def runs_to_infer(self, problem: Problem) -> int:
        """See `AbstractMachine.runs_to_infer`: none."""
        return 0

    def networks(self, size: int, encoding: Encoding, seeds: Sequence[int]) -> list[Any]:
        """Return networks that have not learnt, one a seed, of ``size`` parameters."""
        from tumble.machines._modules import located

        return [
            located(
                size, encoding.num_moments, encoding.sets, self.width, self.num_given,
                self.density.build(size, self.num_given, int(seed)), int(seed),
            )
            for seed in seeds
        ]  # fmt: skip

    def restored(self, task: TrainingTask, weights: AmortizedWeights) -> LearntPosterior:
        """See `AbstractMachine.restored`."""
        blank = self.networks(task.problem.space.size, weights.encoding, range(self.num_networks))
        return LearntPosterior(
            weights, tuple(with_numbers(n, w) for n, w in zip(blank, weights.numbers, strict=True))
        )


@dataclass(frozen=True, kw_only=True)
class AmortizedState(AbstractTrainingState):
    """Simulated problems, ``w`` [N, P] and ``given`` [N, G], how encoded, and what was learnt."""

    w: FloatArray
    given: FloatArray
    encoding: Encoding | None = None
    weights: AmortizedWeights | None = None

    @property
    def news(self) -> str:
        """See `AbstractTrainingState.news`."""
        return f"{self.num_simulated:,} data sets"


class AmortizedTraining(AbstractTraining):
    """`AmortizedPosterior` of one problem. Final."""

    state_type = AmortizedState

    def __init__(self, machine: AmortizedPosterior, task: TrainingTask) -> None:
        self._machine, self._task, self._stock = machine, task, Stock(task)
        paid = task.spending.simulations_left / self._stock.sets.runs_each
        self._planned = int(min(machine.num_data_sets, paid))
        if self._planned < _FEWEST:
            raise CapabilityError(
                f"a machine learns from {_FEWEST} data sets at least, the budget is for "
                f"{self._planned} of {self._stock.sets.runs_each} runs each; raise it."
            )
        machine.density.build(task.problem.space.size, machine.num_given, 0)  # is it installed?

    def init(self) -> AmortizedState:
        """See `AbstractTraining.init`: nothing yet."""
        size = self._task.problem.space.size
        return AmortizedState(w=np.empty((0, size)), given=np.empty((0, 0), np.float32))

    def step(self, state: AmortizedState) -> AmortizedState:
        """See `AbstractTraining.step`: simulate, and in the end learn."""
        if state.weights is not None:
            return state.ended(
                ResultCode.SUCCESS, f"{state.num_simulated:,} data sets were learnt from"
            )
        if len(state.w) < self._planned:
            return self._simulated(state)
        return self._learnt(state)

    def progress(self, state: AmortizedState) -> float:
        """See `AbstractTraining.progress`: simulation and learning count alike."""
        return (len(state.w) / self._planned + (state.weights is not None)) / 2

    def inference(self, state: AmortizedState) -> LearntPosterior:
        """See `AbstractTraining.inference`."""
        assert state.weights is not None
        return self._machine.restored(self._task, state.weights)

    def features(self, state: AmortizedState) -> FloatArray:
        """See `AbstractTraining.features`."""
        assert state.encoding is not None
        return state.given[:, : state.encoding.num_moments]

    # -- private -----------------------------------------------------

    def _simulated(self, state: AmortizedState) -> AmortizedState:
        piece = max(-(-self._planned // _PIECES), _PILOT)
        count = min(piece, self._stock.at_once, self._planned - len(state.w))
        drawn = self._stock.draw(len(state.rounds), count)
        encoding = state.encoding
        if encoding is None:
            branch = self._task.stream.child("encoding")
            encoding = Encoding.of(self._task.problem, drawn.data, branch)
        given = encoding.given(drawn.data)
        if given.shape[1] * self._planned > _MOST_NUMBERS:
            most = _MOST_NUMBERS // given.shape[1]
            raise CapabilityError(
                f"{self._planned:,} data sets of {given.shape[1]:,} numbers do not fit into the "
                f"2 GiB that are held; ask for `num_data_sets` of at most {most:,}."
            )
        before = state.given if len(state.w) else np.empty((0, given.shape[1]), np.float32)
        return replace(
            state, encoding=encoding, w=np.concatenate([state.w, drawn.w]),
            given=np.concatenate([before, given]),
            num_simulated=state.num_simulated + len(drawn.w),
            num_failed=state.num_failed + drawn.num_failed,
            rounds=(*state.rounds, TrainingRound(count)),
        )  # fmt: skip

    def _learnt(self, state: AmortizedState) -> AmortizedState:
        assert state.encoding is not None
        y: Any = np.asarray(state.w, np.float32)
        learner = self._machine.learner
        found = [
            learner.learn(net, y, state.given, len(y), self._task.stream.child("learning", number))
            for number, net in enumerate(self._started(state))
        ]
        weights = AmortizedWeights(state.encoding, tuple(numbers_of(one.density) for one in found))
        done = TrainingRound(
            0, float(np.mean([one.loss for one in found])), sum(one.num_steps for one in found)
        )
        return replace(state, weights=weights, rounds=(*state.rounds, done))

    def _started(self, state: AmortizedState) -> list[Any]:
        """Return networks whose place is a line of the moments, by least squares."""
        from tumble.machines._modules import POINTS, started

        assert state.encoding is not None
        prior, size = self._task.prior, state.w.shape[1]
        z = prior.from_normal(state.w)
        mean, sd = z.mean(0), np.maximum(z.std(0), 1e-300)
        grid = np.linspace(-_EDGE, _EDGE, POINTS)
        table = (prior.from_normal(np.tile(grid[:, None], (1, size))) - mean) / sd
        moments = self.features(state).astype(float)
        line, offset, widths = _least_squares(moments, (z - mean) / sd)
        pilot = state.given[:_PILOT]
        branch = self._task.stream.child("networks")
        seeds = branch.numpy().integers(2**31, size=self._machine.num_networks).tolist()
        return [
            started(
                net, *(np.float32(a) for a in (table.T, np.tile(grid, (size, 1)), line, offset,
                                               widths, pilot)),
            )
            for net in self._machine.networks(size, state.encoding, seeds)
        ]  # fmt: skip


def _least_squares(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the line [P, K] of y [N, P] on x [N, K], its offset, log sd of residuals [P]."""
    away, middle = x - x.mean(0), y.mean(0)
    gram = away.T @ away / len(x) + _RIDGE * np.eye(x.shape[1])
    line = np.linalg.solve(gram, away.T @ (y - middle) / len(x)).T
    offset = middle - line @ x.mean(0)
    residuals = y - x @ line.T - offset
    return line, offset, np.log(np.maximum(residuals.std(0), 1e-6))

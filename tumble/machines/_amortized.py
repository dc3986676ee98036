"""A posterior that is learnt once, for every data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from scipy.special import logsumexp

from tumble._errors import CapabilityError, require_member, require_whole
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble._xla import keep_programs
from tumble.densities import AbstractDensity, Learner, SplineFlow
from tumble.machines._base import (
    AbstractInference,
    AbstractMachine,
    AbstractTraining,
    AbstractTrainingState,
    TrainingTask,
)
from tumble.machines._encoding import Encoding
from tumble.machines._stock import Stock

_PILOT = 2000  # data sets, by which scales are set
_FEWEST = 100
_PIECES = 20  # rounds of simulation
_EDGE = 3.3  # of a standard normal law, where tables end
_RIDGE = 1e-3
_MOST_NUMBERS = 2**29  # that are held: 2 GiB
_BLOCK = 1000


@dataclass(frozen=True)
class TrainingRound:
    """What one round did.

    ``num_simulated`` data sets; the ``loss`` on those held out, the mean −log density, and
    ``num_steps`` of the optimizer, where the round learnt: else NaN and 0.
    """

    num_simulated: int
    loss: float = float("nan")
    num_steps: int = 0


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

    def networks(self, task: TrainingTask, encoding: Encoding) -> list[Any]:
        """Return the networks before they have learnt."""
        from tumble.machines._modules import located

        size = task.problem.space.size
        seeds = task.stream.child("networks").numpy().integers(2**31, size=self.num_networks)
        return [
            located(
                size, encoding.num_moments, encoding.sets, self.width, self.num_given,
                self.density.build(size, self.num_given, int(seed)), int(seed),
            )
            for seed in seeds
        ]  # fmt: skip

    def restored(self, task: TrainingTask, arrays: Any) -> LearntPosterior:
        """See `AbstractMachine.restored`."""
        encoding, leaves = arrays
        nets = self.networks(task, encoding)
        return LearntPosterior(encoding, tuple(_with(net, own) for net, own in zip(nets, leaves, strict=True)))


@dataclass(frozen=True, kw_only=True)
class AmortizedState(AbstractTrainingState):
    """Simulated problems: ``w`` [N, P], ``given`` [N, G]; the ``encoding`` and what is ``learnt``."""

    w: FloatArray
    given: FloatArray
    encoding: Encoding | None = None
    learnt: LearntPosterior | None = None
    num_failed: int = 0

    @property
    def news(self) -> str:
        """See `AbstractTrainingState.news`."""
        return f"{len(self.w):,} data sets"


@dataclass(frozen=True)
class LearntPosterior(AbstractInference):
    """What an `AmortizedPosterior` has learnt: an ``encoding``, and ``networks``. Final."""

    encoding: Encoding
    networks: tuple[Any, ...]

    def log_density(self, w: FloatArray, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractInference.log_density`."""
        given = self.encoding.given(data)
        y = np.asarray(w, np.float32)
        logs = [_in_blocks(_compiled()[0], net, y, given) for net in self.networks]
        return np.asarray(logsumexp(logs, axis=0) - np.log(len(logs)))

    def sample(self, data: Sequence[FloatArray], count: int, stream: Stream) -> FloatArray:
        """See `AbstractInference.sample`."""
        given = self.encoding.given(data)
        rng = stream.numpy()
        each = -(-count // len(self.networks))
        drawn = []
        for row in given:
            seeds = rng.integers(2**31, size=len(self.networks))
            parts = [
                np.asarray(_compiled()[1](net, np.uint32(seed), row, each), dtype=float)
                for net, seed in zip(self.networks, seeds, strict=True)
            ]
            drawn.append(rng.permutation(np.concatenate(parts))[:count])
        return np.stack(drawn)

    def features(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractInference.features`: the moments."""
        return self.encoding.moments(data)


class AmortizedTraining(AbstractTraining):
    """`AmortizedPosterior` of one problem. Final."""

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
        if state.learnt is not None:
            return state.ended(ResultCode.SUCCESS, "all data sets were simulated and learnt from")
        if len(state.w) < self._planned:
            return self._simulated(state)
        return self._learnt(state)

    def progress(self, state: AmortizedState) -> float:
        """See `AbstractTraining.progress`: simulation and learning count alike."""
        return (len(state.w) / self._planned + (state.learnt is not None)) / 2

    def inference(self, state: AmortizedState) -> LearntPosterior:
        """See `AbstractTraining.inference`."""
        assert state.learnt is not None
        return state.learnt

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
            given=np.concatenate([before, given]), num_failed=state.num_failed + drawn.num_failed,
            rounds=(*state.rounds, TrainingRound(count)),
        )  # fmt: skip

    def _learnt(self, state: AmortizedState) -> AmortizedState:
        assert state.encoding is not None
        nets, learner = self._started(state), self._machine.learner
        y = np.asarray(state.w, np.float32)
        found = [
            learner.learn(net, y, state.given, len(y), self._task.stream.child("learning", number))
            for number, net in enumerate(nets)
        ]
        learnt = LearntPosterior(state.encoding, tuple(one.density for one in found))
        done = TrainingRound(
            0, float(np.mean([one.loss for one in found])), sum(one.num_steps for one in found)
        )
        return replace(state, learnt=learnt, rounds=(*state.rounds, done))

    def _started(self, state: AmortizedState) -> list[Any]:
        """Return networks whose place is a line of the moments, by least squares."""
        from tumble.machines._modules import _POINTS, started

        assert state.encoding is not None
        prior, size = self._task.prior, state.w.shape[1]
        z = prior.from_normal(state.w)
        mean, sd = z.mean(0), np.maximum(z.std(0), 1e-300)
        grid = np.linspace(-_EDGE, _EDGE, _POINTS)
        table = (prior.from_normal(np.tile(grid[:, None], (1, size))) - mean) / sd
        moments = state.given[:, : state.encoding.num_moments].astype(float)
        line, offset, widths = _least_squares(moments, (z - mean) / sd)
        pilot = state.given[:_PILOT]
        return [
            started(
                net, *(np.float32(a) for a in (table.T, np.tile(grid, (size, 1)), line, offset,
                                               widths, pilot)),
            )
            for net in self._machine.networks(self._task, state.encoding)
        ]  # fmt: skip


def _least_squares(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the line [P, K] of y [N, P] on x [N, K], its offset, log sd of residuals [P]."""
    away, middle = x - x.mean(0), y.mean(0)
    gram = away.T @ away / len(x) + _RIDGE * np.eye(x.shape[1])
    line = np.linalg.solve(gram, away.T @ (y - middle) / len(x)).T
    offset = middle - line @ x.mean(0)
    residuals = y - x @ line.T - offset
    return line, offset, np.log(np.maximum(residuals.std(0), 1e-6))


def _in_blocks(function: Any, net: Any, y: FloatArray, given: FloatArray) -> FloatArray:
    """Return log densities [B], in blocks of one size: JAX compiles anew for every other."""
    blocks = -(-len(y) // _BLOCK)
    rows = np.resize(np.arange(len(y)), blocks * _BLOCK).reshape(blocks, _BLOCK)
    found = [np.asarray(function(net, y[r], given[r]), dtype=float) for r in rows]
    return np.concatenate(found)[: len(y)]


def _with(net: Any, leaves: Sequence[Any]) -> Any:
    """Return a network with numbers of its own."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    own, rest = eqx.partition(net, eqx.is_inexact_array)
    filled = jax.tree.unflatten(jax.tree.structure(own), [jnp.asarray(leaf) for leaf in leaves])
    return eqx.combine(filled, rest)


@cache
def _compiled() -> tuple[Any, Any]:
    """Return what JAX compiles: log densities of a block, and draws given a data set."""
    import equinox as eqx
    import jax

    keep_programs()

    @eqx.filter_jit
    def log_prob(net: Any, y: Any, given: Any) -> Any:
        return net.log_prob(y, given)

    @eqx.filter_jit
    def sample(net: Any, seed: Any, given: Any, count: int) -> Any:
        return net.sample(jax.random.key(seed), (count,), given)

    return log_prob, sample

"""Truncated sequential neural posterior estimation."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from tumble._errors import (
    ParameterError,
    SimulationError,
    require_member,
    require_whole,
)
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray
from tumble._xla import keep_programs
from tumble.densities import Learner, LearntFlow, SplineFlow, Squeeze
from tumble.posteriors._abc import AbstractSimulatedState, Simulated
from tumble.posteriors._base import (
    AbstractBasis,
    AbstractPosteriorMethod,
    AbstractSampler,
    Draws,
    PosteriorTask,
)
from tumble.posteriors._summaries import AbstractSummary

_CUT = 1e-4  # the share of its draws that a region leaves out
_TO_CUT = 10_000  # draws by which that is told
_EACH = 30  # draws of the flow, of which one is taken by the prior
_FEWEST = 20  # data sets to learn from
_FLAT = 1e-9
_BLOCK = 10_000  # points at once


@dataclass(frozen=True)
class LearningRound:
    """What one round did.

    ``num_simulated`` data sets, ``num_learnt`` from in this round, ``loss`` on those held out (the
    mean −log density), ``num_steps`` of the optimizer; ``region``, the share of the prior to which
    parameters were confined.
    """

    num_simulated: int
    num_learnt: int
    loss: float
    num_steps: int
    region: float


@dataclass(frozen=True)
class LearntDensity(AbstractBasis):
    """What draws of a learnt density rest on: the ``summary`` that it was given. Final."""

    cost: ClassVar[str] = "data_sets"
    summary: AbstractSummary

    @property
    def words(self) -> str:
        """See `AbstractBasis.words`."""
        return f"a density learnt given {self.summary}"


@dataclass(frozen=True)
class TSNPE(AbstractPosteriorMethod):
    """A neural density of the parameters given a data set, learnt where it matters.

    Definition: data sets are simulated in ``num_rounds`` rounds. From all whose parameters are in
    the region of the round, ``flow`` learns the density of parameters given the summary of a data
    set, ``num_flows`` times, from other starts and with other data sets held out, and these are
    averaged; the next round draws its parameters from the prior within the region where that
    density, given the observed summary, is higher than at all but 1e-4 of its own draws. The first
    region is everything. Coordinates are those in which the prior is a standard normal law, so no
    density is lost beyond bounds. Data sets that fail are left out, which changes nothing for one
    that did not.

    Guarantee: as the number of data sets and the size of the flow grow, the posterior given the
    summary. For finite numbers nothing is known but by trial: see
    `tumble.diagnostics.check_calibration`.

    Arguments: ``num_data_sets`` in all rounds, default 10,000; ``num_rounds``, default 5;
    ``num_draws`` of the posterior, independent ones, default 10,000; ``summary`` of a data set,
    default by the data, see `default_summary`; ``flow`` and ``learner``; ``num_flows``, default 3.
    Needs ``pip install "tumble[machines]"``.

    When: a simulator without a likelihood, and more numbers to compare than ABC can: it uses every
    data set, not only those near the observed one.

    References: Deistler, Gonçalves, Macke, NeurIPS (2022), arXiv:2210.04815; Papamakarios, Murray,
    NeurIPS (2016), arXiv:1605.06376 (learning a posterior).
    """

    citations: ClassVar[tuple[str, ...]] = (
        "Deistler, Gonçalves, Macke, NeurIPS (2022), arXiv:2210.04815",
        "Durkan, Bekasov, Murray, Papamakarios, NeurIPS (2019), arXiv:1906.04032",
    )
    num_data_sets: int = 10_000
    num_rounds: int = 5
    num_draws: int = 10_000
    summary: AbstractSummary | None = None
    flow: SplineFlow = field(default_factory=SplineFlow)
    learner: Learner = field(default_factory=Learner)
    num_flows: int = 3

    def __post_init__(self) -> None:
        for name in ("num_data_sets", "num_rounds", "num_draws", "num_flows"):
            require_whole(name, getattr(self, name))
        if self.num_data_sets < _FEWEST * self.num_rounds:
            raise ParameterError(
                f"`num_data_sets` is {self.num_data_sets}, expected at least "
                f"{_FEWEST * self.num_rounds} for {self.num_rounds} rounds."
            )
        if self.summary is not None:
            require_member("summary", self.summary, AbstractSummary, "such as AllData()")
        require_member("flow", self.flow, SplineFlow, "SplineFlow()")
        require_member("learner", self.learner, Learner, "Learner()")

    def bind(self, task: PosteriorTask) -> TSNPESampler:
        """See `AbstractPosteriorMethod.bind`."""
        return TSNPESampler(self, task)


@dataclass(frozen=True, kw_only=True)
class TSNPEState(AbstractSimulatedState):
    """What was simulated, and what was learnt from it.

    Data sets ``planned`` for each round; parameters ``w`` [N, P], where the prior is standard
    normal, and ``summaries`` [N, K] of their data sets; the ``density`` given the observed one,
    None before the first round.
    """

    rounds: tuple[LearningRound, ...] = ()
    planned: int
    w: FloatArray
    summaries: FloatArray
    density: DensityAtObserved | None = None

    @property
    def has_draws(self) -> bool:
        """See `AbstractState.has_draws`."""
        return self.density is not None


@dataclass(frozen=True)
class DensityAtObserved:
    """The mean of learnt densities given the observed summary ``given`` [K]. Final.

    Of (w − ``shift``) / ``scale`` [P]; ``least``, the log density above which the region is.
    """

    flows: tuple[LearntFlow, ...]
    given: FloatArray
    shift: FloatArray
    scale: FloatArray
    least: float = -np.inf

    def log_density(self, w: FloatArray) -> FloatArray:
        """Return it at points w [n, P]."""
        log_prob, given = _compiled()[0], _single(self.given)
        y = _single((w - self.shift) / self.scale)
        blocks = -(-len(y) // _BLOCK)
        padded = np.resize(y, (blocks * _BLOCK, y.shape[1])).reshape(blocks, _BLOCK, -1)
        logs = np.array(
            [[log_prob(f.density, block, given) for block in padded] for f in self.flows],
            dtype=float,
        ).reshape(len(self.flows), -1)
        found = logsumexp(logs, axis=0) - np.log(len(self.flows))
        return np.asarray(found[: len(y)] - np.log(self.scale).sum())

    def sample(self, count: int, stream: Stream) -> FloatArray:
        """Return draws w [count, P], as many of each flow, in random order."""
        sample, given, rng = _compiled()[1], _single(self.given), stream.numpy()
        each = -(-count // len(self.flows))
        parts = []
        for flow in self.flows:
            seeds = rng.integers(2**31, size=-(-each // _BLOCK))
            drawn = [
                np.asarray(sample(flow.density, np.uint32(s), given), dtype=float) for s in seeds
            ]
            parts.append(np.concatenate(drawn)[:each])
        mixed = rng.permutation(np.concatenate(parts))[:count]
        return np.asarray(mixed * self.scale + self.shift)

    def holds(self, w: FloatArray) -> BoolArray:
        """Return which points [n, P] are in the region, [n]."""
        return np.asarray(self.log_density(w) > self.least)


class TSNPESampler(AbstractSampler):
    """`TSNPE` of one problem. Final."""

    state_type = TSNPEState

    def __init__(self, method: TSNPE, task: PosteriorTask) -> None:
        self._method, self._task = method, task
        self._simulated = Simulated(task, method.summary)
        self._shape = task.problem.space.size, len(self._simulated.comparison.observed)
        seeds = task.stream.child("flows").numpy().integers(2**31, size=method.num_flows)
        self._flows = [method.flow.build(*self._shape, int(seed)) for seed in seeds]

    def init(self) -> TSNPEState:
        """See `AbstractSampler.init`: nothing yet."""
        size, width = self._shape
        wanted = self._method.num_data_sets
        paid = self._task.spending.simulations_left / self._simulated.sets.runs_each
        planned = max(int(min(wanted, paid)) // self._method.num_rounds, _FEWEST)
        return TSNPEState(planned=planned, w=np.empty((0, size)), summaries=np.empty((0, width)))

    def step(self, state: TSNPEState) -> TSNPEState:
        """See `AbstractSampler.step`: simulate, and learn."""
        done = len(state.rounds)
        if done == self._method.num_rounds:
            return state.ended(ResultCode.SUCCESS, "all data sets were simulated and learnt from")
        stream = self._task.stream.child("round", done)
        w, region = self._proposed(state, stream.child("parameters"))
        summaries = self._simulated.summaries(self._task.prior.from_normal(w), state.num_simulated)
        well = np.isfinite(summaries).all(1)
        state = replace(
            state, w=np.concatenate([state.w, w[well]]),
            summaries=np.concatenate([state.summaries, summaries[well]]),
            num_simulated=state.num_simulated + len(w),
            num_failed=state.num_failed + int((~well).sum()),
        )  # fmt: skip
        return self._learnt(state, region, stream.child("learning"))

    def progress(self, state: TSNPEState) -> float:
        """See `AbstractSampler.progress`."""
        return len(state.rounds) / self._method.num_rounds

    def draws(self, state: TSNPEState) -> Draws:
        """See `AbstractSampler.draws`."""
        assert state.density is not None
        count = self._method.num_draws
        w = state.density.sample(count, self._task.stream.child("draws", len(state.rounds)))
        basis = LearntDensity(self._simulated.comparison.summary)
        return Draws(self._task.prior.from_normal(w), np.full(count, 1 / count), basis)

    # -- private -----------------------------------------------------

    def _proposed(self, state: TSNPEState, stream: Stream) -> tuple[FloatArray, float]:
        """Return parameters w [n, P] of the prior within the region, and the region's share of it.

        Of several draws of the density one is taken, by how much more probable the prior makes it.
        """
        rng, density, count = stream.numpy(), state.density, state.planned
        size = self._task.problem.space.size
        if density is None:
            return rng.standard_normal((count, size)), 1.0
        w = density.sample(count * _EACH, stream.child("proposals"))
        own = density.log_density(w)
        logs = np.where(own > density.least, norm.logpdf(w).sum(1) - own, -np.inf)
        table = logs.reshape(count, _EACH)
        chosen = np.argmax(table + rng.gumbel(size=table.shape), axis=1)
        at = np.arange(count)
        return w.reshape(count, _EACH, size)[at, chosen], float(np.exp(logs).mean())

    def _learnt(self, state: TSNPEState, region: float, stream: Stream) -> TSNPEState:
        """Return the state with a density that has learnt from what lies in the region."""
        inside = np.ones(len(state.w), bool) if state.density is None else (
            state.density.holds(state.w)
        )  # fmt: skip
        if inside.sum() < _FEWEST:
            raise SimulationError(
                f"{inside.sum()} of {len(inside):,} data sets could be learnt from, the others "
                "failed, or their summaries are no numbers; check the bounds and priors of the "
                "parameters."
            )
        w, summaries = state.w[inside], state.summaries[inside]
        squeeze = Squeeze.of(summaries)
        shift, scale = w.mean(0), np.maximum(w.std(0), _FLAT)
        learnt = [
            self._method.learner.learn(
                flow, (w - shift) / scale, squeeze(summaries),
                state.planned * self._method.num_rounds, stream.child("flow", number),
            )
            for number, flow in enumerate(self._flows)
        ]  # fmt: skip
        given = squeeze(self._simulated.comparison.observed[None])[0]
        flows = tuple(self._method.flow.learnt(*self._shape, one.density) for one in learnt)
        density = DensityAtObserved(flows, given, shift, scale)
        own = density.log_density(density.sample(_TO_CUT, stream.child("cut")))
        done = LearningRound(
            state.planned, len(w),
            float(np.mean([one.loss for one in learnt]) + np.log(scale).sum()),
            sum(one.num_steps for one in learnt), region,
        )  # fmt: skip
        least = float(np.quantile(own, _CUT))
        return replace(state, density=replace(density, least=least), rounds=(*state.rounds, done))


def _single(values: FloatArray) -> Any:
    return np.asarray(values, np.float32)


@cache
def _compiled() -> tuple[Any, Any]:
    """Return what JAX compiles: log densities of a block of points, and a block of draws."""
    import equinox as eqx
    import jax

    keep_programs()

    @eqx.filter_jit
    def log_prob(flow: Any, y: Any, given: Any) -> Any:
        return flow.log_prob(y, given)

    @eqx.filter_jit
    def sample(flow: Any, seed: Any, given: Any) -> Any:
        return flow.sample(jax.random.key(seed), (_BLOCK,), condition=given)

    return log_prob, sample

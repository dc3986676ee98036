"""The result of `train`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tumble._errors import DataError, require_whole
from tumble._fit import fit
from tumble._fit_result import FitResult
from tumble._late import call_late
from tumble._problem import Problem
from tumble._results import ResultCode
from tumble._sample_posterior import sample_posterior
from tumble._typing import FloatArray
from tumble.diagnostics import Calibration
from tumble.machines._base import AbstractInference, AbstractMachine, TrainingRound
from tumble.machines._novelty import Novelty
from tumble.posteriors import (
    AbstractBasis,
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Draws,
    JointPrior,
    Posterior,
    PosteriorTask,
)

_RARE = 0.01  # of the data sets of the model, as far or farther


@dataclass(frozen=True)
class LearntOnce(AbstractBasis):
    """What draws of a trained machine rest on: from how many data sets it has learnt. Final.

    ``p_value``, the share of data sets of the model that are as far from those.
    """

    cost: ClassVar[str] = "data_sets"
    num_data_sets: int
    p_value: float

    @property
    def words(self) -> str:
        """See `AbstractBasis.words`."""
        return (
            f"learnt once from {self.num_data_sets:,} data sets; this one: p = {self.p_value:.2g}"
        )


@dataclass(frozen=True, kw_only=True)
class InferredState(AbstractState):
    """Draws ``w`` [N, P] where the prior is standard normal, None before; the ``p_value``."""

    rounds: tuple[float, ...] = ()
    w: FloatArray | None = None
    p_value: float = 1.0
    num_learnt: int = 0

    @property
    def has_draws(self) -> bool:
        """See `AbstractState.has_draws`."""
        return self.w is not None

    @property
    def costs(self) -> dict[str, float]:
        """See `AbstractState.costs`."""
        return {"data_sets": float(self.num_learnt)}

    @property
    def news(self) -> str:
        """See `AbstractState.news`."""
        return "drawn" if self.has_draws else "to be drawn"


@dataclass(frozen=True, repr=False)
class TrainedMachine(AbstractPosteriorMethod):
    """A machine that has learnt to infer the parameters of a problem from data of its shape.

    It is a ``method=`` of `sample_posterior` and of `tumble.diagnostics.check_calibration`, too.

    Attributes:

    - ``problem``, ``machine``: what it was trained for, and how. ``inference``: what it has learnt.
    - ``calibration``: where truths lie among its draws, for fresh problems of the prior.
    - ``novelty``: tells data sets unlike those that it has learnt from.
    - ``rounds``: what each round of the training did.
    - ``result`` and ``reason``: how the training ended. ``stats``: what it cost: ``seconds``,
      ``runs`` of the simulator, ``data_sets``, ``failed`` ones of these; and ``nats``, the mean
      log density of the truths of fresh problems above that of the prior.
    - ``num_draws`` of a posterior, default 10,000.
    """

    checks_data: ClassVar[bool] = True
    problem: Problem
    machine: AbstractMachine
    inference: AbstractInference
    calibration: Calibration
    novelty: Novelty
    rounds: tuple[TrainingRound, ...]
    result: ResultCode
    reason: str
    stats: Mapping[str, float]
    seed: int = 0
    num_draws: int = 10_000

    @property
    def citations(self) -> tuple[str, ...]:  # type: ignore[override]
        """What to cite for the methods that made it."""
        simulator = self.problem.simulator.citations
        return tuple(dict.fromkeys([*self.machine.citations, *simulator]))

    def infer(self, data: Any = None, *, num_draws: int | None = None, seed: int = 0) -> Posterior:
        """Return the posterior given data, in milliseconds where ``machine`` need not simulate.

        Arguments: ``data`` of the one experiment, as `Experiment` takes them, or a `Problem` with
        data of the same shape; default those of the problem. ``num_draws``, default 10,000;
        ``seed``.

        The ``result`` is `ResultCode.MISSPECIFIED` where the data are farther from all that the
        machine has learnt from than 99 % of the data sets of the model are: then take `fit`, which
        starts from this answer. Raises `DataError` for data of another shape.
        """
        count = self.num_draws if num_draws is None else num_draws
        require_whole("num_draws", count)
        own = replace(self, num_draws=count)
        return sample_posterior(self._given(data), method=own, seed=seed, progress=False)

    def fit(self, data: Any = None, **options: Any) -> FitResult:
        """Return a fit by gradients that starts from the machine's answer; see `tumble.fit`.

        Needs no training to be right, so it is what to do with data that the machine does not know.
        """
        problem = self._given(data)
        start = sample_posterior(problem, method=self, progress=False).quantile(0.5)
        return fit(problem, start=start, **options)

    def log_density(self, theta: FloatArray, data: Any = None) -> FloatArray:
        """Return log q(θ | data) [n] at points θ [n, P], in the natural scale."""
        problem = self._given(data)
        z = np.asarray(problem.space.to_fit(np.asarray(theta, dtype=float)))
        parts = [np.repeat(b.observed.values[None], len(z), axis=0) for b in problem.bindings]
        return np.asarray(log_density(problem, self.inference, z, parts))

    def save(self, path: str | Path) -> Path:
        """Write what it has learnt to a file, and return its path; see `load`.

        Raises `RunFolderError` where the file cannot be written.
        """
        return call_late("tumble.io", "save_machine", self, path)

    @staticmethod
    def load(path: str | Path, problem: Problem) -> TrainedMachine:
        """Return a machine from a file, for the problem that it was trained for.

        The file holds the machine's settings and numbers, and no code; the data of ``problem`` may
        be others. Raises `RunFolderError`.
        """
        return call_late("tumble.io", "load_machine", path, problem)

    def bind(self, task: PosteriorTask) -> AbstractSampler:
        """See `AbstractPosteriorMethod.bind`."""
        self._require_like(task.problem)
        return _Inferred(self, task)

    def summary(self) -> str:
        """Return the training on one screen."""
        stats = self.stats
        lines = [
            f"TrainedMachine: {self.result.value} · {stats['data_sets']:,.0f} data sets · "
            f"{stats['seconds']:.2g} s",
            f"  {type(self.machine).__name__} of {', '.join(self.problem.space.names)}: "
            f"{self.reason}",
            f"  a data set tells {stats['nats']:.3g} nats of them",
            *("  " + line for line in self.calibration.summary().splitlines()),
        ]
        if stats.get("failed"):
            lines.append(f"  warning: {stats['failed']:.0f} data sets failed and were left out")
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    # -- private -----------------------------------------------------

    def _given(self, data: Any) -> Problem:
        """Return the problem with other data."""
        if data is None:
            return self.problem
        if isinstance(data, Problem):
            self._require_like(data)
            return data
        if len(self.problem.experiments) != 1:
            raise DataError(
                f"the machine was trained for {len(self.problem.experiments)} experiments; give "
                "their data as a Problem, such as `problem.with_data([...])`."
            )
        experiment = replace(self.problem.experiments[0], data=data)
        other = replace(self.problem, experiments=[experiment])
        self._require_like(other)
        return other

    def _require_like(self, problem: Problem) -> None:
        own, others = ([_shape(b) for b in p.bindings] for p in (self.problem, problem))
        if problem.space.names != self.problem.space.names or own != others:
            raise DataError(
                "the data are not of the shape that the machine was trained for: expected "
                f"{_in_words(own)}, got {_in_words(others)}; train a machine for them."
            )


class _Inferred(AbstractSampler):
    """Draws of a trained machine, given one data set. Final."""

    state_type = InferredState

    def __init__(self, machine: TrainedMachine, task: PosteriorTask) -> None:
        self._machine, self._task = machine, task
        self._data = [b.observed.values[None] for b in task.problem.bindings]

    def init(self) -> InferredState:
        """See `AbstractSampler.init`: nothing yet."""
        return InferredState(num_learnt=int(self._machine.stats["data_sets"]))

    def step(self, state: InferredState) -> InferredState:
        """See `AbstractSampler.step`: draw, and look whether the data are known."""
        machine = self._machine
        stream = self._task.stream.child("draws")
        w = machine.inference.sample(self._data, machine.num_draws, stream)[0]
        self._task.spending.simulations += machine.machine.runs_to_infer(self._task.problem)
        features = machine.inference.features(self._data)
        p_value = float(machine.novelty.p_values(features)[0])
        state = replace(state, w=w, p_value=p_value, rounds=(p_value,))
        if p_value <= _RARE:
            return state.ended(
                ResultCode.MISSPECIFIED,
                f"the data are unlike those that the machine has learnt from (p = {p_value:.2g}), "
                "so its answer is a guess; `TrainedMachine.fit` goes on from it",
            )
        return state.ended(ResultCode.SUCCESS, "drawn from what was learnt")

    def progress(self, state: InferredState) -> float:
        """See `AbstractSampler.progress`."""
        return float(state.has_draws)

    def draws(self, state: InferredState) -> Draws:
        """See `AbstractSampler.draws`."""
        assert state.w is not None
        z = self._task.prior.from_normal(state.w)
        basis = LearntOnce(state.num_learnt, state.p_value)
        return Draws(z, np.full(len(z), 1 / len(z)), basis)


def log_density(
    problem: Problem, inference: AbstractInference, z: FloatArray, data: Sequence[FloatArray]
) -> FloatArray:
    """Return log densities [B] of θ at z [B, P] on the fit scale, each given a data set."""
    prior = JointPrior(problem.space)
    w = prior.to_normal(z)
    above = inference.log_density(w, data) + (w**2 + np.log(2 * np.pi)).sum(1) / 2
    return np.asarray(above + prior.log_density_of_theta(z))


def _shape(binding: Any) -> tuple[Any, ...]:
    observed = binding.observed
    pattern = np.isfinite(observed.values).tobytes()
    return observed.names, observed.values.shape, tuple(binding.times.tolist()), pattern


def _in_words(shapes: Sequence[tuple[Any, ...]]) -> str:
    return "; ".join(
        f"{n} replicates of {', '.join(names)} at {t} times" for names, (n, t, _), *_ in shapes
    )

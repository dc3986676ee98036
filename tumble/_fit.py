"""The verb `fit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._budget import Budget, Spending
from tumble._errors import CapabilityError, ParameterError, SimulationError
from tumble._fit_result import FitResult, FitStep
from tumble._problem import Problem, as_params
from tumble._progress import AbstractProgress, showing
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray, Params
from tumble._uncertainty import observed_information, sandwich
from tumble.gradients import AbstractEstimator, Auto, Choice, GradientEstimate
from tumble.objectives import (
    AbstractObjective,
    BoundLikelihood,
    BoundOutputs,
    Surrogate,
    default_objective,
    objective_warnings,
)
from tumble.optimizers import (
    AbstractOptimizer,
    DeterministicTask,
    GaussNewton,
    NoisyTask,
    Optax,
    StochasticGaussNewton,
    Stop,
)
from tumble.simulators import LinearNoise

_DETERMINISTIC_TOLERANCE = 1e-5
_DEFAULT_STARTS = 8


def fit(
    problem: Problem,
    *,
    objective: AbstractObjective | None = None,
    gradient: AbstractEstimator | Auto | None = None,
    optimizer: Any = None,
    start: Params | None = None,
    num_starts: int | None = None,
    warm_start: bool = True,
    max_steps: int = 1000,
    tolerance: float = 0.003,
    seed: int = 0,
    budget: Budget | None = None,
    executor: Any = None,
    progress: Any = None,
    callback: Callable[[FitStep], None] | None = None,
) -> FitResult:
    """Find the parameters that explain the data, and how firmly.

    Arguments, most used first:

    - ``problem``: a `Problem`.
    - ``objective``: what to make small. Default by the kind of the data: `PathLikelihood` for one
      or few time series, `MomentMatching` for ten replicates or more, averages and snapshots.
    - ``gradient``: how gradients of simulated losses are estimated. Default `Auto`, which measures.
      Path likelihoods bring their own.
    - ``optimizer``: a member of `tumble.optimizers` or any optax optimizer. Default `GaussNewton`
      for likelihoods, `StochasticGaussNewton` for simulated losses.
    - ``start``: named values to start from (all parameters). Default: each parameter's own start.
    - ``num_starts``: points to start from, the further ones random within the bounds. Default 8, or
      1 when ``start`` is given.
    - ``warm_start``: first move to the minimum of the linear-noise approximation of a simulated
      loss. Default ``True``; with ``False`` a simulated loss is followed from the first start.
    - ``max_steps``: of the optimizer. Default 1000.
    - ``tolerance``: of a simulated loss: the standard error, on the fit scale, that simulation may
      leave in the estimate. Default 0.003, 0.3 % of a log-scale parameter.
    - ``seed``, ``budget``, ``executor``, ``progress`` (``True``, ``False``, ``None``: a bar on a
      terminal), ``callback`` (called with each `FitStep`).

    Returns a `FitResult`; its ``result`` says how the fit ended. Ctrl-C ends it with what it has
    (`ResultCode.INTERRUPTED`). Raises `CapabilityError`, `ParameterError` or `DataError` before
    anything runs, `SimulationError` when the simulator fails at the very start.
    """
    run = _prepare(
        problem, objective, gradient, optimizer, start, num_starts, warm_start, max_steps,
        tolerance, seed, budget, executor, callback,
    )  # fmt: skip
    with showing(progress, "fit") as bar:
        run.bar = bar
        return _run_likelihood(run) if isinstance(run.bound, BoundLikelihood) else _run_outputs(run)


@dataclass
class _Run:
    """What the phases of a fit share. Final."""

    problem: Problem
    objective: AbstractObjective
    bound: BoundLikelihood | BoundOutputs
    gradient: AbstractEstimator | Auto
    optimizer: AbstractOptimizer
    starts: FloatArray
    warm_start: bool
    max_steps: int
    tolerance: float
    stream: Stream
    spending: Spending
    executor: Any
    callback: Callable[[FitStep], None] | None
    warnings: list[str]
    bar: AbstractProgress | None = None
    history: list[FitStep] = field(default_factory=list)


def _prepare(
    problem: Problem,
    objective: AbstractObjective | None,
    gradient: AbstractEstimator | Auto | None,
    optimizer: Any,
    start: Params | None,
    num_starts: int | None,
    warm_start: bool,
    max_steps: int,
    tolerance: float,
    seed: int,
    budget: Budget | None,
    executor: Any,
    callback: Callable[[FitStep], None] | None,
) -> _Run:
    if problem.space.size == 0:
        raise ParameterError("`parameters` holds no Parameter, so there is nothing to fit.")
    if not tolerance > 0 or max_steps < 1:
        raise ParameterError(
            f"`tolerance` is {tolerance} and `max_steps` {max_steps}; both must be positive."
        )
    objective = default_objective(problem) if objective is None else objective
    bound = objective.bind(problem)
    stream = Stream.from_seed(seed).child("fit")
    count = num_starts or (_DEFAULT_STARTS if start is None else 1)
    starts = problem.space.starts(count, stream.child("starts"))
    if start is not None:
        starts[0] = problem.space.to_fit(as_params(problem, start))
    chosen = _optimizer(optimizer, bound)
    warnings = list(objective_warnings(objective, problem))
    if isinstance(bound, BoundOutputs):
        _check_gradient(gradient, bound)
        if problem.space.has_priors:
            warnings.append("priors do not enter a moment or expected loss; they were not used.")
    elif gradient is not None:
        warnings.append("a path likelihood brings its own gradient; `gradient` was not used.")
    return _Run(
        problem, objective, bound, Auto() if gradient is None else gradient, chosen, starts,
        warm_start, max_steps, tolerance, stream, Spending(budget), executor, callback, warnings,
    )  # fmt: skip


def _optimizer(optimizer: Any, bound: BoundLikelihood | BoundOutputs) -> AbstractOptimizer:
    needed = DeterministicTask if isinstance(bound, BoundLikelihood) else NoisyTask
    if optimizer is None:
        return GaussNewton() if needed is DeterministicTask else StochasticGaussNewton()
    if hasattr(optimizer, "init") and hasattr(optimizer, "update"):
        optimizer = Optax(optimizer)
    if not isinstance(optimizer, AbstractOptimizer):
        raise ParameterError(
            f"`optimizer` is {optimizer!r}, expected a member of tumble.optimizers or an optax "
            "optimizer such as optax.adam(0.05)."
        )
    if needed not in optimizer.task:
        kind = "can be computed" if needed is DeterministicTask else "can only be sampled"
        fitting = "GaussNewton" if needed is DeterministicTask else "StochasticGaussNewton"
        raise CapabilityError(
            f"{type(optimizer).__name__} does not take a loss that {kind}; use "
            f"optimizers.{fitting}() or an optax optimizer."
        )
    return optimizer


def _check_gradient(gradient: Any, bound: BoundOutputs) -> None:
    if isinstance(gradient, AbstractEstimator):
        gradient.check(bound)
    elif gradient is not None and not isinstance(gradient, Auto):
        raise ParameterError(
            f"`gradient` is {gradient!r}, expected a member of tumble.gradients such as "
            "gradients.ScoreFunction()."
        )


def _loop(
    run: _Run, optimizer: AbstractOptimizer, task: Any, starts: FloatArray, phase: str
) -> Any:
    """Step until the optimizer stops or a limit is reached; return its State and the `Stop`."""
    state = optimizer.init(task, starts)
    first = len(run.history)
    stop: Stop | None = state.stop
    try:
        while stop is None:
            state, report = optimizer.step(task, state)
            _record(run, report, phase)
            stop = state.stop
            if stop is None and run.spending.exhausted:
                stop = Stop(ResultCode.OUT_OF_BUDGET, "the budget is spent")
            elif stop is None and len(run.history) - first >= run.max_steps:
                stop = Stop(ResultCode.MAX_STEPS, f"no convergence in {run.max_steps} steps")
    except KeyboardInterrupt:
        stop = Stop(ResultCode.INTERRUPTED, "stopped by hand")
    return state, stop


def _record(run: _Run, report: Any, phase: str) -> None:
    theta = np.asarray(run.problem.space.from_fit(report.z))
    step = FitStep(
        len(run.history) + 1,
        phase,
        report.loss,
        report.gradient_norm,
        report.noise_norm,
        report.num_runs,
        run.spending.seconds,
        tuple(float(x) for x in theta),
    )
    run.history.append(step)
    if run.bar is not None:
        run.bar.update(min(0.95, step.step / 40), f"{phase} {step.step}: loss {report.loss:.6g}")
    if run.callback is not None:
        run.callback(step)


def _run_likelihood(run: _Run) -> FitResult:
    bound = run.bound
    assert isinstance(bound, BoundLikelihood)
    task = DeterministicTask(
        run.problem.space, lambda z, rows: bound.evaluate(z), _DETERMINISTIC_TOLERANCE
    )
    state, stop = _loop(run, run.optimizer, task, run.starts, "likelihood")
    solution = run.optimizer.solution(state)
    z, free = solution.z, _inside(run.problem, solution.z)
    covariance, words = np.full((len(z), len(z)), np.nan), "unknown: the fit did not end well"
    if stop.code not in (ResultCode.DIVERGED, ResultCode.INTERRUPTED):
        covariance, words = observed_information(bound, z, free)
    return _finalize(run, solution, stop, covariance, words, "automatic differentiation")


def _run_outputs(run: _Run) -> FitResult:
    bound = run.bound
    assert isinstance(bound, BoundOutputs)
    surrogate = Surrogate(LinearNoise(), bound)
    starts, losses = _warm_start(run, surrogate) if run.warm_start else (run.starts, None)
    source = _GradientSource(run, bound)
    task = NoisyTask(run.problem.space, source.estimate, run.tolerance, surrogate.curvature)
    state, stop = _loop(run, run.optimizer, task, starts, "simulation")
    solution = run.optimizer.solution(state)
    if losses is not None:
        solution = solution._replace(starts=losses)
    free = _inside(run.problem, solution.z)
    size = run.problem.space.size
    covariance, words = np.full((size, size), np.nan), "unknown: the fit did not end well"
    if stop.code in (ResultCode.NOISE_LIMITED, ResultCode.CONVERGED, ResultCode.OUT_OF_BUDGET):
        if bound.quadratic:
            covariance, words, runs = sandwich(
                bound, source.estimator, solution.z, free, solution.noise,
                run.stream.child("sandwich"), run.executor,
            )  # fmt: skip
            run.spending.simulations += runs
        else:
            words = "not available for an expected loss: use tumble.bootstrap(fit)"
    return _finalize(run, solution, stop, covariance, words, str(source))


def _warm_start(run: _Run, surrogate: Surrogate) -> tuple[FloatArray, FloatArray | None]:
    """Return the minimum [1, P] of the surrogate, and its losses from all starts."""
    task = DeterministicTask(
        run.problem.space, lambda z, rows: surrogate.evaluate(z), _DETERMINISTIC_TOLERANCE
    )
    optimizer = GaussNewton()
    state, stop = _loop(run, optimizer, task, run.starts, "linear noise")
    if stop.code is ResultCode.DIVERGED:
        run.warnings.append("the linear-noise approximation gave no start; it was left out.")
        return run.starts, None
    if stop.code is ResultCode.INTERRUPTED:
        raise KeyboardInterrupt
    solution = optimizer.solution(state)
    return solution.z[None], solution.starts


class _GradientSource:
    """Estimates gradients for the optimizer, charges their cost, and re-chooses. Final."""

    def __init__(self, run: _Run, bound: BoundOutputs) -> None:
        self.run = run
        self.bound = bound
        self.choices: list[Choice] = []
        self._chosen_at = 0
        self._estimator = run.gradient if isinstance(run.gradient, AbstractEstimator) else None

    def __str__(self) -> str:
        return str(self.choices[-1]) if self.choices else type(self._estimator).__name__

    @property
    def estimator(self) -> AbstractEstimator:
        """The estimator in use."""
        assert self._estimator is not None
        return self._estimator

    def estimate(self, z: FloatArray, num_runs: int, step: int) -> GradientEstimate:
        """Return an estimate at z [P] from fresh runs; not a number where the simulator fails."""
        stream = self.run.stream.child("step", step)
        try:
            self._choose(z, num_runs, stream)
            affordable = min(num_runs, max(self.run.spending.simulations_left, 1))
            estimate = self.estimator.estimate(
                self.bound, z, int(affordable), stream, self.run.executor
            )
        except SimulationError:
            if step == 0:
                raise
            size = len(z)
            nothing = np.full((size, size), np.nan)
            return GradientEstimate(np.nan, np.nan, nothing[0], nothing, None, num_runs, 0.0, 0.0)
        self.run.spending.simulations += estimate.num_runs
        return estimate

    def _choose(self, z: FloatArray, num_runs: int, stream: Stream) -> None:
        auto = self.run.gradient
        if isinstance(auto, AbstractEstimator):
            return
        if self.choices and num_runs < 4 * self._chosen_at:
            return
        choice = auto.choose(self.bound, z, stream.child("auto"), self.run.executor)
        self.run.spending.simulations += choice.num_runs
        self.choices.append(choice)
        self._chosen_at = num_runs
        self._estimator = choice.estimator


def _inside(problem: Problem, z: FloatArray) -> BoolArray:
    """Return which coordinates lie off their bounds."""
    space = problem.space
    slack = 1e-6 * (space.upper - space.lower)
    return (z > space.lower + slack) & (z < space.upper - slack)


def _finalize(
    run: _Run, solution: Any, stop: Stop, covariance: FloatArray, words: str, gradient: str
) -> FitResult:
    space = run.problem.space
    free = _inside(run.problem, solution.z)
    code, reason = stop
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    wide = errors >= space.upper - space.lower
    loose = [n for n, w, f in zip(space.names, wide, free, strict=True) if w and f]
    if code.ok and not np.all(free):
        held = ", ".join(n for n, f in zip(space.names, free, strict=True) if not f)
        code, reason = ResultCode.AT_BOUND, f"{held} sits at its bound; {reason}"
    elif code.ok and loose:
        code = ResultCode.NOT_IDENTIFIED
        reason = f"the data hardly constrain {', '.join(loose)}; {reason}"
    if run.spending.seconds > 0 and run.bar is not None:
        run.bar.update(1.0, "done")
    return FitResult(
        problem=run.problem,
        objective=run.objective,
        gradient=gradient,
        optimizer=type(run.optimizer).__name__,
        theta=np.asarray(space.from_fit(solution.z)),
        covariance=covariance,
        loss=float(solution.loss),
        result=code,
        reason=reason,
        history=tuple(run.history),
        starts=np.asarray(solution.starts),
        warnings=tuple(run.warnings),
        stats={
            "seconds": run.spending.seconds,
            "runs": float(run.spending.simulations),
            "steps": float(len(run.history)),
        },
        uncertainty=words,
    )

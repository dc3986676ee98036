"""The verb `fit`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tumble._budget import Budget, Spending
from tumble._checkpoint import require_checkpoint
from tumble._errors import (
    CapabilityError,
    ParameterError,
    is_number,
    require_flag,
    require_member,
    require_whole,
    shown,
)
from tumble._fit_result import FitResult, FitStep
from tumble._fit_run import FitRun, Main
from tumble._fit_starts import (
    DETERMINISTIC_TOLERANCE,
    starting_points,
    surrogate_of,
    warm_start_of,
)
from tumble._gradient_source import GradientSource
from tumble._problem import Problem
from tumble._progress import showing
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray, Params
from tumble._uncertainty import (
    LOOK_RUNS,
    SANDWICH_RUNS,
    data_errors,
    observed_information,
    sandwich,
)
from tumble.gradients import AbstractEstimator, Auto, ExactMean
from tumble.objectives import (
    AbstractObjective,
    BoundLikelihood,
    BoundOutputs,
    default_objective,
    objective_warnings,
    require_problem,
)
from tumble.optimizers import (
    AbstractOptimizer,
    DeterministicTask,
    GaussNewton,
    NoisyTask,
    Optax,
    Solution,
    StochasticGaussNewton,
    Stop,
)

# A first step of so much work, in changes of one number, is a second or so.
_FIRST_WORK, _FEWEST_RUNS = 1e8, 8
_WORK_FOR_ERRORS, _FEWEST_FOR_ERRORS = 1e9, 64
_SHARE_FOR_ERRORS = 2  # that part of the runs of the search may go into the precision of errors
_ENDED_WELL = (ResultCode.NOISE_LIMITED, ResultCode.CONVERGED, ResultCode.OUT_OF_BUDGET)


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
    checkpoint: str | Path | None = None,
) -> FitResult:
    """Find the parameters that explain the data, and how firmly.

    Arguments, most used first:

    - ``problem``: a `Problem`.
    - ``objective``: what to make small. Default by the kind of the data: `PathLikelihood` for one
      or few time series, `MomentMatching` for ten replicates or more, averages and snapshots, and
      for black boxes.
    - ``gradient``: how gradients of simulated losses are estimated. Default `Auto`, which measures,
      or `ExactMean` where the model knows the means that are compared.
      Path likelihoods bring their own.
    - ``optimizer``: a member of `tumble.optimizers` or any optax optimizer. Default `GaussNewton`
      for likelihoods, `StochasticGaussNewton` for simulated losses.
    - ``start``: named values to start from (all parameters). Default: each parameter's own start.
    - ``num_starts``: points to start from, the further ones random within the bounds. Default 8, or
      1 when ``start`` is given.
    - ``warm_start``: first move to the minimum of the linear-noise approximation of a simulated
      loss, or, for black boxes and networks with variables or events, to the best of the starts as
      64 runs each see it. `DistributionMatching` takes the best of its minima and the starts, as
      256 runs each see it. Default ``True``; with ``False`` a simulated loss is followed from the
      first start.
    - ``max_steps``: of the optimizer. Default 1000.
    - ``tolerance``: of a simulated loss: the standard error, on the fit scale, that simulation may
      leave in the estimate; a tenth of the error that the data leave is always enough. Default
      0.003, 0.3 % of a log-scale parameter.
    - ``seed``, ``budget``, ``executor``, ``progress`` (``True``, ``False``, ``None``: a bar on a
      terminal), ``callback`` (called with each `FitStep`).
    - ``checkpoint``: a file to which the state is written after each step, and from which the same
      fit goes on if it was stopped; the result is bitwise that of a fit never stopped.

    Returns a `FitResult`; its ``result`` says how the fit ended. Ctrl-C ends it with what it has
    (`ResultCode.INTERRUPTED`). Raises `CapabilityError`, `ParameterError` or `DataError` before
    anything runs, `SimulationError` when the simulator fails at the very start.
    """
    require_problem(problem, objective)
    _check_numbers(tolerance, max_steps, num_starts, warm_start)
    _check_surroundings(budget, callback)
    if problem.space.size == 0:
        raise ParameterError("`parameters` holds no Parameter, so there is nothing to fit.")
    objective = default_objective(problem) if objective is None else objective
    bound = objective.bind(problem)
    stream = Stream.from_seed(seed).child("fit")
    run = FitRun(
        problem=problem,
        objective=objective,
        bound=bound,
        gradient=_check_gradient(gradient, bound),
        optimizer=_check_optimizer(optimizer, bound),
        starts=starting_points(problem, start, num_starts, stream),
        max_steps=max_steps,
        tolerance=tolerance,
        stream=stream,
        spending=Spending(budget),
        executor=executor,
        callback=callback,
        checkpoint=require_checkpoint(checkpoint),
        warnings=_warnings(objective, bound, gradient),
    )
    with showing(progress, "fit") as bar:
        run.bar = bar
        if isinstance(bound, BoundLikelihood):
            return _fit_likelihood(run, bound)
        return _fit_outputs(run, bound, warm_start)


def _check_numbers(tolerance: Any, max_steps: Any, num_starts: Any, warm_start: Any) -> None:
    if not (is_number(tolerance) and tolerance > 0):
        raise ParameterError(f"`tolerance` is {shown(tolerance)}, expected a number > 0.")
    require_whole("max_steps", max_steps)
    if num_starts is not None:
        require_whole("num_starts", num_starts)
    require_flag("warm_start", warm_start)


def _check_surroundings(budget: Any, callback: Any) -> None:
    if budget is not None:
        require_member("budget", budget, Budget, "a Budget such as Budget(simulations=1e5)")
    if callback is not None and not callable(callback):
        raise ParameterError(f"`callback` is {shown(callback)}, expected a function of a FitStep.")


def _warnings(
    objective: AbstractObjective, bound: BoundLikelihood | BoundOutputs, gradient: Any
) -> list[str]:
    warnings = list(objective_warnings(objective, bound.problem))
    if isinstance(bound, BoundOutputs) and bound.problem.space.has_priors:
        warnings.append("priors do not enter a moment or expected loss; they were not used.")
    if isinstance(bound, BoundLikelihood) and gradient is not None:
        warnings.append("a path likelihood brings its own gradient; `gradient` was not used.")
    return warnings


def _check_optimizer(optimizer: Any, bound: BoundLikelihood | BoundOutputs) -> AbstractOptimizer:
    needed = DeterministicTask if isinstance(bound, BoundLikelihood) else NoisyTask
    if optimizer is None:
        if needed is DeterministicTask:
            return GaussNewton()
        most = StochasticGaussNewton.first_runs
        work = bound.problem.work_of_run()
        affordable = int(_FIRST_WORK / work) if work > 0 else most
        return StochasticGaussNewton(first_runs=int(np.clip(affordable, _FEWEST_RUNS, most)))
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


def _check_gradient(gradient: Any, bound: Any) -> AbstractEstimator | Auto:
    if gradient is None:
        exact = ExactMean()
        return exact if isinstance(bound, BoundOutputs) and exact.fits(bound) else Auto()
    if isinstance(gradient, AbstractEstimator) and isinstance(bound, BoundOutputs):
        gradient.check(bound)
    if not isinstance(gradient, (AbstractEstimator, Auto)):
        raise ParameterError(
            f"`gradient` is {gradient!r}, expected a member of tumble.gradients such as "
            "gradients.ScoreFunction()."
        )
    return gradient


def _fit_likelihood(run: FitRun, bound: BoundLikelihood) -> FitResult:
    task = DeterministicTask(
        run.problem.space, lambda z, rows: bound.evaluate(z), DETERMINISTIC_TOLERANCE
    )
    state, stop = run.loop(run.optimizer, task, run.starts, "likelihood", Main())
    solution = run.optimizer.solution(state)
    size = run.problem.space.size
    covariance, words = np.full((size, size), np.nan), "unknown: the fit did not end well"
    if stop.code in _ENDED_WELL:
        covariance, words = observed_information(
            bound, solution.z, _inside(run.problem, solution.z)
        )
    return _finalize(run, solution, stop, covariance, words, "automatic differentiation")


def _fit_outputs(run: FitRun, bound: BoundOutputs, warm_start: bool) -> FitResult:
    surrogate = surrogate_of(bound)
    starts, losses = run.starts, None
    if warm_start:
        starts, losses = warm_start_of(run, bound, surrogate)
    source = GradientSource(bound, run.gradient, run.stream, run.spending, run.executor)

    def errors_of_data(z: FloatArray) -> FloatArray:
        branch = run.stream.child("precision")
        if surrogate is None:
            num_runs = min(LOOK_RUNS, _runs_for_errors(run))
            errors, runs = _errors_by_runs(run, bound, source.estimator, z, branch, num_runs)
        else:
            errors, runs = data_errors(bound, surrogate, z, branch, run.executor)
        run.spending.simulations += runs
        return errors

    def curvature(z: FloatArray) -> FloatArray | None:
        return None if surrogate is None else surrogate.curvature(z)

    task = NoisyTask(run.problem.space, source.estimate, run.tolerance, curvature, errors_of_data)
    state, stop = run.loop(run.optimizer, task, starts, "simulation", Main(source))
    solution = run.optimizer.solution(state)
    if losses is not None:
        solution = solution._replace(starts=losses)
    search_runs = run.spending.simulations
    size = run.problem.space.size
    covariance, words = np.full((size, size), np.nan), "unknown: the fit did not end well"
    if stop.code in _ENDED_WELL and bound.loss.compares:
        covariance, words, runs = sandwich(
            bound, source.estimator, solution.z, _inside(run.problem, solution.z), solution.noise,
            run.stream.child("sandwich"), run.executor, num_runs=_runs_for_errors(run),
            worth=search_runs // _SHARE_FOR_ERRORS,
        )  # fmt: skip
        run.spending.simulations += runs
    elif stop.code in _ENDED_WELL:
        words = "not available for an expected loss: use tumble.bootstrap(fit)"
    return _finalize(run, solution, stop, covariance, words, str(source), search_runs)


def _runs_for_errors(run: FitRun) -> int:
    """Return how many runs the standard errors take: fewer where a run is much work."""
    work = run.problem.work_of_run()
    affordable = _WORK_FOR_ERRORS / work if work > 0 else SANDWICH_RUNS
    return int(np.clip(affordable, _FEWEST_FOR_ERRORS, SANDWICH_RUNS))


def _errors_by_runs(
    run: FitRun, bound: BoundOutputs, estimator: AbstractEstimator, z: FloatArray, stream: Stream,
    num_runs: int,
) -> tuple[FloatArray, int]:  # fmt: skip
    """Return the errors [P] that the data leave, as `data_errors` does, where all has to be run."""
    size = len(z)
    if not bound.loss.compares:
        return np.zeros(size), 0
    free, nothing = np.ones(size, bool), np.zeros((size, size))
    covariance, _, runs = sandwich(
        bound, estimator, z, free, nothing, stream, run.executor, num_runs=num_runs
    )
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return np.where(np.isfinite(errors), errors, 0.0), runs


def _inside(problem: Problem, z: FloatArray) -> BoolArray:
    """Return which coordinates lie off their bounds."""
    space = problem.space
    slack = 1e-6 * (space.upper - space.lower)
    return (z > space.lower + slack) & (z < space.upper - slack)


def _finalize(
    run: FitRun,
    solution: Solution,
    stop: Stop,
    covariance: FloatArray,
    words: str,
    gradient: str,
    search_runs: int = 0,
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
            "search_runs": float(search_runs),  # without those of standard errors
            "steps": float(len(run.history)),
        },
        uncertainty=words,
    )

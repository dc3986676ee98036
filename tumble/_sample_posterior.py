"""The verb `sample_posterior`: parameters that may have made the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tumble._budget import Budget, Spending
from tumble._errors import ParameterError, require_member, shown
from tumble._problem import Problem
from tumble._progress import showing
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.posteriors import (
    SMCABC,
    AbstractPosteriorMethod,
    AbstractSummary,
    Comparison,
    DataSets,
    Generation,
    Posterior,
    PosteriorTask,
    State,
    default_summary,
)


def sample_posterior(
    problem: Problem,
    *,
    method: AbstractPosteriorMethod | None = None,
    summary: AbstractSummary | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    executor: Any = None,
    progress: Any = None,
    callback: Callable[[Generation], None] | None = None,
) -> Posterior:
    """Return draws of the parameters given the data, by comparing simulated data with them.

    Definition: p(θ | data) ∝ p(data | θ) p(θ), with data sets simulated in the shape of the
    observed ones, measurement noise and missing entries included, and accepted where a summary of
    them is near. The prior of a parameter is its own, cut at its bounds; of a parameter without
    one, uniform within the bounds on its scale.

    Arguments, most used first:

    - ``problem``: a `Problem`.
    - ``method``: how it is sampled, a member of `tumble.posteriors`. Default `SMCABC()`.
    - ``summary``: what of a data set is compared. Default: every datum of a single series or of
      averages (`AllData`), means and standard deviations of replicates (`ReplicateMoments`),
      quantiles of snapshots (`Quantiles`).
    - ``seed``; ``budget``, of which simulations are runs of the simulator; ``executor``;
      ``progress`` (``True``, ``False``, ``None``: a bar on a terminal); ``callback``, called with
      each `Generation`.

    Guarantee: that of ``method``, for the posterior given that the summary is near, not given the
    data. Data sets whose runs fail count as infinitely far.

    Returns a `Posterior`; its ``result`` says how it ended. Ctrl-C ends it with the last complete
    round (`ResultCode.INTERRUPTED`). Raises `CapabilityError`, `ParameterError` or `DataError`
    before anything runs, `SimulationError` where no data set can be simulated.
    """
    require_member("problem", problem, Problem, "a Problem")
    method = SMCABC() if method is None else method
    require_member("method", method, AbstractPosteriorMethod, "such as posteriors.SMCABC()")
    summary = default_summary(problem) if summary is None else summary
    require_member("summary", summary, AbstractSummary, "such as posteriors.AllData()")
    if problem.space.size == 0:
        raise ParameterError("`parameters` holds no Parameter, so there is nothing to sample.")
    if budget is not None:
        require_member("budget", budget, Budget, "such as Budget(simulations=1e6)")
    if callback is not None and not callable(callback):
        raise ParameterError(f"`callback` is {shown(callback)}, expected a function or None.")
    stream = Stream.from_seed(seed).child("posterior")
    comparison = Comparison.of(summary, [b.observed.values for b in problem.bindings])
    task = PosteriorTask(
        problem, comparison, stream, Spending(budget),
        DataSets(problem, stream.child("data"), executor),
    )  # fmt: skip
    with showing(progress, "sample_posterior") as bar:
        state = _followed(task, method, bar, callback)
    return _posterior(task, method, state)


def _followed(
    task: PosteriorTask,
    method: AbstractPosteriorMethod,
    bar: Any,
    callback: Callable[[Generation], None] | None,
) -> State:
    """Return the last state."""
    state = method.init(task)
    try:
        while state.code is None:
            if callback is not None and state.generations:
                callback(state.generations[-1])
            bar.update(method.progress(state), f"{state.num_simulated:,} data sets")
            if task.spending.exhausted and state.generations:
                return state.ended(ResultCode.OUT_OF_BUDGET, "the budget is spent")
            state = method.step(task, state)
    except KeyboardInterrupt:
        if not state.generations:
            raise
        return state.ended(ResultCode.INTERRUPTED, "stopped by hand after the last whole round")
    return state


def _posterior(task: PosteriorTask, method: AbstractPosteriorMethod, state: State) -> Posterior:
    particles, space = state.particles, task.problem.space
    z, weights = particles.z, particles.weights
    if method.adjustment is not None:
        z, weights = method.adjustment.adjusted(
            z, weights, particles.summaries, particles.distances, task.comparison, state.scale,
            (space.lower, space.upper),
        )  # fmt: skip
    assert state.code is not None
    return Posterior(
        task.problem, method, task.comparison.summary, space.from_fit(z), weights,
        space.from_fit(particles.z), particles.weights, particles.distances, state.generations,
        state.code, state.reason,
        {"seconds": task.spending.seconds, "data_sets": float(state.num_simulated),
         "failed": float(state.num_failed), "runs": float(task.spending.simulations)},
    )  # fmt: skip

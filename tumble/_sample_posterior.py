"""The verb `sample_posterior`: parameters that may have made the data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tumble._budget import Budget, Spending
from tumble._checkpoint import Checkpoint, require_checkpoint
from tumble._errors import ParameterError, require_member, shown
from tumble._problem import Problem
from tumble._progress import showing
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.posteriors import (
    SMCABC,
    AbstractPosteriorMethod,
    AbstractSampler,
    AbstractState,
    Posterior,
    PosteriorTask,
)
from tumble.posteriors._findings import findings


def sample_posterior(
    problem: Problem,
    *,
    method: AbstractPosteriorMethod | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    executor: Any = None,
    progress: Any = None,
    callback: Callable[[Any], None] | None = None,
    checkpoint: str | Path | None = None,
) -> Posterior:
    """Return draws of the parameters given the data.

    Definition: p(θ | data) ∝ p(data | θ) p(θ). The prior of a parameter is its own, cut at its
    bounds; of a parameter without one, uniform within the bounds on its scale. Whether the data
    are compared with simulated ones or their likelihood is computed is what methods differ in.

    Arguments, most used first:

    - ``problem``: a `Problem`.
    - ``method``: how it is sampled, a member of `tumble.posteriors`. Default `SMCABC()`.
    - ``seed``; ``budget``, of which simulations are runs of the simulator; ``executor``;
      ``progress`` (``True``, ``False``, ``None``: a bar on a terminal); ``callback``, called with
      what each round did (`Generation`, `ChainRound` or `LearningRound`).
    - ``checkpoint``: a file to which the state is written after each round, and from which the same
      call goes on if it was stopped, beginning with a ``callback`` of the round before; the result
      is bitwise that of one never stopped. With a larger budget, one that was spent goes on, too.

    Guarantee: that of ``method``.

    Returns a `Posterior`; its ``result`` says how it ended, and else what is wrong with it: a
    parameter at a bound or not identified, several modes, data that no parameters would make, or
    of what died out. For this 200 more data sets are simulated. Ctrl-C ends it with the last
    complete round (`ResultCode.INTERRUPTED`). Raises `CapabilityError`, `ParameterError` or
    `DataError` before anything runs, `SimulationError` where no data set can be simulated.
    """
    require_member("problem", problem, Problem, "a Problem")
    method = SMCABC() if method is None else method
    require_member("method", method, AbstractPosteriorMethod, "such as posteriors.SMCABC()")
    if problem.space.size == 0:
        raise ParameterError("`parameters` holds no Parameter, so there is nothing to sample.")
    if budget is not None:
        require_member("budget", budget, Budget, "such as Budget(simulations=1e6)")
    if callback is not None and not callable(callback):
        raise ParameterError(f"`callback` is {shown(callback)}, expected a function or None.")
    stream = Stream.from_seed(seed).child("posterior")
    task = PosteriorTask(problem, stream, Spending(budget), executor)
    file = Checkpoint(require_checkpoint(checkpoint), problem.fingerprint(method, stream))
    sampler = method.bind(task)
    with showing(progress, "sample_posterior") as bar:
        state = _followed(task, sampler, bar, callback, file)
    return _posterior(task, method, sampler, state, seed)


def _followed(
    task: PosteriorTask,
    sampler: AbstractSampler,
    bar: Any,
    callback: Callable[[Any], None] | None,
    file: Checkpoint,
) -> AbstractState:
    """Return the last state; the file keeps the one before it, unless it ended well."""
    state = file.taken_up(sampler.state_type, task.spending) or sampler.init()
    try:
        while state.code is None:
            file.save(state, task.spending)
            if callback is not None and state.rounds:
                callback(state.rounds[-1])
            bar.update(sampler.progress(state), state.news)
            if task.spending.exhausted and state.has_draws:
                return state.ended(ResultCode.OUT_OF_BUDGET, "the budget is spent")
            state = sampler.step(state)
    except KeyboardInterrupt:
        if not state.has_draws:
            raise
        return state.ended(ResultCode.INTERRUPTED, "stopped by hand after the last whole round")
    if state.code.ok:
        file.discard()
    return state


def _posterior(
    task: PosteriorTask,
    method: AbstractPosteriorMethod,
    sampler: AbstractSampler,
    state: AbstractState,
    seed: int,
) -> Posterior:
    draws = sampler.draws(state)
    assert state.code is not None
    found = findings(
        task, draws.z, draws.weights, simulates=state.code.ok and not method.checks_data
    )
    code, reason = state.code, state.reason
    grave = next((f for f in found if f.code is not None), None)
    if code.ok and grave is not None and grave.code is not None:
        code, reason = grave.code, f"{grave.words}; {reason}"
    spent = {"seconds": task.spending.seconds, "runs": float(task.spending.simulations)}
    return Posterior(
        task.problem, method, np.asarray(task.problem.space.from_fit(draws.z)), draws.weights,
        draws.basis, state.rounds, code, reason, spent | state.costs,
        tuple(f.words for f in found), seed,
    )  # fmt: skip

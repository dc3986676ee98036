"""The verb `train`: a machine that infers by itself."""

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
from tumble._typing import FloatArray
from tumble.diagnostics import Calibration
from tumble.diagnostics._calibration import ranks_among
from tumble.machines import (
    AbstractInference,
    AbstractMachine,
    AbstractTraining,
    AbstractTrainingState,
    TrainedMachine,
    TrainingTask,
)
from tumble.machines._novelty import Novelty
from tumble.machines._stock import Examples, Stock
from tumble.machines._trained import log_density

_CHECKED = 500  # fresh problems, on which a machine is tried
_DRAWS = 200  # of each


def train(
    machine: AbstractMachine,
    problem: Problem,
    *,
    seed: int = 0,
    budget: Budget | None = None,
    executor: Any = None,
    progress: Any = None,
    callback: Callable[[Any], None] | None = None,
    checkpoint: str | Path | None = None,
) -> TrainedMachine:
    """Return a machine that has learnt to infer the parameters of a problem from data of its shape.

    Definition: problems are simulated, with parameters from the prior (as `sample_posterior` takes
    it), and the machine learns from them what the parameters are. Of the data of ``problem`` the
    shape counts: replicates, times, observables, and what is missing.

    Arguments, most used first:

    - ``machine``: a member of `tumble.machines`, such as `AmortizedPosterior`.
    - ``problem``: a `Problem`.
    - ``budget``, of which simulations are runs of the simulator, those of checks included. Default:
      as much as the machine asks for.
    - ``seed``; ``executor``; ``progress`` (``True``, ``False``, ``None``: a bar on a terminal);
      ``callback``, called with what each round did.
    - ``checkpoint``: a file to which the state is written after each round, and from which the same
      call goes on if it was stopped; the result is the same.

    Ctrl-C ends it without a result; what was simulated is in the checkpoint, if there is one.

    In the end 500 fresh problems are simulated, or a twentieth of what the budget is for: they show
    whether the machine is calibrated and how far data sets of the model are from those learnt from.

    Guarantee: that of ``machine``; what was measured of it is in the result.

    Raises `CapabilityError`, `ParameterError` or `DataError` before anything runs, but for data
    sets that do not fit into memory, which shows after the first of them; `SimulationError` where
    most runs fail or nothing was learnt.
    """
    require_member("machine", machine, AbstractMachine, "such as machines.AmortizedPosterior()")
    require_member("problem", problem, Problem, "a Problem")
    if problem.space.size == 0:
        raise ParameterError("`parameters` holds no Parameter, so there is nothing to learn.")
    if budget is not None:
        require_member("budget", budget, Budget, "such as Budget(simulations=1e6)")
    if callback is not None and not callable(callback):
        raise ParameterError(f"`callback` is {shown(callback)}, expected a function or None.")
    stream = Stream.from_seed(seed).child("train")
    tried = TrainingTask(problem, stream.child("checks"), Spending(None), executor)
    runs_each = Stock(tried).sets.runs_each + machine.runs_to_infer(problem)
    num_checks, kept = _divided(budget, runs_each)
    task = TrainingTask(problem, stream, Spending(kept), executor)
    training = machine.bind(task)
    file = Checkpoint(require_checkpoint(checkpoint), problem.fingerprint(machine, stream))
    with showing(progress, "train") as bar:
        state = _followed(task, training, bar, callback, file)
        bar.update(1.0, "tried on fresh problems")
        trained = _tried(machine, tried, task, training, state, num_checks, seed)
    file.discard()
    return trained


def _divided(budget: Budget | None, runs_each: int) -> tuple[int, Budget | None]:
    """Return how many fresh problems are for checks, and what is left to learn from.

    A problem takes ``runs_each``, those of its answer included.
    """
    if budget is None or budget.simulations is None:
        return _CHECKED, budget
    paid = budget.simulations / runs_each
    count = int(max(min(_CHECKED, paid / 20), 1))
    return count, Budget(max(budget.simulations - count * runs_each, 1), budget.seconds)


def _followed(
    task: TrainingTask,
    training: AbstractTraining,
    bar: Any,
    callback: Callable[[Any], None] | None,
    file: Checkpoint,
) -> AbstractTrainingState:
    """Return the last state."""
    state: AbstractTrainingState = (
        file.taken_up(training.state_type, task.spending) or training.init()
    )
    while state.code is None:
        file.save(state, task.spending)
        if callback is not None and state.rounds:
            callback(state.rounds[-1])
        bar.update(training.progress(state), state.news)
        state = training.step(state)
    return state


def _tried(
    machine: AbstractMachine,
    tried: TrainingTask,
    task: TrainingTask,
    training: AbstractTraining,
    state: AbstractTrainingState,
    num_checks: int,
    seed: int,
) -> TrainedMachine:
    """Return the result, with what fresh problems show of it."""
    inference = training.inference(state)
    stock = Stock(tried)
    fresh = [
        stock.draw(call, min(stock.at_once, num_checks - at))
        for call, at in enumerate(range(0, num_checks, stock.at_once))
    ]
    features = np.concatenate([inference.features(part.data) for part in fresh])
    novelty = Novelty.of(training.features(state), features)
    checks = [_check(tried, inference, part, n) for n, part in enumerate(fresh)]
    tried.spending.simulations += num_checks * machine.runs_to_infer(task.problem)
    ranks, joint, thetas, gained = (np.concatenate(c) for c in zip(*checks, strict=True))
    names, what = task.problem.space.names, type(machine).__name__
    calibration = Calibration(names, ranks, joint, thetas, (), what)
    assert state.code is not None
    stats = {
        "seconds": task.spending.seconds,
        "runs": float(task.spending.simulations + tried.spending.simulations),
        "data_sets": float(state.num_simulated),
        "failed": float(state.num_failed),
        "nats": float(gained.mean()),
    }
    return TrainedMachine(
        task.problem, machine, inference, calibration, novelty, state.rounds, state.code,
        state.reason, stats, seed,
    )  # fmt: skip


def _check(
    task: TrainingTask,
    inference: AbstractInference,
    fresh: Examples,
    number: int,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return ranks [B, P] and joint ones [B], θ [B, P], and nats [B] gained over the prior."""
    problem, prior = task.problem, task.prior
    stream = task.stream.child("ranks", number)
    draws = inference.sample(fresh.data, _DRAWS, stream)
    even, rng = np.full(_DRAWS, 1 / _DRAWS), stream.child("ties").numpy()
    z = prior.from_normal(fresh.w)
    thetas = np.asarray(problem.space.from_fit(z), dtype=float)
    ranks = [
        ranks_among(
            problem.space, np.asarray(problem.space.from_fit(prior.from_normal(own))), even, theta,
            rng,
        )
        for own, theta in zip(draws, thetas, strict=True)
    ]  # fmt: skip
    gained = log_density(problem, inference, z, fresh.data) - prior.log_density_of_theta(z)
    return np.stack([r for r, _ in ranks]), np.array([j for _, j in ranks]), thetas, gained

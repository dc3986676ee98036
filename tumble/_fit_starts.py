"""Where a fit starts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tumble._fit_run import FitRun
from tumble._problem import Problem, as_params
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray, Params
from tumble.models import ReactionNetwork
from tumble.objectives import BoundOutputs, Surrogate
from tumble.optimizers import DeterministicTask, GaussNewton
from tumble.simulators import LinearNoise

DETERMINISTIC_TOLERANCE = 1e-5
"""Of the minimum of a loss that can be computed, on the fit scale."""

_DEFAULT_STARTS = 8
_LOOK_RUNS = 64
_CANDIDATE_RUNS = 256
_NEXT_TO = 0.05  # on the fit scale


def starting_points(
    problem: Problem, start: Params | None, num_starts: int | None, stream: Stream
) -> FloatArray:
    """Return points [M, P] to start from: ``start`` (default: the parameters' own), and others."""
    count = num_starts or (_DEFAULT_STARTS if start is None else 1)
    starts = problem.space.starts(count, stream.child("starts"))
    if start is not None:
        starts[0] = problem.space.to_fit(as_params(problem, start))
    return starts


def surrogate_of(bound: BoundOutputs) -> Surrogate | None:
    """Return the linear-noise approximation, or None where it does not take the model."""
    for binding in bound.problem.bindings:
        model = binding.model
        if not isinstance(model, ReactionNetwork) or model.variables or model.events:
            return None
        if len(binding.effects):
            return None
    return Surrogate(LinearNoise(), bound)


def warm_start_of(
    run: FitRun, bound: BoundOutputs, surrogate: Surrogate | None
) -> tuple[FloatArray, FloatArray | None]:
    """Return where to start from [1, P], and the losses of all that was looked at."""
    if surrogate is None:
        return _best_of(run, bound, run.starts, _LOOK_RUNS)
    task = DeterministicTask(
        run.problem.space, lambda z, rows: surrogate.evaluate(z), DETERMINISTIC_TOLERANCE
    )
    optimizer = GaussNewton()
    state, stop = run.loop(optimizer, task, run.starts, "linear noise", None)
    if stop.code is ResultCode.DIVERGED:
        run.warnings.append(
            "the linear-noise approximation gave no start; the best of the starts was taken."
        )
        return _best_of(run, bound, run.starts, _LOOK_RUNS)
    if stop.code is ResultCode.INTERRUPTED:
        raise KeyboardInterrupt
    solution = optimizer.solution(state)
    if not bound.objective.beyond_moments:
        return solution.z[None], solution.starts
    # Linear noise knows one mode: where there are two, its minimum may be far from any of the loss.
    ends = state.z[np.argsort(state.values)[: np.isfinite(state.values).sum()]]
    return _best_of(run, bound, _distinct([*ends, *run.starts]), _CANDIDATE_RUNS)


def _distinct(points: Sequence[FloatArray]) -> FloatArray:
    """Return points [M, P] without those that are next to one before them."""
    kept: list[FloatArray] = []
    for z in points:
        if all(np.abs(z - other).max() > _NEXT_TO for other in kept):
            kept.append(z)
    return np.array(kept)


def _best_of(
    run: FitRun, bound: BoundOutputs, points: FloatArray, num_runs: int
) -> tuple[FloatArray, FloatArray | None]:
    """Return the point [1, P] of the lowest loss, as a few runs see it, and the losses of all."""
    if len(points) == 1:
        return points, None
    stream = run.stream.child("look")
    losses = np.array(
        [
            _simulated_loss(run, bound, z, num_runs, stream.child("start", i))
            for i, z in enumerate(points)
        ]
    )
    run.spending.simulations += num_runs * len(losses) * len(run.problem.bindings)
    best = int(np.argmin(losses))
    return points[best : best + 1], losses


def _simulated_loss(
    run: FitRun, bound: BoundOutputs, z: FloatArray, num_runs: int, stream: Stream
) -> float:
    """Return the loss at z [P] of the mean features of a few runs; infinite where runs fail."""
    theta = np.asarray(run.problem.space.from_fit(z))
    means = []
    for e in range(len(run.problem.bindings)):
        branch = stream.child("experiment", e)
        sample = run.problem.simulate_binding(e, theta, branch, num_runs, run.executor)
        if np.any(sample.codes != 0):
            return float("inf")
        means.append(np.asarray(bound.features_of(e, sample.states, theta)).mean(0).ravel())
    return bound.value(np.concatenate(means))

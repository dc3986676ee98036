"""Runs at perturbed parameters, and the differences between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ParameterError, is_number, require_member, shown
from tumble._random import Stream, run_ids
from tumble._typing import FloatArray, IdArray, IntArray
from tumble.gradients._base import dynamic_parameters, features_and_slopes, require_valid
from tumble.gradients._directions import AbstractDirections
from tumble.gradients._estimate import SampledJacobian
from tumble.objectives import BoundOutputs
from tumble.simulators import Batch

Runner = Callable[[BoundOutputs, int, FloatArray, Stream, Any], tuple[Any, int]]
"""(objective, experiment, points z [n, S, P], stream, executor) -> states [n, S, T, ·], events."""


@dataclass(frozen=True)
class Perturbation:
    """Steps of one size, along directions, from a point z [P], of the parameters that move states.

    Points outside the bounds are moved to the nearest inside, coordinate by coordinate. With u the
    directions and h the steps, m(clip(z + h u)) u_j / (h_j reach_j) has as its mean the average of
    ∂m/∂z_j over those points where coordinate j has stayed within its bounds (for normal u, by
    Stein's identity), or the difference quotient between the points that are left (for ± 1). So a
    bound does not damp the gradient: at distances beyond a few steps nothing changes, and at the
    bound itself differences are one-sided.
    """

    z: FloatArray
    dynamic: IntArray
    steps: FloatArray
    reach: FloatArray
    directions: AbstractDirections

    @classmethod
    def of(
        cls, objective: BoundOutputs, z: FloatArray, step: float, directions: AbstractDirections
    ) -> Perturbation:
        """Return the perturbation with ``step`` on the fit scale, or of half the bounds' width."""
        space = objective.problem.space
        dynamic = dynamic_parameters(objective)
        half_width = (space.upper - space.lower) / 2
        is_linear = np.array(space.scales) == "linear"
        steps = (step * np.where(is_linear, half_width, 1.0))[dynamic]
        inside = space.clip(np.asarray(z, dtype=float))
        lower = ((space.lower - inside)[dynamic]) / steps
        upper = ((space.upper - inside)[dynamic]) / steps
        return cls(inside, dynamic, steps, directions.reach(lower, upper), directions)

    @staticmethod
    def count_of(objective: BoundOutputs, directions: AbstractDirections) -> int:
        """Return D; one, of length zero, if no parameter moves the states."""
        return max(1, directions.count(len(dynamic_parameters(objective))))

    @property
    def count(self) -> int:
        """D, the directions of one joint sample."""
        return max(1, self.directions.count(len(self.dynamic)))

    def draw(self, objective: BoundOutputs, experiment: int, n: int, stream: Stream) -> FloatArray:
        """Return directions [n, D, P'] along the dynamic parameters P' of one experiment.

        Entries of parameters that this experiment does not depend on are zero: they would add
        nothing but noise.
        """
        if len(self.dynamic) == 0:
            return np.zeros((n, 1, 0))
        drawn = self.directions.draw(n, len(self.dynamic), stream.child("directions").numpy())
        binding = objective.problem.bindings[experiment]
        matters = binding.moves[self.dynamic]
        return drawn if np.all(matters) else drawn * matters

    def points(self, objective: BoundOutputs, along: FloatArray) -> FloatArray:
        """Return clip(z + h u) [n, P] for directions u [n, P']."""
        points = np.tile(self.z, (len(along), 1))
        points[:, self.dynamic] += along * self.steps
        return np.asarray(objective.problem.space.clip(points))


def sample_differences(
    objective: BoundOutputs,
    perturbation: Perturbation,
    num_samples: int,
    stream: Stream,
    executor: Any,
    run: Runner,
) -> SampledJacobian:
    """Draw joint samples of Σ_d [f(z + h u_d) − f(z − h u_d)] u_d / (2 h reach).

    Features are averages over both sides and all directions. Derivatives of the features in
    parameters of observables and noise are explicit, and added.
    """
    features, jacobians, events = [], [], 0
    for e in range(len(objective.problem.bindings)):
        branch = stream.child("experiment", e)
        f, j, fired = _differences_of(
            objective, e, perturbation, num_samples, branch, executor, run
        )
        features.append(f.reshape(num_samples, -1))
        jacobians.append(j.reshape(num_samples, -1, j.shape[-1]))
        events += fired
    return SampledJacobian(
        np.concatenate(features, axis=1),
        np.concatenate(jacobians, axis=1),
        2 * perturbation.count * num_samples * len(features),
        events,
    )


def _differences_of(
    objective: BoundOutputs,
    experiment: int,
    perturbation: Perturbation,
    n: int,
    stream: Stream,
    executor: Any,
    run: Runner,
) -> tuple[FloatArray, FloatArray, int]:
    """Return features [n, T, K], Jacobians [n, T, K, P] and events of one experiment."""
    space, dynamic = objective.problem.space, perturbation.dynamic
    directions = perturbation.draw(objective, experiment, n, stream)
    features: Any = 0.0
    jacobians: Any = None
    events = 0
    for d in range(perturbation.count):
        along = directions[:, d]
        sides = np.stack([perturbation.points(objective, s * along) for s in (-1.0, 1.0)], axis=1)
        # One stream a direction; there are no more directions than parameters.
        branch = stream.child("parameter", int(dynamic[d]) if len(dynamic) else 0)
        states, fired = run(objective, experiment, sides, branch, executor)
        events += fired
        below, slope_below = features_and_slopes(
            objective, experiment, states[:, 0], perturbation.z
        )
        above, slope_above = features_and_slopes(
            objective, experiment, states[:, 1], perturbation.z
        )
        features = features + (below + above) / (2 * perturbation.count)
        if jacobians is None:
            jacobians = np.zeros((*below.shape, space.size))
        moved = np.flatnonzero(np.any(along != 0, axis=0))
        weights = along[:, moved] / (2 * perturbation.steps * perturbation.reach)[moved]
        jacobians[..., dynamic[moved]] += (above - below)[..., None] * weights[:, None, None, :]
        if slope_below is not None and slope_above is not None:
            jacobians += (slope_below + slope_above) / (2 * perturbation.count)
    return features, jacobians, events


def common_runs(
    objective: BoundOutputs, experiment: int, points: FloatArray, stream: Stream, executor: Any
) -> tuple[Any, int]:
    """Run every point of every sample; points of one sample share their run id."""
    ids = np.repeat(run_ids(len(points)), points.shape[1])
    return _sample(objective, experiment, points, ids, stream, executor)


def independent_runs(
    objective: BoundOutputs, experiment: int, points: FloatArray, stream: Stream, executor: Any
) -> tuple[Any, int]:
    """Run every point of every sample, each with random numbers of its own."""
    ids = run_ids(points.shape[0] * points.shape[1])
    return _sample(objective, experiment, points, ids, stream, executor)


def coupled_runs(
    objective: BoundOutputs, experiment: int, points: FloatArray, stream: Stream, executor: Any
) -> tuple[Any, int]:
    """Run pairs of points [n, 2, P] under the coupling that the simulator offers."""
    ids = run_ids(len(points))
    params, initial = _inputs(objective, experiment, points, np.repeat(ids, 2), stream)
    shape = points.shape[:2]
    batch = _batch(
        objective, experiment, params.reshape(*shape, -1), initial.reshape(*shape, -1), ids, stream
    )
    simulator: Any = objective.problem.simulator
    model = objective.problem.bindings[experiment].model
    sample = simulator.sample_pairs(model, batch, executor=executor)
    require_valid(sample, model)
    return sample.states, int(sample.events.sum())


def _sample(
    objective: BoundOutputs,
    experiment: int,
    points: FloatArray,
    ids: IdArray,
    stream: Stream,
    executor: Any,
) -> tuple[Any, int]:
    problem = objective.problem
    params, initial = _inputs(objective, experiment, points, ids, stream)
    batch = _batch(objective, experiment, params, initial, ids, stream)
    model = problem.bindings[experiment].model
    sample = problem.simulator.sample(model, batch, executor=executor)
    require_valid(sample, model)
    return sample.states.reshape(*points.shape[:2], *sample.states.shape[1:]), int(
        sample.events.sum()
    )


def _inputs(
    objective: BoundOutputs, experiment: int, points: FloatArray, ids: IdArray, stream: Stream
) -> tuple[FloatArray, IntArray]:
    """Return parameters [B, Q] and initial counts [B, S], a row a point."""
    binding = objective.problem.bindings[experiment]
    rows = points.reshape(-1, points.shape[-1])
    theta = np.asarray(objective.problem.space.from_fit(rows), dtype=float)
    initial = binding.sample_initial(theta, stream.child("initial"), ids)[0]
    effects = binding.sample_effects(stream, ids)
    return np.asarray(binding.params_given(theta, effects), dtype=float), initial


def _batch(
    objective: BoundOutputs,
    experiment: int,
    params: FloatArray,
    initial: IntArray,
    ids: IdArray,
    stream: Stream,
) -> Batch:
    binding = objective.problem.bindings[experiment]
    start = binding.experiment.start
    return Batch(params, initial, binding.times, stream.child("events"), ids, start)


def require_step(step: float) -> None:
    """Raise `ParameterError` unless a step is between 0 and 1."""
    if not (is_number(step) and 0 < step <= 1):
        raise ParameterError(f"`step` is {shown(step)}, expected between 0 and 1.")


def require_directions(directions: AbstractDirections) -> None:
    """Raise `ParameterError` unless these are directions."""
    require_member(
        "directions", directions, AbstractDirections, "directions such as OrthogonalDirections()"
    )

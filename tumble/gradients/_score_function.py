"""The score function (likelihood ratio) estimator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from tumble._random import Stream, run_ids
from tumble._typing import FloatArray
from tumble.gradients._base import (
    AbstractEstimator,
    SampledJacobian,
    features_and_slopes,
    require_valid,
)
from tumble.gradients._baselines import AbstractBaseline, LeaveOneOut
from tumble.objectives import BoundOutputs
from tumble.simulators import Batch, SupportsScore


@dataclass(frozen=True)
class ScoreFunction(AbstractEstimator):
    """∂E[f]/∂θ = E[f S] with the score S = ∂ log p(path) / ∂θ.

    Definition: S = Σ_events ∂ log a_r − ∫ Σ_r ∂a_r ds, up to the time t of the feature and
    including the last, event-free interval. From each feature its mean over the *other* runs is
    subtracted (leave-one-out baseline), and only the score up to its own time is used. An unknown
    initial count between whole numbers adds the score of its random rounding; within 0.02 of a
    whole number its mean is moved to that distance.

    Guarantee: unbiased at every batch size of four or more joint samples, for losses of both kinds.

    When: few copies, short horizons, many parameters (one run gives all). Not for large populations
    or long horizons: the variance of S grows with the number of events.

    References: Glynn, Commun. ACM 33 (1990), doi:10.1145/84537.84552; Plyasunov, Arkin, J. Comput.
    Phys. 221 (2007), doi:10.1016/j.jcp.2006.06.047.
    """

    baseline: AbstractBaseline = field(default_factory=LeaveOneOut)
    requires: ClassVar[type] = SupportsScore
    unbiased: ClassVar[bool] = True
    guarantee: ClassVar[str] = "unbiased at every batch size"

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`."""
        return 1

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        features, jacobians, events = [], [], 0
        for e in range(len(objective.problem.bindings)):
            branch = stream.child("experiment", e)
            f, j, fired = _sample_experiment(
                objective, e, z, num_samples, branch, executor, self.baseline
            )
            features.append(f)
            jacobians.append(j)
            events += fired
        return SampledJacobian(
            np.concatenate(features, axis=1),
            np.concatenate(jacobians, axis=1),
            num_samples * len(features),
            events,
        )


def _sample_experiment(
    objective: BoundOutputs,
    experiment: int,
    z: FloatArray,
    num_samples: int,
    stream: Stream,
    executor: Any,
    baseline: AbstractBaseline,
) -> tuple[FloatArray, FloatArray, int]:
    """Return features [n, T K], Jacobians [n, T K, P] and events of one experiment."""
    problem = objective.problem
    binding = problem.bindings[experiment]
    theta = np.asarray(problem.space.from_fit(z))
    runs = run_ids(num_samples)
    initial, initial_score = binding.sample_initial(
        theta, stream.child("initial"), runs, interior=True
    )
    params = np.asarray(binding.model_params(theta), dtype=float)
    batch = Batch(
        np.broadcast_to(params, (num_samples, len(params))), initial, binding.times,
        stream.child("events"), runs, binding.experiment.start,
    )  # fmt: skip
    simulator: Any = problem.simulator
    sample = simulator.sample_with_score(problem.model, batch, executor=executor)
    require_valid(sample, problem.model)
    slope = problem.space.slope(z)
    from_initial = initial_score @ (binding.initial_slopes * slope)
    score = sample.score_along(binding.model_slopes * slope) + from_initial[:, None, :]
    features, explicit = features_and_slopes(objective, experiment, sample.states, z)
    n = num_samples
    jacobians = baseline.jacobians(features, score)
    if explicit is not None:
        jacobians = jacobians + explicit
    num_params = problem.space.size
    events = int(sample.events.sum())
    return features.reshape(n, -1), jacobians.reshape(n, -1, num_params), events

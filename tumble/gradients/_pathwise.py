"""Pathwise derivatives: through the draws of a run, as if its outcomes could move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError, require_member
from tumble._random import Stream, run_ids
from tumble._relaxation import AbstractRelaxation
from tumble._typing import FloatArray
from tumble.gradients._base import AbstractEstimator, require_valid
from tumble.gradients._estimate import SampledJacobian
from tumble.gradients._relaxations import StraightThrough
from tumble.objectives import BoundOutputs
from tumble.simulators import Batch, SupportsRelaxation


@dataclass(frozen=True)
class Pathwise(AbstractEstimator):
    """∂E[f] ≈ E[f'(X) ∂X], with ∂X carried through the run from draw to draw.

    Definition: a run is what it is without; beside it go the derivatives of its states by the
    parameters. Waiting times and normal numbers move as their laws do under the same random number
    (reparameterization). Outcomes of flips, picks and Poisson numbers are whole, and their
    derivative is what the ``relaxation`` takes for it.

    Guarantee: exact where what is expected depends smoothly on continuous draws, and linearly
    (`StraightThrough`) or quadratically (`SecondOrder`) on each discrete one given the others. Else
    biased, and the sign may be wrong: a comparison with an outcome, and so each branch, is taken
    not to depend on it. `audit_gradient` tells, and `Auto` takes it only where it is RIGHT.

    Arguments: ``relaxation``, default `StraightThrough()`.

    Cost: one run for all parameters, which takes about one and a half times as long as with its
    score.

    When: draws that enter by arithmetic, in one step or few, such as sums over a large lattice; it
    has the lowest variance there. Not for counts of events before a fixed time, which are compared
    with it: for arrivals at rate k, X(10) has the derivative 10, and this is exactly 0. Not through
    many steps of something that spreads, where derivatives grow without bound while what they stand
    for does not. Unknown initial counts have no pathwise derivative.

    References: Bengio, Léonard, Courville (2013), arXiv:1308.3432 (straight-through); Jang, Gu,
    Poole, ICLR (2017), arXiv:1611.01144, and Maddison, Mnih, Teh, ICLR (2017), arXiv:1611.00712
    (Gumbel-softmax); Glasserman, Gradient Estimation via Perturbation Analysis (1991).
    """

    relaxation: AbstractRelaxation = field(default_factory=StraightThrough)
    requires: ClassVar[type] = SupportsRelaxation
    unbiased: ClassVar[bool] = False
    proven: ClassVar[bool] = False
    event_cost: ClassVar[float] = 1.5
    guarantee: ClassVar[str] = (
        "exact for continuous draws and for functions linear in each discrete draw (quadratic for "
        "SecondOrder); biased otherwise, possibly with the wrong sign"
    )

    def __post_init__(self) -> None:
        require_member(
            "relaxation", self.relaxation, AbstractRelaxation,
            "a relaxation such as StraightThrough()",
        )  # fmt: skip

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`."""
        return 1

    def tuned(self, num_runs: int) -> Pathwise:
        """See `AbstractEstimator.tuned`."""
        return replace(self, relaxation=self.relaxation.tuned(num_runs))

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        _require_known_counts(objective)
        features, jacobians, num_events = [], [], 0
        for e in range(len(objective.problem.bindings)):
            branch = stream.child("experiment", e)
            f, j, fired = self._experiment(objective, e, z, num_samples, branch, executor)
            features.append(f.reshape(num_samples, -1))
            jacobians.append(j.reshape(num_samples, -1, len(z)))
            num_events += fired
        return SampledJacobian(
            np.concatenate(features, axis=1),
            np.concatenate(jacobians, axis=1),
            num_samples * len(features),
            num_events,
        )

    def _experiment(
        self,
        objective: BoundOutputs,
        experiment: int,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any,
    ) -> tuple[FloatArray, FloatArray, int]:
        """Return features [n, T, K] of an experiment, their slopes [n, T, K, P] and the events."""
        problem = objective.problem
        binding = problem.bindings[experiment]
        theta = np.asarray(problem.space.from_fit(z), dtype=float)
        runs = run_ids(num_samples)
        effects = binding.sample_effects(stream, runs)
        params = np.asarray(binding.params_given(theta, effects), dtype=float)
        initial, _ = binding.sample_initial(theta, stream.child("initial"), runs)
        batch = Batch(
            params, initial, binding.times,
            stream.child("events"), runs, binding.experiment.start,
        )  # fmt: skip
        simulator: Any = problem.simulator
        sample = simulator.sample_relaxed(binding.model, batch, self.relaxation, executor=executor)
        require_valid(sample, binding.model)
        along = binding.slopes_given(theta, effects) * problem.space.slope(z)
        slopes = sample.slopes @ along[:, None]
        features, jacobians = features_along(objective, experiment, sample.states, slopes, z)
        return features, jacobians, int(sample.events.sum())


def features_along(
    objective: BoundOutputs, experiment: int, states: Any, slopes: FloatArray, z: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return features [n, T, K], and how they change in z as states do by slopes [n, T, S, P]."""
    import jax
    import jax.numpy as jnp

    space = objective.problem.space

    def features(states: Any, z: Any) -> Any:
        return objective.features_of(experiment, states, space.from_fit(z, jnp), jnp)

    with jax.enable_x64(True):
        point = jnp.asarray(states, dtype=float), jnp.asarray(z, dtype=float)
        values, push = jax.linearize(features, *point)
        found = jax.vmap(push, in_axes=-1, out_axes=-1)(jnp.asarray(slopes), jnp.eye(len(z)))
        return np.asarray(values), np.asarray(found)


def _require_known_counts(objective: BoundOutputs) -> None:
    """Raise `CapabilityError` where an initial count is unknown."""
    for binding in objective.problem.bindings:
        unknown = np.flatnonzero(np.any(binding.initial_slopes != 0, axis=1))
        if len(unknown):
            name = objective.problem.model.initial_names[unknown[0]]
            raise CapabilityError(
                f"Pathwise has no derivative by the initial count of {name!r}, which is unknown "
                "here: a whole number cannot move a little. Give its value, or choose another "
                "gradient, such as AlternativePath or CoupledDifference."
            )

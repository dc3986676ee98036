"""The gradient of a loss of means that a model knows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError
from tumble._random import Stream
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit
from tumble.gradients._base import AbstractEstimator
from tumble.gradients._estimate import GradientEstimate, SampledJacobian
from tumble.gradients._pathwise import features_along
from tumble.losses import times
from tumble.models import AbstractLattice
from tumble.objectives import BoundOutputs
from tumble.objectives._structure import Structure
from tumble.simulators import AbstractSimulator
from tumble.simulators._lattice import steps_until

_SAME = 1e-9


@dataclass(frozen=True)
class ExactMean(AbstractEstimator):
    """∂E[f]/∂z of outputs whose means the model knows, without a single run.

    Definition: E[f(X)] = f(E[X]) for features f that are linear in the outputs, with E[X] what the
    model's ``mean`` says, and the derivative that JAX makes of it.

    Guarantee: exact, with covariance zero.

    When: always, where it can be had: `fit` takes it by itself. For lattices with a ``mean``, as
    `PlainWalk` and `PersistentWalk` have, and objectives of means: `TrajectoryMatching`, and
    `MomentMatching` and `LossOfExpectations` of order 1. Standard errors still take simulated runs,
    which tell how data vary.
    """

    requires: ClassVar[type] = AbstractSimulator
    unbiased: ClassVar[bool] = True
    divisible: ClassVar[bool] = False
    guarantee: ClassVar[str] = "exact"

    def fits(self, objective: BoundOutputs) -> bool:
        """Return whether the models know their means, and features are linear in the outputs."""
        models = [binding.model for binding in objective.problem.bindings]
        known = all(isinstance(m, AbstractLattice) and m.has_mean for m in models)
        return known and all(_is_linear(objective, e) for e in range(len(models)))

    def check(self, objective: BoundOutputs) -> None:
        """Raise `CapabilityError` where the means are not known, or features are not linear."""
        if not self.fits(objective):
            raise CapabilityError(
                f"ExactMean needs a lattice that knows its means (`mean`) and features linear in "
                f"the outputs, but got {type(objective.problem.model).__name__} and "
                f"{type(objective.objective).__name__}; take an objective of means, such as "
                "MomentMatching(order=1), or leave out `gradient`."
            )

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """Return 1, as an estimator must; no runs are made."""
        return 1

    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """Return the expected features and their derivatives, ``num_samples`` times."""
        moments, slopes = _moments(objective, np.asarray(z, dtype=float))
        n = num_samples
        return SampledJacobian(
            np.broadcast_to(moments, (n, *moments.shape)),
            np.broadcast_to(slopes, (n, *slopes.shape)),
            0,
            0,
        )

    def estimate(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_runs: int,
        stream: Stream,
        executor: Any = None,
    ) -> GradientEstimate:
        """Return loss and gradient at z [P].

        No runs are made, but one is counted, so that optimizers can weigh it and budgets end.
        """
        self.check(objective)
        began = time.perf_counter()
        moments, slopes = _moments(objective, np.asarray(z, dtype=float))
        nothing = np.zeros((len(z), len(z)))
        loss = objective.loss
        curvature = slopes.T @ times(loss.stiffness(moments), slopes) if loss.compares else None
        return GradientEstimate(
            objective.value(moments),
            0.0,
            objective.slope(moments) @ slopes,
            nothing,
            curvature,
            None if curvature is None else nothing,
            1,
            0.0,
            time.perf_counter() - began,
        )


def _is_linear(objective: BoundOutputs, experiment: int) -> bool:
    """Return whether features at the middle of two states are the middle of features."""
    binding = objective.problem.bindings[experiment]
    space = objective.problem.space
    theta = np.asarray(space.from_fit((space.lower + space.upper) / 2))
    ends = np.ones((2, len(binding.times), len(binding.model.species)))
    ends[1] = 1 + np.arange(1, ends[1].size + 1).reshape(ends[1].shape)
    states = np.concatenate([ends, ends.mean(0, keepdims=True)])
    first, second, middle = np.asarray(objective.features_of(experiment, states, theta))
    return bool(np.allclose(middle, (first + second) / 2, rtol=_SAME, atol=0))


def _moments(objective: BoundOutputs, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return m [F] and ∂m/∂z [F, P]."""
    import jax

    with jax.enable_x64(True):
        known = [(np.asarray(m), np.asarray(s)) for m, s in _means(Structure(objective.problem))(z)]
    parts = [
        features_along(objective, e, mean[None], slopes[None], z)
        for e, (mean, slopes) in enumerate(known)
    ]
    moments = np.concatenate([features.ravel() for features, _ in parts])
    return moments, np.concatenate([slopes.reshape(-1, len(z)) for _, slopes in parts])


@lru_cache(maxsize=16)
def _means(structure: Structure) -> Any:
    """Return the compiled z [P] -> the means [T, S] of each experiment, and slopes [T, S, P]."""
    import jax
    import jax.numpy as jnp

    problem = structure.problem

    def mean(binding: Any, z: JaxArray) -> JaxArray:
        params = binding.model_params(problem.space.from_fit(z, jnp))
        named = {name: params[q] for q, name in enumerate(binding.model.parameters)}
        steps = steps_until(binding.model, binding.times, binding.experiment.start)
        found = binding.model.mean(named, steps)
        return jnp.stack([found[name] for name in binding.model.outputs], axis=-1)

    def every(z: JaxArray) -> Any:
        return [(mean(b, z), jax.jacfwd(lambda z, b=b: mean(b, z))(z)) for b in problem.bindings]

    return jit(every)

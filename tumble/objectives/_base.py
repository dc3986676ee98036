"""What an objective is, before and after it meets a problem.

An objective is written against the outputs of a simulator (`AbstractOutputObjective`), or it is the
likelihood of whole paths (`PathLikelihood`), which brings its own gradient. Either is bound to a
problem once, and the bound form is what optimizers and estimators see.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from tumble._problem import Problem
from tumble._typing import FloatArray, JaxArray
from tumble.simulators import LinearNoise

if TYPE_CHECKING:
    from tumble.objectives._path_likelihood import BoundLikelihood


class Evaluation(NamedTuple):
    """A deterministic objective at M points of the fit scale.

    ``values`` [M] (inf where it cannot be computed), ``gradients`` [M, P], ``curvatures``
    [M, P, P], positive semi-definite (Gauss–Newton or Fisher), or None.
    """

    values: FloatArray
    gradients: FloatArray
    curvatures: FloatArray | None


class AbstractObjective(abc.ABC):
    """What a fit makes small."""

    loss_name: ClassVar[str]
    """What to call its value."""

    citations: ClassVar[tuple[str, ...]]
    """What to cite."""

    @abc.abstractmethod
    def bind(self, problem: Problem) -> BoundLikelihood | BoundOutputs:
        """Return the objective of ``problem``. Raises `DataError` where the data do not fit."""


class AbstractOutputObjective(AbstractObjective):
    """A loss ℓ(E[f(X)]) of expected features f of the simulator's outputs.

    Features are local in time: f at observation time t depends on the state at t. ℓ is linear or a
    diagonal quadratic, so that batches give unbiased values and gradients (U-statistics).
    """

    @abc.abstractmethod
    def bind(self, problem: Problem) -> BoundOutputs:
        """Return the objective of ``problem``."""

    @abc.abstractmethod
    def features(self, x: JaxArray, variance: JaxArray, data: FeatureData, xp: Any) -> JaxArray:
        """Return features [n, T, K].

        Arguments: ``x`` [n, T, O] the expected datum given the state, ``variance`` [n, T, O] of its
        measurement noise, ``data`` of the experiment, ``xp`` the array namespace.
        """

    @abc.abstractmethod
    def gaussian_features(
        self, mean: JaxArray, variance: JaxArray, data: FeatureData, xp: Any
    ) -> JaxArray:
        """Return the features expected, shape [T, K], of data with mean and variance [T, O]."""


class FeatureData(NamedTuple):
    """What an objective takes from the data of one experiment.

    ``center`` [T, O] (0 where missing); ``target`` and ``weight`` [T, K] (weight 0 where missing).
    """

    center: FloatArray
    target: FloatArray
    weight: FloatArray


@dataclass(frozen=True)
class BoundOutputs:
    """An output objective of one problem.

    The loss is Σ_f w_f (m_f − y_f)² when ``quadratic``, else Σ_f w_f m_f, with m = E[f] over all
    features [F] of all experiments.
    """

    objective: AbstractOutputObjective
    problem: Problem
    data: Sequence[FeatureData]
    quadratic: bool

    @cached_property
    def target(self) -> FloatArray:
        """The observed features y [F]."""
        return np.concatenate([d.target.ravel() for d in self.data])

    @cached_property
    def weight(self) -> FloatArray:
        """The weights w [F]."""
        return np.concatenate([d.weight.ravel() for d in self.data])

    @cached_property
    def num_features(self) -> int:
        """F."""
        return len(self.target)

    def features_of(self, experiment: int, states: Any, theta: JaxArray, xp: Any = np) -> JaxArray:
        """Return features [n, T, K] of states [n, T, S]. In JAX, for a 64-bit scope."""
        binding = self.problem.bindings[experiment]
        observed = binding.observe(states, theta, xp)
        x = binding.expected(observed, theta, xp)
        variance = binding.noise_variance(observed, theta, xp)
        return self.objective.features(x, variance, self.data[experiment], xp)

    def value(self, moments: FloatArray) -> float:
        """Return the loss of expected features m [F]."""
        if self.quadratic:
            return float(self.weight @ (moments - self.target) ** 2)
        return float(self.weight @ moments)

    def slope(self, moments: FloatArray) -> FloatArray:
        """Return ∂loss/∂m [F]."""
        return 2 * self.weight * (moments - self.target) if self.quadratic else self.weight

    @property
    def second(self) -> FloatArray:
        """Return ∂²loss/∂m² [F], the diagonal."""
        return 2 * self.weight if self.quadratic else np.zeros(self.num_features)


def gaussian_moments(
    objective: AbstractOutputObjective,
    problem: Problem,
    data: Sequence[FeatureData],
    z: JaxArray,
    method: LinearNoise,
) -> JaxArray:
    """Return E[f] [F] at z under the linear-noise approximation, in JAX, for a 64-bit scope."""
    import jax.numpy as jnp

    theta = problem.space.from_fit(z, jnp)
    parts = []
    for binding, of_experiment in zip(problem.bindings, data, strict=True):
        moments = method.moments(
            problem.model,
            binding.model_params(theta),
            binding.initial_mean(theta),
            binding.initial_variance,
            binding.times,
            start=binding.experiment.start,
        )
        mean, variance = _observable_moments(binding, theta, moments.mean, moments.covariance)
        parts.append(objective.gaussian_features(mean, variance, of_experiment, jnp).ravel())
    return jnp.concatenate(parts)


def _observable_moments(
    binding: Any, theta: JaxArray, mean: JaxArray, covariance: JaxArray
) -> tuple[JaxArray, JaxArray]:
    """Return mean and total variance [T, O] of the data, to first order in the state's spread."""
    import jax
    import jax.numpy as jnp

    def expected(state: JaxArray) -> JaxArray:
        return binding.expected(binding.observe(state, theta, jnp), theta, jnp)

    slopes = jax.vmap(jax.jacfwd(expected))(mean)
    spread = jnp.einsum("tos,tsr,tor->to", slopes, covariance, slopes)
    noise = binding.noise_variance(binding.observe(mean, theta, jnp), theta, jnp)
    return jax.vmap(expected)(mean), spread + noise

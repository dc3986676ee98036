"""What an objective is, before and after it meets a problem.

An objective is written against the outputs of a simulator (`AbstractOutputObjective`), or it is the
likelihood of whole paths (`PathLikelihood`), which brings its own gradient. Either is bound to a
problem once, and the bound form is what optimizers and estimators see.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from tumble._problem import Problem
from tumble._typing import FloatArray, JaxArray
from tumble.losses import AbstractLoss
from tumble.noise import DatumLaw
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

    Features are local in time: f at observation time t depends on the state at t. Batches give
    unbiased values and gradients where ℓ is a polynomial of degree 2 or less, else ones with a bias
    of the order of 1/runs² (see `tumble.losses`).
    """

    costly: ClassVar[bool] = False
    """Whether features of noisy data are worth computing once for all runs in the same state."""

    beyond_moments: ClassVar[bool] = False
    """Whether means and variances alone may tell nothing of where its minimum is."""

    @abc.abstractmethod
    def bind(self, problem: Problem) -> BoundOutputs:
        """Return the objective of ``problem``."""

    @abc.abstractmethod
    def features(self, law: DatumLaw, data: FeatureData, xp: Any) -> JaxArray:
        """Return features [n, T, K].

        Arguments: ``law`` of the data given the states, of shape [n, T, O]; ``data`` of the
        experiment; ``xp``, the array namespace.
        """

    @abc.abstractmethod
    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, data: FeatureData, xp: Any
    ) -> JaxArray:
        """Return the features expected, [T, K], of normal data: mean [T, O], covariance [T, O, O].

        Noise is included in the covariance.
        """


class FeatureData(NamedTuple):
    """What an objective takes from the data of one experiment.

    ``center``, what the features are taken about: arrays with one row a time, or what has a method
    ``until`` like this (for moments the observed means [T, O], 0 where missing); ``target`` and
    ``weight`` [T, K], the observed features and their weights in the loss, both 0 where missing.
    """

    center: Any
    target: FloatArray
    weight: FloatArray

    def until(self, num_times: int) -> FeatureData:
        """Return those of the first ``num_times`` times."""
        center = self.center
        first = center.until(num_times) if hasattr(center, "until") else center[:num_times]
        return FeatureData(first, self.target[:num_times], self.weight[:num_times])


def stacked(data: Sequence[FeatureData]) -> tuple[FloatArray, FloatArray]:
    """Return the observed features y [F] and their weights w [F] of all experiments."""
    target = np.concatenate([d.target.ravel() for d in data])
    return target, np.concatenate([d.weight.ravel() for d in data])


@dataclass(frozen=True)
class BoundOutputs:
    """An output objective of one problem: ``loss`` of m = E[f] over all features [F] of all
    experiments.
    """

    objective: AbstractOutputObjective
    problem: Problem
    data: Sequence[FeatureData]
    loss: AbstractLoss

    @cached_property
    def target(self) -> FloatArray:
        """The observed features y [F]."""
        return stacked(self.data)[0]

    @cached_property
    def weight(self) -> FloatArray:
        """The weights w [F]."""
        return stacked(self.data)[1]

    @cached_property
    def num_features(self) -> int:
        """F."""
        return len(self.target)

    def part(self, experiment: int, num_times: int) -> BoundOutputs:
        """Return the first ``num_times`` times of one experiment, to sample features of.

        Its loss is still that of all features.
        """
        problem = self.problem.part(experiment, num_times)
        return replace(self, problem=problem, data=[self.data[experiment].until(num_times)])

    def features_of(self, experiment: int, states: Any, theta: JaxArray, xp: Any = np) -> JaxArray:
        """Return features [n, T, K] of states [n, T, S]. In JAX, for a 64-bit scope."""
        binding = self.problem.bindings[experiment]
        law = binding.law(binding.observe(states, theta, xp), theta, xp)
        return self.objective.features(law, self.data[experiment], xp)

    def features_of_data(self, experiment: int, values: FloatArray) -> FloatArray:
        """Return features [n, T, K] of data [n, T, O], NaN where those are missing."""
        law = DatumLaw.known(values)
        return np.asarray(self.objective.features(law, self.data[experiment], np))

    def value(self, moments: FloatArray) -> float:
        """Return the loss of expected features m [F]."""
        return float(self.loss.value(moments))

    def slope(self, moments: FloatArray) -> FloatArray:
        """Return ∂loss/∂m [F]."""
        return self.loss.slope(moments)


def laws_of_data(
    problem: Problem, z: JaxArray, method: LinearNoise
) -> list[tuple[JaxArray, JaxArray]]:
    """Return mean [T, O] and covariance [T, O, O] of the data of each experiment at z.

    Under the linear-noise approximation, in JAX, for a 64-bit scope.
    """
    import jax.numpy as jnp

    theta = problem.space.from_fit(z, jnp)
    laws = []
    for binding in problem.bindings:
        network: Any = binding.model
        moments = method.moments(
            network,
            binding.model_params(theta),
            binding.initial_mean(theta),
            binding.initial_variance,
            binding.times,
            start=binding.experiment.start,
        )
        laws.append(_observable_moments(binding, theta, moments.mean, moments.covariance))
    return laws


def _observable_moments(
    binding: Any, theta: JaxArray, mean: JaxArray, covariance: JaxArray
) -> tuple[JaxArray, JaxArray]:
    """Return mean [T, O] and covariance [T, O, O] of the data.

    They are right to first order in the spread of the state; noise is that at the mean state.
    """
    import jax
    import jax.numpy as jnp

    def expected(state: JaxArray) -> JaxArray:
        return binding.expected(binding.observe(state, theta, jnp), theta, jnp)

    slopes = jax.vmap(jax.jacfwd(expected))(mean)
    spread = jnp.einsum("tos,tsr,tpr->top", slopes, covariance, slopes)
    noise = binding.noise_variance(binding.observe(mean, theta, jnp), theta, jnp)
    return jax.vmap(expected)(mean), spread + jax.vmap(jnp.diag)(noise)

"""The likelihood of whole time series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError
from tumble._problem import Problem
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit_equations
from tumble.objectives._base import AbstractObjective, Evaluation
from tumble.objectives._structure import Structure
from tumble.simulators import LinearNoise, SupportsLikelihood

# Points are evaluated in batches of this many, so that one compiled function serves them all.
_WIDTH = 8
_WIDTH_OF_VALUES = 64  # without derivatives there is room for more


@dataclass(frozen=True)
class PathLikelihood(AbstractObjective):
    """−log p(data | θ) of time series, minus the log prior of the parameters that have one.

    Arguments: ``through``, what computes the likelihood: `LinearNoise` (default: fast,
    approximate), `FiniteStateProjection` (exact, small state spaces), or, for the movies of a
    `Transitions`, `TransitionLikelihood` (exact).

    Guarantee: that of ``through``. `audit_gradient` measures the error of its gradient against the
    exact likelihood.

    When: one or few time series. For many replicates `MomentMatching` is cheaper; snapshots have
    no paths.

    References: see `LinearNoise` and `FiniteStateProjection`.
    """

    through: SupportsLikelihood = field(default_factory=LinearNoise)
    loss_name: ClassVar[str] = "-log likelihood"
    citations: ClassVar[tuple[str, ...]] = (
        "Komorowski et al., BMC Bioinformatics 10 (2009), doi:10.1186/1471-2105-10-343",
        "Fearnhead, Giagos, Sherlock, Biometrics 70 (2014), doi:10.1111/biom.12152",
    )

    def bind(self, problem: Problem) -> BoundLikelihood:
        """See `AbstractObjective.bind`."""
        if not getattr(self.through, "deterministic", False):
            raise CapabilityError(
                f"`PathLikelihood(through=...)` is {type(self.through).__name__}, which offers no "
                "deterministic likelihood; use LinearNoise(), FiniteStateProjection() or, for "
                "movies, TransitionLikelihood()."
            )
        self.through.likelihood(problem)  # checks the kind of the data
        return BoundLikelihood(self.through, problem)


@dataclass(frozen=True)
class BoundLikelihood:
    """A path likelihood of one problem: deterministic, with gradient and curvature."""

    through: SupportsLikelihood
    problem: Problem

    def evaluate(self, z: FloatArray, problems: Sequence[Problem] | None = None) -> Evaluation:
        """Return values, gradients and curvatures at points z [M, P].

        Arguments: ``problems``, one a point: the same problem with other data. Default: this one.
        """
        each = [self.problem] * len(z) if problems is None else list(problems)
        if isinstance(self.through, LinearNoise):
            return _evaluate_linear_noise(self.through, z, each)
        rows = [_evaluate_exact(self._of(p), row, p) for row, p in zip(z, each, strict=True)]
        values, gradients = (np.array(column) for column in zip(*rows, strict=True))
        return Evaluation(values, gradients, None)

    def values(self, z: FloatArray) -> FloatArray:
        """Return the values alone [M] at points z [M, P], without the cost of derivatives.

        Infinite where they cannot be computed.
        """
        if hasattr(self._exact, "value"):
            return np.array([self._exact_value(row) for row in z])
        if not isinstance(self.through, LinearNoise):
            return self.evaluate(z).values
        import jax

        function = _compiled_values(self.through, Structure(self.problem))
        data = [e.data.values for e in self.problem.experiments]
        pieces = [np.empty(0)]
        with jax.enable_x64(True):
            for first in range(0, len(z), _WIDTH_OF_VALUES):
                rows = np.arange(first, min(first + _WIDTH_OF_VALUES, len(z)))
                padded = np.asarray(z[np.resize(rows, _WIDTH_OF_VALUES)], dtype=float)
                pieces.append(np.asarray(function(padded, data))[: len(rows)])
        values = np.concatenate(pieces)
        return np.where(np.isfinite(values), values, np.inf)

    def _exact_value(self, z: FloatArray) -> float:
        theta = np.asarray(self.problem.space.from_fit(z))
        return -(self._exact.value(theta) + _log_prior(self.problem, theta)[0])

    @property
    def _exact(self) -> Any:
        return self._of(self.problem)

    def _of(self, problem: Problem) -> Any:
        """Return the likelihood of a problem, made once: it compiles what it evaluates."""
        if id(problem) not in self._known:
            self._known[id(problem)] = problem, self.through.likelihood(problem)
        return self._known[id(problem)][1]

    @cached_property
    def _known(self) -> dict[int, tuple[Problem, Any]]:
        return {}


def _evaluate_exact(likelihood: Any, z: FloatArray, problem: Problem) -> tuple[float, FloatArray]:
    theta = np.asarray(problem.space.from_fit(z))
    value, gradient = likelihood.value_and_gradient(theta)
    prior, prior_gradient = _log_prior(problem, theta)
    return -(value + prior), -(gradient + prior_gradient) * problem.space.slope(z)


def _log_prior(problem: Problem, theta: FloatArray) -> tuple[float, FloatArray]:
    """Return the log prior of those that have one, and its gradient [P]."""
    import jax

    space = problem.space
    if not space.has_priors:
        return 0.0, np.zeros(space.size)
    with jax.enable_x64(True):
        value, gradient = jax.value_and_grad(space.log_prior)(theta)
        return float(value), np.asarray(gradient)


def _evaluate_linear_noise(
    method: LinearNoise, z: FloatArray, problems: list[Problem]
) -> Evaluation:
    import jax

    function = _compiled(method, Structure(problems[0]))
    pieces = []
    with jax.enable_x64(True):
        for first in range(0, len(z), _WIDTH):
            rows = np.arange(first, min(first + _WIDTH, len(z)))
            padded = np.resize(rows, _WIDTH)
            data = [
                np.stack([problems[i].experiments[e].data.values for i in padded])
                for e in range(len(problems[0].experiments))
            ]
            batch = function(np.asarray(z[padded], dtype=float), data)
            pieces.append([np.asarray(part)[: len(rows)] for part in batch])
    values, gradients, curvatures = (np.concatenate(p) for p in zip(*pieces, strict=True))
    bad = ~(np.isfinite(values) & np.isfinite(gradients).all(1))
    values[bad] = np.inf
    return Evaluation(values, gradients, curvatures)


@lru_cache(maxsize=16)
def _compiled(method: LinearNoise, structure: Structure) -> Any:
    """Return the jitted (z [M, P], data) -> values, gradients, curvatures."""
    import jax
    import jax.numpy as jnp

    problem = structure.problem
    space = problem.space
    likelihood = method.likelihood(problem)

    def residuals(z: JaxArray, data: list[JaxArray]) -> Any:
        parts = likelihood.residuals(space.from_fit(z, jnp), data)
        return parts, parts

    def log_prior(z: JaxArray) -> JaxArray:
        return jnp.asarray(space.log_prior(space.from_fit(z, jnp)))

    def one(z: JaxArray, data: list[JaxArray]) -> tuple[JaxArray, JaxArray, JaxArray]:
        slopes, (white, log_scale, constant) = jax.jacfwd(residuals, has_aux=True)(z, data)
        value = 0.5 * white @ white + log_scale.sum() + constant
        gradient = white @ slopes[0] + slopes[1].sum(0)
        # E[d white²] and the log scales together make the Fisher information of a Gaussian.
        curvature = slopes[0].T @ slopes[0] + slopes[1].T @ slopes[1]
        if space.has_priors:
            value = value - log_prior(z)
            gradient = gradient - jax.jacfwd(log_prior)(z)
            stiffness = -jnp.diagonal(jax.jacfwd(jax.jacfwd(log_prior))(z))
            curvature = curvature + jnp.diag(jnp.maximum(stiffness, 0.0))
        return value, gradient, curvature

    return jit_equations(jax.vmap(one))


@lru_cache(maxsize=16)
def _compiled_values(method: LinearNoise, structure: Structure) -> Any:
    """Return the jitted (z [M, P], data) -> values."""
    import jax
    import jax.numpy as jnp

    space = structure.problem.space
    likelihood = method.likelihood(structure.problem)

    def one(z: JaxArray, data: list[JaxArray]) -> JaxArray:
        theta = space.from_fit(z, jnp)
        white, log_scale, constant = likelihood.residuals(theta, data)
        value = 0.5 * white @ white + log_scale.sum() + constant
        return value - space.log_prior(theta)

    return jit_equations(jax.vmap(one, in_axes=(0, None)))

"""The linear-noise approximation, and the Kalman likelihood of time series built on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import DataError, ParameterError
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit_equations
from tumble.models import ReactionNetwork
from tumble.simulators._autonomous import require_reactions_alone
from tumble.simulators._base import SupportsLikelihood
from tumble.simulators._integrate import integrate


class Moments(NamedTuple):
    """Mean [..., S] and covariance [..., S, S] of the state."""

    mean: JaxArray
    covariance: JaxArray


@dataclass(frozen=True)
class LinearNoise(SupportsLikelihood):
    """The linear-noise approximation of a `ReactionNetwork`.

    Definition: with stoichiometry ν, propensities a(n; θ) and F = ∂(νa)/∂n, the state is Gaussian
    with mean m and covariance V that follow dm/dt = ν a(m) and
    dV/dt = F V + V Fᵀ + ν diag(a(m)) νᵀ. The likelihood of a time series is that of the extended
    Kalman filter which starts m and V afresh from the filtered state at every observation.

    Guarantee: deterministic; exact for networks of first-order reactions as far as means and
    covariances go; otherwise biased at low copy numbers (relative error of order 1/n), and blind to
    extinction and bimodality. Measurement noise enters by its mean and variance.
    `audit_gradient` measures the error against the exact likelihood.

    Arguments: ``rtol``, relative tolerance of the ODE solver (Dormand and Prince). Default 1e-6.

    When: one or few time series of populations of tens or more. Not for a few copies of a gene.

    References: Komorowski et al., BMC Bioinformatics 10 (2009), doi:10.1186/1471-2105-10-343;
    Fearnhead, Giagos, Sherlock, Biometrics 70 (2014), doi:10.1111/biom.12152 (restarting).
    """

    deterministic: ClassVar[bool] = True
    rtol: float = 1e-6

    def __post_init__(self) -> None:
        if not 1e-12 <= self.rtol <= 1e-2:
            raise ParameterError(f"`rtol` is {self.rtol}, expected between 1e-12 and 1e-2.")

    def moments(
        self,
        model: ReactionNetwork,
        params: JaxArray,
        initial_mean: JaxArray,
        initial_variance: JaxArray,
        times: FloatArray,
        *,
        start: float = 0.0,
    ) -> Moments:
        """Return the unconditional moments at ``times`` [T]; NaN where the solver gave up.

        Arguments: ``params`` [Q], ``initial_mean`` [S], ``initial_variance`` [S]. Written in
        JAX, to be called in a 64-bit scope.
        """
        import jax
        import jax.numpy as jnp

        require_reactions_alone(model, "LinearNoise")

        def advance(carry: Moments, step: tuple[JaxArray, JaxArray]) -> tuple[Moments, Moments]:
            after = self.advance(model, params, carry, *step)
            return after, after

        first = Moments(initial_mean, jnp.diag(jnp.asarray(initial_variance)))
        spans = np.diff(times, prepend=start)
        steps = jnp.asarray(spans), jnp.asarray(times - spans)
        return jax.lax.scan(advance, first, steps)[1]

    def advance(
        self,
        model: ReactionNetwork,
        params: JaxArray,
        moments: Moments,
        span: JaxArray,
        begin: JaxArray,
    ) -> Moments:
        """Return the moments a time ``span`` after ``begin``; NaN where the solver gave up."""
        import jax
        import jax.numpy as jnp

        change = jnp.asarray(model.stoichiometry, dtype=float)

        def field(t: JaxArray, y: Moments) -> Moments:
            mean, covariance = y

            def propensities(state: JaxArray) -> JaxArray:
                return model.propensities(state, params, t, jnp)

            propensity = propensities(mean)
            flow = change @ jax.jacfwd(propensities)(mean) @ covariance
            noise = (change * propensity) @ change.T
            return Moments(change @ propensity, flow + flow.T + noise)

        after: Moments = integrate(field, moments, begin, span, self.rtol)
        return after

    def likelihood(self, problem: Any) -> KalmanLikelihood:
        """Return the log likelihood of a problem's time series.

        Raises `DataError`, and `CapabilityError` for networks with variables or events.
        """
        require_reactions_alone(problem.model, "LinearNoise")
        if problem.kind != "series":
            raise DataError(
                f"the linear-noise likelihood needs time series, but the data are of kind "
                f"{problem.kind!r}; use objectives.MomentMatching()."
            )
        return KalmanLikelihood(self, problem)


@dataclass(frozen=True)
class KalmanLikelihood:
    """log p(data | θ) under the linear-noise approximation. Made by `LinearNoise.likelihood`."""

    method: LinearNoise
    problem: Any

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the log likelihood at θ [P] (natural scale) and its gradient [P]."""
        import jax

        data = [e.data.values for e in self.problem.experiments]
        with jax.enable_x64(True):
            gradient, value = self._compiled(np.asarray(theta, dtype=float), data)
            return float(value), np.asarray(gradient)

    @cached_property
    def _compiled(self) -> Any:
        import jax

        def log_likelihood(theta: JaxArray, data: list[JaxArray]) -> tuple[JaxArray, JaxArray]:
            white, log_scale, constant = self.residuals(theta, data)
            value = -(0.5 * white @ white + log_scale.sum() + constant)
            return value, value

        return jit_equations(jax.jacfwd(log_likelihood, has_aux=True))

    def residuals(self, theta: JaxArray, data: list[JaxArray]) -> tuple[JaxArray, ...]:
        """Return (white, log_scale, constant), in JAX, for a 64-bit scope.

        −log p = Σ white² / 2 + Σ log_scale + constant, with one entry of each a datum: the
        innovations of the Kalman filter, whitened, and the logarithms of their scales. ``data``
        holds one array [N, T, O] an experiment.
        """
        import jax.numpy as jnp

        pieces = [
            self._of_experiment(binding, theta, jnp.asarray(values))
            for binding, values in zip(self.problem.bindings, data, strict=True)
        ]
        white, log_scale, present = (
            jnp.concatenate([p.ravel() for p in column]) for column in zip(*pieces, strict=True)
        )
        return white, log_scale, 0.5 * np.log(2 * np.pi) * present.sum()

    def _of_experiment(self, binding: Any, theta: JaxArray, values: JaxArray) -> Any:
        import jax
        import jax.numpy as jnp

        params = binding.model_params(theta)
        first = Moments(
            binding.initial_mean(theta), jnp.diag(jnp.asarray(binding.initial_variance))
        )
        spans = np.diff(binding.times, prepend=binding.experiment.start)
        steps = jnp.asarray(spans), jnp.asarray(binding.times - spans)

        def step(carry: Moments, inputs: tuple[JaxArray, ...]) -> tuple[Moments, Any]:
            span, begin, datum = inputs
            predicted = self.method.advance(binding.model, params, carry, span, begin)
            return _kalman_update(binding, theta, predicted, datum)

        return jax.vmap(lambda series: jax.lax.scan(step, first, (*steps, series))[1])(values)


def _kalman_update(
    binding: Any, theta: JaxArray, predicted: Moments, datum: JaxArray
) -> tuple[Moments, tuple[JaxArray, JaxArray, JaxArray]]:
    """Condition on one datum [O]; missing entries count for nothing."""
    import jax
    import jax.numpy as jnp

    def expected(state: JaxArray) -> JaxArray:
        return binding.expected(binding.observe(state, theta, jnp), theta, jnp)

    mean, covariance = predicted
    present = jnp.isfinite(datum)
    slope = jnp.where(present[:, None], jax.jacfwd(expected)(mean), 0.0)
    residual = jnp.where(present, jnp.where(present, datum, 0.0) - expected(mean), 0.0)
    noise = binding.noise_variance(binding.observe(mean, theta, jnp), theta, jnp)
    noise = jnp.where(present, noise + binding.rounding, 1.0)
    spread = slope @ covariance @ slope.T + jnp.diag(noise)
    factor = jnp.linalg.cholesky(spread)
    white = jax.scipy.linalg.solve_triangular(factor, residual, lower=True)
    gain = jax.scipy.linalg.cho_solve((factor, True), slope @ covariance).T
    updated = Moments(mean + gain @ residual, covariance - gain @ slope @ covariance)
    return updated, (white, jnp.log(jnp.diagonal(factor)), present)

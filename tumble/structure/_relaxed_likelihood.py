"""The likelihood of reactions whose coefficients need not be whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from tumble._errors import CapabilityError
from tumble._typing import FloatArray, IntArray, JaxArray
from tumble._xla import jit_equations
from tumble.noise._base import ROUNDING
from tumble.structure._library import ReactionLibrary
from tumble.structure._posterior import NetworkPosterior

_LEAST = 1e-3  # copies
_MOST = 2.0  # times the largest number of copies
_SUBSTEPS = 4  # an interval


@dataclass(frozen=True, eq=False)
class RelaxedLikelihood:
    """−log p of the increments between observed states, by coefficients and firings of K slots.

    Definition: slot k takes c_ks and gives d_ks copies of species s, real numbers, and fires
    exp(u_k) times in all: its propensity is exp(u_k) h(c_k, x) / ∫h(c_k, X) dt, with the integral
    taken over the data. h(c, x) = Π_s x^c (1 − c (c − 1) / 2x) / Γ(c + 1) is the first two terms of
    the generalized binomial coefficient Γ(x + 1) / (Γ(x − c + 1) Γ(c + 1)), and equal to it at
    c = 0, 1, 2: at whole coefficients these are the propensities of mass action. Each interval
    starts from the state that was seen, and mean and covariance follow the linear noise
    approximation. Changes d − c are projected onto what the library's candidates can change.

    Reference: Tricomi, Erdélyi, Pac. J. Math. 1 (1951), doi:10.2140/pjm.1951.1.133 (the ratio of
    gamma functions).
    """

    before: FloatArray
    after: FloatArray
    spans: FloatArray
    num_series: int
    library: ReactionLibrary

    @classmethod
    def of(cls, posterior: NetworkPosterior) -> RelaxedLikelihood:
        """Return that of a posterior's data. Raises `CapabilityError` where states are not seen."""
        seen = posterior.likelihood.steps
        if seen is None:
            raise CapabilityError(
                "coefficients descend on increments between states, but the data do not show whole "
                "states exactly; use ChoiceSearch or WindowSearch, whose likelihood filters."
            )
        problem = posterior.likelihood.problem
        if any(experiment.conditions for experiment in problem.experiments):
            raise CapabilityError(
                "an experiment has conditions, but coefficients descend under the same rates in "
                "all; use ChoiceSearch or WindowSearch."
            )
        count = sum(e.data.num_replicates for e in problem.experiments)
        return cls(*seen, count, posterior.library)

    @cached_property
    def firings(self) -> FloatArray:
        """How often each candidate would fire in a series at rate 1 [R]."""
        h = self.library.combinations(np.concatenate([self.before, self.after]))
        spans = np.concatenate([self.spans, self.spans])
        return np.asarray(np.maximum(spans @ h / (2 * self.num_series), 1e-300))

    def rates_of(self, picks: IntArray, u: FloatArray) -> dict[int, float]:
        """Return the rates of candidates [K] that fire exp(u) [K] times; those that agree add."""
        rates: dict[int, float] = {}
        for r, rate in zip(picks.tolist(), (np.exp(u) / self.firings[picks]).tolist(), strict=True):
            rates[r] = rates.get(r, 0.0) + rate
        return rates

    @cached_property
    def activity(self) -> float:
        """How much a series changes in all: about how often the busiest reaction fires."""
        return float(np.abs(self.after - self.before).sum(0).max() / self.num_series)

    @cached_property
    def projection(self) -> FloatArray:
        """Onto the changes [S, S] that candidates make."""
        change = self.library.change
        return np.asarray(np.linalg.pinv(change) @ change)

    def evaluate(
        self, before: FloatArray, after: FloatArray, u: FloatArray, blur: float
    ) -> tuple[float, tuple[FloatArray, FloatArray, FloatArray]]:
        """Return −log p for each interval, and its slopes by c, d [K, S] and u [K].

        ``blur`` adds this share of the mean square of increments to each variance.
        """
        import jax

        with jax.enable_x64(True):
            value, slopes = _program()((before, after, u), self._data, blur)
        by_c, by_d, by_u = (np.asarray(slope) for slope in slopes)
        return float(value), (by_c, by_d, by_u)

    @cached_property
    def _data(self) -> tuple[FloatArray, ...]:
        steps = self.after - self.before
        scale = np.maximum((steps**2).mean(0), 1.0)
        top = np.array(_MOST * max(self.before.max(), self.after.max()))
        states = np.concatenate([self.before, self.after])
        share = np.concatenate([self.spans, self.spans]) / (2 * self.num_series)
        return self.before, self.after, self.spans, self.projection, scale, top, states, share


@cache
def _program() -> Any:
    """Return the compiled loss with its slopes."""
    import jax

    return jit_equations(jax.value_and_grad(_loss))


def _log_h(c: JaxArray, x: JaxArray) -> JaxArray:
    """Return log h [K] of coefficients [K, S] in a state [S]."""
    import jax.numpy as jnp
    from jax.scipy.special import gammaln

    safe = jnp.maximum(x, _LEAST)
    few = 1 - c * (c - 1) / (2 * jnp.maximum(x, 1.0))
    return (c * jnp.log(safe) + jnp.log(jnp.maximum(few, _LEAST)) - gammaln(c + 1)).sum(1)


def _loss(slots: Any, data: Any, blur: JaxArray) -> JaxArray:
    import jax
    import jax.numpy as jnp

    c, d, u = slots
    before, after, spans, projection, scale, top, states, share = data
    change = (d - c) @ projection
    integral = share @ jnp.exp(jax.vmap(lambda x: _log_h(c, x))(states))
    log_rate = u - jnp.log(integral)

    def propensities(x: JaxArray) -> JaxArray:
        return jnp.exp(log_rate + _log_h(c, jnp.clip(x, 0.0, top)))

    def drift(x: JaxArray) -> JaxArray:
        return propensities(x) @ change

    def interval(x: JaxArray, y: JaxArray, span: JaxArray) -> JaxArray:
        size = len(x)
        h, one = span / _SUBSTEPS, jnp.eye(size)

        def step(carry: Any, _: Any) -> Any:
            m, v = carry
            k1 = drift(m)
            k2 = drift(m + h / 2 * k1)
            middle = m + h / 2 * k2
            k3 = drift(middle)
            k4 = drift(m + h * k3)
            # Squares of matrices, so that covariances stay positive whatever the rates are.
            flow = h * jax.jacfwd(drift)(middle)
            whole, half = one + flow + flow @ flow / 2, one + flow / 2
            fresh = (change.T * propensities(middle)) @ change
            v = whole @ v @ whole.T + h * half @ fresh @ half.T
            return (m + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), v), None

        (m, v), _ = jax.lax.scan(step, (x, jnp.zeros((size, size))), None, length=_SUBSTEPS)
        v = v + jnp.diag(ROUNDING + blur * scale)
        factor = jnp.linalg.cholesky(v)
        white = jax.scipy.linalg.solve_triangular(factor, y - m, lower=True)
        return 0.5 * white @ white + jnp.log(jnp.diag(factor)).sum()

    return jax.vmap(interval)(before, after, spans).mean()

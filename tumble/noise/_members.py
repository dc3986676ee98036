"""The measurement models themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError
from tumble._typing import FloatArray
from tumble.noise._base import AbstractNoise
from tumble.noise._special import incomplete_beta

_TINY = 1e-12  # keeps log densities finite where an observable is 0


@dataclass(frozen=True)
class Normal(AbstractNoise):
    """y ~ N(x, sd²).

    Arguments: ``sd``, a number or the name of a parameter, in the units of the observable.
    """

    sd: str | float

    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return x

    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return args["sd"] ** 2 + 0.0 * x

    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        from jax.scipy.stats import norm

        return norm.logpdf(y, x, args["sd"])

    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return _normal_cdf((y - x) / args["sd"], xp)

    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return xp.exp(1j * omega * x - (omega * args["sd"]) ** 2 / 2)

    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        return rng.normal(x, args["sd"])


@dataclass(frozen=True)
class LogNormal(AbstractNoise):
    """log y ~ N(log x, sd²): x is the median.

    Arguments: ``sd`` of log y, a number or the name of a parameter, dimensionless.
    """

    sd: str | float
    positive: ClassVar[bool] = True

    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return x * xp.exp(args["sd"] ** 2 / 2)

    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        s2 = args["sd"] ** 2
        return x**2 * xp.exp(s2) * xp.expm1(s2)

    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        import jax.numpy as jnp
        from jax.scipy.stats import norm

        log_y = jnp.log(jnp.maximum(y, _TINY))
        return norm.logpdf(log_y, jnp.log(jnp.maximum(x, _TINY)), args["sd"]) - log_y

    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        gap = xp.log(xp.maximum(y, _TINY)) - xp.log(xp.maximum(x, _TINY))
        return xp.where(xp.asarray(y) > 0, _normal_cdf(gap / args["sd"], xp), 0.0)

    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        raise CapabilityError(
            "LogNormal noise has no characteristic function in closed form; use "
            "distances.EnergyDistance()."
        )

    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        return np.asarray(x) * np.exp(rng.normal(0.0, args["sd"], np.shape(x)))


@dataclass(frozen=True)
class Poisson(AbstractNoise):
    """y ~ Poisson(x)."""

    counts: ClassVar[bool] = True

    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return x

    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return xp.maximum(x, 0.0)

    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        import jax.numpy as jnp
        from jax.scipy.special import gammaln

        rate = jnp.maximum(x, _TINY)
        return y * jnp.log(rate) - rate - gammaln(y + 1)

    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        whole = xp.floor(y)
        below = _upper_gamma(xp.maximum(whole, 0.0) + 1, xp.maximum(x, _TINY), xp)
        return xp.where(whole < 0, 0.0, below)

    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return xp.exp(xp.maximum(x, 0.0) * (xp.exp(1j * omega) - 1))

    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        return rng.poisson(np.maximum(x, 0.0)).astype(float)


@dataclass(frozen=True)
class NegativeBinomial(AbstractNoise):
    """Overdispersed counts: mean x, variance x + x²/phi.

    Arguments: ``phi``, the dispersion (size), a number or the name of a parameter; the larger, the
    nearer to Poisson.
    """

    phi: str | float
    counts: ClassVar[bool] = True

    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return x

    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        rate = xp.maximum(x, 0.0)
        return rate + rate**2 / args["phi"]

    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        import jax.numpy as jnp
        from jax.scipy.special import gammaln

        rate, phi = jnp.maximum(x, _TINY), args["phi"]
        return (
            gammaln(y + phi)
            - gammaln(phi)
            - gammaln(y + 1)
            - phi * jnp.log1p(rate / phi)
            + y * (jnp.log(rate) - jnp.log(rate + phi))
        )

    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        whole, phi, rate = xp.floor(y), args["phi"], xp.maximum(x, _TINY)
        below = incomplete_beta(phi, xp.maximum(whole, 0.0) + 1, phi / (phi + rate), xp)
        return xp.where(whole < 0, 0.0, below)

    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        phi = args["phi"]
        odds = xp.maximum(x, 0.0) / phi * (1 - xp.exp(1j * omega))
        return xp.exp(-phi * xp.log1p(odds))

    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        phi, rate = np.asarray(args["phi"], dtype=float), np.maximum(x, 0.0)
        return rng.poisson(rng.gamma(phi, 1.0, np.shape(rate)) * rate / phi).astype(float)


@dataclass(frozen=True)
class Binomial(AbstractNoise):
    """Under-reporting: each of x individuals is counted with probability p, y ~ Binomial(x, p).

    Arguments: ``p`` in (0, 1], a number or the name of a parameter. For real-valued x the
    factorials are continued by the gamma function.
    """

    p: str | float
    counts: ClassVar[bool] = True
    largest: ClassVar[float] = 1.0

    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return args["p"] * x

    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return args["p"] * (1 - args["p"]) * xp.maximum(x, 0.0)

    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        import jax.numpy as jnp
        from jax.scipy.special import gammaln

        p = jnp.clip(args["p"], _TINY, 1 - _TINY)
        size = jnp.maximum(x, y)
        value = (
            gammaln(size + 1)
            - gammaln(y + 1)
            - gammaln(size - y + 1)
            + y * jnp.log(p)
            + (size - y) * jnp.log1p(-p)
        )
        return jnp.where(y <= x, value, -jnp.inf)

    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        whole = xp.floor(y)
        rest = x - xp.maximum(whole, 0.0)
        size = xp.where(rest > 0, rest, 1.0)
        below = incomplete_beta(size, xp.maximum(whole, 0.0) + 1, 1 - args["p"], xp)
        return xp.where(whole < 0, 0.0, xp.where(rest > 0, below, 1.0))

    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        one = 1 + args["p"] * (xp.exp(1j * omega) - 1)
        return xp.exp(xp.maximum(x, 0.0) * xp.log(one + _TINY))

    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        return rng.binomial(np.maximum(np.rint(x), 0).astype(np.int64), args["p"]).astype(float)


def _normal_cdf(z: Any, xp: Any) -> Any:
    if xp is np:
        from scipy.special import ndtr
    else:
        from jax.scipy.special import ndtr
    return ndtr(z)


def _upper_gamma(a: Any, x: Any, xp: Any) -> Any:
    if xp is np:
        from scipy.special import gammaincc
    else:
        from jax.scipy.special import gammaincc
    return gammaincc(a, x)

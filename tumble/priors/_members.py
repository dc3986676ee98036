"""The priors themselves: small enough to stand in one file."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np

from tumble._typing import FloatArray
from tumble.priors._base import AbstractPrior, require_ordered, require_positive


@dataclass(frozen=True)
class Uniform(AbstractPrior):
    """Uniform on [lower, upper]."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        require_ordered("Uniform", self.lower, self.upper)

    @property
    def support(self) -> tuple[float, float]:
        return self.lower, self.upper

    @property
    def mean(self) -> float:
        return (self.lower + self.upper) / 2

    @property
    def variance(self) -> float:
        return (self.upper - self.lower) ** 2 / 12

    def log_prob(self, value: Any) -> Any:
        return _inside(value, self.support, -log(self.upper - self.lower) + 0.0 * value)

    def quantile(self, u: FloatArray) -> FloatArray:
        return self.lower + u * (self.upper - self.lower)

    def cdf(self, value: FloatArray) -> FloatArray:
        return np.clip((value - self.lower) / (self.upper - self.lower), 0.0, 1.0)


@dataclass(frozen=True)
class LogUniform(AbstractPrior):
    """Log-uniform on [lower, upper], 0 < lower: density ∝ 1/x."""

    lower: float
    upper: float

    def __post_init__(self) -> None:
        require_positive("LogUniform", lower=self.lower)
        require_ordered("LogUniform", self.lower, self.upper)

    @property
    def support(self) -> tuple[float, float]:
        return self.lower, self.upper

    @property
    def mean(self) -> float:
        return (self.upper - self.lower) / log(self.upper / self.lower)

    @property
    def variance(self) -> float:
        second = (self.upper**2 - self.lower**2) / (2 * log(self.upper / self.lower))
        return second - self.mean**2

    def log_prob(self, value: Any) -> Any:
        import jax.numpy as jnp

        safe = jnp.clip(value, self.lower, self.upper)
        return _inside(value, self.support, -jnp.log(safe) - log(log(self.upper / self.lower)))

    def quantile(self, u: FloatArray) -> FloatArray:
        return self.lower * (self.upper / self.lower) ** u

    def cdf(self, value: FloatArray) -> FloatArray:
        inside = np.clip(value, self.lower, self.upper)
        return np.asarray(np.log(inside / self.lower) / log(self.upper / self.lower))


@dataclass(frozen=True)
class Normal(AbstractPrior):
    """Normal with mean ``loc`` and standard deviation ``scale``."""

    loc: float
    scale: float

    def __post_init__(self) -> None:
        require_positive("Normal", scale=self.scale)

    @property
    def support(self) -> tuple[float, float]:
        return -np.inf, np.inf

    @property
    def mean(self) -> float:
        return self.loc

    @property
    def variance(self) -> float:
        return self.scale**2

    def log_prob(self, value: Any) -> Any:
        from jax.scipy.stats import norm

        return norm.logpdf(value, self.loc, self.scale)

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import stats

        return stats.norm.ppf(u, self.loc, self.scale)

    def cdf(self, value: FloatArray) -> FloatArray:
        from scipy import stats

        return np.asarray(stats.norm.cdf(value, self.loc, self.scale))


@dataclass(frozen=True)
class LogNormal(AbstractPrior):
    """log x is normal with mean ``loc`` and standard deviation ``scale``."""

    loc: float
    scale: float

    def __post_init__(self) -> None:
        require_positive("LogNormal", scale=self.scale)

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, np.inf

    @property
    def mean(self) -> float:
        return exp(self.loc + self.scale**2 / 2)

    @property
    def variance(self) -> float:
        return (exp(self.scale**2) - 1) * self.mean**2

    def log_prob(self, value: Any) -> Any:
        import jax.numpy as jnp
        from jax.scipy.stats import norm

        logs = jnp.log(jnp.maximum(value, 1e-300))
        return _inside(value, (0.0, np.inf), norm.logpdf(logs, self.loc, self.scale) - logs)

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import stats

        return np.exp(stats.norm.ppf(u, self.loc, self.scale))

    def cdf(self, value: FloatArray) -> FloatArray:
        from scipy import stats

        return np.asarray(stats.lognorm.cdf(value, self.scale, scale=exp(self.loc)))


@dataclass(frozen=True)
class Gamma(AbstractPrior):
    """Gamma with ``shape`` and ``rate``: mean shape / rate."""

    shape: float
    rate: float

    def __post_init__(self) -> None:
        require_positive("Gamma", shape=self.shape, rate=self.rate)

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, np.inf

    @property
    def mean(self) -> float:
        return self.shape / self.rate

    @property
    def variance(self) -> float:
        return self.shape / self.rate**2

    def log_prob(self, value: Any) -> Any:
        from jax.scipy.stats import gamma

        return gamma.logpdf(value, self.shape, scale=1 / self.rate)

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import stats

        return stats.gamma.ppf(u, self.shape, scale=1 / self.rate)

    def cdf(self, value: FloatArray) -> FloatArray:
        from scipy import stats

        return np.asarray(stats.gamma.cdf(value, self.shape, scale=1 / self.rate))


@dataclass(frozen=True)
class Beta(AbstractPrior):
    """Beta on [0, 1] with shapes ``a`` and ``b``."""

    a: float
    b: float

    def __post_init__(self) -> None:
        require_positive("Beta", a=self.a, b=self.b)

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, 1.0

    @property
    def mean(self) -> float:
        return self.a / (self.a + self.b)

    @property
    def variance(self) -> float:
        total = self.a + self.b
        return self.a * self.b / (total**2 * (total + 1))

    def log_prob(self, value: Any) -> Any:
        from jax.scipy.stats import beta

        return beta.logpdf(value, self.a, self.b)

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import stats

        return stats.beta.ppf(u, self.a, self.b)

    def cdf(self, value: FloatArray) -> FloatArray:
        from scipy import stats

        return np.asarray(stats.beta.cdf(value, self.a, self.b))


@dataclass(frozen=True)
class Poisson(AbstractPrior):
    """Poisson with mean ``rate``: for unknown initial counts."""

    rate: float

    def __post_init__(self) -> None:
        require_positive("Poisson", rate=self.rate)

    @property
    def support(self) -> tuple[float, float]:
        return 0.0, np.inf

    @property
    def mean(self) -> float:
        return self.rate

    @property
    def variance(self) -> float:
        return self.rate

    def log_prob(self, value: Any) -> Any:
        from jax.scipy.stats import poisson

        return poisson.logpmf(value, self.rate)

    def quantile(self, u: FloatArray) -> FloatArray:
        from scipy import stats

        return stats.poisson.ppf(u, self.rate)

    def cdf(self, value: FloatArray) -> FloatArray:
        from scipy import stats

        return np.asarray(stats.poisson.cdf(value, self.rate))


def _inside(value: Any, support: tuple[float, float], log_density: Any) -> Any:
    import jax.numpy as jnp

    lower, upper = support
    return jnp.where((value >= lower) & (value <= upper), log_density, -jnp.inf)

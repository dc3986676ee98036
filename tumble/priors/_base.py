"""The abstract prior."""

from __future__ import annotations

import abc
from numbers import Real
from typing import Any

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import FloatArray


class AbstractPrior(abc.ABC):
    """A distribution of one real number. Frozen dataclasses of floats inherit from it."""

    @property
    @abc.abstractmethod
    def support(self) -> tuple[float, float]:
        """Smallest and largest value with positive density."""

    @property
    @abc.abstractmethod
    def mean(self) -> float:
        """Mean."""

    @property
    @abc.abstractmethod
    def variance(self) -> float:
        """Variance."""

    @abc.abstractmethod
    def log_prob(self, value: Any) -> Any:
        """Return the log density (or log mass) at ``value``, in `jax.numpy`; -inf outside."""

    @abc.abstractmethod
    def quantile(self, u: FloatArray) -> FloatArray:
        """Return the quantiles of probabilities ``u`` in (0, 1)."""

    @abc.abstractmethod
    def cdf(self, value: FloatArray) -> FloatArray:
        """Return the probability of at most ``value``."""

    def sample(self, rng: np.random.Generator, size: int | tuple[int, ...]) -> FloatArray:
        """Return independent draws."""
        return self.quantile(rng.uniform(size=size))


def require_positive(owner: str, **values: float) -> None:
    """Raise `ParameterError` unless every value is finite and > 0."""
    for name, value in values.items():
        if not (isinstance(value, Real) and 0 < value < np.inf):
            raise ParameterError(f"`{owner}({name}=...)` is {value}, expected a number > 0.")


def require_ordered(owner: str, lower: float, upper: float) -> None:
    """Raise `ParameterError` unless lower < upper and both are finite."""
    real = isinstance(lower, Real) and isinstance(upper, Real)
    if not (real and -np.inf < lower < upper < np.inf):
        raise ParameterError(
            f"`{owner}(lower, upper)` is ({lower}, {upper}), expected finite lower < upper."
        )

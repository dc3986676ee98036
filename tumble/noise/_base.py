"""The abstract measurement model, and the exact one."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import FloatArray

ROUNDING = 1 / 12
"""Variance of rounding to whole numbers (Sheppard's correction)."""


class AbstractNoise(abc.ABC):
    """The distribution of a datum y given the observable x and parameters.

    Members are frozen dataclasses whose fields are numbers or names of the problem's parameters.
    ``args`` below maps field names to values, ``xp`` is the array namespace. Densities are
    written in `jax.numpy`.
    """

    counts: ClassVar[bool] = False
    """Whether data are whole numbers ≥ 0.

    Gaussian likelihoods then add the variance of rounding, `ROUNDING`, so that their density
    approximates the probability of a count, and stays bounded where the variance of the data goes
    to 0: a population without noise, or reports of one that has died out.
    """

    positive: ClassVar[bool] = False
    """Whether data are > 0."""

    largest: ClassVar[float] = np.inf
    """The largest value that an argument may have; the smallest is above 0."""

    def __post_init__(self) -> None:
        for name, value in self.arguments.items():
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if isinstance(value, str) or (number and 0 < value <= self.largest and value < np.inf):
                continue
            limit = "" if self.largest == np.inf else f" and ≤ {self.largest:g}"
            raise ParameterError(
                f"`{type(self).__name__}({name}=...)` is {value!r}, expected a number > 0{limit}, "
                "or the name of a parameter."
            )

    @property
    def arguments(self) -> dict[str, str | float]:
        """The fields: each a number, or the name of a parameter."""
        return {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that the noise uses."""
        return tuple(v for v in self.arguments.values() if isinstance(v, str))

    @abc.abstractmethod
    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        """Return E[y | x]."""

    @abc.abstractmethod
    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        """Return Var[y | x]."""

    @abc.abstractmethod
    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        """Return log p(y | x)."""

    @abc.abstractmethod
    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        """Return P(datum ≤ y | x) for any real y."""

    @abc.abstractmethod
    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        """Return E[exp(i ω datum) | x], complex. Raises `CapabilityError` without closed form."""

    @abc.abstractmethod
    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        """Return a datum for each entry of ``x``."""


@dataclass(frozen=True)
class Exact(AbstractNoise):
    """No measurement noise: the datum is the observable itself, a count.

    Gaussian likelihoods add the variance of rounding, see `AbstractNoise.counts`.
    """

    counts: ClassVar[bool] = True

    def mean(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return x

    def variance(self, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return 0.0 * x

    def log_prob(self, y: Any, x: Any, args: Mapping[str, Any]) -> Any:
        import jax.numpy as jnp

        return jnp.where(jnp.abs(y - x) < 0.5, 0.0, -jnp.inf)

    def cdf(self, y: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return xp.where(xp.isnan(x), np.nan, x <= y)  # a missing datum stays missing

    def characteristic(self, omega: Any, x: Any, args: Mapping[str, Any], xp: Any = np) -> Any:
        return xp.exp(1j * omega * x)

    def sample(self, rng: np.random.Generator, x: Any, args: Mapping[str, Any]) -> FloatArray:
        return np.asarray(x, dtype=float)

"""Any smooth loss, differentiated by JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import ParameterError, shown
from tumble._typing import FloatArray, IntArray, JaxArray
from tumble._xla import jit
from tumble.losses._base import AbstractLoss, vector


@dataclass(frozen=True)
class Smooth(AbstractLoss):
    """ℓ(m) = g(m, y), a function written in `jax.numpy`.

    Guarantee: for g with four continuous derivatives around m, estimates of ℓ and its gradient from
    n runs have a bias of order 1/n². A plain batch mean would have 1/n: a jackknife takes that term
    away, exactly if g is a polynomial of degree 2.

    Arguments: ``function`` g, (m [F'], y [F']) -> number, twice differentiable; ``target`` y [F];
    ``present``, the positions [F'] of the features that g sees (those that were observed).

    Reference: Quenouille, Biometrika 43 (1956), doi:10.1093/biomet/43.3-4.353.
    """

    function: Callable[[JaxArray, JaxArray], JaxArray]
    target: FloatArray
    present: IntArray
    polynomial: ClassVar[bool] = False
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ParameterError(
                f"`function` is {shown(self.function)}, expected a function of (m, y)."
            )
        target, present = vector("target", self.target), np.asarray(self.present)
        known = present.ndim == 1 and present.size > 0 and present.dtype.kind in "iu"
        if not known or present.min() < 0 or present.max() >= len(target):
            raise ParameterError(
                f"`present` is {shown(self.present)}, expected positions from 0 to "
                f"{len(target) - 1}."
            )
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "present", present)

    def value(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.value`."""
        rows = moments.reshape(-1, moments.shape[-1])[:, self.present]
        return self._call("value", rows).reshape(moments.shape[:-1])

    def slope(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.slope`."""
        rows = moments.reshape(-1, moments.shape[-1])[:, self.present]
        slopes = np.zeros((len(rows), moments.shape[-1]))
        slopes[:, self.present] = self._call("slope", rows)
        return slopes.reshape(moments.shape)

    def second(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.second`."""
        return self._spread(self._call("second", moments[self.present]))

    def mixed(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.mixed`."""
        return self._spread(self._call("mixed", moments[self.present]))

    def _call(self, name: str, moments: FloatArray) -> FloatArray:
        import jax

        with jax.enable_x64(True):
            function = getattr(_derivatives(self.function), name)
            return np.asarray(function(moments, self.target[self.present]))

    def _spread(self, block: FloatArray) -> FloatArray:
        matrix = np.zeros((len(self.target), len(self.target)))
        matrix[np.ix_(self.present, self.present)] = block
        return matrix


class _Derivatives(NamedTuple):
    value: Any
    slope: Any
    second: Any
    mixed: Any


@lru_cache(maxsize=16)
def _derivatives(function: Any) -> _Derivatives:
    """Return the compiled derivatives: the first two over rows of m, the others at one m."""
    import jax

    slope = jax.grad(function)
    return _Derivatives(
        jit(jax.vmap(function, in_axes=(0, None))),
        jit(jax.vmap(slope, in_axes=(0, None))),
        jit(jax.jacfwd(slope)),
        jit(lambda m, y: jax.jacfwd(slope, argnums=1)(m, y).T),
    )

"""Losses in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import FloatArray
from tumble.losses._base import AbstractLoss


@dataclass(frozen=True)
class Linear(AbstractLoss):
    """ℓ(m) = Σ_f w_f m_f, the expectation of a loss of single runs.

    Guarantee: estimates are unbiased at every batch size.

    Arguments: ``weight`` w [F].
    """

    weight: FloatArray
    polynomial: ClassVar[bool] = True
    compares: ClassVar[bool] = False

    def value(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.value`."""
        return moments @ self.weight

    def slope(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.slope`."""
        return np.broadcast_to(self.weight, moments.shape)

    def second(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.second`."""
        return np.zeros_like(self.weight)

    def mixed(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.mixed`."""
        return np.zeros_like(self.weight)


@dataclass(frozen=True)
class Quadratic(AbstractLoss):
    """ℓ(m) = (m − y)ᵀ W (m − y).

    Guarantee: estimates are unbiased at every batch size (U-statistics: products of expectations
    are taken over distinct runs).

    Arguments: ``target`` y [F]; ``weight``, the diagonal [F] of W, or all of it, symmetric and
    positive semi-definite [F, F]. Raises `ParameterError`.
    """

    target: FloatArray
    weight: FloatArray
    polynomial: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        shape, size = np.shape(self.weight), len(self.target)
        if shape not in ((size,), (size, size)):
            raise ParameterError(
                f"`weight` has shape {shape}, expected ({size},) or ({size}, {size}) for the "
                f"{size} features of `target`."
            )
        if len(shape) == 2 and not np.allclose(self.weight, np.transpose(self.weight)):
            raise ParameterError("`weight` is not symmetric; give (W + Wᵀ) / 2, the same loss.")

    def value(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.value`."""
        gap = moments - self.target
        return (gap * self._weighted(gap)).sum(-1)

    def slope(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.slope`."""
        return 2 * self._weighted(moments - self.target)

    def second(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.second`."""
        return 2 * self.weight

    def mixed(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.mixed`."""
        return -2 * self.weight

    def _weighted(self, gap: FloatArray) -> FloatArray:
        return gap * self.weight if self.weight.ndim == 1 else gap @ self.weight


@dataclass(frozen=True)
class SmoothedAbsolute(AbstractLoss):
    """ℓ(m) = Σ_f w_f (√((m_f − y_f)² + ε²) − ε), the absolute difference with its kink rounded.

    Guarantee: within ε Σ_f w_f below Σ_f w_f |m_f − y_f|. Estimates have a bias of order 1/n² over
    n runs once n is large against Var[f]/ε²; with ε = 0 the slope at m = y is the subgradient 0,
    and the bias near it is of order 1/√n.

    Arguments: ``target`` y [F]; ``weight`` w [F]; ``smoothing`` ε ≥ 0, in the unit of the features.
    """

    target: FloatArray
    weight: FloatArray
    smoothing: float
    polynomial: ClassVar[bool] = False
    compares: ClassVar[bool] = True

    @property
    def remaining_bias(self) -> str:
        """See `AbstractLoss.remaining_bias`."""
        if self.smoothing == 0:
            return "of the order of 1/√runs where simulated and observed features agree"
        return "of the order of 1/runs², after a jackknife"

    def value(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.value`."""
        return (self._rounded(moments) - self.smoothing) @ self.weight

    def slope(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.slope`."""
        gap, rounded = moments - self.target, self._rounded(moments)
        return self.weight * np.divide(gap, rounded, out=np.zeros_like(gap), where=rounded > 0)

    def second(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.second`."""
        rounded = self._rounded(moments)
        safe = np.where(rounded > 0, rounded, 1.0)
        return self.weight * self.smoothing**2 / safe**3

    def mixed(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.mixed`."""
        return -self.second(moments)

    def _rounded(self, moments: FloatArray) -> FloatArray:
        return np.hypot(moments - self.target, self.smoothing)

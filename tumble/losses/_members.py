"""Losses in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import ParameterError, is_number, shown
from tumble._typing import FloatArray
from tumble.losses._base import AbstractKinkedLoss, AbstractLoss, vector

_REWEIGHTINGS = 200
_LEAST_GAP = 1e-3  # of the mean gap, where ε is 0
_LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Linear(AbstractLoss):
    """ℓ(m) = Σ_f w_f m_f, the expectation of a loss of single runs.

    Guarantee: estimates are unbiased at every batch size.

    Arguments: ``weight`` w [F].
    """

    weight: FloatArray
    polynomial: ClassVar[bool] = True
    compares: ClassVar[bool] = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", vector("weight", self.weight))

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
        target = vector("target", self.target)
        weight, size = _matrix(self.weight), len(target)
        if weight.shape not in ((size,), (size, size)):
            raise ParameterError(
                f"`weight` has shape {weight.shape}, expected ({size},) or ({size}, {size}) for "
                f"the {size} features of `target`."
            )
        if weight.ndim == 2 and not np.allclose(weight, weight.T):
            raise ParameterError("`weight` is not symmetric; give (W + Wᵀ) / 2, the same loss.")
        least = weight.min() if weight.ndim == 1 else np.linalg.eigvalsh(weight).min()
        if least < -1e-9 * np.abs(weight).max():
            raise ParameterError(
                f"`weight` is not positive semi-definite: its lowest eigenvalue is {least:.3g}, "
                "expected none below 0."
            )
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "weight", weight)

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
class SmoothedAbsolute(AbstractKinkedLoss):
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

    def __post_init__(self) -> None:
        target = vector("target", self.target)
        weight = vector("weight", self.weight, len(target))
        if np.any(weight < 0):
            raise ParameterError(f"`weight` holds {weight.min():.3g}, expected numbers ≥ 0.")
        if not (is_number(self.smoothing) and 0 <= self.smoothing < np.inf):
            raise ParameterError(
                f"`smoothing` is {shown(self.smoothing)}, expected a number ≥ 0 in the unit of the "
                "features."
            )
        object.__setattr__(self, "target", target)
        object.__setattr__(self, "weight", weight)

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

    def stiffness(self, moments: FloatArray) -> FloatArray:
        """Return `second`, and at least a tenth of `majorant`, where it would vanish."""
        return np.maximum(self.second(moments), _LEAST_SHARE * self.majorant(moments))

    def majorant(self, moments: FloatArray) -> FloatArray:
        """Return w_f / √((m_f − y_f)² + ε²)."""
        rounded = self._rounded(moments)
        return self.weight / np.maximum(rounded, _LEAST_GAP * rounded.mean() + 1e-300)

    def mixed(self, moments: FloatArray) -> FloatArray:
        """See `AbstractLoss.mixed`."""
        return -self.second(moments)

    def shifts(self, jacobian: FloatArray, errors: FloatArray) -> FloatArray:
        """See `AbstractKinkedLoss.shifts`.

        Row b is argmin_u Σ_f w_f √((J u − e_b)_f² + ε²), by least squares that are weighted anew in
        each iteration: the loss is convex and falls with each.
        """
        outer = (jacobian[:, :, None] * jacobian[:, None, :]).reshape(len(jacobian), -1)
        found = np.zeros((len(errors), jacobian.shape[1]))
        least = _LEAST_GAP * np.abs(errors).mean(1, keepdims=True) + 1e-300
        for _ in range(_REWEIGHTINGS):
            gap = found @ jacobian.T - errors
            weights = self.weight / np.maximum(np.hypot(gap, self.smoothing), least)
            squares = (weights @ outer).reshape(*found.shape, -1)
            pulled = (weights * errors) @ jacobian
            before = found
            found = (np.linalg.pinv(squares, hermitian=True) @ pulled[..., None])[..., 0]
            if np.abs(found - before).max() <= 1e-6 * np.abs(found).max():
                break
        return found

    def _rounded(self, moments: FloatArray) -> FloatArray:
        return np.hypot(moments - self.target, self.smoothing)


def _matrix(weight: object) -> FloatArray:
    """Return ``weight`` as an array of finite numbers. Raises `ParameterError`."""
    try:
        array = np.asarray(weight, dtype=float)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if not np.all(np.isfinite(array)):
        raise ParameterError(f"`weight` is {shown(weight)}, expected finite numbers.")
    return array

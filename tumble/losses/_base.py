"""What a loss of expectations is."""

from __future__ import annotations

import abc
from typing import ClassVar

import numpy as np

from tumble._errors import ParameterError, shown
from tumble._typing import FloatArray


class AbstractLoss(abc.ABC):
    """ℓ(m) of expected features m [F], compared with observed ones y [F] where it has any.

    ``value`` and ``slope`` take any number of points at once, in front: that is how a batch is
    freed of the bias of ℓ (see `tumble.gradients`). Second derivatives are an array [F] where they
    are diagonal, else [F, F].
    """

    polynomial: ClassVar[bool]
    """Whether ℓ is a polynomial of degree 2 or less: then estimates are unbiased."""

    compares: ClassVar[bool]
    """Whether ℓ depends on observed features, so that their error is that of an estimate."""

    @property
    def remaining_bias(self) -> str:
        """What is left of the bias of ℓ and its gradient in an estimate, in words."""
        return "none" if self.polynomial else "of the order of 1/runs², after a jackknife"

    @abc.abstractmethod
    def value(self, moments: FloatArray) -> FloatArray:
        """Return ℓ [...] at m [..., F]."""

    @abc.abstractmethod
    def slope(self, moments: FloatArray) -> FloatArray:
        """Return ∂ℓ/∂m [..., F] at m [..., F]."""

    @abc.abstractmethod
    def second(self, moments: FloatArray) -> FloatArray:
        """Return ∂²ℓ/∂m² at m [F], [F] where it is diagonal, else [F, F]."""

    def stiffness(self, moments: FloatArray) -> FloatArray:
        """Return `second` with its eigenvalues made positive, for steps towards a minimum.

        Away from it a loss such as the square of a logarithm is concave.
        """
        second = self.second(moments)
        if self.polynomial or second.ndim == 1:
            return second if self.polynomial else np.abs(second)
        values, vectors = np.linalg.eigh(second)
        return (vectors * np.abs(values)) @ vectors.T

    def majorant(self, moments: FloatArray) -> FloatArray | None:
        """Return curvatures [F] of parabolas that touch ℓ at m [F] and lie above it, or None.

        Steps on the way to a minimum take them where ℓ has kinks, whose second derivative says
        nothing of what lies beyond.
        """
        return None

    @abc.abstractmethod
    def mixed(self, moments: FloatArray) -> FloatArray:
        """Return ∂²ℓ/∂y∂m at m [F], [F] where it is diagonal, else [F, F] (rows y)."""


class AbstractKinkedLoss(AbstractLoss):
    """A loss whose curvature changes within the error of the observed features.

    Its minimum does not move in proportion to that error, so that standard errors of fits come from
    `shifts` instead of second derivatives.
    """

    @abc.abstractmethod
    def shifts(self, jacobian: FloatArray, errors: FloatArray) -> FloatArray:
        """Return by how much the minimum moves as the observed features do, [B, k].

        Arguments: ``jacobian`` ∂m/∂θ [F, k], of features that are linear in the parameters;
        ``errors`` [B, F] of the observed features, a row a data set.
        """


def vector(name: str, value: object, size: int | None = None) -> FloatArray:
    """Return an array of finite numbers [F], one at least. Raises `ParameterError`."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 1 or not array.size or not np.all(np.isfinite(array)):
        raise ParameterError(
            f"`{name}` is {shown(value)}, expected finite numbers, one for each feature."
        )
    if size is not None and len(array) != size:
        raise ParameterError(f"`{name}` has {len(array)} numbers, expected {size} as in `target`.")
    return array


def times(second: FloatArray, vectors: FloatArray) -> FloatArray:
    """Return S v of second derivatives S, [F] or [F, F], and vectors v [F, k]."""
    return second[:, None] * vectors if second.ndim == 1 else second @ vectors

"""The curvature of a loss, from how its gradient changes along the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tumble._parameters import ParameterSpace
from tumble._typing import FloatArray

_LEAST = 1e-3  # of the largest eigenvalue
_BEYOND = 4.0  # standard errors: then a curvature is known to a quarter
_FAR = 0.4  # on the fit scale, where what Gauss–Newton leaves out may be otherwise
_SEEN = 3.0  # standard errors, for a correction
_SPREAD = 0.5  # what that is, in parts of the curvature, before anything is known
_FACTORS = 0.5, 4.0


class Visit(NamedTuple):
    """A point ``z`` [P], the ``gradient`` [P] there and its ``covariance`` [P, P]."""

    z: FloatArray
    gradient: FloatArray
    covariance: FloatArray

    @classmethod
    def nowhere(cls, size: int) -> Visit:
        """Return what stands for no point so far."""
        return cls(np.full(size, np.nan), np.full(size, np.nan), np.full((size, size), np.nan))

    @property
    def is_nowhere(self) -> bool:
        """Whether there is no such point."""
        return bool(np.any(np.isnan(self.z)))


def secant_curvature(known: FloatArray, before: Visit, after: Visit) -> FloatArray:
    """Return the BFGS update of a curvature ``known`` [P, P] by two points.

    It is left as it is where the change of the gradient along the step is not clearly positive. The
    first one, where all of ``known`` is NaN, begins with a multiple of the identity.

    Reference: Nocedal, Wright, Numerical Optimization (2006), doi:10.1007/978-0-387-40065-5 (6.20).
    """
    step, change = after.z - before.z, after.gradient - before.gradient
    along = step @ change
    error2 = float(step @ (before.covariance + after.covariance) @ step)
    if not along > max(_BEYOND * np.sqrt(max(error2, 0.0)), 1e-300):  # also where there is NaN
        return known
    if np.any(np.isnan(known)):
        known = np.eye(len(step)) * (change @ change) / along
    pushed = known @ step
    return known + np.outer(change, change) / along - np.outer(pushed, pushed) / (step @ pushed)


def left_out(known: FloatArray, curvature: FloatArray, before: Visit, after: Visit) -> FloatArray:
    """Return what second derivatives [P, P] are beyond a Gauss–Newton ``curvature``, by two points.

    That is Σ_f ∂ℓ/∂m_f ∂²m_f, which matters where the minimum is not near 0. Along the step from
    one point to the other it is what the change of the gradient says beyond ``curvature``, where
    that stands out of its noise, and as far as it does. The longer the step, the more ``known``
    fades, and the less what is new counts: the second derivative may be another at each end.

    Reference: Dennis, Gay, Welsch, ACM Trans. Math. Softw. 7 (1981), doi:10.1145/355958.355965.
    """
    step, change = after.z - before.z, after.gradient - before.gradient
    pushed = curvature @ step
    length = step @ pushed
    if not length > 0:  # also where there is NaN
        return known
    near = np.exp(-((np.abs(step).max() / _FAR) ** 2))
    kept = known * near
    noise = max(float(step @ (before.covariance + after.covariance) @ step), 0.0)
    if length < _SEEN * np.sqrt(noise):
        return np.asarray(kept)
    trust = (_SPREAD * length) ** 2 / ((_SPREAD * length) ** 2 + noise)
    gap = step @ change - length - step @ kept @ step
    return np.asarray(kept + near * trust * gap * np.outer(pushed, pushed) / length**2)


def completed(curvature: FloatArray, residual: FloatArray) -> FloatArray:
    """Return ``curvature`` + ``residual``, in each direction from half to four times the former."""
    values, vectors = np.linalg.eigh(curvature)
    values = np.maximum(values, 1e-12 * max(float(values.max()), 1e-300))
    root, inverse = vectors * np.sqrt(values), vectors / np.sqrt(values)
    factors, axes = np.linalg.eigh(np.eye(len(values)) + inverse.T @ residual @ inverse)
    kept = root @ axes
    return np.asarray((kept * np.clip(factors, *_FACTORS)) @ kept.T)


def measured_curvature(
    gradient: Callable[[FloatArray], FloatArray], z: FloatArray, space: ParameterSpace, step: float
) -> FloatArray:
    """Return the curvature [P, P] at z [P] by differences of gradients, made positive.

    Points lie ``step`` to both sides, within the bounds; NaN where a gradient is.
    """
    rows = []
    for e in step * np.eye(len(z)):
        below, above = np.asarray(space.clip(z - e)), np.asarray(space.clip(z + e))
        rows.append((gradient(above) - gradient(below)) / (above - below).sum())
    found = np.array(rows)
    if not np.all(np.isfinite(found)):
        return np.full_like(found, np.nan)
    values, vectors = np.linalg.eigh((found + found.T) / 2)
    values = np.abs(values)
    return (vectors * np.maximum(values, _LEAST * values.max())) @ vectors.T

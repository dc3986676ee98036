"""The curvature of a loss, from how its gradient changes along the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tumble._parameters import ParameterSpace
from tumble._typing import FloatArray

_LEAST = 1e-3  # of the largest eigenvalue
_BEYOND = 4.0  # standard errors: then a curvature is known to a quarter


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

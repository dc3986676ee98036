"""Newton steps towards the most probable rates, and the matrices in them."""

from __future__ import annotations

import math

import numpy as np

from tumble._typing import FloatArray

_LEAST_MOVE, _LARGEST_MOVE = math.expm1(-2.0), math.expm1(2.0)  # of a rate, relative to it


def relative_move(precision: FloatArray, slope: FloatArray) -> FloatArray:
    """Return the Newton step [k] in rates, relative to them, each within limits.

    A rate that vanishes has far to go, and must not hold up the others: it goes as far as it may,
    the one that would go furthest first, and they adapt to that. Where half of them would go too
    far the step means little, and is shortened as a whole.
    """
    whole = solved(precision, slope)
    move, free = whole.copy(), np.ones(len(slope), bool)
    while True:
        beyond = np.where(free, np.abs(move - np.clip(move, _LEAST_MOVE, _LARGEST_MOVE)), 0.0)
        worst = int(np.argmax(beyond))
        if not beyond[worst] > 0:
            return move
        if 2 * (~free).sum() >= max(len(slope), 2):
            over = np.maximum(whole / _LEAST_MOVE, whole / _LARGEST_MOVE)
            return np.asarray(whole / over.max())
        free[worst] = False
        move[worst] = np.clip(move[worst], _LEAST_MOVE, _LARGEST_MOVE)
        pull = slope[free] - precision[np.ix_(free, ~free)] @ move[~free]
        move[free] = solved(precision[np.ix_(free, free)], pull)


def positive(matrix: FloatArray, least: float) -> FloatArray:
    """Return a symmetric matrix without eigenvalues below ``least``."""
    if not len(matrix) or not np.isfinite(matrix).all():
        return matrix
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, least)) @ vectors.T)


def solved(matrix: FloatArray, right: FloatArray) -> FloatArray:
    """Solve for a positive matrix [k, k], which may have been rounded to a singular one."""
    if not len(matrix):
        return right
    scale = np.sqrt(np.diag(matrix))
    even = matrix / np.outer(scale, scale) + 1e-10 * np.eye(len(matrix))
    wide = scale[:, None] if right.ndim == 2 else scale
    return np.asarray(np.linalg.solve(even, right / wide) / wide)


def log_det(matrix: FloatArray) -> float:
    """Return log |matrix| of a positive matrix [k, k], which may have been rounded as above."""
    scale = np.sqrt(np.diag(matrix))
    even = matrix / np.outer(scale, scale) + 1e-10 * np.eye(len(matrix))
    return float(np.linalg.slogdet(even)[1] + 2 * np.log(scale).sum())

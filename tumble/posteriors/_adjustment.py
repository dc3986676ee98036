"""Parameters moved to where the observed summaries would have had them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._typing import FloatArray
from tumble.posteriors._comparison import Comparison

_PENALTIES = np.logspace(-4, 3, 15)
_EDGE = 1e-9


@dataclass(frozen=True)
class LocalLinear:
    """Regression adjustment: a linear model of parameters by summaries, near the observed ones.

    Definition: z − (s − s_obs) β, with β from weighted ridge regression over the particles
    (weights times Epanechnikov's kernel of the distance), whose penalty leave-one-out prediction
    chooses; in coordinates in which the bounds are at infinity, so that parameters stay within.

    Guarantee: none for a wrong model or a posterior that is no linear function of the summaries
    within the tolerance; then compare with the unadjusted one.

    Reference: Beaumont, Zhang, Balding, Genetics 162 (2002), doi:10.1093/genetics/162.4.2025.
    """

    def adjusted(
        self,
        z: FloatArray,
        weights: FloatArray,
        summaries: FloatArray,
        distances: FloatArray,
        comparison: Comparison,
        scale: FloatArray,
        bounds: tuple[FloatArray, FloatArray],
    ) -> tuple[FloatArray, FloatArray]:
        """Return parameters [N, P] and weights [N] for summaries as they were observed."""
        top = distances.max()
        if not top > 0:
            return z, weights
        kernel = weights * np.maximum(1 - (distances / (top * (1 + 1e-9))) ** 2, 0.0)
        if not kernel.sum() > 0:
            return z, weights
        kernel = kernel / kernel.sum()
        away = np.where(np.isfinite(scale), (summaries - comparison.observed) / scale, 0.0)
        low, high = bounds
        share = np.clip((z - low) / (high - low), _EDGE, 1 - _EDGE)
        free = np.log(share / (1 - share))
        shift = away @ _ridge(away, free, kernel)
        moved = low + (high - low) / (1 + np.exp(-(free - shift)))
        return moved, kernel


def _ridge(x: FloatArray, y: FloatArray, weights: FloatArray) -> FloatArray:
    """Return slopes [K, P] of y [N, P] by x [N, K] with an intercept, by weights [N]."""
    x = x - weights @ x
    y = y - weights @ y
    root = np.sqrt(weights)[:, None]
    u, s, vt = np.linalg.svd(root * x, full_matrices=False)
    inner = u.T @ (root * y)
    best, slopes = np.inf, np.zeros((x.shape[1], y.shape[1]))
    spread = np.maximum(weights @ y**2, 1e-300)
    for penalty in _PENALTIES * s[0] ** 2 / len(s) if len(s) and s[0] > 0 else ():
        shrink = s**2 / (s**2 + penalty)
        fitted = u @ (shrink[:, None] * inner)
        leverage = np.minimum((u**2) @ shrink + weights, 1 - 1e-9)
        left = (root * y - fitted) / (1 - leverage)[:, None]
        error = float(((left**2).sum(0) / spread).sum())
        if error < best:
            best = error
            slopes = vt.T @ ((s / (s**2 + penalty))[:, None] * inner)
    return slopes

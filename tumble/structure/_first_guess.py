"""Where a search among networks begins."""

from __future__ import annotations

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._posterior import NetworkPosterior

_ROUNDS = 6
_SMALL = 5.0  # logarithms below the center of the prior
_SLIGHT = 1e-6  # of the largest share of all firings


def first_guess(posterior: NetworkPosterior) -> dict[int, float]:
    """Return logarithms of rates of the candidates to begin with.

    Where states are seen, those of a regression of their increments on Σ ν θ ∫h dt with θ ≥ 0, the
    integrals by the trapezoidal rule and the weights by the covariance Σ ν νᵀ θ ∫h dt that the last
    round gave. Else all candidates, with small rates.
    """
    pieces = posterior.likelihood.steps
    if pieces is None:
        return {r: float(c - _SMALL) for r, c in enumerate(posterior.centers)}
    before, after, spans = pieces
    library = posterior.library
    h = 0.5 * (library.combinations(before) + library.combinations(after)) * spans[:, None]
    rates = _regression(library.change, h, after - before)
    fired = rates * h.sum(0)
    kept = set(np.flatnonzero(fired > _SLIGHT * fired.max(initial=1e-300)).tolist())
    floor = np.exp(posterior.centers - _SMALL)
    return {r: float(np.log(max(rates[r], floor[r]))) for r in sorted(kept | posterior.required)}


def _regression(change: FloatArray, h: FloatArray, steps: FloatArray) -> FloatArray:
    """Return rates ≥ 0 [R] for changes [R, S], integrals [M, R] and increments [M, S]."""
    from scipy.optimize import nnls

    size = change.shape[1]
    covariance = np.abs(steps)[:, :, None] * np.eye(size) + np.eye(size)
    rates = np.zeros(len(change))
    for _ in range(_ROUNDS):
        factor = np.linalg.cholesky(covariance)
        design = np.linalg.solve(factor, change.T[None] * h[:, None, :]).reshape(-1, len(change))
        target = np.linalg.solve(factor, steps[..., None]).ravel()
        scale = np.maximum(np.sqrt((design**2).sum(0)), 1e-300)
        rates = nnls(design / scale, target, maxiter=30 * len(change))[0] / scale
        covariance = np.einsum("mr,rs,ru->msu", h * rates, change, change) + np.eye(size) / 12
    return np.asarray(rates)

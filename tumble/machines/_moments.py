"""What replicates have in common, in whatever order: pooled moments."""

from __future__ import annotations

import numpy as np

from tumble._typing import FloatArray

_MANY = 10  # replicates, from which on the smallest and the largest are told
_PAIRS = 8  # numbers of a replicate, up to which pairs of them are
_LINES = 4  # and lines
_FLAT = 1e-12


def pooled_moments(values: FloatArray) -> FloatArray:
    """Return numbers [B, K] that stand for data sets [B, n, D], NaN where a datum is missing.

    Of one replicate they are its numbers. Of several: mean and log standard deviation of each
    number; from 10 replicates on the smallest and the largest; of up to 8 numbers without a missing
    one arctanh of the correlations, of up to 4 slope and intercept of the line of each on each
    other, by least squares.
    """
    count = values.shape[1]
    if count == 1:
        return values[:, 0]
    missing = np.isnan(values)
    whole = not missing.any()
    seen = np.maximum((~missing).sum(1), 1)
    mean = np.where(missing, 0.0, values).sum(1) / seen
    away = np.where(missing, 0.0, values - mean[:, None])
    variance = np.maximum((away**2).sum(1) / np.maximum(seen - 1, 1), _FLAT)
    parts = [mean, np.log(variance) / 2]
    if count >= _MANY:
        parts += [
            np.where(missing, np.inf, values).min(1), np.where(missing, -np.inf, values).max(1)
        ]  # fmt: skip
    if whole and 1 < values.shape[2] <= _PAIRS:
        parts += _of_pairs(mean, variance, np.einsum("bni,bnj->bij", away, away) / (count - 1))
    return np.concatenate(parts, axis=1)


def _of_pairs(mean: FloatArray, variance: FloatArray, covariance: FloatArray) -> list[FloatArray]:
    size = mean.shape[1]
    sd = np.sqrt(variance)
    above = np.triu_indices(size, 1)
    correlations = (covariance / (sd[:, :, None] * sd[:, None]))[:, above[0], above[1]]
    parts = [np.arctanh(np.clip(correlations, -1 + _FLAT, 1 - _FLAT))]
    if size <= _LINES:
        other = ~np.eye(size, dtype=bool)
        slopes = covariance / variance[:, :, None]  # of the second on the first
        intercepts = mean[:, None, :] - slopes * mean[:, :, None]
        parts += [slopes[:, other], intercepts[:, other]]
    return parts

"""Integrals of densities with one or several hills, by adaptive importance sampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._joint import Mode

_DEGREES = 5.0  # of freedom: tails heavier than exponential ones
_GUARD, _GUARD_SCALE = 0.1, 1.5  # share and scale of what covers the whole prior
_LEAST_SHARE = 0.02
_FIRST_DRAWS = 64
_HOPELESS = 128  # draws, if the density is 0 at all of them
_LARGEST_WEIGHT = 0.1
_POWERS = (1.0, 0.5, 0.25, 0.1, 0.03)
_SMALL = 1e-3


class Integral(NamedTuple):
    """An integral: its logarithm and the standard error of that.

    ``points`` [n, P] with ``weights`` [n], which sum to 1, are draws from the normalized density.
    ``settled``: the error is as small as was asked, and no weight is above a tenth.
    """

    log_value: float
    standard_error: float
    points: FloatArray
    weights: FloatArray
    settled: bool

    @property
    def num_effective(self) -> float:
        """How many equal weights would be worth as much."""
        return float(1 / np.maximum((self.weights**2).sum(), 1e-300))


def integrate(
    log_density: Callable[[FloatArray], FloatArray],
    modes: Sequence[Mode],
    rng: np.random.Generator,
    tolerance: float,
    max_draws: int,
) -> Integral:
    """Return ∫ exp(log_density(x)) dx.

    Definition: draws come from a mixture of t distributions, one at each mode, and one wide enough
    for the prior, which finds what the modes have missed. It is fitted anew to all weighted draws
    as their number doubles. All draws count, weighted by the density over that of all mixtures
    they may have come from.

    Guarantee: consistent, and unbiased but for the fitting of the mixture to its own draws, which
    is of order 1/n. The standard error is estimated from the weights.

    Arguments: ``log_density`` of x [n, P], which may be an estimate whose exponential is unbiased;
    ``tolerance``, the standard error of the logarithm at which to stop; ``max_draws``.

    References: Cappé, Douc, Guillin, Marin, Robert, Stat. Comput. 18 (2008),
    doi:10.1007/s11222-008-9059-x (mixtures); Cornuet, Marin, Mira, Robert, Scand. J. Stat. 39
    (2012), doi:10.1111/j.1467-9469.2011.00756.x (all draws count); Owen, Zhou, J. Am. Stat. Assoc.
    95 (2000), doi:10.1080/01621459.2000.10473909 (the wide one).
    """
    mixtures, counts = [_Mixture.about(modes)], [min(_FIRST_DRAWS, max_draws)]
    points = mixtures[0].sample(rng, counts[0])
    values = log_density(points)
    while True:
        total = sum(counts)
        parts = [m.log_prob(points) + math.log(n) for m, n in zip(mixtures, counts, strict=True)]
        logs = values - (np.logaddexp.reduce(parts, axis=0) - math.log(total))
        found = _summed(points, logs, tolerance)
        hopeless = total >= _HOPELESS and not np.isfinite(found.log_value)
        if found.settled or hopeless or total >= max_draws:
            return found
        mixtures.append(mixtures[-1].fitted(points, logs))
        counts.append(min(total, max_draws - total))
        more = mixtures[-1].sample(rng, counts[-1])
        points, values = np.concatenate([points, more]), np.append(values, log_density(more))


def _summed(points: FloatArray, logs: FloatArray, tolerance: float) -> Integral:
    count, top = len(logs), logs.max()
    if not np.isfinite(top):
        return Integral(-np.inf, np.nan, points, np.zeros(count), False)
    weights = np.exp(logs - top)
    mean = weights.mean()
    error = float(weights.std(ddof=1) / mean / math.sqrt(count))
    shares = weights / weights.sum()
    settled = error <= tolerance and shares.max() <= _LARGEST_WEIGHT
    return Integral(float(top + math.log(mean)), error, points, shares, bool(settled))


@dataclass(frozen=True)
class _Mixture:
    """A mixture of t distributions; the last one is the guard, which is never moved.

    ``shares`` [K], ``means`` [K, P], ``roots`` [K, P, P] of their scales.
    """

    shares: FloatArray
    means: FloatArray
    roots: FloatArray

    @classmethod
    def about(cls, modes: Sequence[Mode]) -> _Mixture:
        """Return the mixture that Laplace's method suggests."""
        laplace = np.array([m.laplace for m in modes])
        shares = np.maximum(np.exp(laplace - laplace.max()), _LEAST_SHARE)
        size = len(modes[0].x)
        return cls(
            np.append((1 - _GUARD) * shares / shares.sum(), _GUARD),
            np.stack([*(m.x for m in modes), np.zeros(size)]),
            np.stack(
                [*(np.linalg.cholesky(m.covariance) for m in modes), _GUARD_SCALE * np.eye(size)]
            ),
        )

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Return draws [count, P]."""
        which = rng.choice(len(self.shares), count, p=self.shares)
        normal = rng.standard_normal((count, self.means.shape[1]))
        stretch = np.sqrt(_DEGREES / rng.chisquare(_DEGREES, count))
        turned = np.einsum("nij,nj->ni", self.roots[which], normal)
        return np.asarray(self.means[which] + turned * stretch[:, None])

    def log_prob(self, points: FloatArray) -> FloatArray:
        """Return the log density [n]."""
        return np.asarray(np.logaddexp.reduce(self._parts(points), axis=0))

    def fitted(self, points: FloatArray, logs: FloatArray) -> _Mixture:
        """Return the mixture moved to weighted points: one step of expectation-maximization.

        While few of the weights matter, their powers are taken, so that many do.
        """
        if not np.isfinite(logs.max()):
            return self
        size = points.shape[1]
        for power in _POWERS:
            weights = np.exp(power * (logs - logs.max()))
            weights /= weights.sum()
            if 1 / (weights**2).sum() > 3 * size + 5:
                break
        parts = self._parts(points)
        belongs = np.exp(parts - np.logaddexp.reduce(parts, axis=0)) * weights
        means, roots = self.means.copy(), self.roots.copy()
        masses = belongs.sum(1)
        for k in range(len(masses) - 1):
            if masses[k] < _SMALL or np.count_nonzero(belongs[k] > _SMALL / len(points)) <= size:
                continue
            share = belongs[k] / masses[k]
            means[k] = share @ points
            away = points - means[k]
            spread = (share[:, None] * away).T @ away + _SMALL**2 * np.eye(size)
            roots[k] = np.linalg.cholesky(spread)
        shares = np.maximum(masses[:-1], _LEAST_SHARE)
        shares = np.append((1 - _GUARD) * shares / shares.sum(), _GUARD)
        return _Mixture(shares, means, roots)

    def _parts(self, points: FloatArray) -> FloatArray:
        """Return the log of share times density of each component [K, n]."""
        size = points.shape[1]
        constant = math.lgamma((_DEGREES + size) / 2) - math.lgamma(_DEGREES / 2)
        constant -= 0.5 * size * math.log(_DEGREES * math.pi)
        rows = []
        for share, mean, root in zip(self.shares, self.means, self.roots, strict=True):
            white = np.linalg.solve(root, (points - mean).T)
            volume = np.log(np.diag(root)).sum()
            tail = 0.5 * (_DEGREES + size) * np.log1p((white**2).sum(0) / _DEGREES)
            rows.append(math.log(share) + constant - volume - tail)
        return np.array(rows)

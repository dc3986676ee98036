"""Where the next parameters are proposed, around those that were accepted."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np

from tumble._typing import BoolArray, FloatArray

_AT_ONCE = 2_000_000  # numbers of a table of densities
_LEAST = 1e-6  # of the spread of all particles, that of a kernel


class AbstractKernel(abc.ABC):
    """A normal law around every particle. Members are frozen dataclasses."""

    @abc.abstractmethod
    def covariances(self, z: FloatArray, weights: FloatArray, near: BoolArray) -> FloatArray:
        """Return covariances [N, P, P] around particles z [N, P].

        ``near`` [N]: which of them the next generation would accept.
        """


@dataclass(frozen=True)
class GlobalNormal(AbstractKernel):
    """Twice the covariance of all particles, around each.

    Reference: Beaumont, Cornuet, Marin, Robert, Biometrika 96 (2009), doi:10.1093/biomet/asp052.
    """

    def covariances(self, z: FloatArray, weights: FloatArray, near: BoolArray) -> FloatArray:
        """See `AbstractKernel.covariances`."""
        away = z - weights @ z
        shared = 2 * (away * weights[:, None]).T @ away
        return np.broadcast_to(_firm(shared, z), (len(z), *shared.shape))


@dataclass(frozen=True)
class LocalNormal(AbstractKernel):
    """The spread, around each particle, of those that the next generation would accept.

    Narrow where they are near, wide where they are far: the acceptance is higher than with one
    covariance for all, most so where parameters depend on each other in a curved way.

    Reference: Filippi, Barnes, Cornebise, Stumpf, Stat. Appl. Genet. Mol. Biol. 12 (2013),
    doi:10.1515/sagmb-2012-0069 (optimal local covariance matrix).
    """

    def covariances(self, z: FloatArray, weights: FloatArray, near: BoolArray) -> FloatArray:
        """See `AbstractKernel.covariances`."""
        share = np.where(near, weights, 0.0)
        share = share / share.sum()
        mean = share @ z
        away = z - mean
        inner = (away * share[:, None]).T @ away
        # Σ_k w_k (z_k − z_i)(z_k − z_i)ᵀ, about each particle i.
        return _firm(inner + away[:, :, None] * away[:, None, :], z)


class Mixture:
    """Normal laws around particles, weighted: the law of proposals. Final."""

    def __init__(self, z: FloatArray, weights: FloatArray, covariances: FloatArray) -> None:
        self._z, self._weights = z, weights
        self._roots = np.linalg.cholesky(covariances)
        self._middle = weights @ z
        precisions = np.linalg.inv(covariances)
        logs = np.log(np.abs(np.diagonal(self._roots, axis1=1, axis2=2))).sum(1)
        away = z - self._middle
        pull = np.einsum("nij,nj->ni", precisions, away)
        with np.errstate(divide="ignore"):
            shares = np.log(weights)
        # The exponents are linear in x xᵀ, x and 1, so that a table of them is one product.
        self._slopes = np.concatenate(
            [
                -0.5 * precisions.reshape(len(z), -1),
                pull,
                (shares - logs - 0.5 * (away * pull).sum(1))[:, None],
            ],
            axis=1,
        )

    def sample(self, count: int, rng: np.random.Generator) -> FloatArray:
        """Return independent draws [count, P]."""
        chosen = rng.choice(len(self._z), count, p=self._weights)
        steps = rng.standard_normal((count, self._z.shape[1]))
        return np.asarray(self._z[chosen] + np.einsum("nij,nj->ni", self._roots[chosen], steps))

    def log_density(self, points: FloatArray) -> FloatArray:
        """Return log densities [M] at points [M, P], but for a constant."""
        rows = max(_AT_ONCE // len(self._z), 1)
        found = [np.empty(0)]
        for start in range(0, len(points), rows):
            x = points[start : start + rows] - self._middle
            squares = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
            logs = np.hstack([squares, x, np.ones((len(x), 1))]) @ self._slopes.T
            top = logs.max(1)
            found.append(top + np.log(np.exp(logs - top[:, None]).sum(1)))
        return np.concatenate(found)


def _firm(covariances: FloatArray, z: FloatArray) -> FloatArray:
    """Return covariances that are positive, whatever the particles."""
    size = z.shape[1]
    floor = np.maximum(_LEAST * z.std(0), 1e-12) ** 2
    return np.asarray(covariances + np.eye(size) * floor)

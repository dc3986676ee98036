"""Whether data are like those that a machine has learnt from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from tumble._typing import FloatArray

_NEIGHBOURS = 5
_MOST_POINTS = 10_000
_SHARP = 1e-6  # of the largest variance, the smallest along which differences count


@dataclass(frozen=True)
class Novelty:
    """How far data sets are from those learnt from, beside others of the same kind. Final.

    Definition: the distance to the fifth nearest of ``points`` [N, S], in coordinates in which
    these are uncorrelated and vary alike: less ``mean`` [K], rotated by ``axes`` [K, S].
    ``distances`` [H], sorted, of fresh data sets of the model.

    Guarantee: of data sets at parameters from the prior a share of α has a p-value of α or less.
    """

    mean: FloatArray
    axes: FloatArray
    points: FloatArray
    distances: FloatArray

    @classmethod
    def of(cls, learnt: FloatArray, fresh: FloatArray) -> Novelty:
        """Return it for features [N, K] learnt from, and fresh ones [H, K]."""
        learnt = learnt[:_MOST_POINTS].astype(float)
        mean = learnt.mean(0)
        lengths, turned = np.linalg.eigh(np.cov(learnt, rowvar=False).reshape((len(mean),) * 2))
        kept = lengths > _SHARP * max(float(lengths.max()), 1e-300)
        axes = turned[:, kept] / np.sqrt(lengths[kept])
        bare = cls(mean, axes, (learnt - mean) @ axes, np.empty(0))
        return cls(mean, axes, bare.points, np.sort(bare.away(fresh)))

    def away(self, features: FloatArray) -> FloatArray:
        """Return the distances [B] of features [B, K]."""
        tree = cKDTree(self.points)
        near = min(_NEIGHBOURS, len(self.points))
        return np.asarray(tree.query((features - self.mean) @ self.axes, k=[near])[0][:, 0])

    def p_values(self, features: FloatArray) -> FloatArray:
        """Return the share [B] of data sets of the model that are as far as features [B, K]."""
        farther = len(self.distances) - np.searchsorted(self.distances, self.away(features))
        return np.asarray((1 + farther) / (1 + len(self.distances)))

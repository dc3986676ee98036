"""What is subtracted from a feature before it is multiplied with a score."""

from __future__ import annotations

import abc
from dataclasses import dataclass

import numpy as np

from tumble._typing import FloatArray


class AbstractBaseline(abc.ABC):
    """Chooses numbers b such that (f − b) S varies little.

    Since E[S] = 0, any b that does not depend on the run itself leaves the mean as it is.
    """

    @abc.abstractmethod
    def jacobians(self, features: FloatArray, score: FloatArray) -> FloatArray:
        """Return (f − b) S [n, T, K, P] of features [n, T, K] and scores [n, T, P]."""


@dataclass(frozen=True)
class LeaveOneOut(AbstractBaseline):
    """The mean of the feature over the other runs, for all parameters alike."""

    def jacobians(self, features: FloatArray, score: FloatArray) -> FloatArray:
        """See `AbstractBaseline.jacobians`."""
        n = len(features)
        centered = (features - features.mean(0)) * (n / (n - 1))
        return centered[..., None] * score[:, :, None, :]


@dataclass(frozen=True)
class CrossFitted(AbstractBaseline):
    """The best constant for each feature and parameter, E[f S_p²] / E[S_p²], from the other runs.

    Definition: both expectations are sums over all runs but the one that is corrected (as many
    folds as runs), so that the baseline is independent of its run.
    """

    def jacobians(self, features: FloatArray, score: FloatArray) -> FloatArray:
        """See `AbstractBaseline.jacobians`."""
        square = score**2
        others = square.sum(0) - square
        weighted = features[..., None] * square[:, :, None, :]
        weighted = weighted.sum(0) - weighted
        others = others[:, :, None, :]
        baseline = np.divide(weighted, others, out=np.zeros_like(weighted), where=others > 0)
        return (features[..., None] - baseline) * score[:, :, None, :]

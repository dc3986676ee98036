"""How far a simulated data set is from the observed one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._errors import DataError
from tumble._typing import BoolArray, FloatArray
from tumble.posteriors._summaries import AbstractSummary

_MAD_TO_SD = 1.4826


@dataclass(frozen=True)
class Comparison:
    """The observed data set in the summary, and who is near it. Final.

    Definition: the root mean square of the differences of summaries, each divided by its scale. The
    scale is the median absolute deviation of what is simulated, times 1.4826 (the standard
    deviation of a normal law), so that what varies much by itself does not decide.

    Reference: Prangle, Bayesian Analysis 12 (2017), doi:10.1214/16-BA1002 (scales of what is
    simulated now, rather than from the prior).
    """

    summary: AbstractSummary
    observed: FloatArray
    used: BoolArray

    @classmethod
    def of(cls, summary: AbstractSummary, data: list[FloatArray]) -> Comparison:
        """Compare with one data set, [N, T, O] of each experiment. Raises `DataError`."""
        observed = summary.of([values[None] for values in data])[0]
        used = np.isfinite(observed)
        if not used.any():
            raise DataError(
                f"{summary} has no finite number for the observed data; choose another summary."
            )
        return cls(summary, observed[used], used)

    def summaries(self, data: list[FloatArray]) -> FloatArray:
        """Return what is compared of data sets, [B, K]."""
        return self.summary.of(data)[:, self.used]

    def scale(self, summaries: FloatArray) -> FloatArray:
        """Return the scale [K] of what is simulated, [B, K]; ∞ for what never varies."""
        middle = np.median(summaries, axis=0)
        scale = _MAD_TO_SD * np.median(np.abs(summaries - middle), axis=0)
        spread = summaries.std(0)
        scale = np.where(scale > 0, scale, spread)
        # What is the same in all tells nothing, unless it is not what was observed.
        same = (summaries == self.observed).all(0)
        return np.where(scale > 0, scale, np.where(same, np.inf, 1.0))

    def distances(self, summaries: FloatArray, scale: FloatArray) -> FloatArray:
        """Return how far [B] summaries [B, K] are; ∞ where one is not a number."""
        away = (summaries - self.observed) / scale
        found = np.sqrt(np.mean(away**2, axis=1))
        return np.where(np.isfinite(found), found, np.inf)

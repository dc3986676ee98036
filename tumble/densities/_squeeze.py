"""Numbers of all sizes, brought to a like scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._typing import BoolArray, FloatArray

_FLAT = 1e-9
_WIDE = 10.0  # times the smallest, from which on the logarithm is taken of what is positive
_RARE = 5e-4  # the share of draws below what is called the smallest


@dataclass(frozen=True)
class Squeeze:
    """Brings numbers [..., K] to a like scale, without long tails. Final.

    Definition: arsinh about the median, on the scale of the median absolute deviation; then
    standardized. Of the columns in ``logged`` the logarithm is squeezed, of values not below
    ``least``.
    """

    logged: BoolArray
    least: FloatArray
    middle: FloatArray
    unit: FloatArray
    mean: FloatArray
    sd: FloatArray

    @classmethod
    def of(cls, values: FloatArray, logs: bool = False) -> Squeeze:
        """Return what suits values [N, K]: with ``logs``, of positive ones that vary tenfold."""
        least, most = np.quantile(values, [_RARE, 1 - _RARE], axis=0)
        logged = (values.min(0) > 0) & (most > _WIDE * least) & logs
        raw = cls(logged, least, *np.zeros((4, values.shape[1])))
        taken = raw._taken(values)
        middle = np.median(taken, axis=0)
        away = np.median(np.abs(taken - middle), axis=0)
        spread = taken.std(0)
        unit = np.where(away > 1e-3 * spread, away, np.where(spread > 0, spread, 1.0))
        bent = np.arcsinh((taken - middle) / unit)
        return cls(logged, least, middle, unit, bent.mean(0), np.maximum(bent.std(0), _FLAT))

    def __call__(self, values: FloatArray) -> FloatArray:
        """Return values [..., K] squeezed."""
        bent = np.arcsinh((self._taken(values) - self.middle) / self.unit)
        return np.asarray((bent - self.mean) / self.sd)

    def _taken(self, values: FloatArray) -> FloatArray:
        if not self.logged.any():
            return values
        # A tenth of the smallest, so that what is smaller still is told from it.
        floor = np.where(self.logged, np.maximum(self.least / 10, 1e-300), 1.0)
        return np.where(self.logged, np.log(np.maximum(values, floor)), values)

"""Single observations as numbers that a network is given, one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._problem import Problem
from tumble._typing import BoolArray, FloatArray
from tumble.densities import Squeeze
from tumble.machines._encoding import moments_of, rows_of


@dataclass(frozen=True)
class Observations:
    """Brings the replicates of data sets to a like scale, as many as there are. Final.

    For each experiment ``seen`` [T·O], which numbers of a replicate there are, and ``squeezes`` of
    these; ``pooled``, of the moments of a whole data set.
    """

    seen: tuple[BoolArray, ...]
    squeezes: tuple[Squeeze, ...]
    pooled: Squeeze

    @classmethod
    def of(cls, problem: Problem, data: Sequence[FloatArray]) -> Observations:
        """Return what suits data sets: of each experiment [B, N, T, O]."""
        seen = seen_in(problem)
        rows = [rows_of(part, s) for part, s in zip(data, seen, strict=True)]
        squeezes = tuple(Squeeze.of(_filled(r.reshape(-1, r.shape[2]))) for r in rows)
        return cls(seen, squeezes, Squeeze.of(moments_of(rows), logs=True))

    def rows(self, data: Sequence[FloatArray]) -> tuple[FloatArray, ...]:
        """Return replicates [B, n, D] of each experiment, single; 0 where a datum is missing."""
        found: list[Any] = []
        for part, seen, squeeze in zip(data, self.seen, self.squeezes, strict=True):
            squeezed = squeeze(rows_of(part, seen))
            found.append(np.where(np.isfinite(squeezed), squeezed, 0).astype(np.float32))
        return tuple(found)

    def moments(self, data: Sequence[FloatArray]) -> FloatArray:
        """Return squeezed moments [B, K] of data sets, single."""
        rows = [rows_of(part, s) for part, s in zip(data, self.seen, strict=True)]
        return np.asarray(self.pooled(moments_of(rows)), np.float32)


def seen_in(problem: Problem) -> tuple[BoolArray, ...]:
    """Return which numbers of a replicate [T·O] there are, of each experiment."""
    return tuple(np.isfinite(b.observed.values).any(0).ravel() for b in problem.bindings)


def _filled(rows: FloatArray) -> FloatArray:
    """Return rows [n, D] with means where a datum is missing."""
    return np.where(np.isfinite(rows), rows, np.nanmean(rows, axis=0))

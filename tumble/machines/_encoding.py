"""How a data set becomes numbers that a machine is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tumble._errors import CapabilityError, DataError
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray
from tumble.densities import Squeeze
from tumble.machines._moments import pooled_moments

_MANY = 20  # replicates, from which on sources of their numbers are looked for
_LARGEST = 32  # numbers of a replicate, of which they are
_ROWS = 200_000  # replicates from which they are learnt
_LONG = 30.0  # times the median deviation that a rare one is, of what has long tails
_SHARP = 1e-10  # of the largest variance, the smallest that is told
_ROUNDS = 500


@dataclass(frozen=True)
class Sources:
    """Independent components of the numbers of a replicate. Final.

    Definition: numbers [D] with long tails are bent by arsinh; all are centred on ``middle``, in
    units ``unit``, less their ``mean``, and rotated: ``rotation`` [D, S].

    Reference: Hyvärinen, Oja, Neural Networks 13 (2000), doi:10.1016/S0893-6080(00)00026-5.
    """

    bent: BoolArray
    middle: FloatArray
    unit: FloatArray
    mean: FloatArray
    rotation: FloatArray

    @classmethod
    def of(cls, values: FloatArray, rng: np.random.Generator) -> Sources:
        """Return what suits replicates [B, n, D]. Raises `CapabilityError`."""
        rows = values.reshape(-1, values.shape[2])
        rows = rows[rng.permutation(len(rows))[:_ROWS]]
        middle = np.median(rows, axis=0)
        usual, rare = np.quantile(np.abs(rows - middle), [0.5, 0.999], axis=0)
        unit = np.where(usual > 0, usual, np.maximum(rows.std(0), 1e-300))
        size = len(middle)
        plain = cls(rare > _LONG * unit, middle, unit, np.zeros(size), np.eye(size))
        taken = plain(rows)
        mean = taken.mean(0)
        lengths, axes = np.linalg.eigh(np.cov(taken, rowvar=False).reshape(size, size))
        kept = lengths > _SHARP * lengths.max()
        whiten = axes[:, kept] / np.sqrt(lengths[kept])
        turn = _independent((taken - mean) @ whiten, int(rng.integers(2**31)))
        return cls(plain.bent, middle, unit, mean, whiten @ turn)

    def __call__(self, values: FloatArray) -> FloatArray:
        """Return components [..., S] of numbers [..., D]."""
        away = (values - self.middle) / self.unit
        return np.asarray((np.where(self.bent, np.arcsinh(away), away) - self.mean) @ self.rotation)


def _independent(white: FloatArray, seed: int) -> FloatArray:
    """Return a rotation [S, S] to components that are as independent as can be."""
    if white.shape[1] == 1:
        return np.ones((1, 1))
    try:
        from sklearn.decomposition import FastICA
        from sklearn.exceptions import ConvergenceWarning
    except ImportError:
        raise CapabilityError(
            "machines need the package scikit-learn for replicates of several numbers, which is "
            'not installed; run: pip install "tumble[machines]"'
        ) from None
    import warnings

    # Where there is nothing to tell components by, such as normal laws, any rotation is as good.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = FastICA(whiten=False, random_state=seed, max_iter=_ROUNDS).fit(white)
    return np.asarray(found.components_.T)


@dataclass(frozen=True)
class Encoding:
    """Turns data sets in the shape of those of a problem into numbers. Final.

    For each experiment ``seen`` [T·O], which numbers of a replicate there are; ``counts`` of
    replicates; ``sources`` of its replicates, or None. ``squeeze`` of all pooled moments.
    """

    seen: tuple[BoolArray, ...]
    counts: tuple[int, ...]
    sources: tuple[Sources | None, ...]
    squeeze: Squeeze

    @classmethod
    def of(cls, problem: Problem, data: Sequence[FloatArray], stream: Stream) -> Encoding:
        """Return what suits data sets: of each experiment [B, N, T, O]."""
        observed = [b.observed.values for b in problem.bindings]
        seen = tuple(np.isfinite(v).any(0).ravel() for v in observed)
        counts = tuple(len(v) for v in observed)
        rows = [rows_of(part, s) for part, s in zip(data, seen, strict=True)]
        rng = stream.numpy()
        sources = tuple(Sources.of(r, rng) if has_sources(r) else None for r in rows)
        squeeze = Squeeze.of(moments_of(rows), logs=True)
        return cls(seen, counts, sources, squeeze)

    def moments(self, data: Sequence[FloatArray]) -> FloatArray:
        """Return squeezed moments [B, K] of data sets."""
        return np.asarray(self.squeeze(moments_of(self._rows(data))), np.float32)

    def given(self, data: Sequence[FloatArray]) -> FloatArray:
        """Return all that a machine is given [B, G], single: moments, then components if any."""
        rows = self._rows(data)
        parts = [self.squeeze(moments_of(rows))]
        parts += [
            source(r).reshape(len(r), -1)
            for r, source in zip(rows, self.sources, strict=True)
            if source is not None
        ]
        return np.concatenate(parts, axis=1, dtype=np.float32)

    @property
    def num_moments(self) -> int:
        """K."""
        return len(self.squeeze.middle)

    @property
    def sets(self) -> tuple[tuple[int, int], ...]:
        """Replicates and components of each experiment that has them, as they follow moments."""
        return tuple(
            (count, source.rotation.shape[1])
            for count, source in zip(self.counts, self.sources, strict=True)
            if source is not None
        )

    def _rows(self, data: Sequence[FloatArray]) -> list[FloatArray]:
        rows = [rows_of(part, s) for part, s in zip(data, self.seen, strict=True)]
        for e, (r, count) in enumerate(zip(rows, self.counts, strict=True)):
            if r.shape[1] != count:
                raise DataError(
                    f"experiment {e} has {r.shape[1]} replicates, the machine was trained for "
                    f"{count}; train one for data like these."
                )
        return rows


def has_sources(rows: FloatArray) -> bool:
    """Return whether components are looked for in replicates [B, n, D]."""
    return bool(
        rows.shape[1] >= _MANY and 1 < rows.shape[2] <= _LARGEST and np.isfinite(rows).all()
    )


def rows_of(part: FloatArray, seen: BoolArray) -> FloatArray:
    """Return replicates [B, n, D] of an experiment [B, N, T, O]."""
    return part.reshape(*part.shape[:2], -1)[:, :, seen]


def moments_of(rows: Sequence[FloatArray]) -> FloatArray:
    """Return pooled moments [B, K] of the replicates [B, n, D] of all experiments."""
    return np.concatenate([pooled_moments(r) for r in rows], axis=1)

"""Conservation laws, read off the data."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._likelihood import NetworkLikelihood

_FEWEST = 3  # intervals with a change, for each species
_LARGEST = 12  # weight
_ZERO = 1e-9


@dataclass(frozen=True)
class ObservedLaw:
    """A weighted sum of species, ``weights`` by name, that stayed as it was.

    It did so over ``num_intervals`` in which the state changed otherwise, between ``num_events``
    events at least.
    """

    weights: dict[str, int]
    num_intervals: int
    num_events: int

    def __str__(self) -> str:
        parts = [f"{w} {s}" if w != 1 else s for s, w in self.weights.items()]
        return (
            f"{' + '.join(parts)} stayed the same through {self.num_intervals} intervals with "
            f"{self.num_events} events or more"
        )


def observed_laws(likelihood: NetworkLikelihood) -> tuple[ObservedLaw, ...]:
    """Return independent sums with whole weights ≥ 0 that no observed interval changed.

    A candidate that changes such a sum has a likelihood that falls with its rate, so its most
    probable rate is none. Nothing is concluded from fewer than three changes for each species, nor
    where states are not seen.
    """
    if likelihood.steps is None:
        return ()
    before, after, _ = likelihood.steps
    increments = after - before
    moving = increments[np.abs(increments).max(1) > 0.5]
    species = likelihood.library.species
    if len(moving) < _FEWEST * len(species):
        return ()
    size = int(np.ceil(np.abs(moving).max(1)).sum() / 2)
    return tuple(
        ObservedLaw({s: int(w) for s, w in zip(species, row, strict=True) if w}, len(moving), size)
        for row in _null_rows(moving)
        if np.all(row >= 0)
    )


def _null_rows(increments: FloatArray) -> list[FloatArray]:
    """Return whole numbers that span what increments [M, S] are orthogonal to, if there are any."""
    from scipy.linalg import null_space

    basis = null_space(increments, rcond=_ZERO).T
    rows, found = basis.copy(), []
    pivots: list[int] = []
    for k in range(len(rows)):  # to reduced echelon form
        pivot = int(np.argmax(np.abs(rows[k])))
        rows[k] /= rows[k, pivot]
        pivots.append(pivot)
        for j in range(len(rows)):
            if j != k:
                rows[j] -= rows[j, pivot] * rows[k]
    for row in rows:
        for scale in range(1, _LARGEST + 1):
            whole = np.rint(row * scale)
            if np.allclose(whole, row * scale, atol=1e-6):
                found.append(whole / gcd(*(abs(int(w)) for w in whole)))
                break
    return found

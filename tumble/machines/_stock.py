"""Simulated problems to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tumble._errors import SimulationError
from tumble._typing import FloatArray
from tumble.machines._base import TrainingTask
from tumble.posteriors import DataSets

_MOST_TRIES = 20  # times as many as asked for, where runs fail


@dataclass(frozen=True)
class Examples:
    """Parameters w [B, P], in coordinates in which the prior is standard normal, and their data.

    ``data``: [B, N, T, O] of each experiment. ``num_failed`` others were given up.
    """

    w: FloatArray
    data: Sequence[FloatArray]
    num_failed: int


@dataclass(frozen=True)
class Stock:
    """Draws problems: parameters from the prior, and a data set at each. Final.

    Problems are numbered: the k-th call makes the same ones whatever the others did.
    """

    task: TrainingTask

    @cached_property
    def sets(self) -> DataSets:
        """What simulates."""
        return DataSets(self.task.problem, self.task.stream.child("data"), self.task.executor)

    @property
    def at_once(self) -> int:
        """Data sets that are to be drawn in one call, so that memory stays bounded."""
        return self.sets.at_once

    def draw(self, call: int, count: int) -> Examples:
        """Return ``count`` examples. Raises `SimulationError` where most runs fail."""
        found: list[Examples] = []
        missing, failed = count, 0
        stream = self.task.stream.child("examples", call)
        size = self.task.problem.space.size
        for attempt in range(_MOST_TRIES):
            w = stream.child(attempt).numpy().standard_normal((missing, size))
            first = (call * _MOST_TRIES + attempt) * self.at_once
            data, well = self.sets.simulate(self.task.prior.from_normal(w), first)
            self.task.spending.simulations += len(w) * self.sets.runs_each
            found.append(Examples(w[well], [part[well] for part in data], int((~well).sum())))
            missing -= int(well.sum())
            failed += int((~well).sum())
            if missing == 0:
                parts = [np.concatenate(p) for p in zip(*(f.data for f in found), strict=True)]
                return Examples(np.concatenate([f.w for f in found]), parts, failed)
        raise SimulationError(
            f"of {_MOST_TRIES} times {count} data sets at parameters of the prior, {missing} are "
            "still missing, the others' runs failed; check the bounds and priors of the parameters."
        )

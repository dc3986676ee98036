"""What of a data set is compared."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ParameterError, require_whole, shown
from tumble._problem import Problem
from tumble._typing import FloatArray


class AbstractSummary(abc.ABC):
    """Numbers that stand for a data set. Members are frozen dataclasses."""

    @abc.abstractmethod
    def of(self, data: Sequence[FloatArray]) -> FloatArray:
        """Return summaries [B, K] of data sets: of each experiment [B, N, T, O], NaN if missing."""


@dataclass(frozen=True)
class AllData(AbstractSummary):
    """Every datum of every replicate, as it is.

    When: one series, or averages. Replicates are compared one by one, in their order, which is
    wasteful where they might be exchanged: see `ReplicateMoments`.
    """

    def of(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractSummary.of`."""
        return _joined(values.reshape(len(values), -1) for values in data)


@dataclass(frozen=True)
class ReplicateMoments(AbstractSummary):
    """Mean and standard deviation over replicates, of each observable at each time.

    When: replicates of one experiment, which are exchangeable. What a mean and a standard deviation
    do not tell, such as two modes, is not seen.
    """

    def of(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractSummary.of`."""
        parts = []
        for values in data:
            given = np.isfinite(values)
            count = np.maximum(given.sum(1), 1)
            filled = np.where(given, values, 0.0)
            mean = filled.sum(1) / count
            square = (np.where(given, filled - mean[:, None], 0.0) ** 2).sum(1)
            seen = given.any(1)
            parts.append(np.where(seen, mean, np.nan).reshape(len(values), -1))
            parts.append(
                np.where(count > 1, np.sqrt(square / np.maximum(count - 1, 1)), np.nan).reshape(
                    len(values), -1
                )
            )
        return _joined(parts)


@dataclass(frozen=True)
class Quantiles(AbstractSummary):
    """Quantiles over replicates, of each observable at each time.

    Arguments: ``number``, how many, evenly spaced within (0, 1); default 9.

    When: snapshots, of which every cell is seen once: the whole law counts. How observables depend
    on each other is not seen.
    """

    number: int = 9

    def __post_init__(self) -> None:
        require_whole("number", self.number)

    def of(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractSummary.of`."""
        levels = (np.arange(self.number) + 0.5) / self.number
        parts = []
        for values in data:
            found = np.nanquantile(values, levels, axis=1)  # [number, B, T, O]
            parts.append(np.moveaxis(found, 0, 1).reshape(len(values), -1))
        return _joined(parts)


@dataclass(frozen=True)
class Summary(AbstractSummary):
    """Numbers of your own.

    Arguments: ``function``, of one data set: a list of arrays [N, T, O], one an experiment, NaN
    where a datum is missing; it returns a number or an array of them, always of one length.
    """

    function: Callable[[list[FloatArray]], Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ParameterError(
                f"`function` is {shown(self.function)}, expected a function of a data set."
            )

    def __repr__(self) -> str:
        return f"Summary({getattr(self.function, '__name__', type(self.function).__name__)})"

    def of(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractSummary.of`."""
        rows = [
            np.atleast_1d(np.asarray(self.function([part[b] for part in data]), dtype=float))
            for b in range(len(data[0]))
        ]
        if len({row.shape for row in rows}) > 1 or (rows and rows[0].ndim != 1):
            raise ParameterError(
                "`function` returned arrays of different shapes; let it return as many numbers "
                "for every data set."
            )
        return np.stack(rows)


def default_summary(problem: Problem) -> AbstractSummary:
    """Return what is compared by default: by the kind of the data, and the replicates."""
    if problem.kind == "snapshots":
        return Quantiles()
    several = any(b.observed.num_replicates > 1 for b in problem.bindings)
    return ReplicateMoments() if several and problem.kind == "series" else AllData()


def _joined(parts: Any) -> FloatArray:
    return np.concatenate([np.asarray(p, dtype=float) for p in parts], axis=1)

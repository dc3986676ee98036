"""Stability matching: how fast a pattern changes, and which pattern it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tumble._errors import DataError
from tumble._problem import Problem
from tumble._typing import FloatArray
from tumble.losses import Quadratic
from tumble.objectives._base import AbstractObjective, BoundOutputs, stacked
from tumble.objectives._moment_matching import MomentMatching

_FEWEST = 3
_FLOOR = 1e-3  # of a statistic's mean: less than that it is not asked to agree


@dataclass(frozen=True)
class StabilityMatching(AbstractObjective):
    """Distance of stability and of statistics of the pattern, each in units of its own noise.

    Definition: mean over pairs of frames and over outputs of ((E[Y] − y) / s)², with Y the outputs
    of a run from the first frame for as long as the second is away, y those of the second, and s²
    half the mean square of the differences of y between successive pairs, which is the variance of
    y without its trend. One output is ``stability`` = log Σ (X_t − X_{t+τ})², as
    `tumble.models.Restarts` has it; at least one other says which pattern there is.

    The published objective is stability alone, to be made small. Its minimum is the state in which
    nothing moves, D = 0, whatever the movie. So stability is matched here, not made small, and not
    alone: a frozen frame has the right pattern but no change, a noisy one the right change but no
    pattern.

    Guarantee: as `MomentMatching` of order 1: a loss of expectations, unbiased values and gradients
    from batches of three runs or more. Its minimum is consistent for many pairs of frames.

    Raises `DataError` without the output ``stability`` or without any other, for fewer than three
    pairs of frames, and for missing values.

    When: movies of patterns of a model whose mean equations are not known. For the lattice gas
    `LatticeGasMovie` says more, sooner.

    Reference: von Neumann, Ann. Math. Stat. 12 (1941), doi:10.1214/aoms/1177731677 (variances from
    successive differences); Hansen, Econometrica 50 (1982), doi:10.2307/1912775.
    """

    loss_name: ClassVar[str] = "stability distance"
    citations: ClassVar[tuple[str, ...]] = (
        "von Neumann, Ann. Math. Stat. 12 (1941), doi:10.1214/aoms/1177731677",
        "Hansen, Econometrica 50 (1982), doi:10.2307/1912775",
    )

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractObjective.bind`."""
        _require_pattern(problem)
        moments = MomentMatching(order=1).bind(problem)
        values = [e.data.values for e in problem.experiments]
        if any(v.shape != (1, *values[0].shape[1:]) for v in values) or len(values) < _FEWEST:
            raise DataError(
                f"stability matching got {len(values)} starts, expected {_FEWEST} frames or more "
                "that each start one run, observed at the same times: "
                "Experiment(model.data, initial=model.starts) of a model from models.Restarts."
            )
        flat = np.concatenate(values)
        if not np.isfinite(flat).all():
            raise DataError("stability matching got missing values; leave out those frames.")
        weight = 1 / (_noise(flat) * flat.size)
        data = [d._replace(weight=weight) for d in moments.data]
        return replace(moments, data=data, loss=Quadratic(*stacked(data)))


def _noise(values: FloatArray) -> FloatArray:
    """Return s² [T, O] of values [K, T, O]."""
    spread = (np.diff(values, axis=0) ** 2).mean(0) / 2
    floor = (_FLOOR * np.abs(values).mean(0)) ** 2
    largest = np.maximum(spread, floor)
    return np.where(largest > 0, largest, 1.0)


def _require_pattern(problem: Problem) -> None:
    names = problem.experiments[0].data.names
    if "stability" not in names:
        raise DataError(
            f"stability matching got data of {', '.join(names)}, expected the output 'stability' "
            "among them: make the model by models.Restarts(model, movie, interval)."
        )
    if len(names) == 1:
        raise DataError(
            "stability matching got data of 'stability' alone, which says nothing of the pattern: "
            "a state that never changes explains it as well. Add outputs of the model, such as "
            "variances."
        )

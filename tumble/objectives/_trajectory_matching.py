"""Trajectory matching: mean trajectories, weighted by how replicates vary together in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import DataError
from tumble._experiment import Experiment
from tumble._problem import Problem
from tumble._typing import FloatArray
from tumble.losses import Quadratic
from tumble.objectives._base import AbstractObjective, BoundOutputs
from tumble.objectives._moment_matching import MomentMatching

_FEWEST = 10


@dataclass(frozen=True)
class TrajectoryMatching(AbstractObjective):
    """Distance of whole mean trajectories, in units of their own error.

    Definition: Σ over experiments of (E[Y] − ȳ)ᵀ V⁻¹ (E[Y] − ȳ) / N, with Y all observables at all
    times, ȳ their mean over N replicates, and V the covariance between replicates, shrunk towards
    its diagonal by as much as its own error asks for. So times that go together, as those of a
    squared displacement do, count as the few observations that they are.

    Guarantee: as `MomentMatching`: a loss of expectations, unbiased values and gradients from
    batches of three runs or more. Among weights of the mean these are the best for many replicates.

    Raises `DataError` for averages, snapshots, missing values, and fewer than ten replicates, which
    tell nothing of V.

    When: replicates of a trajectory whose mean tells the parameters, such as squared displacements
    of tracks. Where variances tell more, use `MomentMatching`, for distributions
    `DistributionMatching`.

    References: Hansen, Econometrica 50 (1982), doi:10.2307/1912775 (weights); Schäfer, Strimmer,
    Stat. Appl. Genet. Mol. Biol. 4 (2005), doi:10.2202/1544-6115.1175 (shrinkage).
    """

    loss_name: ClassVar[str] = "trajectory distance"
    citations: ClassVar[tuple[str, ...]] = (
        "Hansen, Econometrica 50 (1982), doi:10.2307/1912775",
        "Schäfer, Strimmer, Stat. Appl. Genet. Mol. Biol. 4 (2005), doi:10.2202/1544-6115.1175",
    )

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractObjective.bind`."""
        if problem.kind != "series":
            raise DataError(
                f"trajectory matching needs replicates of whole series, but the data are of kind "
                f"{problem.kind!r}; use objectives.MomentMatching()."
            )
        moments = MomentMatching(order=1).bind(problem)
        blocks = [_weights(e, i) for i, e in enumerate(problem.experiments)]
        size = sum(len(block) for block in blocks)
        whole, first = np.zeros((size, size)), 0
        for block in blocks:
            here = slice(first, first + len(block))
            whole[here, here] = block
            first += len(block)
        loss = Quadratic(moments.target, (whole + whole.T) / 2)
        return BoundOutputs(moments.objective, problem, moments.data, loss)


def _weights(experiment: Experiment, index: int) -> FloatArray:
    """Return V⁻¹ / N of one experiment [F, F]. Raises `DataError`."""
    values = experiment.data.values
    if len(values) < _FEWEST or not np.isfinite(values).all():
        what = "values that are missing" if len(values) >= _FEWEST else f"{len(values)} replicates"
        raise DataError(
            f"experiment {index} has {what}, but trajectory matching needs {_FEWEST} complete "
            "replicates or more to see how they vary; use objectives.MomentMatching(order=1)."
        )
    flat = values.reshape(len(values), -1)
    spread = flat.std(0, ddof=1)
    varies = spread > 0
    weights = np.zeros((flat.shape[1],) * 2)
    if not varies.any():
        return weights
    standard = (flat[:, varies] - flat[:, varies].mean(0)) / spread[varies]
    precision = np.linalg.inv(_correlation(standard)) / np.outer(spread[varies], spread[varies])
    weights[np.ix_(varies, varies)] = precision / len(flat)
    return weights


def _correlation(standard: FloatArray) -> FloatArray:
    """Return the correlation of standard scores [N, F], shrunk by λ = Σ Var(r_fg) / Σ r_fg²."""
    n, size = standard.shape
    products = standard[:, :, None] * standard[:, None, :]
    mean = products.mean(0)
    variance = n / (n - 1) ** 3 * ((products - mean) ** 2).sum(0)
    off = ~np.eye(size, dtype=bool)
    square = (mean[off] ** 2).sum()
    share = float(np.clip(variance[off].sum() / square, 0.0, 1.0)) if square > 0 else 0.0
    found = mean * (n / (n - 1)) * (1 - share)
    # What is left may still be singular where times are nearly one and the same.
    found[np.diag_indices(size)] = 1.0 + 1e-6
    return np.asarray(found)

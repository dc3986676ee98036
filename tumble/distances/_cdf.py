"""Distances between distribution functions: features are P(Y ≤ x)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import CapabilityError, ParameterError, is_number, require_whole, shown
from tumble._typing import BoolArray, FloatArray, JaxArray
from tumble.distances._base import AbstractDistance, Grid
from tumble.distances._thresholds import cells
from tumble.losses import AbstractLoss, Quadratic, SmoothedAbsolute
from tumble.noise import DatumLaw


class Thresholds(NamedTuple):
    """``at`` [T, G, K], and ``directions`` [G, O] of the projections, or None for observables."""

    at: FloatArray
    directions: FloatArray | None

    def until(self, num_times: int) -> Thresholds:
        """Return those of the first ``num_times`` times."""
        return self._replace(at=self.at[:num_times])


@dataclass(frozen=True)
class EnergyDistance(AbstractDistance):
    """2 E|Y − y| − E|Y − Y'| − E|y − y'| = 2 ∫ (F − G)² dx, simulated F against observed G.

    Definition: the integral is a sum over cells of the real line, with one threshold each. Counts
    have a cell for each whole number in the range of the data, if ``num_cells`` are enough: then
    the sum is exact there. Otherwise cells lie between quantiles of the data, and the sum is that
    of the distance up to the change of F − G within a cell. Outside the range of the data cells
    double in width. The distance of the cells is 0 where F = G whatever their number, so that they
    cost precision of the estimate and not its consistency. Several observables jointly: the mean
    over ``num_projections`` fixed directions (sliced), each observable in units of its standard
    deviation.

    Guarantee: a quadratic loss of expected features; values and gradients from batches are unbiased
    for the distance of the cells.

    Arguments: ``num_cells`` inside the range of the data, default 64; ``num_projections``, default
    16, for joint matching, which needs exact or normal noise.

    When: snapshots whose law is not given by mean and variance: bimodal, skewed, with many zeros.
    Sensitive to where mass lies rather than to its shape: a second mode is seen in full.

    Reference: Székely, Rizzo, J. Stat. Plan. Inference 143 (2013), doi:10.1016/j.jspi.2013.03.018.
    """

    num_cells: int = 64
    num_projections: int = 16
    name: ClassVar[str] = "energy distance"
    smooth: ClassVar[bool] = False
    citations: ClassVar[tuple[str, ...]] = (
        "Székely, Rizzo, J. Stat. Plan. Inference 143 (2013), doi:10.1016/j.jspi.2013.03.018",
    )

    def __post_init__(self) -> None:
        require_whole("num_cells", self.num_cells, 2)
        require_whole("num_projections", self.num_projections)

    def grid(self, values: FloatArray, whole: BoolArray, positive: BoolArray, joint: bool) -> Grid:
        """See `AbstractDistance.grid`."""
        if not joint:
            at, width = _cells_of(values, whole, positive, self.num_cells)
            return Grid(Thresholds(at, None), 2 * width)
        directions = _directions(values, self.num_projections)
        along, real = values @ directions.T, np.zeros(len(directions), bool)
        at, width = _cells_of(along, real, real, self.num_cells)
        return Grid(Thresholds(at, directions), 2 * width)

    def features(self, law: DatumLaw, points: Any, xp: Any) -> JaxArray:
        """See `AbstractDistance.features`."""
        return _distribution(law, points)

    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, points: Any, xp: Any
    ) -> JaxArray:
        """See `AbstractDistance.gaussian_features`."""
        return _normal_distribution(mean, covariance, points, xp)

    def loss(self, target: FloatArray, weight: FloatArray) -> AbstractLoss:
        """See `AbstractDistance.loss`."""
        return Quadratic(target, weight)


@dataclass(frozen=True)
class WassersteinDistance(AbstractDistance):
    """W₁ = ∫ |F − G| dx, simulated F against observed G; one observable at a time.

    Definition: Σ over cells, as in `EnergyDistance`, of width · (√((F − G)² + ε²) − ε).

    Guarantee: at most ε times the width of all cells below the W₁ of the cells. Not a polynomial of
    expectations: values and gradients from n runs have a bias of order 1/n² once n is well above
    1/ε² (2,500 by default), and up to order 1/√n below and for ε = 0, where the subgradient 0 is
    used at F = G. Standard errors of fits are found from the minima for simulated errors of the
    data, since its curvature changes within those.

    Arguments: ``num_cells`` inside the range of the data, default 64; ``smoothing`` ε, a
    probability, default 0.02.

    When: for comparison with published distances, or where few outliers must not matter. Otherwise
    `EnergyDistance`, which is unbiased and has a curvature of its own at the minimum.

    Reference: Bernton, Jacob, Gerber, Robert, J. R. Stat. Soc. B 81 (2019), doi:10.1111/rssb.12312.
    """

    num_cells: int = 64
    smoothing: float = 0.02
    name: ClassVar[str] = "Wasserstein distance"
    smooth: ClassVar[bool] = False
    citations: ClassVar[tuple[str, ...]] = (
        "Bernton, Jacob, Gerber, Robert, J. R. Stat. Soc. B 81 (2019), doi:10.1111/rssb.12312",
    )

    def __post_init__(self) -> None:
        require_whole("num_cells", self.num_cells, 2)
        if not (is_number(self.smoothing) and 0 <= self.smoothing < 1):
            raise ParameterError(
                f"`smoothing` is {shown(self.smoothing)}, expected a probability from 0 to below 1."
            )

    def grid(self, values: FloatArray, whole: BoolArray, positive: BoolArray, joint: bool) -> Grid:
        """See `AbstractDistance.grid`."""
        if joint:
            raise CapabilityError(
                "WassersteinDistance compares one observable at a time; use joint=False, or "
                "EnergyDistance() or MaximumMeanDiscrepancy()."
            )
        at, width = _cells_of(values, whole, positive, self.num_cells)
        return Grid(Thresholds(at, None), width)

    def features(self, law: DatumLaw, points: Any, xp: Any) -> JaxArray:
        """See `AbstractDistance.features`."""
        return _distribution(law, points)

    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, points: Any, xp: Any
    ) -> JaxArray:
        """See `AbstractDistance.gaussian_features`."""
        return _normal_distribution(mean, covariance, points, xp)

    def loss(self, target: FloatArray, weight: FloatArray) -> AbstractLoss:
        """See `AbstractDistance.loss`."""
        return SmoothedAbsolute(target, weight, self.smoothing)


def _distribution(law: DatumLaw, points: Thresholds) -> JaxArray:
    if points.directions is not None:
        law = law.projected(points.directions)
    return law.cdf(points.at)


def _normal_distribution(
    mean: JaxArray, covariance: JaxArray, points: Thresholds, xp: Any
) -> JaxArray:
    from jax.scipy.special import ndtr

    if points.directions is None:
        variance = xp.diagonal(covariance, axis1=-2, axis2=-1)
    else:
        mean = mean @ points.directions.T
        variance = xp.einsum("gp,tpq,gq->tg", points.directions, covariance, points.directions)
    # A law with no spread, as at the start, is given a little, so that it has a slope.
    spread = xp.sqrt(xp.maximum(variance, 1e-6 + 1e-6 * mean**2))
    return ndtr((points.at - mean[..., None]) / spread[..., None])


def _cells_of(
    values: FloatArray, whole: BoolArray, positive: BoolArray, num_cells: int
) -> tuple[FloatArray, FloatArray]:
    """Return thresholds and widths [T, G, K] for values [N, T, G]; width 0 where there is none."""
    rows = []
    _, num_times, num_groups = values.shape
    for t, g in np.ndindex(num_times, num_groups):
        given = values[np.isfinite(values[:, t, g]), t, g]
        empty = np.zeros(1), np.zeros(1)
        rows.append(
            cells(given, bool(whole[g]), bool(positive[g]), num_cells) if len(given) else empty
        )
    longest = max(len(at) for at, _ in rows)
    at = np.stack([np.pad(a, (0, longest - len(a)), mode="edge") for a, _ in rows])
    width = np.stack([np.pad(w, (0, longest - len(w))) for _, w in rows])
    shape = (num_times, num_groups, longest)
    return at.reshape(shape), width.reshape(shape)


def _directions(values: FloatArray, count: int) -> FloatArray:
    """Return fixed directions [G, O], evenly spread, in units of the observables' deviations."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    size = values.shape[-1]
    points = qmc.Halton(size, scramble=False).random(count + 1)[1:]  # the first is the origin
    normal = ndtri(points)
    unit = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    spread = np.nanstd(values, axis=(0, 1))
    return unit / np.where(spread > 0, spread, 1.0)

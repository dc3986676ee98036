"""Maximum mean discrepancy: features are waves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, is_number, require_whole, shown
from tumble._typing import BoolArray, FloatArray, JaxArray
from tumble.distances._base import AbstractDistance, Grid
from tumble.losses import AbstractLoss, Quadratic
from tumble.noise import DatumLaw

_HIGHEST = 6.0  # frequencies in units of 1/bandwidth: the normal density beyond is below 1e-8
_MARGIN = 8.0  # in bandwidths, between the kernel and its periodic images
_MOST_PAIRS = 500


@dataclass(frozen=True)
class MaximumMeanDiscrepancy(AbstractDistance):
    """E k(Y, Y') − 2 E k(Y, y) + E k(y, y') for a Gaussian kernel k(y, y') = exp(−|y − y'|²/2h²).

    Definition: by Bochner's theorem it is Σ_j w_j |E e^{iω_j Y} − mean e^{iω_j y}|² with w the
    normal density of frequencies ω. For one observable they are equally spaced: the kernel is then
    right to 1e-6 for all distances up to twice the range of the data, and repeats itself
    periodically beyond; with more than ``num_frequencies`` of them needed, it repeats earlier. For
    several observables jointly, frequencies are ``num_frequencies`` Halton points, and the kernel
    is Σ_j w_j cos ω_j(y − y') in place of the Gaussian, with an error of about one over their
    number.

    Guarantee: a quadratic loss of expected features; values and gradients from batches are unbiased
    for the kernel that is used, which is positive definite in either case.

    Arguments: ``bandwidth`` h in the unit of the observable; default ``None``, the median distance
    of two data of the same time, for each observable; ``num_frequencies``, default 64.

    When: several observables jointly, with any noise but `LogNormal`; observables with unknown
    scale. Not for laws much wider than the bandwidth apart: there it is flat.

    References: Gretton et al., J. Mach. Learn. Res. 13 (2012),
    https://jmlr.org/papers/v13/gretton12a.html; Rahimi, Recht, Adv. Neural Inf. Process. Syst. 20
    (2007).
    """

    bandwidth: float | None = None
    num_frequencies: int = 64
    name: ClassVar[str] = "maximum mean discrepancy"
    smooth: ClassVar[bool] = True
    citations: ClassVar[tuple[str, ...]] = (
        "Gretton et al., J. Mach. Learn. Res. 13 (2012)",
        "Rahimi, Recht, Adv. Neural Inf. Process. Syst. 20 (2007)",
    )

    def __post_init__(self) -> None:
        width = self.bandwidth
        if width is not None and not (is_number(width) and 0 < width < np.inf):
            raise ParameterError(f"`bandwidth` is {shown(width)}, expected a number > 0 or None.")
        require_whole("num_frequencies", self.num_frequencies)

    def grid(self, values: FloatArray, whole: BoolArray, positive: BoolArray, joint: bool) -> Grid:
        """See `AbstractDistance.grid`."""
        widths = [self.bandwidth or _bandwidth(v) for v in np.moveaxis(values, -1, 0)]
        if joint:
            omega, weight = _scattered(self.num_frequencies, np.array(widths))
        else:
            ranges = np.nanmax(values, axis=(0, 1)) - np.nanmin(values, axis=(0, 1))
            omega, weight = _spaced(self.num_frequencies, np.array(widths), ranges)
        num_times = values.shape[1]
        # A wave is a pair of features, cosine and sine.
        both = np.concatenate([weight, weight], axis=-1)
        return Grid(np.tile(omega, (num_times, 1, 1, 1)), np.tile(both, (num_times, 1, 1)))

    def features(self, law: DatumLaw, points: Any, xp: Any) -> JaxArray:
        """See `AbstractDistance.features`."""
        num_times, groups, size, num_observables = points.shape
        waves = law.characteristic(points.reshape(num_times, groups * size, num_observables))
        waves = waves.reshape(*waves.shape[:-1], groups, size)
        return xp.concatenate([waves.real, waves.imag], axis=-1)

    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, points: Any, xp: Any
    ) -> JaxArray:
        """See `AbstractDistance.gaussian_features`."""
        phase = xp.einsum("tgko,to->tgk", points, mean)
        damping = xp.exp(-xp.einsum("tgko,top,tgkp->tgk", points, covariance, points) / 2)
        return xp.concatenate([damping * xp.cos(phase), damping * xp.sin(phase)], axis=-1)

    def loss(self, target: FloatArray, weight: FloatArray) -> AbstractLoss:
        """See `AbstractDistance.loss`."""
        return Quadratic(target, weight)


def _spaced(count: int, widths: FloatArray, ranges: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return frequencies [O, K, O], each of one observable, and weights [O, K]."""
    size = len(widths)
    period = 2 * ranges / widths + _MARGIN
    needed = int(np.ceil(_HIGHEST * period.max() / (2 * np.pi)))
    number = min(count, needed)
    omega, weight = np.zeros((size, number, size)), np.zeros((size, number))
    for o in range(size):
        step = min(2 * np.pi / period[o], _HIGHEST)
        step = max(step, _HIGHEST / number)
        at = step * np.arange(1, number + 1)
        omega[o, :, o] = at / widths[o]
        # The density at ω and −ω; frequency 0 sees no difference.
        weight[o] = 2 * step * np.exp(-(at**2) / 2) / np.sqrt(2 * np.pi)
    return omega, weight


def _scattered(count: int, widths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return frequencies [1, K, O] of all observables together, and weights [1, K]."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Halton(len(widths), scramble=False).random(count + 1)[1:]
    return (ndtri(points) / widths)[None], np.full((1, count), 1 / count)


def _bandwidth(values: FloatArray) -> float:
    """Return the mean over times of the median distance between two of the data [N, T]."""
    medians = []
    for column in values.T:
        given = column[np.isfinite(column)][:_MOST_PAIRS]
        if len(given) > 1:
            gaps = np.abs(given[:, None] - given)[np.triu_indices(len(given), 1)]
            medians.append(np.median(gaps))
    typical = float(np.mean(medians)) if medians else 0.0
    if typical > 0:
        return typical
    spread = float(np.nanstd(values))
    return spread if spread > 0 else 1.0

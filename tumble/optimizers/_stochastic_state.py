"""What a stochastic Gauss–Newton fit knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._typing import BoolArray, FloatArray
from tumble.gradients import without_noise
from tumble.optimizers._base import AbstractState, Stop
from tumble.optimizers._secant import Visit, completed


@dataclass(frozen=True)
class StochasticState(AbstractState):
    """The point and what is known around it.

    ``z`` [P]; ``curvature`` [P, P], NaN while it is not known, the part of it due to noise,
    ``blur`` [P, P], and ``residual`` [P, P], what it leaves out of the second derivative;
    ``visited``, the last point and its gradient; whether the curvature was ``surveyed``;
    ``accepted`` z, its loss and variance; ``damping``; ``num_runs`` of the next step; ``steps``;
    and, once averaging, the standard errors ``wanted`` [P], means of ``count`` points and of the
    gradients there, weighted by runs (sum ``weight``), ``center`` and ``slope`` [P], the minimum
    ``mean`` [P] that they point to, and ``noise`` [P, P], the covariance of the weighted sum of
    gradients.
    """

    z: FloatArray
    curvature: FloatArray
    blur: FloatArray
    residual: FloatArray
    visited: Visit
    surveyed: int
    accepted: FloatArray
    accepted_loss: float
    accepted_variance: float
    damping: float
    num_runs: int
    steps: int
    count: int
    weight: float
    wanted: FloatArray
    center: FloatArray
    slope: FloatArray
    mean: FloatArray
    noise: FloatArray
    loss: float
    stop: Stop | None = None

    @property
    def sharp(self) -> FloatArray:
        """The curvature without what noise adds to it, and with what it leaves out."""
        return completed(without_noise(self.curvature, self.blur), self.residual)

    def blurred(self, free: BoolArray) -> float:
        """Return how much of the curvature is noise, relative to what is left without, at most."""
        index = np.ix_(np.flatnonzero(free), np.flatnonzero(free))
        sharp, blur = without_noise(self.curvature, self.blur)[index], self.blur[index]
        if not len(sharp) or not blur.any():
            return 0.0
        return float(np.linalg.eigvals(np.linalg.pinv(sharp, hermitian=True) @ blur).real.max())

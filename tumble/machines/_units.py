"""Parameters in units of their prior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import norm

from tumble._typing import FloatArray
from tumble.posteriors import JointPrior

_QUANTILES = 2000


@dataclass(frozen=True)
class PriorUnits:
    """The fit scale, less the mean of the prior and in units of its standard deviation. Final."""

    prior: JointPrior

    def of_normal(self, w: FloatArray) -> FloatArray:
        """Return u [n, P] of points w [n, P] where the prior is standard normal."""
        return np.asarray((self.prior.from_normal(w) - self._place[0]) / self._place[1])

    def to_normal(self, u: FloatArray) -> FloatArray:
        """Return w [n, P] of points u [n, P]; see `of_normal`."""
        return self.prior.to_normal(self.to_fit(u))

    def to_fit(self, u: FloatArray) -> FloatArray:
        """Return z [n, P] on the fit scale; of points outside the bounds, the nearest inside."""
        return np.asarray(self.prior.space.clip(u * self._place[1] + self._place[0]))

    def log_stretch(self, w: FloatArray) -> FloatArray:
        """Return log |∂u/∂w| [n] at points w [n, P]."""
        z = self.prior.from_normal(w)
        log_slope = np.log(np.abs(self.prior.space.slope(z))).sum(1)
        log_prior = self.prior.log_density_of_theta(z) + log_slope
        return np.asarray(norm.logpdf(w).sum(1) - log_prior - np.log(self._place[1]).sum())

    @cached_property
    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """The lowest and the highest u, [P] each."""
        mean, sd = self._place
        space = self.prior.space
        return (space.lower - mean) / sd, (space.upper - mean) / sd

    @cached_property
    def _place(self) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation [P] of the prior on the fit scale."""
        shares = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        w = np.tile(norm.ppf(shares)[:, None], (1, self.prior.space.size))
        z = self.prior.from_normal(w)
        return z.mean(0), np.maximum(z.std(0), 1e-300)

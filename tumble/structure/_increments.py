"""Changes between observations of all species, and how likely rates make them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood

_CELLS = 2**22  # numbers that are held at once


@dataclass(frozen=True)
class Increments:
    """Increments of states, taken as independent and normal.

    Definition: Δ has mean Σ ν θ ∫h dt and covariance Σ ν νᵀ θ ∫h dt + E, with the combinations h
    integrated by the trapezoidal rule.

    Attributes: ``change`` ν [R, S]; ``steps`` Δ [M, S]; ``integrals`` ∫h dt [M, R]; ``error`` E
    [M, S, S], of rounding and noise.
    """

    change: FloatArray
    steps: FloatArray
    integrals: FloatArray
    error: FloatArray

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def even_rates(self) -> FloatArray:
        """Rates [R] at which all candidates fire alike, and as much changes as has been seen."""
        total = np.abs(self.steps).sum()
        return np.asarray(total / (len(self.change) * np.maximum(self.integrals.sum(0), 1e-300)))

    def evaluate(self, rates: FloatArray, members: list[int]) -> LogLikelihood:
        """Return log p(increments) at rates [k] of members, its slope and its information."""
        change = self.change[members]
        value, slope = 0.0, np.zeros(len(members))
        information = np.zeros((len(members),) * 2)
        size = max(_CELLS // max(len(members) ** 2, 1), 1)
        for first in range(0, len(self), size):
            rows = slice(first, first + size)
            part = _evaluated(
                change, self.steps[rows], self.integrals[rows][:, members], self.error[rows], rates
            )
            value, slope = value + part.value, slope + part.slope
            information = information + part.information
        return LogLikelihood(value, slope, information, np.diag(information))


def _evaluated(
    change: FloatArray, steps: FloatArray, h: FloatArray, error: FloatArray, rates: FloatArray
) -> LogLikelihood:
    fired = h * rates
    products = (change[:, :, None] * change[:, None, :]).reshape(len(change), change.shape[1] ** 2)
    covariance = (fired @ products).reshape(error.shape) + error
    inverse = np.linalg.inv(covariance)
    left = steps - fired @ change
    white = (inverse @ left[..., None])[..., 0]
    log_det = np.linalg.slogdet(covariance)[1]
    value = -0.5 * (np.sum(left * white) + log_det.sum() + steps.size * np.log(2 * np.pi))
    # With a = ν·C⁻¹ r and G = ν C⁻¹ νᵀ the slope is Σ h (a + a²/2 − G/2), on the diagonal of G.
    a = white @ change.T
    g = change @ inverse @ change.T
    slope = np.sum(h * (a + 0.5 * a**2 - 0.5 * np.diagonal(g, axis1=1, axis2=2)), axis=0)
    both = (g + 0.5 * g**2) * h[:, :, None] * h[:, None, :]
    information = both.sum(0)
    return LogLikelihood(float(value), slope, information, np.diag(information))


def increments(likelihood: NetworkLikelihood) -> Increments | None:
    """Return the increments between observations, None where not all species are seen.

    Noise is added up. That two increments share the error of the state between them is passed over,
    and so is what it does to the combinations.
    """
    steps = likelihood.measured_steps
    if steps is None:
        return None
    library = likelihood.library
    ends = [library.combinations(np.maximum(x, 0.0)) for x in (steps.before, steps.after)]
    h = 0.5 * (ends[0] + ends[1]) * steps.spans[:, None]
    return Increments(library.change, steps.after - steps.before, h, steps.error)

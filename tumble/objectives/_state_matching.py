"""State matching: an image that is to agree with its surroundings and with what was seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ParameterError, is_number, shown
from tumble._typing import FloatArray
from tumble.models import SegmentationLattice


@dataclass(frozen=True)
class StateMatching:
    """The loss of a `SegmentationLattice`: neighbors are to agree. It is for `tumble.segment`.

    Definition: with states x, blocks b(i) of 3 × 3 (× 3) pixels around each pixel i, itself
    included, and r the scaled image,
    λ_bg Σᵢ xᵢ Σ_{j ∈ b(i)} (1 − xⱼ) + λ_fg Σᵢ (1 − xᵢ) Σ_{j ∈ b(i)} xⱼ + λ_rec log(‖r − x‖² + ε)
    + Σᵢ λ_reg (1 − xᵢ).

    What it does, which the formula hides:

    - The terms of λ_bg and λ_fg are *the same number*, since i is in the block of j where j is in
      that of i: only λ_bg + λ_fg matters.
    - The term of λ_rec is negligible. Its slope is 2 λ_rec (x − r) / ‖r − x‖², which falls as one
      over the number of pixels. (Without ε it is not finite where x = r, which is the start.)
    - So a pixel grows brighter where the mean of its block lies above the *level*
      ½ (1 − λ_reg / (B (λ_bg + λ_fg))), B = 9 (27), and darker below it, until it is 1 or 0: a
      threshold, made neater step by step. Which gray level that is, the weights say and not the
      image: the published weights put it at 0.285 and 0.354.

    Guarantee: values and slopes are exact. The loss is not convex, and descent from the image leads
    to one of its minima.

    Arguments:

    - ``background`` λ_bg and ``foreground`` λ_fg ≥ 0, not both 0, default 0.005 and 0.15, and
      ``reconstruction`` λ_rec ≥ 0, default 0.5: as published.
    - ``regularization`` λ_reg: default None, the number (or one for each pixel) that means the
      level of the lattice, which the image tells: 0 for a lattice that is centered. Published: 0.6
      (and 0.8 with λ_fg = 0.3), for one that is not.
    - ``epsilon`` ε > 0, default 1e-12.

    Raises `ParameterError`.

    When: objects that are brighter than their ground (negate an image where they are darker). Not
    for textures or outlines, nor to tell objects apart that touch.
    """

    background: float = 0.005
    foreground: float = 0.15
    reconstruction: float = 0.5
    regularization: float | None = None
    epsilon: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("background", "foreground", "reconstruction", "epsilon"):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value < np.inf):
                raise ParameterError(f"`{name}` is {shown(value)}, expected a number ≥ 0.")
        if not self.background + self.foreground > 0:
            raise ParameterError("`background` and `foreground` are both 0: nothing is to agree.")
        if not self.epsilon > 0:
            raise ParameterError("`epsilon` is 0, but the logarithm of 0 is not finite.")
        given = self.regularization
        if given is not None and not (is_number(given) and abs(given) < np.inf):
            raise ParameterError(
                f"`regularization` is {shown(given)}, expected a number, or None to set it from "
                "the image."
            )

    def regularization_of(self, lattice: SegmentationLattice) -> Any:
        """Return λ_reg, a number or one for each pixel [*shape]."""
        if self.regularization is not None:
            return float(self.regularization)
        return self._scale(lattice) * (1 - 2 * lattice.middle * lattice.mean_factor)

    def level(self, lattice: SegmentationLattice) -> Any:
        """Return the level that λ_reg means, on the scale of the lattice's pixels."""
        share = (1 - self.regularization_of(lattice) / self._scale(lattice)) / 2
        return share / lattice.mean_factor  # states are darker than pixels by that much

    def value_and_slope(
        self, state: FloatArray, lattice: SegmentationLattice, regularization: Any
    ) -> tuple[float, FloatArray]:
        """Return the loss of a ``state`` [*shape], and its slope along each site [*shape]."""
        size, weight = lattice.block_size, self.background + self.foreground
        sums = lattice.block_sums(state)
        apart = state - lattice.pixels
        gap = float(np.vdot(apart, apart)) + self.epsilon
        value = weight * float(size * state.sum() - np.vdot(state, sums))
        value += self.reconstruction * float(np.log(gap))
        value += float(np.sum(regularization * (1 - state)))
        sums *= -2 * weight
        sums += weight * size - regularization
        apart *= 2 * self.reconstruction / gap
        sums += apart
        return value, sums

    def _scale(self, lattice: SegmentationLattice) -> float:
        return lattice.block_size * (self.background + self.foreground)

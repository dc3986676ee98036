"""An image as a lattice whose every site is a parameter."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tumble._errors import DataError, ModelError, require_flag, shown
from tumble._typing import FloatArray
from tumble.models.lattices._grid import AbstractBoundary, Periodic, Reflective
from tumble.models.lattices._levels import AbstractLevel, Otsu

_MODES: dict[type, Any] = {Periodic: "wrap", Reflective: "symmetric"}


@dataclass(frozen=True, repr=False)
class SegmentationLattice:
    """A gray image, each of whose pixels is a parameter x in [0, 1]: 0 for background, 1 for not.

    Definition: at first x is the image, scaled linearly into [0, 1] with the ``level`` at ½. The
    state that an objective sees is x; with ``resample`` each pixel of it times a number of the
    normal law that has the mean and the standard deviation of the scaled image, drawn anew at each
    step; with ``binarize`` 1 where that is beyond ½, else 0. Derivatives go straight through the
    binarization.

    Arguments:

    - ``image``: [rows, columns] or [planes, rows, columns], finite real numbers, not all the same.
    - ``level``: what says which gray parts background and foreground: `Otsu()` (default), or
      `LocalOtsu()` for uneven light.
    - ``centered``: whether the level is put at ½ (default). With False the lowest gray is 0 and the
      highest 1, as published. Then the level is one of gray only as long as pixels are gray: once
      they are 0 and 1, the same number is the share of neighbors that decides, and a level below ⅓
      or above ⅔ floods the image.
    - ``boundary``: what lies beyond the edge, `Reflective` (default) or `Periodic`, as published,
      where pixels at one edge are next to those at the other.
    - ``binarize``, ``resample``: default False.

    Raises `DataError` for what is no such image, `ModelError` for other settings.

    When: as the argument of `tumble.segment`. It has as many parameters as pixels, too many for a
    `Problem`, whose results have a covariance.

    Reference: Bengio, Léonard, Courville (2013), doi:10.48550/arXiv.1308.3432 (straight through).
    """

    image: Any
    level: AbstractLevel = field(default_factory=Otsu)
    centered: bool = True
    boundary: AbstractBoundary = field(default_factory=Reflective)
    binarize: bool = False
    resample: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "image", _checked(self.image))
        if not isinstance(self.level, AbstractLevel):
            raise ModelError(f"`level` is {shown(self.level)}, expected a level such as Otsu().")
        if type(self.boundary) not in _MODES:
            raise ModelError(
                f"`boundary` is {shown(self.boundary)}, expected Reflective() or Periodic(): the "
                "loss is another one where pixels have fixed neighbors."
            )
        for name in ("centered", "binarize", "resample"):
            require_flag(name, getattr(self, name), ModelError)

    def __repr__(self) -> str:
        extras = [name for name in ("binarize", "resample") if getattr(self, name)]
        shape = " x ".join(map(str, self.image.shape))
        return f"SegmentationLattice: {shape} pixels" + "".join(f", {name}" for name in extras)

    @property
    def num_pixels(self) -> int:
        """How many pixels there are."""
        return int(self.image.size)

    @property
    def block_size(self) -> int:
        """How many pixels a block has: 9, or 27 in space."""
        return 3**self.image.ndim

    @cached_property
    def gray_level(self) -> Any:
        """The level in units of the image, a number or one for each pixel [*shape]."""
        return self.level.of(self.image)

    @property
    def middle(self) -> Any:
        """The level on the scale of `pixels`: ½ where it is centered."""
        return 0.5 if self.centered else (self.gray_level - self._low) / self._range

    @property
    def mean_factor(self) -> float:
        """The mean of what pixels are multiplied by: 1 without ``resample``."""
        return float(self.pixels.mean()) if self.resample else 1.0

    @cached_property
    def pixels(self) -> FloatArray:
        """The scaled image [*shape]: x before the first step."""
        if not self.centered:
            return np.asarray((self.image - self._low) / self._range)
        apart = self.image - self.gray_level
        return np.asarray(0.5 + apart / (2 * np.abs(apart).max()))

    def gray(self, middle: Any) -> Any:
        """Return which gray level of the image is ``middle`` on the scale of `pixels`."""
        if not self.centered:
            return self._low + self._range * middle
        return self.gray_level + (middle - 0.5) * 2 * np.abs(self.image - self.gray_level).max()

    def states(
        self, pixels: FloatArray, rng: np.random.Generator
    ) -> tuple[FloatArray, FloatArray | float]:
        """Return the state of ``pixels`` [*shape], and the slope of each of its sites."""
        slope: FloatArray | float = 1.0
        state = pixels
        if self.resample:
            slope = rng.normal(self.pixels.mean(), self.pixels.std(), pixels.shape)
            state = state * slope
        if self.binarize:
            state = (state > 0.5).astype(float)
        return state, slope

    def block_sums(self, values: FloatArray) -> FloatArray:
        """Return the sums of ``values`` [*shape] over the 3 × 3 (× 3) block of each site."""
        total = np.pad(values, 1, mode=_MODES[type(self.boundary)])
        for axis in range(values.ndim):
            along = np.moveaxis(total, axis, 0)
            total = np.moveaxis(along[:-2] + along[1:-1] + along[2:], 0, axis)
        return total

    @property
    def _low(self) -> float:
        return float(self.image.min())

    @property
    def _range(self) -> float:
        return float(np.ptp(self.image))


def _checked(image: Any) -> FloatArray:
    """Return an image as real numbers. Raises `DataError`."""
    try:
        array = np.asarray(image)
        # True and False are 1 and 0, all else is to be real.
        values = array.astype(float) if array.dtype.kind in "biuf" else None
    except (TypeError, ValueError, OverflowError):
        values = None
    if values is None or values.ndim not in (2, 3) or min(values.shape) < 3:
        what = shown(image) if values is None else f"of shape {values.shape}"
        raise DataError(
            f"`image` is {what}, expected real numbers [rows, columns] or [planes, rows, columns], "
            "three or more along each axis; take one channel of a color image, or their mean."
        )
    if not np.isfinite(values).all():
        raise DataError("`image` holds NaN or infinity; fill gaps, or cut them out.")
    low, high = float(values.min()), float(values.max())
    if not high > low:
        raise DataError(f"`image` is {low:g} everywhere, so there is nothing to tell apart.")
    if not abs(high) + abs(low) < 1e300:
        raise DataError(f"`image` goes from {low:g} to {high:g}; scale it to ordinary numbers.")
    return values

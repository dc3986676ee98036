"""Gray levels between background and foreground, as an image tells them."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, is_number, require_whole, shown
from tumble._typing import FloatArray

_BINS = 256
_FEWEST = 16  # of a window, in pixels along an axis


class AbstractLevel(abc.ABC):
    """Says which gray level parts background and foreground."""

    citation: ClassVar[str]
    """What to cite."""

    @abc.abstractmethod
    def of(self, image: FloatArray) -> Any:
        """Return the level of ``image`` [*shape], a number or one for each pixel [*shape]."""


@dataclass(frozen=True)
class Otsu(AbstractLevel):
    """The level that parts an image into two classes with the largest variance between them.

    Definition: of the image smoothed by a Gaussian of standard deviation ``smoothing`` pixels, the
    level t with the largest w₀ w₁ (m₁ − m₀)², w and m being the share and mean of the pixels up to
    and beyond t, by a histogram of 256 bins.

    Arguments: ``smoothing``, default 1; 0 for none.

    When: one level holds everywhere. Not where light is uneven (`LocalOtsu`), nor where one class
    is a few pixels in a thousand.

    Reference: Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979), doi:10.1109/TSMC.1979.4310076.
    """

    smoothing: float = 1.0
    citation: ClassVar[str] = (
        "Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979), doi:10.1109/TSMC.1979.4310076"
    )

    def __post_init__(self) -> None:
        _require_width("smoothing", self.smoothing, 0.0)

    def of(self, image: FloatArray) -> float:
        """See `AbstractLevel.of`."""
        return _otsu(_smoothed(image, self.smoothing))[0]


@dataclass(frozen=True)
class LocalOtsu(AbstractLevel):
    """A level for each pixel: `Otsu` of windows, more of those that tell more, and interpolated.

    Definition: windows of ``width`` pixels lie half a width apart. Each has Otsu's level, weighted
    by the fourth power of the distance between its classes' standard deviation, so that windows
    with a single class count for little; levels are averaged over adjacent windows by their weights
    and interpolated linearly between the centers.

    Arguments: ``width``, default 64 pixels, some times that of an object; ``smoothing``, as in
    `Otsu`.

    When: uneven light. Where it is even, `Otsu` is as good and cannot be misled by empty windows.

    Reference: Chow, Kaneko, Comput. Biomed. Res. 5 (1972), doi:10.1016/0010-4809(72)90070-5.
    """

    width: int = 64
    smoothing: float = 1.0
    citation: ClassVar[str] = (
        "Chow, Kaneko, Comput. Biomed. Res. 5 (1972), doi:10.1016/0010-4809(72)90070-5"
    )

    def __post_init__(self) -> None:
        require_whole("width", self.width, _FEWEST)
        _require_width("smoothing", self.smoothing, 0.0)

    def of(self, image: FloatArray) -> FloatArray:
        """See `AbstractLevel.of`."""
        from scipy import ndimage

        smooth = _smoothed(image, self.smoothing)
        centers = [_centers(size, self.width) for size in image.shape]
        levels = np.empty([len(c) for c in centers])
        weights = np.empty_like(levels)
        for place in np.ndindex(levels.shape):
            middle = (c[i] for c, i in zip(centers, place, strict=True))
            window = tuple(slice(max(m - self.width // 2, 0), m + self.width // 2) for m in middle)
            levels[place], between = _otsu(smooth[window])
            weights[place] = between**2
        weights += 1e-12 * max(float(weights.max()), 1e-300)
        total = ndimage.gaussian_filter(weights, 1.0, mode="nearest")
        levels = ndimage.gaussian_filter(levels * weights, 1.0, mode="nearest") / total
        spots = [
            np.interp(np.arange(size), c, np.arange(len(c)))
            for size, c in zip(image.shape, centers, strict=True)
        ]
        grid = np.meshgrid(*spots, indexing="ij")
        return np.asarray(ndimage.map_coordinates(levels, grid, order=1, mode="nearest"))


def _centers(size: int, width: int) -> np.ndarray:
    """Return centers of windows along an axis, about half a width apart."""
    if size <= width:
        return np.array([size // 2])
    count = int(np.ceil(2 * (size - width) / width)) + 1
    return np.round(np.linspace(width / 2, size - width / 2, count)).astype(int)


def _otsu(values: FloatArray) -> tuple[float, float]:
    """Return Otsu's level and the variance between the classes that it parts."""
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return low, 0.0
    counts, edges = np.histogram(values, _BINS, (low, high))
    centers = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)[:-1] / values.size  # none is 0 or 1: the ends are occupied
    sums = np.cumsum(counts * centers)[:-1] / values.size
    mean = float((counts * centers).sum() / values.size)
    between = (mean * below - sums) ** 2 / (below * (1 - below))
    # Between classes far apart, any level is as good: take the middle of them.
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2), float(between.max())


def _smoothed(image: FloatArray, width: float) -> FloatArray:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(image, width)) if width else image


def _require_width(name: str, value: Any, least: float) -> None:
    if not (is_number(value) and least <= value < 1000):
        raise ParameterError(f"`{name}` is {shown(value)}, expected pixels ≥ {least:g}.")

"""Frames as pictures of few bytes: their colors, and sheets of many frames one below the other."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tumble.plot._style import BLUE, GREEN, ORANGE

# What is 0 is pale; then colors that color-blind readers can tell apart.
_COLORS = ("#e9ecef", ORANGE, BLUE, GREEN, "#f0c419", "#56b4e9", "#cc79a7", "#5b6670", "#8c564b",
           "#9467bd", "#17becf", "#111111")  # fmt: skip
_LEVELS = 256
_TALLEST = 8192  # of a sheet, in pixels; browsers draw no taller ones


@dataclass(frozen=True)
class Coloring:
    """How values become colors.

    ``colors``, one an index; ``values``, those of the categories, or none where colors are a scale
    from ``low`` to ``high``; ``cyclic``, whether labels beyond the last color begin anew.
    """

    colors: tuple[str, ...]
    values: tuple[float, ...] = ()
    low: float = 0.0
    high: float = 1.0
    cyclic: bool = False

    @classmethod
    def of(cls, frames: np.ndarray, labels: bool = False) -> Coloring:
        """Choose colors: of labels, of up to 12 whole numbers, or a scale."""
        if labels:
            return cls(_COLORS, cyclic=True)
        found = np.unique(frames[:: max(len(frames) // 50, 1)])
        low, high = float(frames.min()), float(frames.max())
        whole = frames.dtype.kind in "biu" or bool((frames == np.rint(frames)).all())
        if whole and len(found) <= len(_COLORS):
            found = np.unique(frames)
        if whole and len(found) <= len(_COLORS):
            # A number has the same color in every panel, if there is one for it.
            named = found.min() >= 0 and found.max() < len(_COLORS)
            places = found.astype(int) if named else range(len(found))
            return cls(tuple(_COLORS[k] for k in places), tuple(float(v) for v in found))
        return cls(_scale(), (), low, high)

    def indices(self, frames: np.ndarray) -> np.ndarray:
        """Return the index of each value's color, uint8."""
        if self.cyclic:
            whole = frames.astype(np.int64)
            last = len(self.colors) - 1
            return np.where(whole > 0, 1 + (whole - 1) % last, 0).astype(np.uint8)
        if self.values:
            return np.searchsorted(np.array(self.values), frames).astype(np.uint8)
        width = max(self.high - self.low, 1e-300)
        share = (frames.astype(float) - self.low) / width
        return np.clip(share * _LEVELS, 0, _LEVELS - 1).astype(np.uint8)


def sheets(indices: np.ndarray, colors: Sequence[str]) -> tuple[list[str], int]:
    """Return frames [F, rows, columns] as data URIs of PNG sheets, and how many a sheet holds."""
    from PIL import Image

    count, rows, columns = indices.shape
    per_sheet = max(min(_TALLEST // rows, count), 1)
    palette = [int(color[k : k + 2], 16) for color in colors for k in (1, 3, 5)]
    found = []
    for first in range(0, count, per_sheet):
        part = indices[first : first + per_sheet]
        picture = Image.fromarray(np.ascontiguousarray(part.reshape(-1, columns)))
        picture.putpalette(palette)
        out = io.BytesIO()
        picture.save(out, "PNG", optimize=True)
        found.append("data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii"))
    return found, per_sheet


def _scale() -> tuple[str, ...]:
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    colors = mpl.colormaps["viridis"](np.linspace(0, 1, _LEVELS))
    return tuple(str(to_hex(color)) for color in colors)

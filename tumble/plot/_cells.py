"""Cells of a Cellular Potts model."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._errors import DataError
from tumble.models import Cells
from tumble.plot._style import new_axes

# Okabe and Ito's colors, of types 1, 2, …; the medium is white.
_COLORS = ("#e69f00", "#56b4e9", "#009e73", "#cc79a7", "#f0e442", "#d55e00", "#0072b2")
_SHADES = 0.18  # how much lighter or darker cells of a type are
_BORDER = 0.35  # of its color is left of a site at a border


def render(cells: Cells, *, scale: int = 1) -> Any:
    """Return a picture of a plane of cells, [rows · scale, columns · scale, 3], from 0 to 255.

    Colors are those of types, in a shade of each cell; sites next to another cell are dark.
    Arguments: ``cells``; ``scale``, pixels along a site. Raises `DataError` for lines and space.
    """
    from matplotlib.colors import to_rgb

    if cells.ids.ndim != 2:
        raise DataError(
            f"the cells lie on a lattice of shape {cells.shape}, expected a plane; take a slice."
        )
    palette = np.array([to_rgb(_COLORS[k % len(_COLORS)]) for k in range(cells.num_types)])
    number = np.arange(cells.num_cells)
    shades = 1 + _SHADES * (2 * ((number * 0.6180339887) % 1) - 1)  # neighbors far apart
    colors = np.vstack([np.ones(3), palette[cells.types - 1] * shades[:, None]])
    ids = np.kron(cells.ids, np.ones((scale, scale), dtype=cells.ids.dtype))
    picture = colors[ids]
    inside = np.ones(ids.shape, dtype=bool)
    inside[1:] &= ids[1:] == ids[:-1]
    inside[:, 1:] &= ids[:, 1:] == ids[:, :-1]
    picture[~inside & (ids > 0)] *= _BORDER
    return (255 * np.clip(picture, 0, 1)).round().astype(np.uint8)


def cells(cells: Cells, *, ax: Any = None) -> Any:
    """Draw a plane of cells.

    Arguments: ``cells``; for a frame of a run, ``Cells(frame, model.start.types)``; ``ax``, default
    axes of a new figure. Returns ``ax``. Raises `DataError`.
    """
    ax = new_axes(size=(4.0, 4.0)) if ax is None else ax
    ax.imshow(render(cells, scale=4), interpolation="nearest")
    ax.set_axis_off()
    return ax

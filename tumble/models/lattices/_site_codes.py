"""Frames that hold, for each site, a number that says what is there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tumble._errors import DataError
from tumble._typing import BoolArray, IntArray
from tumble.models.lattices._grid import Grid

_FRAMES = 1024


def site_codes(
    frames: Any, grid: Grid, kinds: Sequence[str], followed_by: Sequence[Sequence[int]]
) -> IntArray:
    """Return frames [frames, *shape] as codes 0, 1, …, the places of ``kinds``.

    Raises `DataError` where there is anything else, or where a site has a code in the next frame
    that is not among those by which its own is ``followed_by``.
    """
    frames = np.asarray(frames)
    if frames.shape[1:] != grid.shape:
        raise DataError(
            f"frames have the shape {frames.shape[1:]}, expected {grid.shape}, the grid's: a "
            "number for each site."
        )
    if not np.isin(frames, range(len(kinds))).all():
        meaning = [f"{k} ({kind})" for k, kind in enumerate(kinds)]
        raise DataError(
            f"frames hold other numbers than {', '.join(meaning[:-1])} and {meaning[-1]}."
        )
    codes = frames.astype(np.uint8)
    allowed = np.array([np.isin(range(len(kinds)), after) for after in followed_by])
    found = _first(~allowed[codes[:-1], codes[1:]])
    if found is not None:
        k, site = found
        one, other = (kinds[codes[(k + i, *site)]] for i in range(2))
        raise DataError(
            f"from frame {k} to frame {k + 1} the site {site} goes from {one} to {other}, which "
            "this model does not know; is a frame missing?"
        )
    return codes


def forbid(sites: BoolArray, what: str) -> None:
    """Raise `DataError` where any of ``sites`` [K, *shape] does what the model rules out."""
    found = _first(sites)
    if found is not None:
        k, site = found
        raise DataError(
            f"from frame {k} to frame {k + 1} {what} at the site {site}, which this model does not "
            "know. Frames may be missing, or `grid` may have another neighborhood or boundary."
        )


def _first(sites: BoolArray) -> tuple[int, tuple[int, ...]] | None:
    """Return frame and site of the first that is true, or None."""
    if not sites.any():
        return None
    k, *site = (int(i) for i in np.unravel_index(np.argmax(sites), sites.shape))
    return k, tuple(site)


def around(grid: Grid, frames: Any) -> Any:
    """Return sums over neighbors of frames [K, ...], in pieces of one size, compiled once."""
    frames = frames.astype(np.uint16) if frames.dtype == bool else frames
    size = min(_FRAMES, len(frames))
    found = []
    for first in range(0, len(frames), size):
        piece = frames[first : first + size]
        full = np.resize(piece, (size, *piece.shape[1:]))
        found.append(np.asarray(grid.sum_neighbors(full))[: len(piece)])
    return np.concatenate(found)

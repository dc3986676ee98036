"""Movies and label masks, read from pictures into labelled arrays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, is_number, shown
from tumble.io._pictures import read_pictures

if TYPE_CHECKING:
    import xarray as xr

_NAMES = {"t": "time", "c": "channel", "z": "z", "y": "y", "x": "x"}


def read_images(
    path: str | os.PathLike[str],
    *,
    interval: float = 1.0,
    pixel: float = 1.0,
    name: str | None = None,
    axes: str | None = None,
) -> xr.DataArray:
    """Read a movie, or a single image, of gray pictures.

    Understood are TIFF (with the package tifffile: ``pip install 'tumble[images]'``; its axes are
    read), a folder of PNG, BMP, PGM, JPEG or TIFF pictures, one a frame, in the order of the
    numbers in their names, a single such file, and arrays of NumPy (``.npy``, ``.npz``).

    Arguments:

    - ``path``: of the file or the folder.
    - ``interval``: time from frame to frame, default 1; ``pixel``: width of a pixel, default 1.
      They set the coordinates, in your units; values are as in the file.
    - ``name``: of the array in a ``.npz`` with several.
    - ``axes``: what the axes mean, in order, where the file does not say or says it wrong: letters
      of t (time), c (channel), z, y and x, such as ``"tzyx"``. Default: what a TIFF says, planes
      without times being frames; else of 3 axes ``"tyx"`` and of 4 ``"tcyx"``.

    Returns an `xarray.DataArray` with dimensions among (time, channel, z, y, x), time, y and x
    always, in the type of the file. ``.values`` is what `Transitions` and `LatticeGasMovie` take.

    Raises `DataError` for files that are missing, damaged, in color or too large, for frames of
    different sizes, for NaN, and for empty folders.
    """
    path = Path(path)
    frames, letters = read_pictures(path, name, indexed=False)
    return _labelled(path, frames, _given_axes(path, frames, letters, axes), interval, pixel)


def read_masks(
    path: str | os.PathLike[str],
    *,
    interval: float = 1.0,
    pixel: float = 1.0,
    name: str | None = None,
    axes: str | None = None,
    connected: bool = False,
) -> xr.DataArray:
    """Read label masks: 0 for what is around cells, and a whole number for each cell.

    Arguments: as `read_images`, and ``connected``, whether each cell has to be in one piece in each
    frame, pixels that share a side or a corner being together; default False. In pictures with a
    palette, the number of a color is the label.

    Returns an `xarray.DataArray` of whole numbers (int32) with dimensions (time, y, x), or with z
    before y. Its attribute ``labels`` lists the cells.

    Raises `DataError` as `read_images` does, and for numbers that are no labels (negative,
    fractions, too large), for channels, for masks without any cell, for a cell that vanishes and
    comes back (two cells have its label), and, with ``connected``, for one in several pieces.
    """
    path = Path(path)
    frames, letters = read_pictures(path, name, indexed=True)
    letters = _given_axes(path, frames, letters, axes)
    if "c" in letters:
        raise DataError(
            f"'{path.name}' has channels, expected one label for each pixel; if they are planes, "
            "say so with axes='tzyx'."
        )
    labels = _as_labels(path, frames)
    _check_labels(path, labels, connected)
    found = _labelled(path, labels, letters, interval, pixel)
    found.name = "labels"
    present = np.unique(labels)
    found.attrs["labels"] = [int(label) for label in present[present > 0]]
    return found


def _given_axes(path: Path, frames: np.ndarray, letters: str, axes: str | None) -> str:
    """Return the letters of the axes, as the user says if he does. Raises `DataError`."""
    if axes is None:
        return letters
    known = isinstance(axes, str) and len(set(axes)) == len(axes) and set(axes) <= set("tczyx")
    if not (known and axes.endswith("yx") and axes.startswith("t")):
        raise DataError(
            f"`axes` is {shown(axes)}, expected t, then c or z if there are any, then yx, such as "
            "'tzyx'."
        )
    if len(axes) != frames.ndim:
        raise DataError(
            f"`axes` is {axes!r}, but '{path.name}' has {frames.ndim} axes, {frames.shape}."
        )
    return axes


def _labelled(
    path: Path, frames: np.ndarray, letters: str, interval: float, pixel: float
) -> xr.DataArray:
    import xarray as xr

    for what, value in (("interval", interval), ("pixel", pixel)):
        if not (is_number(value) and 0 < value < np.inf):
            raise DataError(f"`{what}` is {shown(value)}, expected a number > 0.")
    if frames.dtype.kind not in "biuf":
        raise DataError(f"'{path.name}' holds values of type {frames.dtype}, expected numbers.")
    if not frames.size:
        raise DataError(f"'{path.name}' holds an array of shape {frames.shape}: there is no pixel.")
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(frames))[0])
        raise DataError(
            f"'{path.name}' holds NaN or infinity, first at frame {where[0]}, {where[1:]}; fill "
            "gaps, or leave these frames out."
        )
    steps: dict[str, Any] = {"t": float(interval), "y": float(pixel), "x": float(pixel)}
    coords = {
        _NAMES[c]: np.arange(size) * steps[c] if c in steps else np.arange(size)
        for c, size in zip(letters, frames.shape, strict=True)
    }
    return xr.DataArray(
        frames,
        dims=[_NAMES[c] for c in letters],
        coords=coords,
        name="image",
        attrs={"source": path.name, "interval": float(interval), "pixel": float(pixel)},
    )


def _as_labels(path: Path, frames: np.ndarray) -> np.ndarray:
    if frames.dtype.kind not in "biuf":
        raise DataError(f"'{path.name}' holds values of type {frames.dtype}, expected labels.")
    if not frames.size:
        raise DataError(f"'{path.name}' holds an array of shape {frames.shape}: there is no pixel.")
    fine = np.isfinite(frames) if frames.dtype.kind == "f" else np.ones(frames.shape, bool)
    fine &= (frames >= 0) & (frames < 2**31)
    if frames.dtype.kind == "f":
        fine &= np.floor(np.where(fine, frames, 0)) == np.where(fine, frames, 0.5)
    if not fine.all():
        where = tuple(int(i) for i in np.argwhere(~fine)[0])
        raise DataError(
            f"'{path.name}' holds {frames[where]} at frame {where[0]}, {where[1:]}, expected a "
            "whole number from 0 to 2147483647: 0 around cells, and one number for each cell."
        )
    return frames.astype(np.int32)


def _check_labels(path: Path, labels: np.ndarray, connected: bool) -> None:
    seen: dict[int, int] = {}  # label -> the last frame that it was in
    for k, frame in enumerate(labels):
        present = [int(label) for label in np.unique(frame) if label > 0]
        for label in present:
            if label in seen and seen[label] < k - 1:
                raise DataError(
                    f"cell {label} of '{path.name}' is in frame {seen[label]}, not in frame "
                    f"{k - 1}, and in frame {k} again; give different cells different labels."
                )
            seen[label] = k
            if connected:
                _require_one_piece(path, frame == label, label, k)
    if not seen:
        raise DataError(f"'{path.name}' holds no cell: every label is 0.")


def _require_one_piece(path: Path, mask: np.ndarray, label: int, frame: int) -> None:
    from scipy import ndimage

    pieces = ndimage.label(mask, np.ones((3,) * mask.ndim))[1]
    if pieces > 1:
        raise DataError(
            f"cell {label} of '{path.name}' is in {pieces} pieces in frame {frame}; give them "
            "labels of their own, or read with connected=False."
        )

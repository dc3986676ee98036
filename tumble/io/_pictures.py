"""Files of pictures as arrays [frames, ..., rows, columns], whatever their format."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import DataError, did_you_mean, first_line

_TIFF = (".tif", ".tiff")
_PICTURES = (".png", ".bmp", ".gif", ".pgm", ".jpg", ".jpeg")
_LARGEST = 2**31  # bytes
_GRAY = {"1", "L", "I", "F", "I;16", "I;16L", "I;16B", "I;16N"}


def read_pictures(path: Path, name: str | None, indexed: bool) -> tuple[np.ndarray, str]:
    """Return frames, and the letters of their axes.

    Letters are t for frames, c for channels, z, y and x for places. ``name`` of an array in a file
    of several; ``indexed``, whether the colors of a palette are labels. Raises `DataError`.
    """
    if path.is_dir():
        return _folder(path, indexed)
    if not path.exists():
        raise DataError(f"there is no file or folder '{path}'; check the path.")
    kind = path.suffix.lower()
    picture = partial(_picture, indexed=indexed)
    if name is not None and kind != ".npz":
        raise DataError(f"`name` is {name!r}, but only .npz files have arrays with names.")
    if kind in (".npy", ".npz"):
        return _guessed_axes(_numpy(path, name), path)
    if kind in _TIFF:
        return _guarded(path, _tiff)
    if kind in _PICTURES:
        return _guarded(path, picture)[None], "tyx"
    raise DataError(
        f"'{path.name}' is of no kind that is read; expected {', '.join((*_TIFF, *_PICTURES))}, "
        ".npy, .npz, or a folder of pictures."
    )


def _folder(path: Path, indexed: bool) -> tuple[np.ndarray, str]:
    """Read the pictures of a folder in the order of the numbers in their names."""
    files = [f for f in path.iterdir() if f.suffix.lower() in (*_PICTURES, *_TIFF)
             and not f.name.startswith(".")]  # fmt: skip
    if not files:
        raise DataError(
            f"the folder '{path}' holds no pictures; expected one file a frame, such as "
            "frame_000.png."
        )
    frames: list[np.ndarray] = []
    total = 0
    for file in sorted(files, key=lambda f: _in_order(f.name)):
        if file.suffix.lower() in _TIFF:
            stack, axes = _guarded(file, _tiff)
            if axes != "tyx" or len(stack) != 1:
                raise DataError(
                    f"'{file.name}' holds {len(stack)} pictures, but in a folder each file is one "
                    "frame; read the file by itself."
                )
            frame = stack[0]
        else:
            frame = _guarded(file, partial(_picture, indexed=indexed))
        if frames and (frame.shape != frames[0].shape or frame.dtype != frames[0].dtype):
            raise DataError(
                f"'{file.name}' has {_described(frame)}, but the frames before it have "
                f"{_described(frames[0])}; all frames need the same size and type."
            )
        total += frame.nbytes
        _require_size(path, total)
        frames.append(frame)
    return np.stack(frames), "tyx"


def _in_order(name: str) -> list[Any]:
    """Return a key by which frame_10 comes after frame_9."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", name)]


def _numpy(path: Path, name: str | None) -> np.ndarray:
    try:
        _require_size(path, path.stat().st_size)
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            return np.asarray(found)
        with found:
            if name is None and len(found.files) == 1:
                name = found.files[0]
            if name not in found.files:
                which = "say which with name=" if name is None else f"there is no {name!r}"
                near = "" if name is None else did_you_mean(name, found.files)
                raise DataError(
                    f"'{path.name}' holds {', '.join(found.files) or 'nothing'}; {which}.{near}"
                )
            return np.asarray(found[name])
    except DataError:
        raise
    # What NumPy raises for a damaged header ranges from ValueError to TokenError.
    except Exception as error:
        if isinstance(error, ValueError) and "pickle" in str(error):
            raise DataError(
                f"'{path.name}' holds Python objects, not numbers; save an array of numbers."
            ) from None
        raise _unreadable(path, error) from None


def _guessed_axes(array: np.ndarray, path: Path) -> tuple[np.ndarray, str]:
    axes = {2: "yx", 3: "tyx", 4: "tcyx"}.get(array.ndim)
    if axes is None:
        raise DataError(
            f"'{path.name}' holds an array of shape {array.shape}, expected [rows, columns], "
            "[frames, rows, columns] or [frames, channels, rows, columns]."
        )
    return (array[None], "tyx") if axes == "yx" else (array, axes)


def _tiff(path: Path) -> tuple[np.ndarray, str]:
    try:
        import tifffile
    except ImportError:
        raise DataError(
            f"reading '{path.name}' needs the package tifffile; install it with "
            "pip install 'tumble[images]'."
        ) from None
    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise DataError(f"'{path.name}' holds no picture.")
        shapes = sorted({str(series.shape) for series in file.series})
        if len(shapes) > 1:
            raise DataError(
                f"'{path.name}' holds pictures of different sizes: {', '.join(shapes)}; all frames "
                "need the same."
            )
        one = file.series[0]
        _require_size(path, float(np.prod(one.shape, dtype=float)) * len(file.series)
                      * one.dtype.itemsize)  # fmt: skip
        if len(file.series) == 1:
            return _in_order_of_axes(path, one.asarray(), one.axes)
        stack = np.stack([series.asarray() for series in file.series])
        return _in_order_of_axes(path, stack, "I" + one.axes)


def _in_order_of_axes(path: Path, stack: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    """Return a stack with its axes in our order, and their letters."""
    if "S" in axes:
        raise DataError(_colored(path))
    for k in reversed(range(stack.ndim - 2)):
        if stack.shape[k] == 1:
            stack, axes = stack.squeeze(k), axes[:k] + axes[k + 1 :]
    # I and Q count pages; planes without a time are a movie to many programs.
    letters = axes.replace("I", "T").replace("Q", "T").lower()
    letters = "tyx" if letters == "zyx" else letters
    if "t" not in letters:
        stack, letters = stack[None], f"t{letters}"
    wanted = "".join(c for c in "tczyx" if c in letters)
    if sorted(wanted) != sorted(letters) or not letters.endswith("yx"):
        return _guessed_axes(stack, path)
    return np.moveaxis(stack, [letters.index(c) for c in wanted], range(len(wanted))), wanted


def _picture(path: Path, indexed: bool) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        count = int(getattr(image, "n_frames", 1))
        if count > 1:
            raise DataError(
                f"'{path.name}' holds {count} pictures; save it as TIFF, or as a folder "
                "with a file for each."
            )
        width, height = image.size
        _require_size(path, width * height * 8)
        if image.mode in _GRAY or (indexed and image.mode == "P"):
            return np.array(image)
        if image.mode in ("LA", "La"):
            channels = np.array(image.convert("RGBA"))[..., :3]
        else:
            channels = np.array(image.convert("RGB"))
        if (channels == channels[..., :1]).all():  # gray, written as color
            return np.ascontiguousarray(channels[..., 0])
    raise DataError(_colored(path))


def _guarded(path: Path, read: Callable[[Path], Any]) -> Any:
    """Return what ``read(path)`` returns, its errors as a `DataError` of one line."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with _heard() as said:
                found = read(path)
    except DataError:
        raise
    # The readers of a dozen formats fail in as many ways on a damaged file.
    except Exception as error:
        raise _unreadable(path, error) from None
    if said:
        raise _unreadable(path, ValueError(said[0]))
    return found


@contextmanager
def _heard() -> Iterator[list[str]]:
    """Collect the errors that tifffile only logs: of a movie cut off it returns what is left."""
    said: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    before = logger.propagate, logger.disabled
    logger.addHandler(handler)
    logger.propagate = logger.disabled = False
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate, logger.disabled = before


def _unreadable(path: Path, error: BaseException) -> DataError:
    return DataError(
        f"'{path.name}' cannot be read, it may be damaged or cut off: "
        f"{first_line(error) if str(error).strip() else type(error).__name__}"
    )


def _require_size(path: Path, size: float) -> None:
    if size > _LARGEST:
        raise DataError(
            f"'{path.name}' holds {size / 2**30:.1f} GiB of pictures, expected at most "
            f"{_LARGEST >> 30}; cut out the part that you need, or read it yourself."
        )


def _colored(path: Path) -> str:
    return (
        f"'{path.name}' is a color picture, expected gray; take one channel, or the mean of all, "
        "and save that."
    )


def _described(frame: np.ndarray) -> str:
    return f"{' x '.join(map(str, frame.shape))} pixels of type {frame.dtype}"

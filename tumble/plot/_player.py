"""A player for frames of lattices and images, in a page of its own or in a notebook."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import DataError, require_whole, shown
from tumble.outputs import Movies
from tumble.plot._movie_sheets import Coloring, sheets

_SPEEDS = (1, 2, 5, 10, 20, 50)
_MOST_PANELS = 6


@dataclass(frozen=True, repr=False)
class Player:
    """A movie that plays in a browser.

    Attributes: ``fragment``, its HTML, to be put into a page: it makes no request, needs no other
    file, and may stand beside others of its kind; ``num_frames``; ``message``, what was left out,
    or empty. In a notebook it shows itself; `save` writes a page.
    """

    fragment: str
    num_frames: int
    message: str

    @property
    def page(self) -> str:
        """A whole page with the player."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
            'content="width=device-width"><meta name="color-scheme" content="light dark">'
            "<title>movie</title><style>html{background:Canvas;color:CanvasText}</style></head><body>"
            + self.fragment
            + "</body></html>"
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a page and return its path."""
        path = Path(path)
        path.write_text(self.page, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        # A page within the page: notebooks do not all run scripts, and their styles stay outside.
        return (
            f'<iframe srcdoc="{html.escape(self.page, quote=True)}" style="width:100%;'
            'height:34rem;border:0" title="movie"></iframe>'
        )

    def __repr__(self) -> str:
        kilobytes = len(self.fragment) / 1000
        said = f"; {self.message}" if self.message else ""
        return f"Player: {self.num_frames} frames, {kilobytes:.0f} kB{said}"


def play(frames: Any, *, sample: int = 0, title: str = "", max_bytes: int = 4_000_000) -> Player:
    """Return a player of frames: play and pause, single steps, a slider, and speeds.

    Arguments:

    - ``frames``: an array [frames, rows, columns] (or [frames, sites], a line); an
      `xarray.DataArray` as `read_images` and `read_masks` return it, whose channels are panels;
      what `simulate` returns with ``outputs=Frames()``; or several arrays by name, with as many
      frames each, side by side. Of planes the middle one is shown.
    - ``sample``: which run of several, default the first.
    - ``title``: default none.
    - ``max_bytes``: of all pictures, default 4 MB. Where they would take more, every second frame
      is shown, every third, and so on, and the player says so.

    Up to 12 whole numbers have a color each; other values are on a scale, and labels of cells have
    colors in turn.

    Returns a `Player`. Raises `DataError` for what are no frames, and where a single one would take
    more than ``max_bytes``.

    >>> import numpy as np
    >>> from tumble import plot
    >>> plot.play(np.eye(8, dtype=int)[None].repeat(3, 0)).num_frames
    3
    """
    require_whole("sample", sample, 0)
    require_whole("max_bytes", max_bytes)
    panels, times, notes = _panels(frames, sample)
    found = {name: _checked(name, values) for name, values in panels.items()}
    counts = {len(values) for values in found.values()}
    if len(counts) > 1 or len(times) not in counts:
        numbers = ", ".join(map(str, sorted({*counts, len(times)})))
        raise DataError(
            f"`frames` has {numbers} frames in different panels, expected as many in each."
        )
    colorings = {
        name: Coloring.of(values, labels=getattr(panels[name], "name", "") == "labels")
        for name, values in found.items()
    }
    indices = {name: colorings[name].indices(values) for name, values in found.items()}
    drawn, stride, size = _fitted(indices, colorings, max_bytes)
    if stride > 1:
        notes.append(
            f"One of {stride} frames is shown: all {len(times)} would take "
            f"{size / 1e6:.1f} MB, more than the limit of {max_bytes / 1e6:g} MB."
        )
    times = times[::stride]
    message = " ".join(notes)
    return Player(_render(title, found, colorings, drawn, times, message), len(times), message)


# -- what is to be seen --------------------------------------------------------------------------


def _panels(frames: Any, sample: int) -> tuple[dict[str, Any], list[str], list[str]]:
    """Return arrays [frames, rows, columns] by name, the times as text, and what to say."""
    import xarray as xr

    notes: list[str] = []
    if isinstance(frames, Movies):
        panels, times = _of_movies(frames, sample)
        return {k: _plane(v, notes) for k, v in panels.items()}, _stamps(times), notes
    given = frames if isinstance(frames, Mapping) else {"": frames}
    if isinstance(frames, xr.DataArray) and "channel" in frames.dims:
        channels = frames["channel"].values[:_MOST_PANELS]
        given = {f"channel {c}": frames.sel(channel=c) for c in channels}
    if not 0 < len(given) <= _MOST_PANELS:
        raise DataError(f"`frames` has {len(given)} panels, expected one to {_MOST_PANELS}.")
    first = next(iter(given.values()))
    panels = {str(name): _plane(values, notes) for name, values in given.items()}
    known = isinstance(first, xr.DataArray) and "time" in first.coords
    count = np.shape(first)[0] if np.ndim(first) else 0
    return panels, _stamps(first["time"].values if known else range(count)), notes


def _of_movies(movies: Movies, sample: int) -> tuple[dict[str, Any], Any]:
    """Return the arrays of one run that are lattices, by name, and the times."""
    codes = np.asarray(movies.codes)
    if codes.ndim != 1:
        raise DataError(
            "`frames` has several rows of parameters; choose the states of one, such as "
            "{'state': movies.states[row, sample]}."
        )
    if sample >= len(codes):
        raise DataError(f"`sample` is {sample}, but there are {len(codes)} runs.")
    found = movies.lattices(sample)
    if not found:
        raise DataError(
            "`frames` holds no lattice: its states are numbers or positions; plot these over time."
        )
    return dict(list(found.items())[:_MOST_PANELS]), movies.times


def _plane(values: Any, notes: list[str]) -> Any:
    """Return one plane of [frames, planes, rows, columns], a line as a row, else the values."""
    array = values if hasattr(values, "ndim") else np.asarray(values)
    if array.ndim == 4:
        middle = array.shape[1] // 2
        note = f"Plane {middle} of {array.shape[1]} is shown."
        notes += [] if note in notes else [note]
        return array[:, middle]
    return np.asarray(array)[:, None] if array.ndim == 2 else array


def _checked(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    which = f"`frames[{name!r}]`" if name else "`frames`"
    if array.dtype.kind not in "biuf" or array.ndim != 3 or not array.size:
        raise DataError(
            f"{which} is {shown(array.shape)} of type {array.dtype}, expected numbers [frames, "
            "rows, columns], as read_images or Frames() give them."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{which} holds NaN or infinity; fill gaps, or leave these frames out.")
    return array


def _stamps(times: Any) -> list[str]:
    return [f"t = {float(t):g}" for t in times]


# -- how it is written ---------------------------------------------------------------------------


def _fitted(
    indices: Mapping[str, np.ndarray], colorings: Mapping[str, Coloring], max_bytes: int
) -> tuple[dict[str, tuple[list[str], int]], int, int]:
    """Return sheets of each panel, which frames they hold (one of ...), and the size of all."""
    stride, whole = 1, 0
    while True:
        drawn = {k: sheets(v[::stride], colorings[k].colors) for k, v in indices.items()}
        size = sum(len(uri) for uris, _ in drawn.values() for uri in uris)
        whole = whole or size
        if size <= max_bytes:
            return drawn, stride, whole
        shape = next(iter(indices.values())).shape
        if stride >= shape[0]:
            raise DataError(
                f"a single frame of {shape[1]} x {shape[2]} takes {size / 1e6:.1f} MB, more than "
                f"`max_bytes`; show a part of it, such as frames[:, ::2, ::2], or raise the limit."
            )
        stride = min(max(stride + 1, -(-stride * size // max_bytes)), shape[0])


def _render(
    title: str,
    frames: Mapping[str, np.ndarray],
    colorings: Mapping[str, Coloring],
    drawn: Mapping[str, tuple[list[str], int]],
    times: list[str],
    message: str,
) -> str:
    import jinja2

    panels = []
    for name, values in frames.items():
        coloring = colorings[name]
        scale = (f"{coloring.low:g}", f"{coloring.high:g}")
        continuous = not coloring.values and not coloring.cyclic
        panels.append(
            {
                "name": name,
                "width": values.shape[2],
                "height": values.shape[1],
                "legend": [
                    (color, f"{value:g}")
                    for color, value in zip(coloring.colors, coloring.values, strict=False)
                ],
                "scale": scale if continuous else None,
                "colors": coloring.colors[::32] if continuous else (),
            }
        )
    data = {
        "times": times,
        "panels": [{"sheets": uris, "perSheet": per} for uris, per in drawn.values()],
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("player.html.jinja").render(
        title=title, panels=panels, times=times, speeds=_SPEEDS, message=message, data=data
    )

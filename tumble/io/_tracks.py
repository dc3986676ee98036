"""Tracks of particles or cells, and how far they go."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, is_number, require_flag, require_known, shown
from tumble._typing import FloatArray
from tumble.io._cells import Table, as_labels, find_column, read_table

if TYPE_CHECKING:
    import xarray as xr

_COLUMNS: Mapping[str, Sequence[str]] = {
    "track": ("track", "track_id", "trackid", "trajectory", "particle", "cell", "cell_id", "id"),
    "time": ("time", "t", "frame", "position_t", "seconds", "minutes", "hours"),
    "x": ("x", "position_x", "pos_x", "x_position"),
    "y": ("y", "position_y", "pos_y", "y_position"),
    "z": ("z", "position_z", "pos_z", "z_position"),
}
_LARGEST_ARRAY = 2**28
_DEFAULT_LAGS = 20
_SLACK = 1e-6


def read_tracks(
    path: str | os.PathLike[str],
    *,
    pixel: float = 1.0,
    interval: float = 1.0,
    columns: Mapping[str, str] | None = None,
    say: Callable[[str], None] | None = None,
) -> xr.DataArray:
    """Read tracks from a table with a line for each position: track, time, x, y and, maybe, z.

    Arguments, most used first:

    - ``path``: of a text file with a header, as `read_data` reads it.
    - ``pixel``: what the positions of the file are multiplied by, default 1: the width of a pixel
      in your unit, where they are in pixels.
    - ``interval``: what its times are multiplied by, default 1: the time from frame to frame, where
      times are numbers of frames.
    - ``columns``: which column is which, such as ``{"track": "TRACK_ID", "x": "POSITION_X"}``.
      Default: by usual names. A file without z has tracks in a plane, without y on a line.
    - ``say``: takes the line that says what was guessed. Default: print it to standard error.

    Returns an `xarray.DataArray` with dimensions (track, time, axis), NaN where a track is not
    seen.

    Raises `DataError` for a file that is missing or no table, for columns that are missing, for NaN
    and text among the numbers, and for two positions of a track at one time, naming the line.
    """
    for what, value in (("pixel", pixel), ("interval", interval)):
        if not (is_number(value) and 0 < value < np.inf):
            raise DataError(f"`{what}` is {shown(value)}, expected a number > 0.")
    path = Path(path)
    table = read_table(path)
    chosen = _chosen(table, columns)
    axes: list[str] = [axis for axis in ("x", "y", "z") if axis in chosen]
    times = interval * table.numbers(chosen["time"], missing=False)
    places = np.stack([pixel * table.numbers(chosen[axis], missing=False) for axis in axes], 1)
    found = _arranged(table, table.texts(chosen["track"]), times, places, axes)
    found.attrs |= {"pixel": float(pixel), "interval": float(interval)}
    if columns is None:
        named = ", ".join(f"{what} from column {name!r}" for what, name in chosen.items())
        sizes = f"{found.sizes['track']} tracks, {found.sizes['time']} times"
        (say or _print)(f"read_tracks {path.name}: {named}; {sizes}")
    return found


def squared_displacements(
    tracks: xr.DataArray,
    *,
    lags: Sequence[float] | None = None,
    windows: bool = False,
    say: Callable[[str], None] | None = None,
) -> xr.DataArray:
    """Return how far each track has gone after some lags: data for a fit of a walk.

    Definition: |x(t₀ + lag) − x(t₀)|², t₀ being the first time of a track; with ``windows`` also
    from the end of each stretch of the longest lag, so that a long track counts several times, as
    often as it can without overlap. Their mean over replicates is the mean squared displacement.

    Arguments: ``tracks``, as `read_tracks` returns them; ``lags``, default up to 20 of those that
    at least half of the tracks have, evenly spaced on a log scale; ``windows``, default False;
    ``say``, takes the line that says how many were left out (default: print it).

    Returns an `xarray.DataArray` with dimensions (replicate, time, observable), the observable
    being ``msd``, for an `Experiment` of `PlainWalk` or `PersistentWalk`, without gaps: tracks that
    were not seen at every lag are left out.

    Raises `DataError` for what are no tracks, for lags that no track has, and where no track has
    them all.

    When: with `TrajectoryMatching`, which takes into account that the displacements of a track at
    several lags go together. Windows of one track are taken for independent: where its persistence
    lasts as long as the longest lag, they are not.
    """
    import xarray as xr

    values, times = _as_tracks(tracks)
    require_flag("windows", windows, DataError)
    wanted = _default_lags(values, times) if lags is None else _checked_lags(lags)
    rows, left_out = [], 0
    for track in values:
        known = np.flatnonzero(np.isfinite(track).all(1))
        kept = _of_track(track, times, known, wanted, windows)
        rows += kept
        left_out += not kept
    if not rows:
        raise DataError(
            f"no track was seen at all of the lags {', '.join(f'{lag:g}' for lag in wanted)}; give "
            "fewer or shorter lags, which are differences of the times of the tracks."
        )
    if left_out:
        (say or _print)(
            f"squared_displacements: {left_out} of {len(values)} tracks were left out, not seen at "
            "every lag"
        )
    return xr.DataArray(
        np.array(rows)[..., None],
        dims=("replicate", "time", "observable"),
        coords={"replicate": np.arange(len(rows)), "time": wanted, "observable": ["msd"]},
        name="data",
        attrs=dict(tracks.attrs),
    )


# -- reading -------------------------------------------------------------------------------------


def _chosen(table: Table, columns: Mapping[str, str] | None) -> dict[str, str]:
    """Return which column is which. Raises `DataError`."""
    given = dict(columns or {})
    require_known(given, _COLUMNS, what="`columns` has", owner="a track", error=DataError)
    table.require(given.values(), "columns")
    found: dict[str, str] = {}
    for what, usual in _COLUMNS.items():
        taken = [*given.values(), *found.values()]
        name = given.get(what) or find_column(table.names, usual, taken)
        if name is not None:
            found[what] = name
    for what in ("track", "time", "x"):
        if what not in found:
            raise DataError(
                f"'{table.path.name}' has columns {', '.join(table.names)}, and none of them looks "
                f"like {what}; say which it is with columns={{{what!r}: ...}}."
            )
    if "z" in found and "y" not in found:
        raise DataError(f"'{table.path.name}' has z but no y; say which is y with columns=.")
    return found


def _arranged(
    table: Table, keys: list[str], times: FloatArray, places: FloatArray, axes: list[str]
) -> xr.DataArray:
    import xarray as xr

    missing = next((i for i, key in enumerate(keys) if not key), None)
    if missing is not None:
        raise DataError(f"'{table.path.name}' line {table.lines[missing]} names no track.")
    for values, what in ((times, "a time"), (places, "a position")):
        if not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise DataError(
                f"'{table.path.name}' line {table.lines[row]} has {what} that is too large."
            )
    names = list(dict.fromkeys(keys))
    position = {key: i for i, key in enumerate(names)}
    track = np.array([position[key] for key in keys])
    grid, column = np.unique(times, return_inverse=True)
    shape = len(names), len(grid), len(axes)
    if np.prod(shape, dtype=float) > _LARGEST_ARRAY:
        raise DataError(
            f"'{table.path.name}' spans {shape[0]} tracks x {shape[1]} times, too many to hold; "
            "check the columns of tracks and times."
        )
    place = np.ravel_multi_index((track, column), shape[:2])
    _, first = np.unique(place, return_index=True)
    if len(first) < len(place):
        row = int(np.setdiff1d(np.arange(len(place)), first)[0])
        raise DataError(
            f"'{table.path.name}' line {table.lines[row]} gives a second position of track "
            f"{keys[row]!r} at time {times[row]:g}; remove one, or number the tracks apart."
        )
    values = np.full(shape, np.nan)
    values.reshape(-1, len(axes))[place] = places
    return xr.DataArray(
        values,
        dims=("track", "time", "axis"),
        coords={"track": as_labels(names), "time": grid, "axis": axes},
        name="position",
        attrs={"source": table.path.name},
    )


# -- displacements -------------------------------------------------------------------------------


def _as_tracks(tracks: Any) -> tuple[FloatArray, FloatArray]:
    """Return positions [track, time, axis] and times [time]. Raises `DataError`."""
    import xarray as xr

    named = isinstance(tracks, xr.DataArray) and set(tracks.dims) == {"track", "time", "axis"}
    if not named or "time" not in tracks.coords:
        raise DataError(
            f"`tracks` is {shown(tracks)}, expected an array with dimensions track, time and axis, "
            "as read_tracks returns it."
        )
    values = np.asarray(tracks.transpose("track", "time", "axis").values, dtype=float)
    times = np.asarray(tracks["time"].values, dtype=float)
    if len(times) < 2 or not np.all(np.diff(times) > 0):
        raise DataError("`tracks` has fewer than two times, or times that do not ascend.")
    return values, times


def _default_lags(values: FloatArray, times: FloatArray) -> FloatArray:
    """Return lags on a log scale, of those that at least half of the tracks have."""
    counts: dict[float, int] = {}
    step = float(np.diff(times).min())
    for track in values:
        known = np.flatnonzero(np.isfinite(track).all(1))
        if len(known):
            for lag in np.unique(np.rint((times[known[1:]] - times[known[0]]) / step)):
                counts[float(lag)] = counts.get(float(lag), 0) + 1
    common = sorted(lag for lag, count in counts.items() if 2 * count >= len(values))
    if not common:
        raise DataError("no lag is common to half of the tracks; say which with lags=.")
    spaced = np.geomspace(common[0], common[-1], _DEFAULT_LAGS)
    nearest = {common[int(np.argmin(np.abs(np.array(common) - lag)))] for lag in spaced}
    return step * np.array(sorted(nearest))


def _checked_lags(lags: Any) -> FloatArray:
    try:
        found = np.asarray(lags, dtype=float)
    except (TypeError, ValueError):
        found = np.empty(0)
    ascending = found.ndim == 1 and found.size and np.all(np.diff(found) > 0)
    if not (ascending and np.isfinite(found).all() and found[0] > 0):
        raise DataError(f"`lags` is {shown(lags)}, expected ascending numbers > 0.")
    return found


def _of_track(
    track: FloatArray, times: FloatArray, known: Any, lags: FloatArray, windows: bool
) -> list[FloatArray]:
    """Return the squared displacements [lags] of a track, from one or several starts."""
    found: list[FloatArray] = []
    if not len(known):
        return found
    begin = float(times[known[0]])
    slack = _SLACK * float(np.diff(times).min())
    while True:
        wanted = begin + np.concatenate([[0.0], lags])
        at = np.clip(np.searchsorted(times, wanted - slack), 0, len(times) - 1)
        places = track[at]
        seen = (np.abs(times[at] - wanted) <= slack + 1e-9 * np.abs(wanted)).all()
        if seen and np.isfinite(places).all():
            found.append(((places[1:] - places[0]) ** 2).sum(1))
        begin += float(lags[-1])
        if not windows or begin + lags[-1] > times[known[-1]] + slack:
            return found


def _print(line: str) -> None:
    print(line, file=sys.stderr)

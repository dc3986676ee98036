"""Tables of numbers, as people keep them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, require_known
from tumble._typing import FloatArray
from tumble.io._cells import Table, as_labels, find_column, is_number_text, read_table

if TYPE_CHECKING:
    import xarray as xr

_TIME_NAMES = ("time", "t", "times", "second", "seconds", "minute", "minutes", "hour", "hours",
               "day", "days", "week", "weeks", "month", "months", "year", "years")  # fmt: skip
_REPLICATE_NAMES = ("replicate", "replicates", "rep", "sample", "trajectory", "run")
_OBSERVABLE_NAMES = ("observable", "variable", "species")
_LARGEST_ARRAY = 2**30


def read_data(
    path: str | os.PathLike[str],
    *,
    time: str | None = None,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    replicate: str | None = None,
    say: Callable[[str], None] | None = None,
) -> xr.DataArray:
    """Read a table of observations from a text file with a header line.

    Two layouts are understood. *Wide*: a column of times, and every other column of numbers is an
    observable. *Tidy*: columns ``time``, ``observable`` and ``value``, one number a line. Either
    may have a column that numbers the replicates; without one, several lines with the same time
    are replicates in the order of the file. Cells are separated by commas, semicolons or tabs.
    Empty cells, ``NA`` and ``NaN`` are missing. Lines that start with ``#`` are comments.

    Arguments, most used first:

    - ``path``: of the file, in UTF-8.
    - ``time``: name of the column of times. Default: a column named time, t, day, week, month,
      year, hour … or the first column whose numbers ascend.
    - ``columns``: names of the columns (tidy: of the observables) to read; a mapping renames them.
      Default: all.
    - ``replicate``: name of the column that tells replicates apart. Default: a column named
      replicate, rep, sample, trajectory or run, if there is one.
    - ``say``: takes the line that says what was guessed. Default: print it to standard error.

    Returns an `xarray.DataArray` with dimensions (replicate, time, observable), NaN where missing.

    Raises `DataError` for a file that is missing, empty, not text, or not a table, and for text
    where a number is expected, naming the line and the column.

    >>> import pathlib, tempfile
    >>> file = pathlib.Path(tempfile.mkdtemp()) / "flu.csv"
    >>> _ = file.write_text("day,in_bed\\n1,3\\n2,8\\n3,\\n")
    >>> read_data(file, time="day").sel(observable="in_bed").values
    array([[ 3.,  8., nan]])
    """
    path = Path(path)
    table = read_table(path)
    guesses: list[str] = []
    if time is None:
        time = _guess_time(table)
        guesses.append(f"time from column {time!r}")
    else:
        table.require([time], "time")
    if replicate is None:
        replicate = find_column(table.names, _REPLICATE_NAMES, [time])
        if replicate is not None:
            guesses.append(f"replicates from column {replicate!r}")
    else:
        table.require([replicate], "replicate")
    label = find_column(table.names, _OBSERVABLE_NAMES, [time, replicate])
    value = find_column(table.names, ("value", "measurement"), [time, replicate])
    if label is not None and value is not None:
        rows, names = _tidy_rows(table, label, value, columns)
        guesses.append("one observation a line")
    else:
        rows, names, ignored = _wide_rows(table, [time, replicate], columns)
        if columns is None:
            guesses.append(f"observables: {', '.join(names)}")
        if ignored:
            guesses.append(f"ignored, no numbers: {', '.join(ignored)}")
    keys = None if replicate is None else table.texts(replicate)
    array = _arrange(table, table.numbers(time, missing=False), keys, rows, names)
    if guesses:
        guesses.append(_describe(array))
        (say or _print)(f"read_data {path.name}: {'; '.join(guesses)}")
    return array


@dataclass(frozen=True)
class _Rows:
    """Numbers with the row of the table and the observable that they belong to."""

    row: np.ndarray
    observable: np.ndarray
    value: FloatArray


# -- from cells to an array ------------------------------------------------------------------------


def _guess_time(table: Table) -> str:
    named = find_column(table.names, _TIME_NAMES, [])
    if named is not None:
        return named
    numeric = [name for name in table.names if table.has_numbers(name)]
    if not numeric:
        raise DataError(f"'{table.path.name}' has no column of numbers; expected times and data.")
    for name in numeric:
        if all(is_number_text(cell) for cell in table.texts(name)):
            values = table.numbers(name)
            if len(values) > 1 and np.all(np.diff(values) >= 0) and values[-1] > values[0]:
                return name
    raise DataError(
        f"'{table.path.name}' has columns {', '.join(table.names)}, and none of them looks like "
        "time; say which it is with time=."
    )


def _renaming(columns: Sequence[str] | Mapping[str, str]) -> dict[str, str]:
    if not columns:
        raise DataError("`columns` is empty; name at least one, or leave it out to read all.")
    if isinstance(columns, str):
        return {columns: columns}
    return dict(columns) if isinstance(columns, Mapping) else {name: name for name in columns}


def _wide_rows(
    table: Table, taken: Sequence[str | None], columns: Sequence[str] | Mapping[str, str] | None
) -> tuple[_Rows, list[str], list[str]]:
    ignored: list[str] = []
    if columns is None:
        others = [name for name in table.names if name not in taken]
        chosen = {name: name for name in others if table.has_numbers(name)}
        ignored = [name for name in others if name not in chosen]
    else:
        chosen = _renaming(columns)
        table.require(chosen, "columns")
    if not chosen:
        raise DataError(
            f"'{table.path.name}' has no column of numbers beside the times; expected at least one "
            "observable."
        )
    count = len(table.lines)
    rows = _Rows(
        np.tile(np.arange(count), len(chosen)),
        np.repeat(np.arange(len(chosen)), count),
        np.concatenate([table.numbers(name) for name in chosen]),
    )
    return rows, list(chosen.values()), ignored


def _tidy_rows(
    table: Table, label: str, value: str, columns: Sequence[str] | Mapping[str, str] | None
) -> tuple[_Rows, list[str]]:
    labels = table.texts(label)
    found = list(dict.fromkeys(labels))
    chosen = {name: name for name in found} if columns is None else _renaming(columns)
    require_known(chosen, found, what="`columns` names observable",
                  owner=f"'{table.path.name}'", error=DataError)  # fmt: skip
    position = {name: i for i, name in enumerate(chosen)}
    kept = np.array([i for i, name in enumerate(labels) if name in position])
    observable = np.array([position[labels[i]] for i in kept])
    return _Rows(kept, observable, table.numbers(value)[kept]), list(chosen.values())


def _arrange(
    table: Table, times: FloatArray, keys: list[str] | None, rows: _Rows, names: list[str]
) -> xr.DataArray:
    import xarray as xr

    grid, column = np.unique(times[rows.row], return_inverse=True)
    if keys is None:
        repeat = _count_repeats(rows.observable, column)
        _check_repeats(table, repeat, rows.observable, column, grid)
        labels: list[Any] = list(range(int(repeat.max()) + 1))
    else:
        unique = list(dict.fromkeys(keys))
        position = {key: i for i, key in enumerate(unique)}
        repeat = np.array([position[keys[i]] for i in rows.row])
        labels = as_labels(unique)
    shape = len(labels), len(grid), len(names)
    if np.prod(shape, dtype=float) > _LARGEST_ARRAY:
        raise DataError(
            f"'{table.path.name}' spans {shape[0]} replicates x {shape[1]} times x {shape[2]} "
            "observables, too many to hold; check the columns of times and replicates."
        )
    place = np.ravel_multi_index((repeat, column, rows.observable), shape)
    _, first = np.unique(place, return_index=True)
    if len(first) < len(place):
        k = int(np.setdiff1d(np.arange(len(place)), first)[0])
        raise DataError(
            f"'{table.path.name}' line {table.lines[rows.row[k]]} gives time "
            f"{grid[column[k]]:g} of replicate {labels[repeat[k]]!r} a second time; remove one."
        )
    values = np.full(shape, np.nan)
    values.flat[place] = rows.value
    return xr.DataArray(
        values,
        dims=("replicate", "time", "observable"),
        coords={"replicate": labels, "time": grid, "observable": names},
        name="data",
        attrs={"source": table.path.name},
    )


def _count_repeats(observable: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Number the occurrences of each (observable, time) in the order of the file."""
    seen: dict[tuple[int, int], int] = {}
    repeat = np.empty(len(column), dtype=int)
    for k, pair in enumerate(zip(observable.tolist(), column.tolist(), strict=True)):
        repeat[k] = seen.get(pair, 0)
        seen[pair] = repeat[k] + 1
    return repeat


def _check_repeats(
    table: Table,
    repeat: np.ndarray,
    observable: np.ndarray,
    column: np.ndarray,
    grid: FloatArray,
) -> None:
    if repeat.max() == 0:
        return
    counts = np.zeros((observable.max() + 1, len(grid)), dtype=int)
    np.add.at(counts, (observable, column), 1)
    o, t = np.unravel_index(int(np.argmin(counts)), counts.shape)
    if counts[o, t] != counts.max():
        raise DataError(
            f"'{table.path.name}' gives some times {counts.max()} times but time {grid[t]:g} "
            f"{counts[o, t]} times; add a column 'replicate' that says which line belongs to which."
        )


def _describe(array: xr.DataArray) -> str:
    replicates, times = array.sizes["replicate"], array.sizes["time"]
    text = f"{times} time{'s' * (times != 1)}, {replicates} replicate{'s' * (replicates != 1)}"
    missing = int(np.isnan(array.values).sum())
    return f"{text}, {missing} missing" if missing else text


def _print(line: str) -> None:
    print(line, file=sys.stderr)

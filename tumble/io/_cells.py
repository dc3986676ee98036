"""Cells of text in columns, as files of tables have them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import DataError, require_known
from tumble._typing import FloatArray

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_LARGEST_FILE = 2**30


@dataclass(frozen=True)
class Table:
    """Cells of text, by column, with the line of the file that each row came from."""

    path: Path
    columns: Mapping[str, list[str]]
    lines: Sequence[int]

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return list(self.columns)

    def require(self, names: Iterable[str], argument: str) -> None:
        require_known(names, self.names, what=f"`{argument}` names column",
                      owner=f"'{self.path.name}'", error=DataError)  # fmt: skip

    def texts(self, name: str) -> list[str]:
        return self.columns[name]

    def is_missing(self, name: str) -> list[bool]:
        return [cell.lower() in _MISSING for cell in self.columns[name]]

    def has_numbers(self, name: str) -> bool:
        return any(is_number_text(cell) for cell in self.columns[name])

    def numbers(self, name: str, *, missing: bool = True) -> FloatArray:
        """The column as numbers; a `DataError` names the line of the first cell that is none."""
        gaps = self.is_missing(name)
        values = np.full(len(gaps), np.nan)
        for i, cell in enumerate(self.columns[name]):
            if gaps[i]:
                if not missing:
                    raise DataError(
                        f"'{self.path.name}' line {self.lines[i]} has no number in column "
                        f"{name!r}; every line needs one."
                    )
            elif is_number_text(cell) and np.isfinite(float(cell)):
                values[i] = float(cell)
            else:
                raise DataError(
                    f"'{self.path.name}' line {self.lines[i]} holds {cell[:40]!r} in column "
                    f"{name!r}, expected a finite number (or an empty cell where it is missing)."
                )
        return values


def read_table(path: Path) -> Table:
    """Read a file of text with a header. Raises `DataError`."""
    text = _read_text(path)
    lines = [
        (number, line)
        for number, line in enumerate(io.StringIO(text), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise DataError(f"'{path.name}' is empty, expected a header line and lines of numbers.")
    numbers = [number for number, _ in lines]
    separator = max(",;\t", key=lines[0][1].count)
    try:
        records = list(csv.reader((line for _, line in lines), delimiter=separator, strict=True))
    except csv.Error as error:
        raise DataError(f"'{path.name}' is not a table of text: {error}.") from None
    if len(records) != len(lines):
        raise DataError(f"'{path.name}' has a quoted cell that runs over several lines.")
    header = [cell.strip() for cell in records[0]]
    _check_header(path, header)
    if len(records) == 1:
        raise DataError(f"'{path.name}' has a header but no line of numbers.")
    for number, record in zip(numbers, records, strict=True):
        if len(record) != len(header):
            raise DataError(
                f"'{path.name}' line {number} has {len(record)} cells, but the header has "
                f"{len(header)}; separate cells by one of comma, semicolon or tab throughout."
            )
    cells = {name: [r[i].strip() for r in records[1:]] for i, name in enumerate(header)}
    return Table(path, cells, numbers[1:])


def _read_text(path: Path) -> str:
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, expected a file with a table.")
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise DataError(
                f"'{path.name}' is {path.stat().st_size / 2**30:.1f} GiB, expected at most 1; read "
                "the part you need yourself and pass an xarray.DataArray."
            )
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file '{path}'; check the path.") from None
    except OSError as error:
        raise DataError(f"cannot read '{path}': {error.strerror or error}.") from None
    if b"\x00" in raw:
        raise DataError(f"'{path.name}' is not text; save the table as CSV in UTF-8.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"'{path.name}' line {line} is not UTF-8; save the table as CSV in UTF-8."
        ) from None


def _check_header(path: Path, header: list[str]) -> None:
    if any(is_number_text(cell) for cell in header):
        raise DataError(
            f"'{path.name}' has no header: its first line holds numbers, expected names of columns "
            "such as 'time,I'."
        )
    for i, name in enumerate(header):
        if not name:
            raise DataError(f"column {i + 1} of '{path.name}' has no name; complete the header.")
        if name in header[:i]:
            raise DataError(f"'{path.name}' has two columns named {name!r}; rename one.")


def is_number_text(cell: str) -> bool:
    """Return whether a cell holds a number, finite or not."""
    # "nan" is a number to float() but a missing value here, and so it does not count.
    if cell.lower() in _MISSING:
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def find_column(names: list[str], known: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """Return the first column that has one of the ``known`` names, whatever their case."""
    lowered = {name.lower(): name for name in reversed(names) if name not in taken}
    return next((lowered[k] for k in known if k in lowered), None)


def as_labels(keys: list[str]) -> list[Any]:
    """Return whole numbers where all of the keys are."""
    try:
        return [int(key) for key in keys]
    except ValueError:
        return list(keys)

"""Strict reading of the mappings of a run file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tumble._errors import did_you_mean
from tumble.io._algorithms import as_number
from tumble.io._yaml import RunFileError

_REQUIRED: Any = object()


@dataclass(frozen=True)
class Section:
    """One mapping of a run file, whose keys are known.

    Arguments: ``content``; ``where``, its path in the file, such as ``experiments[0]``.
    """

    content: Mapping[str, Any]
    where: str = ""

    @classmethod
    def read(cls, content: Any, where: str, known: Sequence[str]) -> Section:
        """Check that ``content`` is a mapping with no key but the ``known`` ones."""
        if content is None:
            content = {}
        if not isinstance(content, Mapping):
            raise RunFileError(
                f"`{where}` is {shorten(content)}, expected keys among {', '.join(known)}."
            )
        owner = f"`{where}`" if where else "the run file"
        for key in content:
            if key not in known:
                raise RunFileError(
                    f"{owner} has the unknown key {key!r}, expected {', '.join(known)}."
                    f"{did_you_mean(key, known)}"
                )
        return cls(content, where)

    def path(self, key: str) -> str:
        """Return the path of an entry, for errors."""
        return f"{self.where}.{key}" if self.where else key

    def has(self, key: str) -> bool:
        """Whether the entry is there and not empty."""
        return self.content.get(key) is not None

    def raw(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return an entry as it is."""
        if self.has(key):
            return self.content[key]
        if default is _REQUIRED:
            owner = f"`{self.where}`" if self.where else "the run file"
            raise RunFileError(f"{owner} has no `{key}`; add it.")
        return default

    def text(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return an entry that is text."""
        value = self.raw(key, default)
        if value is not default and not isinstance(value, str):
            raise RunFileError(f"`{self.path(key)}` is {shorten(value)}, expected text.")
        return value

    def number(self, key: str, default: Any = _REQUIRED) -> Any:
        """Return an entry that is a number."""
        value = self.raw(key, default)
        return value if value is default else number(value, self.path(key))

    def whole(self, key: str, default: Any = _REQUIRED, at_least: int = 0) -> Any:
        """Return an entry that is a whole number."""
        value = self.raw(key, default)
        if value is default:
            return value
        found = number(value, self.path(key))
        if found != int(found) or found < at_least:
            raise RunFileError(
                f"`{self.path(key)}` is {shorten(value)}, expected a whole number ≥ {at_least}."
            )
        return int(found)

    def flag(self, key: str, default: bool) -> bool:
        """Return an entry that is true or false."""
        value = self.raw(key, default)
        if not isinstance(value, bool):
            raise RunFileError(f"`{self.path(key)}` is {shorten(value)}, expected true or false.")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        """Return an entry that maps names to something; empty when it is not there."""
        value = self.raw(key, {})
        if not isinstance(value, Mapping):
            raise RunFileError(
                f"`{self.path(key)}` is {shorten(value)}, expected names with values, such as "
                "'beta: 0.1'."
            )
        return {str(k): v for k, v in value.items()}


def items_of(section: Section, key: str) -> list[tuple[str, Any]]:
    """Return path and content of each item of an entry, a list or a single one; [] without it."""
    given = section.raw(key, None)
    where = section.path(key)
    if given is None:
        return []
    if not isinstance(given, list):
        return [(where, given)]
    if not given:
        raise RunFileError(f"`{where}` is empty, expected one entry or more.")
    return [(f"{where}[{i}]", item) for i, item in enumerate(given)]


def number(value: Any, where: str) -> float:
    """Return a finite number, also when it is written as text in quotes."""
    found = as_number(value)
    good = isinstance(found, (int, float)) and not isinstance(found, bool)
    if not good or not abs(found) < 1e300:
        raise RunFileError(f"`{where}` is {shorten(value)}, expected a number.")
    # Whole numbers in YAML know no limit, those of NumPy do.
    return float(found) if abs(found) > 2**53 else found


def names_or_renaming(value: Any, where: str) -> Any:
    """Return a list of names, or a mapping from names to names, or None."""
    if value is None:
        return None
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return {str(k): str(v) for k, v in value.items()}
    if isinstance(value, list):
        return [str(v) for v in value]
    raise RunFileError(f"`{where}` is {shorten(value)}, expected a list of names of columns.")


def shorten(value: Any) -> str:
    """Return ``repr(value)``, cut where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."

"""Rows of long benchmarks, which outlive a run that is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from _report import progress


class Rows:
    """Rows of a long benchmark, kept in a file if there is one, so that a stopped run goes on."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        kept = path.read_text().splitlines() if path and path.exists() else []
        self._known = {tuple(row["key"]): row for row in map(json.loads, kept)}

    def knows(self, key: tuple[str, int]) -> bool:
        """Return whether the row of that key is known."""
        return key in self._known

    def get(self, key: tuple[str, int], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the row of that key, made if it is not known."""
        if key not in self._known:
            row = {"key": key, **make()}
            self._known[key] = row
            progress(json.dumps(row))
            if self._path:
                with self._path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
        return self._known[key]

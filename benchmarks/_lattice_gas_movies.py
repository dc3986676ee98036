"""The lattice gas in benchmarks: the published parameters, others near them, and rows to keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _report import progress

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}
START = {"k1": 0.355, "k2": 0.91, "k3": 0.059, "D_A": 0.35, "D_B": 0.73}


def other_truths(count: int) -> list[dict[str, float]]:
    """Return the published parameters, each times a factor of its own, U(0.7, 1.3)."""
    rng = np.random.default_rng(1)
    return [{k: float(v * rng.uniform(0.7, 1.3)) for k, v in TRUTH.items()} for _ in range(count)]


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

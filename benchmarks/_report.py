"""What every benchmark prints: paragraphs, tables and the versions that made them."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results"
_PACKAGES = ("numpy", "jax", "numba")


class Page:
    """A page of results, printed as it is written, and saved by `save` if asked for. Final."""

    def __init__(self, name: str, title: str) -> None:
        self.name = name
        self._lines: list[str] = []
        self._began = time.perf_counter()
        self._put(f"# {title}\n")

    def text(self, paragraph: str) -> None:
        """Write a paragraph, given as a literal of any layout."""
        flat = " ".join(paragraph.split())
        self._put(textwrap.fill(flat, 100, break_long_words=False, break_on_hyphens=False) + "\n")

    def heading(self, title: str) -> None:
        """Write a heading of the second order."""
        self._put(f"## {title}\n")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write a table; floats are shown to four digits, all else by ``str``."""
        cells = [[str(h) for h in head], *([_cell(v) for v in row] for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
        lines = [_row(row, widths) for row in cells]
        lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
        self._put("\n".join(lines) + "\n")

    def part(self, write: Callable[[Page], None], kept: Path | None) -> None:
        """Write what ``write`` does, or what it did when the file ``kept`` was made."""
        if kept is not None and kept.exists():
            self._put(kept.read_text(encoding="utf-8"))
            return
        before = len(self._lines)
        write(self)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_text("\n".join(self._lines[before:]), encoding="utf-8")

    def finish(self, save: bool) -> None:
        """Write the versions and the time taken; with ``save``, the page to docs/results."""
        minutes = (time.perf_counter() - self._began) / 60
        self._put("---\n")
        self.text(
            f"Printed by `python benchmarks/{Path(sys.argv[0]).name}` in {minutes:.1f} minutes, "
            f"with {versions()}."
        )
        if save:
            _RESULTS.mkdir(parents=True, exist_ok=True)
            path = _RESULTS / f"{self.name}.md"
            path.write_text("\n".join(self._lines), encoding="utf-8")
            print(f"saved {path}", file=sys.stderr)

    def _put(self, block: str) -> None:
        self._lines.append(block)
        print(block, flush=True)


def arguments(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that knows ``--save``."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument("--save", action="store_true", help="write the page to docs/results/")
    return parser


def settings(options: argparse.Namespace) -> str:
    """Return the options that figures depend on, as they would be given; places are left out."""
    parts = []
    for name, value in vars(options).items():
        if isinstance(value, (bool, Path)) or name == "core":
            continue
        shown = " ".join(map(str, value)) if isinstance(value, list) else f"{value}"
        parts.append(f"--{name.replace('_', '-')} {shown}")
    return " ".join(parts)


def versions() -> str:
    """Return the versions that the figures depend on, and the number of processors."""
    parts = [f"python {platform.python_version()}"]
    parts += [f"{name} {metadata.version(name)}" for name in _PACKAGES]
    parts.append(f"tumble {_tumble_version()}")
    return ", ".join(parts) + f", on {os.cpu_count()} processors ({platform.machine()})"


def progress(message: str) -> None:
    """Say on the error stream how far a long benchmark is."""
    print(message, file=sys.stderr, flush=True)


def _tumble_version() -> str:
    import tumble

    return tumble.__version__


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (c.ljust(w) for c, w in zip(cells, widths, strict=True))
    return "| " + " | ".join(padded) + " |"

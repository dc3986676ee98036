"""Progress in the terminal. A progress bar must never raise, nor change a result."""

from __future__ import annotations

import abc
import contextlib
import sys
from collections.abc import Iterator
from typing import Any


class AbstractProgress(abc.ABC):
    """Shows how far a verb has come."""

    @abc.abstractmethod
    def update(self, fraction: float, message: str) -> None:
        """Show that ``fraction`` (0 … 1) of the work is done, with one line of text."""

    @abc.abstractmethod
    def close(self) -> None:
        """Take the bar away."""


class NoProgress(AbstractProgress):
    """Shows nothing. Final."""

    def update(self, fraction: float, message: str) -> None:
        pass

    def close(self) -> None:
        pass


class TerminalProgress(AbstractProgress):
    """A bar on standard error, drawn by rich. Final."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(title, total=1.0, message="")
        self._bar.start()

    def update(self, fraction: float, message: str) -> None:
        with contextlib.suppress(Exception):
            self._bar.update(self._task, completed=min(max(fraction, 0.0), 1.0), message=message)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._bar.stop()


@contextlib.contextmanager
def showing(progress: Any, title: str) -> Iterator[AbstractProgress]:
    """Yield the bar that ``progress`` asks for and close it afterwards.

    ``progress`` is ``True`` (a bar), ``False`` (none), ``None`` (a bar when standard error is a
    terminal) or an `AbstractProgress`.
    """
    bar = _choose(progress, title)
    try:
        yield bar
    finally:
        bar.close()


class _Guarded(AbstractProgress):
    """A bar of somebody else's, which may break. Final."""

    def __init__(self, bar: AbstractProgress) -> None:
        self._bar = bar

    def update(self, fraction: float, message: str) -> None:
        with contextlib.suppress(Exception):
            self._bar.update(fraction, message)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._bar.close()


def _choose(progress: Any, title: str) -> AbstractProgress:
    if isinstance(progress, AbstractProgress):
        return _Guarded(progress)
    on_terminal = sys.stderr is not None and sys.stderr.isatty()
    wanted = on_terminal if progress is None else bool(progress)
    try:
        return TerminalProgress(title) if wanted else NoProgress()
    except Exception:  # a terminal that rich cannot draw on must not stop the work
        return NoProgress()

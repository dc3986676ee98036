"""What the command line sets up for its process; the library does none of it."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from types import FrameType

# Functions out of which no exception comes, and after how many seconds a signal that arrives in
# one of them comes again.
_FINALIZERS = ("__del__", "_xla_gc_callback")
_AGAIN = 0.02


def prepare_process() -> None:
    """Leave out what says nothing to a reader, and let a request to end be an orderly one."""
    if os.environ.get("TUMBLE_DEBUG") != "1":
        # An overflow on the way is no news to those who see how the fit ended.
        warnings.simplefilter("ignore", RuntimeWarning)
    with contextlib.suppress(ValueError):  # not in the main thread, where signals can be handled
        signal.signal(signal.SIGTERM, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """End the process, in good order, with the status that a shell gives to this signal."""
    if _is_finalizing(frame) and hasattr(signal, "setitimer"):
        # An exception would be dropped there, and the signal lost: it comes again.
        signal.signal(signal.SIGALRM, lambda _, later: _end(number, later))
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
        return
    raise SystemExit(128 + number)


def _is_finalizing(frame: FrameType | None) -> bool:
    """Return whether Python is at something of which it drops exceptions, such as ``__del__``."""
    while frame is not None:
        if frame.f_code.co_name in _FINALIZERS:
            return True
        frame = frame.f_back
    return False

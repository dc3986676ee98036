"""A time limit on a call of a Python function."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from tumble._errors import CapabilityError

# An alarm that goes off where Python drops exceptions, as in a finalizer, is repeated.
_AGAIN = 0.05


class CallTimedOut(BaseException):
    """A call took too long.

    Not an `Exception`, so that a function that catches those does not catch this one.
    """


@contextmanager
def time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `CallTimedOut` in the body if it takes longer than ``seconds`` (``None``: no limit).

    The alarm of the operating system interrupts Python between two of its instructions, so loops,
    sleeps and waits, but not a single call of compiled code, which it follows. An alarm that was
    set before goes off when it would have. Raises `CapabilityError` in a thread other than the main
    one, and where there are no alarms (Windows).
    """
    if seconds is None:
        yield
        return
    in_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "setitimer") or not in_main:
        raise CapabilityError(
            "the time limit of a BlackBox needs the main thread of a process, and an operating "
            "system with alarms. Leave out `executor` or give a ProcessPoolExecutor; or wrap the "
            "simulator as an ExternalProgram, which has a time limit everywhere."
        )

    running = True

    def interrupt(number: int, frame: FrameType | None) -> None:
        if running:
            raise CallTimedOut(f"stopped after {seconds:g} s")

    handler = signal.signal(signal.SIGALRM, interrupt)
    begun = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        try:
            yield
        finally:
            running = False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, handler)
        if left > 0:
            rest = max(left - (time.monotonic() - begun), 1e-6)
            signal.setitimer(signal.ITIMER_REAL, rest, interval)

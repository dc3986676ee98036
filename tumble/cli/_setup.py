"""What the command line sets up for its process; the library does none of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import signal
import sys
import warnings
from pathlib import Path
from types import FrameType

# Functions out of which no exception comes, and after how many seconds a signal that arrives in
# one of them comes again.
_FINALIZERS = ("__del__", "_xla_gc_callback")
_AGAIN = 0.02


def prepare_process() -> None:
    """Keep compiled code between runs, and let a request to end be an orderly one."""
    _keep_compiled_code()
    if os.environ.get("TUMBLE_DEBUG") != "1":
        # An overflow on the way is no news to those who see how the fit ended.
        warnings.simplefilter("ignore", RuntimeWarning)
    with contextlib.suppress(ValueError):  # not in the main thread, where signals can be handled
        signal.signal(signal.SIGTERM, _end)


def _keep_compiled_code() -> None:
    # By the environment, so that neither JAX is loaded here nor a choice of the user replaced.
    if "JAX_COMPILATION_CACHE_DIR" in os.environ or "jax" in sys.modules:
        return
    folder = cache_folder() / "jax" / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            return
    except OSError:  # a cache is a convenience; without one the run takes longer
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def _processor() -> str:
    """Return a name for the kind of processor.

    XLA compiles for the one it runs on and does not ask again: of several machines that share a
    home folder, each needs code of its own, or it may meet instructions that it does not have.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        kind = platform.processor()
    return hashlib.blake2b(f"{platform.machine()} {kind}".encode(), digest_size=8).hexdigest()


def cache_folder() -> Path:
    """Return the folder of this user's caches for tumble."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "tumble"


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

"""Kernels written out for one network: made when they pay, in a process of their own, and kept.

A network whose runs take a while gets a kernel of its own, compiled beside the running work and
stored in the user's cache folder: ``TUMBLE_CACHE_DIR``, or the system's place for caches; nothing
is compiled or stored when that variable is set to nothing. Since all kernels give bitwise the same
paths, the moment of the change has no influence on any result.
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tumble._cache_folder import cache_folder, prune
from tumble.kernels import DIGEST
from tumble.kernels._generated_source import source
from tumble.kernels._lanes import Job
from tumble.models import ReactionNetwork

# Beyond this many rows of work a written-out step is too long to compile and to gain.
_MOST_ROWS = 250
# Seconds: what loading a stored kernel takes, and what compiling takes, as found on one machine.
_LOADING = 0.3
_COMPILING, _COMPILING_A_REACTION = 5.0, 0.5
# A kernel is made once the work at hand takes this part of compiling it. Waiting until it pays at
# once would never make one for work of seconds that is done again every day.
_EAGERNESS = 0.1
_KEPT_FILES = 200

Kernel = Callable[[Job], None]


@dataclass
class _Entry:
    """What is known about the kernel of one network. Final."""

    path: Path
    text: str
    patience: float  # seconds of work without it
    spent: float = 0.0
    pace: float = 0.0
    kernel: Kernel | None = None
    process: subprocess.Popen[bytes] | None = None
    given_up: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_ready(self) -> bool:
        """Whether the compiled kernel lies on disk."""
        return self.path.with_suffix(".ready").exists()

    @property
    def is_compiling(self) -> bool:
        """Whether the process that compiles it is at work."""
        return self.process is not None and self.process.poll() is None


_entries: dict[str, _Entry] = {}
_entries_lock = threading.Lock()


class GeneratedKernel:
    """The kernel of one network, once it pays to have one. Final."""

    def __init__(self, network: ReactionNetwork) -> None:
        self._entry = _entry(network)

    def get(self, rows_ahead: float) -> Kernel | None:
        """Return the kernel if it is at hand; see to it that it will be, if it pays.

        ``rows_ahead`` is how many more runs one worker is going to do.
        """
        entry = self._entry
        if entry is None or entry.given_up:
            return None
        with entry.lock:
            ahead = entry.spent + entry.pace * rows_ahead
            if entry.kernel is None and ahead > _LOADING and entry.is_ready:
                _load(entry)
            elif entry.kernel is None and ahead > entry.patience and entry.process is None:
                _start_compiling(entry)
            elif entry.process is not None and entry.process.poll() not in (None, 0):
                entry.given_up = True
            return entry.kernel

    @property
    def is_compiling(self) -> bool:
        """Whether it is being made right now."""
        return self._entry is not None and self._entry.is_compiling

    def account(self, seconds: float, num_rows: int) -> None:
        """Take note of the time that runs took without it."""
        if self._entry is not None:
            with self._entry.lock:
                self._entry.spent += seconds
                self._entry.pace = seconds / num_rows

    def wait(self, seconds: float) -> Kernel | None:
        """Return the kernel, compiled now if need be; None where that fails or takes longer."""
        entry = self._entry
        if entry is None:
            return None
        end = time.monotonic() + seconds
        while not (entry.is_ready or entry.given_up) and time.monotonic() < end:
            with entry.lock:
                if entry.process is None:
                    _start_compiling(entry)
                elif entry.process.poll() not in (None, 0):
                    entry.given_up = True
            time.sleep(0.05)
        with entry.lock:
            if entry.kernel is None and entry.is_ready:
                _load(entry)
            return entry.kernel


def compile_module(path: str) -> None:
    """Compile the kernel in a file that was written by `GeneratedKernel`, and mark it as ready."""
    from tumble.kernels._compile import empty_job

    module = _import(Path(path))
    module.run(empty_job(module.HAS_LAWS))
    Path(path).with_suffix(".ready").touch()


def _entry(network: ReactionNetwork) -> _Entry | None:
    num_reactions = len(network.reactions)
    if num_reactions + 2 * len(network.species) > _MOST_ROWS:
        return None
    folder = cache_folder("kernels")
    if folder is None:
        return None
    name, text = _named_source(network)
    with _entries_lock:
        if name not in _entries:
            seconds = _COMPILING + _COMPILING_A_REACTION * num_reactions
            _entries[name] = _Entry(folder / f"network_{name}.py", text, _EAGERNESS * seconds)
        return _entries[name]


@lru_cache(maxsize=64)
def _named_source(network: ReactionNetwork) -> tuple[str, str]:
    text = source(network)
    return hashlib.blake2b((DIGEST + text).encode(), digest_size=12).hexdigest(), text


def _load(entry: _Entry) -> None:
    """Import a compiled kernel, unless its file is not what we would write."""
    try:
        if entry.path.read_text() == entry.text:
            entry.kernel = _import(entry.path).run
            return
    except Exception:  # a damaged cache costs speed, nothing else
        pass
    entry.given_up = True


def _import(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where Numba looks for the module of a cached function
    spec.loader.exec_module(module)
    return module


def _start_compiling(entry: _Entry) -> None:
    if any(other.is_compiling for other in list(_entries.values())):
        return  # one at a time: whoever tries many networks has other use for the processor
    command = [sys.executable, "-m", "tumble.kernels._compile", str(entry.path)]
    try:
        entry.path.parent.mkdir(parents=True, exist_ok=True)
        prune(entry.path.parent, "network_*.py", _KEPT_FILES, _delete)
        new = entry.path.with_suffix(f".{os.getpid()}.tmp")
        new.write_text(entry.text)
        new.replace(entry.path)
        entry.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=_environment(), start_new_session=True,
        )  # fmt: skip
    except (OSError, TypeError):  # a read-only home, or an interpreter that cannot be started again
        entry.given_up = True


def _environment() -> dict[str, str]:
    """Return the environment in which this very package is found again."""
    root = str(Path(__file__).parents[2])
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, before] if before else [root])}


def _delete(path: Path) -> None:
    """Delete a kernel with what was compiled of it."""
    compiled = path.parent.glob(f"__pycache__/{path.stem}*")
    for part in [path, path.with_suffix(".ready"), *compiled]:
        part.unlink(missing_ok=True)


@atexit.register
def _stop_compiling() -> None:
    for entry in _entries.values():
        if entry.process is not None and entry.process.poll() is None:
            entry.process.kill()

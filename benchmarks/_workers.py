"""Ask a worker, in a process and an environment of its own, and note when each line of it came."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from _ssa_engines import ONE_THREAD, last_line

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
PEERS_PYTHON = _HERE / ".venv-peers" / "bin" / "python"


@dataclass(frozen=True)
class Reply:
    """What a worker said. Final.

    ``lines`` of its answer; ``seconds`` from the start of the process to each of them; ``failure``,
    empty where it ended by itself and well.
    """

    lines: tuple[dict[str, Any], ...]
    seconds: tuple[float, ...]
    failure: str

    @property
    def last(self) -> dict[str, Any]:
        """The last line; an empty one where there is none."""
        return self.lines[-1] if self.lines else {}

    def first(self, flag: str) -> tuple[dict[str, Any], float]:
        """Return the first line in which ``flag`` is true, and its time; {} and inf without one."""
        found = [i for i, line in enumerate(self.lines) if line.get(flag)]
        return self._at(found[0]) if found else ({}, float("inf"))

    def for_good(self, flag: str) -> tuple[dict[str, Any], float]:
        """Return the first line from which on ``flag`` is true in all; {} and inf without one."""
        lost = [i for i, line in enumerate(self.lines) if not line.get(flag)]
        begin = lost[-1] + 1 if lost else 0
        return self._at(begin) if begin < len(self.lines) else ({}, float("inf"))

    def _at(self, i: int) -> tuple[dict[str, Any], float]:
        return self.lines[i], self.seconds[i]

    @property
    def elapsed(self) -> float:
        """Seconds from the start of the process to the last line."""
        return self.seconds[-1] if self.seconds else float("nan")


@dataclass(frozen=True)
class Worker:
    """A module of `peers` that answers questions, in a fresh process for each. Final.

    Arguments: ``module``, such as "peers.tumble_fits"; ``python``, the interpreter of the peers'
    environment, or None for a worker of tumble itself.
    """

    module: str
    python: Path | None = None

    def ask(self, question: dict[str, Any], patience: float, caches: Path | None = None) -> Reply:
        """Return the reply to ``question``, or what there is of it after ``patience`` seconds.

        ``caches`` is the folder of caches of compiled code; without one they start empty.
        """
        if self.python is not None and not self.python.exists():
            return Reply((), (), f"no interpreter at {self.python}; see requirements-peers.txt")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            return self._run(question, patience, Path(folder), caches or Path(folder))

    def versions(self, *packages: str) -> str:
        """Return the versions of packages in the worker's environment, in words."""
        reply = self.ask({"task": "versions", "packages": packages}, 60.0)
        named = ", ".join(f"{name} {reply.last[name]}" for name in packages if name in reply.last)
        return named or reply.failure

    def _run(self, question: dict[str, Any], patience: float, folder: Path, caches: Path) -> Reply:
        lines: list[dict[str, Any]] = []
        seconds: list[float] = []
        with open(folder / "errors", "w+", encoding="utf-8") as errors:
            began = time.perf_counter()
            process = subprocess.Popen(
                [str(self.python or sys.executable), "-m", self.module],
                env=self._environment(folder, caches),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
            assert process.stdin is not None and process.stdout is not None
            reader = threading.Thread(
                target=_read, args=(process.stdout, began, lines, seconds), daemon=True
            )
            reader.start()
            failure = ""
            try:
                with process.stdin as to:
                    json.dump(question, to)
                if process.wait(patience) != 0:
                    failure = f"exit status {process.returncode}"
            except subprocess.TimeoutExpired:
                failure = f"no end in {patience:g} s"
            except BrokenPipeError:
                failure = "ended before it read the question"
            finally:
                _end(process)
            reader.join(10.0)
            errors.seek(0)
            if failure and not failure.startswith("no end"):
                failure = last_line(errors.read()) or failure
        return Reply(tuple(lines), tuple(seconds), failure)

    def _environment(self, folder: Path, caches: Path) -> dict[str, str]:
        environment = {**os.environ, **ONE_THREAD}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        paths = [str(_HERE)] if self.python else [str(_HERE), str(_ROOT)]
        return environment | {
            "PYTHONPATH": os.pathsep.join(paths),
            "TMPDIR": str(folder),
            "XDG_CACHE_HOME": str(caches),
            "NUMBA_CACHE_DIR": str(caches),
        }


def _read(stream: IO[str], began: float, lines: list[dict[str, Any]], seconds: list[float]) -> None:
    for line in stream:
        try:
            parsed = json.loads(line)
        except ValueError:  # the worker was ended in the middle of a line
            return
        lines.append(parsed)
        seconds.append(time.perf_counter() - began)


def _end(process: subprocess.Popen[str]) -> None:
    """End the worker and what it started, such as a compiler in the background."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

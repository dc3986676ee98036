"""Ask an engine, in a process and an environment of its own, for one timing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from peers import ENGINES, Network

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parent
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
}


class EngineError(Exception):
    """An engine gave no answer; the message says why in a line."""


@dataclass(frozen=True)
class Launcher:
    """Starts engines. Final.

    Arguments: ``peers_python``, the interpreter of the peers' environment; ``lasting``, a folder
    for caches that outlive a process; ``timeout``, seconds after which an engine is given up.
    """

    peers_python: Path
    lasting: Path
    timeout: float

    def ask(
        self,
        name: str,
        network: Network,
        task: str,
        *,
        caches: str = "",
        patience: float = 1.0,
        **request: Any,
    ) -> dict[str, Any]:
        """Return what the engine ``name`` answers to a task of `peers.__main__`.

        Caches of compiled code start empty, or are those that an earlier question with the same
        name for ``caches`` left. ``patience`` multiplies the time allowed. Raises `EngineError`.
        """
        is_peer = ENGINES[name].is_peer
        if is_peer and not self.peers_python.exists():
            raise EngineError(f"no interpreter at {self.peers_python}; see requirements-peers.txt")
        python = str(self.peers_python) if is_peer else sys.executable
        allowed = patience * self.timeout
        question = {"engine": name, "network": asdict(network), "task": task, **request}
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            process = subprocess.Popen(
                [python, "-m", "peers"],
                env=self._environment(Path(python), is_peer, folder, caches),
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            try:
                out, err = process.communicate(json.dumps(question), timeout=allowed)
            except subprocess.TimeoutExpired:
                raise EngineError(f"no answer to {task!r} in {allowed:g} s") from None
            finally:
                _end(process)
        if process.returncode != 0:
            raise EngineError(last_line(err) or f"exit status {process.returncode}")
        answer: dict[str, Any] = json.loads(out)
        return answer

    def _environment(self, python: Path, is_peer: bool, folder: str, caches: str) -> dict[str, str]:
        environment = {**os.environ, **ONE_THREAD}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        kept = str(self.lasting / caches) if caches else folder
        paths = [str(_HERE)] if is_peer else [str(_HERE), str(_ROOT)]
        return environment | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PATH": os.pathsep.join([str(python.parent), environment.get("PATH", "")]),
            "TMPDIR": folder,
            "XDG_CACHE_HOME": kept,
            "NUMBA_CACHE_DIR": kept,
            "MPLCONFIGDIR": str(self.lasting / "matplotlib"),
        }


def _end(process: subprocess.Popen[str]) -> None:
    """End what the engine may have left: GillesPy2 starts a program of its own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def last_line(text: str) -> str:
    """Return the line of an error stream that names the error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line.split(":")[0]]
    return (errors or lines or [""])[-1][:200]

"""Simulators that start a program of its own for each run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._execution import num_workers
from tumble._results import SampleCode
from tumble._typing import FloatArray
from tumble.models import ExternalProgram
from tumble.simulators._base import (
    AbstractSimulator,
    Batch,
    PairSample,
    Sample,
    SupportsCoupling,
)
from tumble.simulators._calls import Returned, paired, sampled, spread

_GRACE = 5.0  # seconds for the pipes of what was killed to close
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class RunProgram(AbstractSimulator, SupportsCoupling):
    """Runs an `ExternalProgram`, as many at a time as there are cores.

    Definition: run i of a stream gets a seed that is a hash of the stream and i. A pair is two runs
    with the same seed at two parameters (common random numbers).

    Guarantee: what the program does. No run can take others with it: one that crashes, hangs or
    returns nonsense gets a `SampleCode`. When the call is interrupted (Ctrl-C), what is running is
    killed, with all that it has started. (Not so with an ``executor`` of threads, whose work
    nothing interrupts: there a run ends by its own time-out.)

    When: the simulator exists and is not Python, may hang, or may take the process with it. To
    start a program takes milliseconds, and an interpreter tens of them: what is written in Python
    is better a `BlackBox`.
    """

    exact: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    takes: ClassVar[type] = ExternalProgram
    shares_out: ClassVar[bool] = True

    def sample(self, model: ExternalProgram, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        return sampled(spread(run_programs, model, batch, executor))

    def sample_pairs(
        self, model: ExternalProgram, batch: Batch, *, executor: Any = None
    ) -> PairSample:
        """Run each side of the pairs with the same seeds."""
        return paired(run_programs, model, batch, executor)


def run_programs(model: ExternalProgram, batch: Batch) -> Returned:
    """Run the program once a row, side by side; in this process."""
    found = Returned.empty(model, batch)
    crew = _Crew(model)
    pool = ThreadPoolExecutor(num_workers(), thread_name_prefix="tumble-program")
    try:
        questions = (_question(model, batch, b) for b in range(len(batch.runs)))
        for b, answer in enumerate(pool.map(crew.run, questions)):
            if isinstance(answer, _Failure):
                found.fail([b], answer.code, answer.message)
            else:
                found.outputs[b] = answer
    except BaseException:
        crew.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return found


@dataclass(frozen=True)
class _Failure:
    code: SampleCode
    message: str


class _Crew:
    """The processes of one batch, which can be stopped together. Final."""

    def __init__(self, model: ExternalProgram) -> None:
        self._model = model
        self._environment = {**os.environ, **model.environment}
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, question: tuple[bytes, int]) -> FloatArray | _Failure:
        """Run the program once; return its outputs [T, O] or what went wrong."""
        text, num_times = question
        try:
            process = self._start()
        except OSError as error:
            return _Failure(SampleCode.EXIT_STATUS, f"it could not be started: {error}")
        if process is None:
            return _Failure(SampleCode.EXIT_STATUS, "it was stopped")
        try:
            written, complained = process.communicate(text, timeout=self._model.timeout)
        except subprocess.TimeoutExpired:
            _end(process)
            return _Failure(SampleCode.TIMEOUT, f"killed after {self._model.timeout:g} s")
        finally:
            with self._lock:
                self._running.discard(process)
            _kill(process)  # whatever it has left behind
        if process.returncode != 0:
            status = _status(process.returncode)
            return _Failure(SampleCode.EXIT_STATUS, f"{status}{_said(complained)}")
        return _answer(self._model, written, num_times)

    def stop(self) -> None:
        """Kill what is running, and start nothing more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _kill(process)

    def _start(self) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                self._model.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._model.folder,
                env=self._environment,
                start_new_session=True,  # a group of its own, so that its children can be found
            )
            self._running.add(process)
            return process


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all of its group."""
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and wait until it is gone."""
    _kill(process)
    try:
        process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired:  # something that left the group holds its pipes
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def _question(model: ExternalProgram, batch: Batch, row: int) -> tuple[bytes, int]:
    """Return what run ``row`` reads, and how many times it is asked for."""
    question = {
        "params": dict(zip(model.parameters, map(float, batch.params[row]), strict=True)),
        "initial": dict(zip(model.initial, map(int, batch.initial[row]), strict=True)),
        "times": [float(t) for t in batch.times],
        "start": float(batch.start),
        "seed": batch.stream.child("program", int(batch.runs[row])).key >> 1,
    }
    return json.dumps(question).encode(), len(batch.times)


def _answer(model: ExternalProgram, written: bytes, num_times: int) -> FloatArray | _Failure:
    shape = (num_times, len(model.outputs))
    try:
        outputs = json.loads(written)["outputs"]
        if isinstance(outputs, dict):
            outputs = np.transpose([np.asarray(outputs[name], float) for name in model.outputs])
        array = np.asarray(outputs, dtype=float)
    except KeyError as error:
        return _Failure(SampleCode.WRONG_OUTPUT, f"its answer has no {error}{_said(written)}")
    except (ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        return _Failure(SampleCode.WRONG_OUTPUT, f"{reason[:_LONGEST_MESSAGE]}{_said(written)}")
    if array.shape != shape:
        what = f"it returned outputs of shape {array.shape}, expected {shape}"
        return _Failure(SampleCode.WRONG_OUTPUT, what)
    if not np.all(np.isfinite(array)):
        t, o = np.argwhere(~np.isfinite(array))[0]
        what = f"output {model.outputs[o]!r} is {array[t, o]} at time number {t}"
        return _Failure(SampleCode.NOT_FINITE, what)
    return array


def _status(code: int) -> str:
    if code >= 0:
        return f"it ended with status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"it was ended by {name}"


def _said(written: bytes) -> str:
    """Return the first line of what was written; of a traceback of Python, the last one."""
    lines = [line.strip() for line in written.decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    if not lines:
        return ""
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    return f": {line[:_LONGEST_MESSAGE]}"

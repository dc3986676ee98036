"""A trained machine as a file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tumble._budget import Spending
from tumble._checkpoint import load_state, save_state
from tumble._errors import RunFolderError, TumbleError, require_member
from tumble._problem import Problem
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.diagnostics import Calibration
from tumble.machines import AbstractMachine, Novelty, TrainedMachine, TrainingRound, TrainingTask

_WORDS = {
    "what": "machine",
    "of": "problem, or its data had another shape",
    "advice": "give the problem that it was trained for, or train it anew",
}


@dataclass(frozen=True)
class _Told:
    """What is known of a training, but for what was learnt. Final."""

    result: str
    reason: str
    stats: tuple[str, ...]
    figures: tuple[float, ...]
    seed: int
    num_draws: int


def save_machine(machine: TrainedMachine, path: str | os.PathLike[str]) -> Path:
    """Write a trained machine to a file, completely or not at all, and return its path.

    It holds arrays (of NumPy, in a zip archive), and nothing that is run when it is read. Raises
    `RunFolderError` when the file cannot be written.
    """
    path = Path(path)
    told = _Told(
        machine.result.value, machine.reason, tuple(machine.stats),
        tuple(float(v) for v in machine.stats.values()), machine.seed, machine.num_draws,
    )  # fmt: skip
    parts = {
        "machine": machine.machine, "weights": machine.inference.weights,
        "calibration": machine.calibration, "novelty": machine.novelty, "rounds": machine.rounds,
        "told": told,
    }  # fmt: skip
    try:
        save_state(path, parts, machine.problem.fingerprint(data=False))
    except OSError as error:
        raise RunFolderError(f"'{path}' cannot be written: {error.strerror}.") from None
    return path


def load_machine(path: str | os.PathLike[str], problem: Problem) -> TrainedMachine:
    """Read what `save_machine` wrote, for the ``problem`` that it was trained for.

    Raises `RunFolderError`.
    """
    path = Path(path)
    require_member("problem", problem, Problem, "a Problem")
    fingerprint = problem.fingerprint(data=False)
    try:
        first = load_state(path, {"machine": AbstractMachine}, fingerprint, **_WORDS)
        if first is None:
            raise RunFolderError(f"there is no file '{path}'.")
        machine: AbstractMachine = first["machine"]
        like = {
            "weights": machine.weights_type, "calibration": Calibration, "novelty": Novelty,
            "rounds": tuple[TrainingRound, ...], "told": _Told,
        }  # fmt: skip
        parts = load_state(path, like, fingerprint, **_WORDS)
    except TumbleError as error:
        raise RunFolderError(str(error)) from None
    assert parts is not None
    told: _Told = parts["told"]
    task = TrainingTask(problem, Stream.from_seed(told.seed), Spending(None))
    return TrainedMachine(
        problem, machine, machine.restored(task, parts["weights"]), parts["calibration"],
        parts["novelty"], parts["rounds"], ResultCode(told.result), told.reason,
        dict(zip(told.stats, told.figures, strict=True)), told.seed, told.num_draws,
    )  # fmt: skip

"""What the phases of a fit share, and the one loop that drives every optimizer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tumble._budget import Spending
from tumble._checkpoint import load_state, save_state
from tumble._fit_result import FitStep
from tumble._gradient_source import NOTHING, GradientSource
from tumble._problem import Problem
from tumble._progress import AbstractProgress, NoProgress
from tumble._random import Stream
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.gradients import AbstractEstimator, Auto
from tumble.objectives import AbstractObjective, BoundLikelihood, BoundOutputs
from tumble.optimizers import AbstractOptimizer, Report, Stop

_TYPICAL_STEPS = 40  # for the progress bar, which cannot know better


@dataclass(frozen=True)
class Main:
    """Marks the phase that a checkpoint is taken of; ``source`` is what it remembers besides."""

    source: GradientSource | None = None


@dataclass
class FitRun:
    """One call of `fit`. Final; the fields are its arguments, checked, and what has been done."""

    problem: Problem
    objective: AbstractObjective
    bound: BoundLikelihood | BoundOutputs
    gradient: AbstractEstimator | Auto
    optimizer: AbstractOptimizer
    starts: FloatArray
    max_steps: int
    tolerance: float
    stream: Stream
    spending: Spending
    executor: Any
    callback: Callable[[FitStep], None] | None
    checkpoint: Path | None
    warnings: list[str]
    bar: AbstractProgress = field(default_factory=NoProgress)
    history: list[FitStep] = field(default_factory=list)

    def loop(
        self,
        optimizer: AbstractOptimizer,
        task: Any,
        starts: FloatArray,
        phase: str,
        main: Main | None,
    ) -> tuple[Any, Stop]:
        """Step until the optimizer stops or a limit is reached; return its State and the `Stop`."""
        first = len(self.history)
        state = optimizer.init(task, starts)
        if main is not None:
            state = self._resume(state, main, phase)
        stop: Stop | None = state.stop
        try:
            while stop is None:
                state, report = optimizer.step(task, state)
                self._record(report, phase)
                stop = state.stop
                if stop is None and main is not None:
                    self._save(state, main, first)
                if stop is None and self.spending.exhausted:
                    stop = Stop(ResultCode.OUT_OF_BUDGET, "the budget is spent")
                elif stop is None and len(self.history) - first >= self.max_steps:
                    stop = Stop(ResultCode.MAX_STEPS, f"no convergence in {self.max_steps} steps")
        except KeyboardInterrupt:
            stop = Stop(ResultCode.INTERRUPTED, "stopped by hand")
        if self.checkpoint is not None and main is not None and stop.code.ok:
            self.checkpoint.unlink(missing_ok=True)
        return state, stop

    def _record(self, report: Report, phase: str) -> None:
        theta = np.asarray(self.problem.space.from_fit(report.z))
        step = FitStep(
            len(self.history) + 1,
            phase,
            report.loss,
            report.gradient_norm,
            report.noise_norm,
            report.num_runs,
            self.spending.seconds,
            tuple(float(x) for x in theta),
        )
        self.history.append(step)
        fraction = min(0.95, step.step / _TYPICAL_STEPS)
        self.bar.update(fraction, f"{phase} {step.step}: loss {report.loss:.6g}")
        if self.callback is not None:
            self.callback(step)

    # -- checkpoints ---------------------------------------------------------------------------

    def _save(self, state: Any, main: Main, first: int) -> None:
        if self.checkpoint is None:
            return
        steps = self.history[first:]
        numbers = [
            (s.loss, s.gradient_norm, s.noise_norm, s.num_runs, s.seconds, *s.params) for s in steps
        ]
        memory = NOTHING if main.source is None else main.source.memory
        spent = (self.spending.simulations, self.spending.seconds)
        parts = {"state": state, "memory": memory, "spent": spent, "history": np.array(numbers)}
        save_state(self.checkpoint, parts, self._fingerprint())

    def _resume(self, state: Any, main: Main, phase: str) -> Any:
        if self.checkpoint is None:
            return state
        like = {"state": state, "memory": NOTHING, "spent": (0, 0.0), "history": np.empty(0)}
        parts = load_state(self.checkpoint, like, self._fingerprint())
        if parts is None:
            return state
        if main.source is not None:
            main.source.memory = parts["memory"]
        self.spending.resume(*parts["spent"])
        for row in parts["history"]:
            loss, gradient, noise, runs, seconds, *theta = (float(x) for x in row)
            number = len(self.history) + 1
            self.history.append(
                FitStep(number, phase, loss, gradient, noise, int(runs), seconds, tuple(theta))
            )
        return parts["state"]

    def _fingerprint(self) -> str:
        """Return what a checkpoint must share with this run to be taken up by it."""
        options = (self.objective, self.gradient, type(self.optimizer).__name__, self.tolerance)
        return self.problem.fingerprint(*options, self.stream, self.starts.tolist())

"""Any optax optimizer, made to know its bounds and its noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import CapabilityError
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.optimizers._base import (
    AbstractOptimizer,
    AbstractState,
    DeterministicTask,
    NoisyTask,
    Report,
    Solution,
    Stop,
    free_coordinates,
)

_MIN_TAIL = 20


@dataclass(frozen=True)
class OptaxState(AbstractState):
    """The points and what the optimizer remembers.

    ``z`` [M, P] and the optimizer's own ``inner`` states; ``best`` [M, P] and ``values`` [M]
    (deterministic losses); ``tail`` [K, P], the iterates since noise took over, and the ``wanted``
    [P] standard errors of their mean (noisy losses).
    """

    z: FloatArray
    inner: tuple[Any, ...]
    best: FloatArray
    values: FloatArray
    num_runs: int
    steps: int
    quiet: float
    tail: FloatArray
    wanted: FloatArray
    loss: float = np.inf
    stop: Stop | None = None


@dataclass(frozen=True)
class Optax(AbstractOptimizer):
    """Runs an `optax.GradientTransformation` on the fit scale, with projection onto the bounds.

    Deterministic losses: each start by itself, finished when the free gradient moves a parameter by
    less than ``tolerance``. Noisy losses: the first start; the runs a step grow by half whenever
    the gradient has long been no larger than its noise; from then on iterates are averaged, and it
    stops when the standard error of the average (from batches of the tail) is at most ``tolerance``
    or a tenth of the error that the data leave.

    Arguments: ``transformation``, such as ``optax.adam(0.05)``; transformations that need
    ``value_fn`` (line searches) raise `CapabilityError`. ``first_runs`` and ``max_runs`` of the
    simulator a step.
    """

    transformation: Any
    first_runs: int = 256
    max_runs: int = 16_384
    task: ClassVar[tuple[type, ...]] = (DeterministicTask, NoisyTask)

    def init(self, task: DeterministicTask | NoisyTask, starts: FloatArray) -> OptaxState:
        """See `AbstractOptimizer.init`."""
        if isinstance(task, NoisyTask):
            starts = starts[:1]
        z = np.asarray(task.space.clip(starts), dtype=float)
        with _double_precision():
            inner = tuple(self.transformation.init(row) for row in z)
        nothing = np.empty((0, z.shape[1]))
        return OptaxState(
            z,
            inner,
            z,
            np.full(len(z), np.inf),
            self.first_runs,
            0,
            1.0,
            nothing,
            np.zeros(z.shape[1]),
        )

    def step(
        self, task: DeterministicTask | NoisyTask, state: OptaxState
    ) -> tuple[OptaxState, Report]:
        """See `AbstractOptimizer.step`."""
        if isinstance(task, NoisyTask):
            return self._noisy_step(task, state)
        evaluation = task.evaluate(state.z, np.arange(len(state.z)))
        better = evaluation.values < state.values
        best = np.where(better[:, None], state.z, state.best)
        values = np.where(better, evaluation.values, state.values)
        z, inner, frees = state.z.copy(), list(state.inner), []
        for m in range(len(z)):
            free = free_coordinates(task.space, z[m], evaluation.gradients[m])
            frees.append(evaluation.gradients[m] * free)
            z[m], inner[m] = self._move(task, z[m], frees[m], inner[m])
        stop = None
        if not np.any(np.isfinite(values)):
            stop = Stop(ResultCode.DIVERGED, "the loss is not finite at any start")
        elif np.abs(z - state.z).max() < task.tolerance:
            stop = Stop(ResultCode.CONVERGED, "no step moves a parameter any further")
        leader = int(np.argmin(values))
        after = replace(
            state, z=z, inner=tuple(inner), best=best, values=values, steps=state.steps + 1,
            loss=float(values[leader]), stop=stop,
        )  # fmt: skip
        norm = float(np.linalg.norm(frees[leader]))
        return after, Report(float(values[leader]), norm, 0.0, 0, best[leader])

    def solution(self, state: OptaxState) -> Solution:
        """See `AbstractOptimizer.solution`."""
        size = state.z.shape[1]
        if np.any(np.isfinite(state.values)):
            leader = int(np.argmin(state.values))
            noise = np.zeros((size, size))
            return Solution(state.best[leader], state.loss, state.values, noise, None)
        if not len(state.tail):
            return Solution(
                state.z[0], state.loss, np.array([state.loss]), np.full((size, size), np.nan), None
            )
        mean, noise = _tail_mean(state.tail)
        return Solution(mean, state.loss, np.array([state.loss]), noise, None)

    def _noisy_step(self, task: NoisyTask, state: OptaxState) -> tuple[OptaxState, Report]:
        estimate = task.estimate(state.z[0], state.num_runs, state.steps)
        free = free_coordinates(task.space, state.z[0], estimate.gradient)
        gradient = estimate.gradient * free
        signal = float(np.linalg.norm(gradient))
        noise = float(np.linalg.norm(estimate.standard_errors * free))
        # A running measure of signal to noise: about 1 where there is noise alone.
        ratio = signal**2 / max(noise**2, 1e-300)
        quiet = 0.8 * state.quiet + 0.2 * float(ratio < 4.0)
        z, inner = self._move(task, state.z[0], np.nan_to_num(gradient), state.inner[0])
        tail, wanted = state.tail, state.wanted
        stop, runs = None, state.num_runs
        if len(tail) or (quiet > 0.7 and state.steps >= _MIN_TAIL):
            wanted = wanted if len(tail) else task.precision(z)
            tail = np.concatenate([tail, z[None]])
            if len(tail) % _MIN_TAIL == 0:
                runs = min(self.max_runs, runs * 3 // 2)
                # The first half still remembers where it came from.
                error = np.sqrt(np.diag(_tail_mean(tail)[1]))
                if len(tail) >= 2 * _MIN_TAIL and np.all(error[free] <= wanted[free]):
                    stop = Stop(
                        ResultCode.NOISE_LIMITED,
                        "the gradient cannot be told from zero, and the averaged iterates scatter "
                        f"by at most {task.in_words(wanted[free])}",
                    )
        after = replace(
            state, z=z[None], inner=(inner,), num_runs=runs, steps=state.steps + 1, quiet=quiet,
            tail=tail, wanted=wanted, loss=estimate.value, stop=stop,
        )  # fmt: skip
        shown = _tail_mean(tail)[0] if len(tail) > 1 else z
        return after, Report(estimate.value, signal, noise, estimate.num_runs, shown)

    def _move(
        self, task: DeterministicTask | NoisyTask, z: FloatArray, gradient: FloatArray, inner: Any
    ) -> tuple[FloatArray, Any]:
        if not np.all(np.isfinite(gradient)):
            gradient = np.zeros_like(gradient)
        with _double_precision():
            try:
                update, inner = self.transformation.update(gradient, inner, z)
            except TypeError as error:
                raise CapabilityError(
                    f"this optax optimizer asks for more than gradients ({error}); leave out its "
                    "line search, or use optimizers.GaussNewton()."
                ) from None
            return np.asarray(task.space.clip(z + np.asarray(update))), inner


def _tail_mean(tail: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean [P] of the later half of the tail and its covariance [P, P] by batch means."""
    rows = tail[len(tail) // 2 :]
    size = rows.shape[1]
    batches = np.array_split(rows, 5)
    if len(rows) < 10:
        return rows.mean(0), np.full((size, size), np.inf)
    means = np.stack([b.mean(0) for b in batches])
    covariance = np.atleast_2d(np.cov(means, rowvar=False)) / len(batches)
    return rows.mean(0), covariance


def _double_precision() -> Any:
    import jax

    return jax.enable_x64(True)

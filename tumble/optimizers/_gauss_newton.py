"""Damped Gauss–Newton for losses that can be computed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tumble._results import ResultCode
from tumble._typing import FloatArray, IntArray
from tumble.optimizers._base import (
    AbstractOptimizer,
    AbstractState,
    DeterministicTask,
    Report,
    Solution,
    Stop,
    damped_newton_step,
    free_coordinates,
)

_LARGEST_DAMPING = 1e10
_SMALLEST_GAIN = 1e-8


@dataclass(frozen=True)
class GaussNewtonState(AbstractState):
    """M points side by side.

    ``z`` [M, P], ``values`` [M], ``gradients`` [M, P], ``curvatures``
    [M, P, P], ``damping`` [M], ``stretch`` [M] of the steps, ``finished`` [M]; ``steps`` so far and
    at the ``first_finish`` of a start (0: none yet).
    """

    z: FloatArray
    values: FloatArray
    gradients: FloatArray
    curvatures: FloatArray
    damping: FloatArray
    stretch: FloatArray
    finished: IntArray
    steps: int = 0
    first_finish: int = 0
    stop: Stop | None = None


@dataclass(frozen=True)
class GaussNewton(AbstractOptimizer):
    """Levenberg–Marquardt steps with the Gauss–Newton or Fisher curvature, from several starts.

    Definition: step −(C + λ diag C)⁻¹ g on the coordinates not held at a bound, taken when it
    lowers the loss (λ is then divided by 5), else λ is multiplied by 4. Where the objective brings
    no curvature, C is the BFGS matrix of the gradients seen. A start is finished when the undamped
    step is shorter than ``tolerance`` on the fit scale, when a step gains less than 1e-8 of the
    loss, or when no damping lowers it.

    Arguments: ``largest_step`` of any coordinate on the fit scale (default 1, a factor e on a log
    scale); ``first_damping``, default 0.01; ``patience``, default 2: starts that take that many
    times as many steps as the best one are given up (``inf``: never).

    Reference: Marquardt, J. SIAM 11 (1963), doi:10.1137/0111030; Smyth, Stat. Comput. 6 (1996),
    doi:10.1007/BF01889642 (Fisher scoring).
    """

    largest_step: float = 1.0
    first_damping: float = 0.01
    patience: float = 2.0
    task: ClassVar[tuple[type, ...]] = (DeterministicTask,)

    def init(self, task: DeterministicTask, starts: FloatArray) -> GaussNewtonState:
        """See `AbstractOptimizer.init`."""
        starts = np.asarray(task.space.clip(starts), dtype=float)
        evaluation = task.evaluate(starts, np.arange(len(starts)))
        count, size = starts.shape
        curvatures = evaluation.curvatures
        if curvatures is None:
            scale = np.linalg.norm(np.nan_to_num(evaluation.gradients), axis=1)
            curvatures = np.maximum(scale, 1e-6)[:, None, None] * np.eye(size)
        state = GaussNewtonState(
            starts,
            evaluation.values,
            evaluation.gradients,
            curvatures,
            np.full(count, self.first_damping),
            np.ones(count),
            (~np.isfinite(evaluation.values)).astype(np.int64),
        )
        if np.all(state.finished):
            reason = "the loss is not finite at any start"
            return replace(state, stop=Stop(ResultCode.DIVERGED, reason))
        return state

    def step(
        self, task: DeterministicTask, state: GaussNewtonState
    ) -> tuple[GaussNewtonState, Report]:
        """See `AbstractOptimizer.step`."""
        active = np.flatnonzero(state.finished == 0)
        trials = np.stack([self._trial(task, state, int(m)) for m in active])
        evaluation = task.evaluate(trials, active)
        z, values, gradients = state.z.copy(), state.values.copy(), state.gradients.copy()
        curvatures, damping = state.curvatures.copy(), state.damping.copy()
        stretch, finished = state.stretch.copy(), state.finished.copy()
        for i, m in enumerate(active):
            accepted = evaluation.values[i] < values[m]
            moved = np.abs(trials[i] - z[m]).max()
            gain = values[m] - evaluation.values[i]
            promised = -gradients[m] @ (trials[i] - z[m]) / 2
            if accepted:
                if evaluation.curvatures is None:
                    curvatures[m] = _bfgs(
                        curvatures[m], trials[i] - z[m], evaluation.gradients[i] - gradients[m]
                    )
                else:
                    curvatures[m] = evaluation.curvatures[i]
                z[m], values[m] = trials[i], evaluation.values[i]
                gradients[m] = evaluation.gradients[i]
                damping[m] = max(damping[m] / 5, 1e-9)
                # Gaining more than a quadratic promises, the curvature is too large: reach on.
                factor = 2.0 if gain > 1.5 * promised else 0.5 if gain < 0.75 * promised else 1.0
                stretch[m] = max(1.0, factor * stretch[m])
            else:
                damping[m] *= 4
                stretch[m] = 1.0
            still = self._newton_length(task, z[m], gradients[m], curvatures[m])
            stuck = not accepted and (damping[m] > _LARGEST_DAMPING or moved < 1e-12)
            settled = accepted and gain < _SMALLEST_GAIN * abs(values[m])
            short = still < task.tolerance and (accepted or moved < 1e-3)
            finished[m] = int(short or settled or stuck)
        best = int(np.argmin(values))
        steps = state.steps + 1
        first_finish = state.first_finish or (steps if finished[best] else 0)
        late = first_finish > 0 and steps >= self.patience * first_finish
        stop = None
        if np.all(finished) or (late and finished[best]):
            stop = Stop(ResultCode.CONVERGED, "no step lowers the loss any further")
        after = GaussNewtonState(
            z, values, gradients, curvatures, damping, stretch, finished, steps, first_finish, stop
        )
        free = free_coordinates(task.space, z[best], gradients[best])
        norm = float(np.linalg.norm(gradients[best] * free))
        return after, Report(float(values[best]), norm, 0.0, 0, z[best])

    def solution(self, state: GaussNewtonState) -> Solution:
        """See `AbstractOptimizer.solution`."""
        best = int(np.argmin(state.values))
        size = state.z.shape[1]
        return Solution(
            state.z[best],
            float(state.values[best]),
            state.values,
            np.zeros((size, size)),
            state.curvatures[best],
        )

    def _trial(self, task: DeterministicTask, state: GaussNewtonState, m: int) -> FloatArray:
        free = free_coordinates(task.space, state.z[m], state.gradients[m])
        step = damped_newton_step(
            state.gradients[m], state.curvatures[m], free, state.damping[m], self.largest_step
        )
        step *= min(state.stretch[m], self.largest_step / max(np.abs(step).max(), 1e-300))
        return np.asarray(task.space.clip(state.z[m] + step))

    def _newton_length(
        self, task: DeterministicTask, z: FloatArray, gradient: FloatArray, curvature: FloatArray
    ) -> float:
        free = free_coordinates(task.space, z, gradient)
        step = damped_newton_step(gradient, curvature, free, 1e-9, np.inf)
        return float(np.abs(task.space.clip(z + step) - z).max())


def _bfgs(matrix: FloatArray, step: FloatArray, change: FloatArray) -> FloatArray:
    """Return the BFGS update of a curvature matrix; unchanged where curvature is not positive."""
    along = step @ change
    pushed = matrix @ step
    if along <= 1e-10 * np.linalg.norm(step) * np.linalg.norm(change):
        return matrix
    return matrix + np.outer(change, change) / along - np.outer(pushed, pushed) / (step @ pushed)

"""Gauss–Newton steps on noisy gradients, then averaging."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray
from tumble.gradients import GradientEstimate, without_noise
from tumble.optimizers._base import (
    AbstractOptimizer,
    NoisyTask,
    Report,
    Solution,
    Stop,
    damped_newton_step,
    free_coordinates,
)
from tumble.optimizers._secant import (
    Visit,
    completed,
    left_out,
    measured_curvature,
    secant_curvature,
)
from tumble.optimizers._stochastic_state import StochasticState

_MEMORY, _FAR = 0.7, 0.4  # weight of the past in the running curvature, and where it fades
_STEP_DECAY = 0.7  # averaging phase: step k is k**-0.7 of a full one (Polyak and Juditsky)
_SIGNIFICANCE = 0.99
_AGAIN = 0.9999  # asked of a gradient that ends the averaging, which looks many times
_VAGUE = 0.2
_PROBE, _KNOWN = 0.2, 0.05  # distance, and the error of a minimum at which that tells curvatures
_EXACTLY = 0.1  # of the tolerance
_PROBE_AT, _WORTH_A_PROBE = 2, 4  # points in the average; runs missing, in those of a step
_SPAN = 3.0  # of a probe, in errors of the minimum
_GROWTH = 4  # of the runs a step, at most
_SHARPER = 8  # times as many runs a step as else, at most, where the curvature is not known


@dataclass(frozen=True)
class StochasticGaussNewton(AbstractOptimizer):
    """Damped Gauss–Newton steps while the gradient stands out of its noise, then averaged ones.

    Definition: while gᵀ Cov⁻¹ g exceeds the 99 % point of χ², a step −(C + λ diag C)⁻¹ g is taken
    (with the curvature of a majorant for C where the loss has kinks), and taken back half way (with
    ten times the damping) when the loss has risen by more than four standard errors. A gradient
    that does not stand out is not followed: where C⁻¹ Cov C⁻¹ says that it would leave a parameter
    uncertain by more than 0.2, the next step has two to four times as many runs. Otherwise steps
    shrink as k^-0.7, points z and gradients g are averaged, weighted by their runs, the estimate is
    the minimum z̄ − C⁻¹ ḡ that they point to, and a step takes the runs that are missing, up to four
    times as many as the one before; a gradient that stands out again (99.99 %) starts the descent
    anew. It stops when the standard error of the estimate, which is known from the gradients' own
    covariance, is for every parameter at most ``tolerance`` or a tenth of the error that the data
    leave, whichever is larger; and when less than half of what was measured of C in any direction
    is the noise of its Jacobians, else steps have up to eight times ``max_runs``.

    C is the Gauss–Newton matrix, of which the noise of Jacobians is taken out, and what that leaves
    out of the second derivative, as the changes of the gradient between steps tell it, and two
    points to both sides of the minimum where many runs are still missing. Without that steps would
    overshoot, or fall short, where the minimum of the loss is far from 0.

    Where neither the loss nor a model of it gives a curvature, as of an expected loss, C is the
    BFGS matrix of the changes of the gradient that stand out of their noise. Until there is one,
    steps downhill have half the largest length, with more and more runs. Where steps become short,
    and all directions matter, C is measured by differences of gradients.

    Arguments: ``first_runs`` of the simulator a step, default 256; ``max_runs`` a step, default
    16,384; ``largest_step`` of any coordinate on the fit scale, default 0.7.

    Reference: Polyak, Juditsky, SIAM J. Control Optim. 30 (1992), doi:10.1137/0330046.
    """

    first_runs: int = 256
    max_runs: int = 16_384
    largest_step: float = 0.7
    task: ClassVar[tuple[type, ...]] = (NoisyTask,)

    def init(self, task: NoisyTask, starts: FloatArray) -> StochasticState:
        """See `AbstractOptimizer.init`; uses the first of ``starts``."""
        z = np.asarray(task.space.clip(starts[0]), dtype=float)
        size = len(z)
        return StochasticState(
            z=z,
            curvature=np.full((size, size), np.nan),
            blur=np.zeros((size, size)),
            residual=np.zeros((size, size)),
            visited=Visit.nowhere(size),
            surveyed=0,
            accepted=z,
            accepted_loss=np.inf,
            accepted_variance=0.0,
            damping=1e-3,
            num_runs=self.first_runs,
            steps=0,
            count=0,
            weight=0.0,
            wanted=np.zeros(size),
            center=np.zeros(size),
            slope=np.zeros(size),
            mean=np.zeros(size),
            noise=np.zeros((size, size)),
            loss=np.inf,
        )

    def step(self, task: NoisyTask, state: StochasticState) -> tuple[StochasticState, Report]:
        """See `AbstractOptimizer.step`."""
        estimate = task.estimate(state.z, state.num_runs, state.steps)
        free = free_coordinates(task.space, state.z, estimate.gradient)
        curvature, blur, guessed = self._curvature(task, state, estimate)
        known = bool(np.all(np.isfinite(curvature)))
        usable = np.isfinite(estimate.value) and np.all(np.isfinite(estimate.gradient))
        is_first = state.visited.is_nowhere
        if usable:
            here = Visit(state.z, estimate.gradient, estimate.covariance)
            residual = state.residual
            if known and not guessed and estimate.majorant is None:
                sharp = without_noise(curvature, blur)
                residual = left_out(residual, sharp, state.visited, here)
            state = replace(state, visited=here, residual=residual)
        state = replace(
            state, curvature=curvature, blur=blur, loss=estimate.value, steps=state.steps + 1
        )
        if not usable or (known and state.count == 0 and self._has_risen(state, estimate)):
            after = self._take_back(task, state)
        elif not known:
            after = self._explore(task, state, estimate, free, more_runs=not is_first)
        elif guessed and not state.surveyed and _newton(state, estimate, free) < _PROBE:
            after = self._survey(task, state, estimate, free)
        elif self._is_off(task, state, estimate, free):
            after = self._descend(task, state, estimate, free)
        elif (vagueness := self._vagueness(state, estimate, free)) > 1:
            grown = int(np.clip(vagueness**2, 2, _GROWTH) * state.num_runs)
            after = replace(state, num_runs=min(self.max_runs, grown))
        else:
            after = self._average(task, state, estimate, free)
        report = Report(
            estimate.value,
            float(np.linalg.norm(estimate.gradient * free)),
            float(np.linalg.norm(estimate.standard_errors * free)),
            estimate.num_runs,
            after.mean if after.count else after.z,
        )
        return after, report

    def solution(self, state: StochasticState) -> Solution:
        """See `AbstractOptimizer.solution`."""
        z = state.mean if state.count else state.z
        noise = np.full_like(state.noise, np.nan)
        if state.count:
            inverse = np.linalg.pinv(state.sharp, hermitian=True)
            noise = inverse @ state.noise @ inverse / state.weight**2
        curvature = state.sharp if np.all(np.isfinite(state.curvature)) else None
        return Solution(z, state.loss, np.array([state.loss]), noise, curvature)

    def _curvature(
        self, task: NoisyTask, state: StochasticState, estimate: GradientEstimate
    ) -> tuple[FloatArray, FloatArray, bool]:
        """Return the curvature, the part of it that is noise, and whether it is a guess."""
        fresh, blur = estimate.curvature, estimate.curvature_noise
        if fresh is None or blur is None:
            fresh, blur = task.curvature(state.z), np.zeros_like(state.blur)
        if fresh is None:
            here = Visit(state.z, estimate.gradient, estimate.covariance)
            guess = secant_curvature(state.curvature, state.visited, here)
            return state.curvature if state.surveyed else guess, blur, True
        if np.any(np.isnan(state.curvature)):
            return fresh, blur, False
        # A running mean of what was seen nearby; while averaging, of all, weighted by runs.
        moved = np.nan_to_num(np.abs(state.z - state.visited.z).max())
        memory = _MEMORY * np.exp(-((moved / _FAR) ** 2))
        runs = estimate.num_runs
        weight = 1 - memory if state.count == 0 else runs / (state.weight + runs)
        return (
            (1 - weight) * state.curvature + weight * fresh,
            (1 - weight) * state.blur + weight * blur,
            False,
        )

    def _survey(
        self,
        task: NoisyTask,
        state: StochasticState,
        estimate: GradientEstimate,
        free: BoolArray,
    ) -> StochasticState:
        """Measure the curvature, and ask for more runs where they were too few for that."""

        def gradient(z: FloatArray) -> FloatArray:  # with the random numbers of this step
            return task.estimate(z, state.num_runs, state.steps - 1).gradient

        found = measured_curvature(gradient, state.z, task.space, _PROBE)
        if np.all(np.isfinite(found)):
            state = replace(state, curvature=found)
        vagueness = self._vagueness(state, estimate, free) * _VAGUE / _KNOWN
        if vagueness <= 1:
            return replace(state, surveyed=1)
        grown = int(np.clip(vagueness**2, 2, _GROWTH) * state.num_runs)
        return replace(state, num_runs=min(self.max_runs, grown))

    def _has_risen(self, state: StochasticState, estimate: GradientEstimate) -> bool:
        noise = np.sqrt(state.accepted_variance + estimate.value_variance)
        # Steps along a noisy gradient raise the loss by tr(C⁻¹ Cov) / 2 on average.
        inverse = np.linalg.pinv(_on_the_way(state, estimate), hermitian=True)
        wander = max(float(np.trace(inverse @ estimate.covariance)), 0.0) / 2
        return estimate.value > state.accepted_loss + 4 * (noise + wander)

    def _take_back(self, task: NoisyTask, state: StochasticState) -> StochasticState:
        if state.damping > 1e6:
            stop = Stop(ResultCode.DIVERGED, "no step lowers the loss; the start is not usable")
            return replace(state, z=state.accepted, stop=stop)
        # Half way back; more damping makes the next steps shorter too.
        middle = (state.z + state.accepted) / 2
        return replace(state, z=middle, damping=state.damping * 10)

    def _explore(
        self,
        task: NoisyTask,
        state: StochasticState,
        estimate: GradientEstimate,
        free: BoolArray,
        more_runs: bool,
    ) -> StochasticState:
        """Go downhill by half the largest step, to learn the curvature."""
        slope = estimate.gradient * free
        length = self.largest_step / 2 / max(float(np.abs(slope).max()), 1e-300)
        return replace(
            state,
            z=np.asarray(task.space.clip(state.z - length * slope)),
            accepted=state.z,
            accepted_loss=estimate.value,
            accepted_variance=estimate.value_variance,
            num_runs=min(self.max_runs, 2 * state.num_runs) if more_runs else state.num_runs,
        )

    def _descend(
        self,
        task: NoisyTask,
        state: StochasticState,
        estimate: GradientEstimate,
        free: BoolArray,
    ) -> StochasticState:
        step = damped_newton_step(
            estimate.gradient,
            _on_the_way(state, estimate),
            free,
            state.damping,
            self.largest_step,
        )
        is_far = np.abs(step).max() > _PROBE
        return replace(
            state,
            z=np.asarray(task.space.clip(state.z + step)),
            surveyed=0 if is_far else state.surveyed,
            accepted=state.z,
            accepted_loss=estimate.value,
            accepted_variance=estimate.value_variance,
            damping=max(state.damping / 5, 1e-6),
            count=0,
            weight=0.0,
            center=np.zeros_like(state.z),
            slope=np.zeros_like(state.z),
            mean=np.zeros_like(state.z),
            noise=np.zeros_like(state.noise),
        )

    def _is_off(
        self, task: NoisyTask, state: StochasticState, estimate: GradientEstimate, free: BoolArray
    ) -> bool:
        """Return whether the gradient says that this is not the minimum."""
        if estimate.covariance.any():
            return _stands_out(estimate, free, _AGAIN if state.count else _SIGNIFICANCE)
        # Without noise every gradient stands out; one that asks for a tiny step is no matter.
        return _newton(state, estimate, free) > _EXACTLY * task.tolerance

    def _vagueness(
        self, state: StochasticState, estimate: GradientEstimate, free: BoolArray
    ) -> float:
        """Return the error of the minimum that an estimate tells, in units of the largest allowed.

        0 where averaging has begun, or more runs are not allowed.
        """
        if state.count or state.num_runs >= self.max_runs:
            return 0.0
        inverse = np.linalg.pinv(state.sharp, hermitian=True)
        spread = np.diag(inverse @ estimate.covariance @ inverse)
        return float(np.sqrt(np.max(spread[free], initial=0.0)) / _VAGUE)

    def _average(
        self,
        task: NoisyTask,
        state: StochasticState,
        estimate: GradientEstimate,
        free: BoolArray,
    ) -> StochasticState:
        count = state.count + 1
        wanted = state.wanted if state.count else task.precision(state.z)
        curvature = state.sharp
        step = damped_newton_step(
            estimate.gradient, curvature, free, 1e-6, self.largest_step / count
        )
        z = np.asarray(task.space.clip(state.z + step * count**-_STEP_DECAY))
        runs = float(estimate.num_runs)
        weight = state.weight + runs
        center = state.center + (state.z - state.center) * runs / weight
        slope = state.slope + (estimate.gradient - state.slope) * runs / weight
        left = damped_newton_step(slope, curvature, free, 1e-6, self.largest_step)
        mean = np.asarray(task.space.clip(center + left))
        noise = state.noise + runs**2 * estimate.covariance
        inverse = np.linalg.pinv(curvature, hermitian=True)
        errors = np.sqrt(np.maximum(np.diag(inverse @ noise @ inverse), 0.0)) / weight
        blurred = state.blurred(free)
        stop = None
        if count >= 3 and np.all(errors[free] <= wanted[free]) and blurred <= 1:
            stop = Stop(
                ResultCode.NOISE_LIMITED,
                "the gradient cannot be told from zero, and the simulation error of the averaged "
                f"estimate is at most {task.in_words(wanted[free])}",
            )
        missing = weight * (np.max((errors / wanted)[free], initial=0.0) ** 2 - 1)
        most = min(self.max_runs, _GROWTH * state.num_runs)
        grown = int(np.clip(missing, min(state.num_runs, most), most))
        if blurred > 1:
            most = min(_SHARPER * self.max_runs, _GROWTH * state.num_runs)
            grown = int(np.clip(blurred * state.num_runs, min(grown, most), most))
        state = replace(
            state,
            z=z,
            wanted=wanted,
            center=center,
            slope=slope,
            mean=mean,
            count=count,
            weight=weight,
            noise=noise,
            num_runs=grown,
            stop=stop,
        )
        brings = estimate.curvature is not None and estimate.majorant is None
        if (
            brings
            and count == _PROBE_AT
            and not state.surveyed
            and missing > _WORTH_A_PROBE * grown
        ):
            return self._probe(task, state, errors * free)
        return state

    def _probe(
        self, task: NoisyTask, state: StochasticState, errors: FloatArray
    ) -> StochasticState:
        """Look to both sides along what is known least: what Gauss–Newton leaves out is seen there.

        ``errors`` [P] of the minimum so far, 0 where held.
        """
        inverse = np.linalg.pinv(state.sharp, hermitian=True)
        scale = np.where(errors > 0, 1 / state.wanted, 0.0)
        spread = inverse @ state.noise @ inverse
        axis = np.linalg.eigh(spread * scale[:, None] * scale)[1][:, -1] * (errors > 0)
        axis = axis * state.wanted
        offset = axis * min(
            _PROBE / np.abs(axis).max(), _SPAN * float(np.max(errors / state.wanted))
        )
        ends = []
        for k, sign in enumerate((-1.0, 1.0)):
            z = np.asarray(task.space.clip(state.mean + sign * offset))
            found = task.estimate(z, state.num_runs, state.steps + k)
            ends.append(Visit(z, found.gradient, found.covariance))
        residual = left_out(state.residual, without_noise(state.curvature, state.blur), *ends)
        if not np.all(np.isfinite(residual)):
            residual = state.residual
        return replace(state, residual=residual, surveyed=1, steps=state.steps + 2)


def _newton(state: StochasticState, estimate: GradientEstimate, free: BoolArray) -> float:
    """Return how far away the minimum seems to be."""
    step = damped_newton_step(estimate.gradient, state.curvature, free, 0.0, np.inf)
    return float(np.abs(step).max())


def _on_the_way(state: StochasticState, estimate: GradientEstimate) -> FloatArray:
    """Return the curvature for steps of the descent."""
    if estimate.majorant is not None:
        return estimate.majorant
    return completed(state.curvature, state.residual)


def _stands_out(estimate: GradientEstimate, free: BoolArray, confidence: float) -> bool:
    """Return whether the free gradient differs from zero beyond its noise."""
    from scipy.special import chdtri

    index = np.flatnonzero(free)
    if len(index) == 0:
        return False
    block = estimate.covariance[np.ix_(index, index)]
    g = estimate.gradient[index]
    statistic = float(g @ np.linalg.pinv(block, hermitian=True) @ g)
    return statistic > chdtri(len(index), 1.0 - confidence)

"""The contract of optimizers: ``init`` makes a State, ``step`` a new one and an Info.

A State holds what the next step needs and nothing else, in arrays and numbers, so that a run can
be written down and taken up again; the Info (`tumble._fit_result.FitStep`) is what people look at.
"""

from __future__ import annotations

import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._parameters import ParameterSpace
from tumble._results import ResultCode
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.gradients import GradientEstimate
from tumble.objectives import Evaluation

_SHARE_OF_SIMULATION = 0.1


class Stop(NamedTuple):
    """Why a fit stopped: a code, and a sentence."""

    code: ResultCode
    reason: str


@dataclass(frozen=True)
class DeterministicTask:
    """A loss that can be computed, for several starts side by side.

    ``evaluate(z [m, P], rows [m]) -> Evaluation`` computes the losses of the starts ``rows`` at z;
    each start may have a loss of its own (other data, say).
    """

    space: ParameterSpace
    evaluate: Callable[[FloatArray, IntArray], Evaluation]
    tolerance: float


@dataclass(frozen=True)
class NoisyTask:
    """A loss that can only be sampled.

    ``estimate(z [P], num_runs, step) -> GradientEstimate`` draws fresh runs in each ``step``;
    ``tolerance`` is the standard error, on the fit scale, at which the estimate is precise enough;
    ``curvature(z [P]) -> [P, P]``, or None, is asked where estimates bring none;
    ``data_errors(z [P])`` are the standard errors [P] that the data leave anyway, 0 where unknown.
    """

    space: ParameterSpace
    estimate: Callable[[FloatArray, int, int], GradientEstimate]
    tolerance: float
    curvature: Callable[[FloatArray], FloatArray | None]
    data_errors: Callable[[FloatArray], FloatArray]

    def precision(self, z: FloatArray) -> FloatArray:
        """Return the error [P] that simulation may leave: a tenth of the data's, or ``tolerance``.

        A tenth makes an interval wider by half a percent, which more runs are not worth.
        """
        return np.maximum(self.tolerance, _SHARE_OF_SIMULATION * self.data_errors(z))

    def in_words(self, precision: FloatArray) -> str:
        """Return what `precision` asked for, in words."""
        absolute = f"{self.tolerance:g} on the fit scale"
        if np.all(precision <= self.tolerance):
            return absolute
        return f"{absolute} or a tenth of the error that the data leave"


class Report(NamedTuple):
    """What one step did: best loss, norms of the free gradient and its noise, runs, best z [P]."""

    loss: float
    gradient_norm: float
    noise_norm: float
    num_runs: int
    z: FloatArray


class AbstractState(abc.ABC):
    """What an optimizer's next step needs."""

    stop: Stop | None
    """Why there is no next step, or None."""


class AbstractOptimizer(abc.ABC):
    """Moves points on the fit scale towards lower loss, within the bounds."""

    task: ClassVar[tuple[type, ...]]
    """The kinds of task it takes."""

    @abc.abstractmethod
    def init(self, task: Any, starts: FloatArray) -> Any:
        """Return the State at ``starts`` [M, P]."""

    @abc.abstractmethod
    def step(self, task: Any, state: Any) -> tuple[Any, Report]:
        """Return the next State and a `Report`."""

    @abc.abstractmethod
    def solution(self, state: Any) -> Solution:
        """Return what has been found so far."""


class Solution(NamedTuple):
    """What an optimizer found.

    ``z`` [P] the estimate, ``loss`` there, ``starts`` [M] final losses of all starts, ``noise``
    [P, P] covariance of z due to simulation, ``curvature`` [P, P] of the loss or None.
    """

    z: FloatArray
    loss: float
    starts: FloatArray
    noise: FloatArray
    curvature: FloatArray | None


def free_coordinates(space: ParameterSpace, z: FloatArray, gradient: FloatArray) -> BoolArray:
    """Return which coordinates may move: not those held at a bound by the descent direction."""
    slack = 1e-9 * (space.upper - space.lower)
    held_low = (z <= space.lower + slack) & (gradient > 0)
    held_high = (z >= space.upper - slack) & (gradient < 0)
    return ~(held_low | held_high)


def damped_newton_step(
    gradient: FloatArray,
    curvature: FloatArray,
    free: BoolArray,
    damping: float,
    largest: float,
) -> FloatArray:
    """Return −(C + damping · diag C)⁻¹ g on the free coordinates, no entry longer than ``largest``.

    Scaling by the diagonal (Marquardt) makes the step independent of the units of the parameters.
    """
    step = np.zeros_like(gradient)
    index = np.flatnonzero(free)
    if len(index) == 0:
        return step
    block = curvature[np.ix_(index, index)]
    diagonal = np.maximum(np.diag(block), 0.0)
    diagonal = np.maximum(diagonal, 1e-12 * max(diagonal.max(), 1e-300))
    scale = 1 / np.sqrt(diagonal)
    scaled = block * scale[:, None] * scale
    values, vectors = np.linalg.eigh((scaled + scaled.T) / 2)
    values = np.maximum(values, 0.0) + max(damping, 1e-14)
    inner = vectors @ ((vectors.T @ (gradient[index] * scale)) / values)
    step[index] = -inner * scale
    longest = np.abs(step).max()
    return step * min(1.0, largest / longest) if longest > 0 else step

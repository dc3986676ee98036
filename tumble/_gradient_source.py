"""Where the optimizer of a simulated loss gets its gradients from."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._budget import Spending
from tumble._errors import SimulationError
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import AbstractEstimator, Auto, Choice, GradientEstimate
from tumble.objectives import BoundOutputs


class GradientSource:
    """Estimates gradients, charges their cost, and chooses again as the fit moves. Final.

    Arguments: ``bound``, the objective; ``gradient``, an estimator or `Auto`; ``stream``, whose
    child (``"step"``, k) feeds step k; ``spending``, charged for every run, pilots included.
    """

    def __init__(
        self,
        bound: BoundOutputs,
        gradient: AbstractEstimator | Auto,
        stream: Stream,
        spending: Spending,
        executor: Any,
    ) -> None:
        self._bound = bound
        self._gradient = gradient
        self._stream = stream
        self._spending = spending
        self._executor = executor
        self._choice: Choice | None = None
        self._chosen_at = 0
        self._index = 0

    @property
    def memory(self) -> tuple[int, int]:
        """What must be remembered to go on: the estimator in use, and the runs it was chosen at."""
        return self._index, self._chosen_at

    @memory.setter
    def memory(self, value: tuple[int, int]) -> None:
        self._index, self._chosen_at = int(value[0]), int(value[1])

    @property
    def estimator(self) -> AbstractEstimator:
        """The estimator in use."""
        if isinstance(self._gradient, AbstractEstimator):
            return self._gradient
        return self._gradient.candidates[self._index]

    def __str__(self) -> str:
        return type(self.estimator).__name__ if self._choice is None else str(self._choice)

    def estimate(self, z: FloatArray, num_runs: int, step: int) -> GradientEstimate:
        """Return an estimate at z [P] from fresh runs; not a number where the simulator fails."""
        stream = self._stream.child("step", step)
        try:
            self._choose(z, num_runs, stream)
            affordable = int(min(num_runs, max(self._spending.simulations_left, 1)))
            found = self.estimator.estimate(self._bound, z, affordable, stream, self._executor)
        except SimulationError:
            if step == 0:
                raise
            nothing = np.full((len(z), len(z)), np.nan)
            return GradientEstimate(
                np.nan, np.nan, nothing[0], nothing, None, None, num_runs, 0.0, 0.0
            )
        self._spending.simulations += found.num_runs
        return found

    def _choose(self, z: FloatArray, num_runs: int, stream: Stream) -> None:
        auto = self._gradient
        if isinstance(auto, AbstractEstimator) or 0 < self._chosen_at > num_runs / 4:
            return
        self._choice = auto.choose(self._bound, z, stream.child("auto"), self._executor)
        self._spending.simulations += self._choice.num_runs
        self._chosen_at = num_runs
        self._index = list(auto.candidates).index(self._choice.estimator)

"""Where the optimizer of a simulated loss gets its gradients from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tumble._budget import Spending
from tumble._errors import SimulationError
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import AbstractEstimator, Auto, Choice, GradientEstimate
from tumble.gradients._chosen import Chosen
from tumble.objectives import BoundOutputs

# On the fit scale: by half an e-fold of a rate the costs of estimators may have changed places.
_FAR = 0.5
# Pilots cost a quarter of what is spent between them, at most.
_WORTH_A_PILOT = 4


@dataclass(frozen=True)
class Memory:
    """What a `GradientSource` must remember to go on.

    The estimator in use, ``chosen``; ``chosen_at``, the runs a step when it was; ``cost`` of its
    pilots in runs; ``spent`` runs since; ``where`` [P] it was chosen.
    """

    chosen: Chosen
    chosen_at: int
    cost: int
    spent: int
    where: FloatArray


NOTHING = Memory(Chosen(), 0, 0, 0, np.zeros(0))
"""Before anything was chosen."""


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
        if isinstance(gradient, Auto):
            self._members = gradient.members(bound.problem)
        else:
            self._members = [gradient]
        self._stream = stream
        self._spending = spending
        self._executor = executor
        self._choice: Choice | None = None
        self._memory = NOTHING

    @property
    def memory(self) -> Memory:
        """What must be remembered to go on."""
        return self._memory

    @memory.setter
    def memory(self, value: Memory) -> None:
        self._memory = value

    @property
    def estimator(self) -> AbstractEstimator:
        """The estimator in use, before its runs are divided."""
        return self._members[self._memory.chosen.index]

    def __str__(self) -> str:
        return self.estimator.label if self._choice is None else str(self._choice)

    def estimate(self, z: FloatArray, num_runs: int, step: int) -> GradientEstimate:
        """Return an estimate at z [P] from fresh runs; not a number where the simulator fails."""
        stream = self._stream.child("step", step)
        try:
            self._choose(z, num_runs, stream)
            affordable = int(min(num_runs, max(self._spending.simulations_left, 1)))
            estimator = self._memory.chosen.among(self._members)
            found = estimator.estimate(self._bound, z, affordable, stream, self._executor)
        except SimulationError:
            if step == 0:
                raise
            nothing = np.full((len(z), len(z)), np.nan)
            return GradientEstimate(
                np.nan, np.nan, nothing[0], nothing, None, None, num_runs, 0.0, 0.0
            )
        self._spending.simulations += found.num_runs
        self._memory = replace(self._memory, spent=self._memory.spent + found.num_runs)
        return found

    def _choose(self, z: FloatArray, num_runs: int, stream: Stream) -> None:
        auto = self._gradient
        if isinstance(auto, AbstractEstimator) or not self._is_due(z, num_runs):
            return
        self._choice = auto.choose(
            self._bound, z, stream.child("auto"), self._executor, num_each=num_runs
        )
        cost = self._choice.num_runs
        self._spending.simulations += cost
        chosen = Chosen.of(self._choice.estimator, self._members)
        self._memory = Memory(chosen, num_runs, cost, 0, np.array(z, dtype=float))

    def _is_due(self, z: FloatArray, num_runs: int) -> bool:
        """Return whether to choose: at first, with far more runs, or far away and affordable."""
        last = self._memory
        if last.chosen_at == 0 or num_runs >= 4 * last.chosen_at:
            return True
        has_moved = np.max(np.abs(z - last.where)) > _FAR
        return bool(has_moved and last.spent > _WORTH_A_PILOT * last.cost)

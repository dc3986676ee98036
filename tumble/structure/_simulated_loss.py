"""The loss of simulated runs, for descents of slots by the gradients of simulators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, SimulationError, require_member, require_whole
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import AbstractEstimator
from tumble.objectives import AbstractOutputObjective, BoundOutputs, ExpectedLoss
from tumble.structure._descent import Adam
from tumble.structure._slots import AbstractSlotSimulator, slot_model

_RETREATS = 8


@dataclass(frozen=True)
class SimulatedLoss:
    """Descends on simulated runs instead of the likelihood, by an estimator of `tumble.gradients`.

    Definition: in each run slots stand for a network of their own, drawn or rounded, and it is
    simulated exactly; ``objective`` of such runs is followed along ``gradient``, by steps of Adam
    on the fit scale, which is logarithmic for rates.

    Guarantee: that of the estimator, for the expected loss over networks **and** runs. That loss
    has the variance of single runs in it, and hardly tells networks of nearly the same mean apart.

    Arguments:

    - ``gradient``: default by the search: `ScoreFunction` where choices are drawn (it takes the
      score of choices and of paths together), `SmoothedReinforce` where coefficients are rounded,
      whose slopes are zero or infinite otherwise. Anything that needs no more of the simulator will
      do, such as `GaussianSmoothing` or `SPSA`.
    - ``objective``: default `ExpectedLoss`.
    - ``num_runs``: a step, default 32.

    When: to do as was published, or where the noise is far from normal. The likelihood needs no
    runs and sees covariances.

    Reference: Kreikemeyer, Andelfinger, Uhrmacher, SIGSIM-PADS (2024),
    doi:10.1145/3615979.3656058.
    """

    gradient: AbstractEstimator | None = None
    objective: AbstractOutputObjective = field(default_factory=ExpectedLoss)
    num_runs: int = 32

    def __post_init__(self) -> None:
        require_whole("num_runs", self.num_runs, 8)
        if self.gradient is not None:
            require_member("gradient", self.gradient, AbstractEstimator, "such as SPSA()")
        require_member(
            "objective", self.objective, AbstractOutputObjective, "such as ExpectedLoss()"
        )

    def bind(
        self,
        problem: Problem,
        simulator: AbstractSlotSimulator,
        parameters: dict[str, Parameter],
    ) -> BoundOutputs:
        """Return the loss of a problem by the parameters of slots. Raises `CapabilityError`."""
        if any(experiment.conditions for experiment in problem.experiments):
            raise CapabilityError(
                "an experiment has conditions, but slots are simulated under the same rates in "
                "all; leave out SimulatedLoss, the likelihood knows conditions."
            )
        slots = Problem(
            slot_model(simulator.library, simulator.parameters), problem.experiments, parameters,
            problem.observables, simulator=simulator,
        )  # fmt: skip
        return self.objective.bind(slots)

    def descend(
        self,
        bound: BoundOutputs,
        gradient: AbstractEstimator,
        z: FloatArray,
        steps: int,
        rate: float,
        stream: Stream,
        note: Callable[[FloatArray, float], Any],
    ) -> None:
        """Take steps from ``z`` [P], and note the parameters [P] and the loss of each."""
        space = bound.problem.space
        gradient = gradient if self.gradient is None else self.gradient
        adam, retreats = Adam(rate), 0
        logs = np.array([scale == "log" for scale in space.scales])
        for step in range(steps):
            try:
                found = gradient.estimate(bound, z, self.num_runs, stream.child("step", step))
            except SimulationError:
                retreats += 1
                if retreats > _RETREATS:
                    raise
                z = np.clip(z - logs, space.lower, space.upper)  # slower: runs had too many events
                continue
            note(np.asarray(space.from_fit(z), dtype=float), found.value)
            z = np.clip(z - adam.step(found.gradient), space.lower, space.upper)

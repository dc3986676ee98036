"""Measure, then choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import CapabilityError, SimulationError
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients._base import AbstractEstimator, GradientEstimate
from tumble.gradients._coupled_difference import CoupledDifference
from tumble.gradients._score_function import ScoreFunction
from tumble.objectives import BoundOutputs


@dataclass(frozen=True)
class Choice:
    """What a pilot found: the estimator to use, the pilots' estimates, and their cost in runs."""

    estimator: AbstractEstimator
    pilots: tuple[tuple[AbstractEstimator, GradientEstimate], ...]
    num_runs: int

    def __str__(self) -> str:
        costs = ", ".join(
            f"{type(e).__name__} {estimate.work_variance:.2g}" for e, estimate in self.pilots
        )
        return f"{type(self.estimator).__name__} (work-normalized variance: {costs})"


@dataclass(frozen=True)
class Auto:
    """Tries the estimators that the simulator allows and takes the cheapest.

    Definition: each candidate estimates the gradient of the loss at hand with ``pilot_runs`` runs;
    the one with the lowest variance times work (events fired) is used, so that
    the same seed gives the same choice. The choice is made again each time the
    number of runs a step has grown fourfold, since the point has moved by then.

    Guarantee: that of the estimator chosen; by default both candidates have a proven one. The
    pilots count against the budget.

    Arguments: ``candidates``, default `ScoreFunction` and `CoupledDifference`; ``pilot_runs``,
    default 256.
    """

    candidates: Sequence[AbstractEstimator] = field(
        default_factory=lambda: (ScoreFunction(), CoupledDifference())
    )
    pilot_runs: int = 256

    def choose(
        self, objective: BoundOutputs, z: FloatArray, stream: Stream, executor: Any = None
    ) -> Choice:
        """Run the pilots at z [P] and return the `Choice`. Raises `CapabilityError`."""
        simulator = objective.problem.simulator
        able = [c for c in self.candidates if isinstance(simulator, c.requires)]
        if not able:
            needs = ", ".join(
                f"{type(c).__name__} ({c.requires.__name__})" for c in self.candidates
            )
            raise CapabilityError(
                f"{type(simulator).__name__} offers what none of the candidates needs: {needs}."
            )
        pilots = []
        failure: Exception | None = None
        for i, candidate in enumerate(able):
            branch = stream.child("pilot", i)
            try:
                pilot = candidate.estimate(objective, z, self.pilot_runs, branch, executor)
            except SimulationError as error:
                failure = error
                continue
            pilots.append((candidate, pilot))
        if not pilots:
            assert failure is not None
            raise failure
        best = int(np.argmin([estimate.work_variance for _, estimate in pilots]))
        spent = sum(estimate.num_runs for _, estimate in pilots)
        return Choice(pilots[best][0], tuple(pilots), spent)

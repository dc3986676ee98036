"""What estimators that perturb the parameters of plain runs share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from tumble.gradients._base import AbstractEstimator
from tumble.gradients._perturbation import require_step
from tumble.gradients._steps import AbstractSchedule, ConstantStep, ShrinkingStep, require_schedule
from tumble.simulators import AbstractSimulator


@dataclass(frozen=True)
class AbstractSmoothing(AbstractEstimator):
    """The gradient of what an expectation is on average around a point.

    Arguments: ``step``, the size of the neighborhood on the fit scale (log and logit), or as a
    fraction of half the width of the bounds (linear), default 0.2; ``schedule``, how it shrinks for
    estimates from many runs, default `ShrinkingStep`.
    """

    step: float = 0.2
    schedule: AbstractSchedule = field(default_factory=ShrinkingStep)
    requires: ClassVar[type] = AbstractSimulator
    unbiased: ClassVar[bool] = False
    proven: ClassVar[bool] = False
    event_cost: ClassVar[float] = 0.5
    guarantee: ClassVar[str] = "unbiased for smoothed expectations, bias of order step squared"

    def __post_init__(self) -> None:
        require_step(self.step)
        require_schedule(self.schedule)

    def tuned(self, num_runs: int) -> Self:
        """See `AbstractEstimator.tuned`."""
        step = self.step * self.schedule.factor(num_runs)
        return replace(self, step=step, schedule=ConstantStep())

"""How far perturbation estimators step, as the number of runs grows."""

from __future__ import annotations

import abc
from dataclasses import dataclass

from tumble._errors import ParameterError, is_number, require_member, require_whole, shown


class AbstractSchedule(abc.ABC):
    """Makes the step of a perturbation smaller for estimates from more runs.

    An estimator has no memory, so the schedule is a function of the number of runs that an estimate
    is made from; a fit, which asks for ever more runs as it comes to an end, makes steps ever
    smaller by that.
    """

    @abc.abstractmethod
    def factor(self, num_runs: int) -> float:
        """Return what to multiply the step with in an estimate from ``num_runs`` runs."""


@dataclass(frozen=True)
class ConstantStep(AbstractSchedule):
    """The same step for any number of runs: the bias stays as the noise goes."""

    def factor(self, num_runs: int) -> float:
        """See `AbstractSchedule.factor`."""
        return 1.0


@dataclass(frozen=True)
class ShrinkingStep(AbstractSchedule):
    """The step itself up to ``runs`` runs; step · (runs / n)^power for n runs beyond that.

    Definition: a central difference with step σ has a bias b σ². Its variance is V / n where the
    directions, or smooth common noise, make it, V / (σ n) where the two sides part at a rate in
    proportion to their distance (coupled counts), and V / (σ² n) where they are independent. With
    σ ∝ n^−q the squared bias falls as n^−4q, and the variance as n^−1, n^(q−1) or n^(2q−1). So
    bias² / variance does not grow if q is at least 1/4, 1/5 or 1/6. In the last two cases that is
    also where the mean squared error falls fastest, as n^(−4/5) and n^(−2/3). A fit, however,
    believes standard errors. They hold in all three cases with q = 1/4, at which the mean squared
    error falls as n^−1, n^(−3/4) and n^(−1/2).

    Guarantee: with ``power`` ≥ 1/4 estimates are consistent, and their bias, in standard errors,
    does not grow with the number of runs.

    Arguments: ``runs``, default 1000; ``power``, default 1/4.
    """

    runs: int = 1000
    power: float = 0.25

    def __post_init__(self) -> None:
        require_whole("runs", self.runs)
        if not (is_number(self.power) and 0 < self.power < 0.5):
            raise ParameterError(
                f"`power` is {shown(self.power)}, expected between 0 and 1/2: from 1/2 on, the "
                "noise of independent sides does not fall with the number of runs."
            )

    def factor(self, num_runs: int) -> float:
        """See `AbstractSchedule.factor`."""
        return min(1.0, float((self.runs / max(num_runs, 1)) ** self.power))


def require_schedule(schedule: AbstractSchedule) -> None:
    """Raise `ParameterError` unless this is a schedule."""
    require_member("schedule", schedule, AbstractSchedule, "a schedule such as ShrinkingStep()")

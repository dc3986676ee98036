"""How much a verb may spend."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tumble._errors import ParameterError


@dataclass(frozen=True)
class Budget:
    """What a verb may spend; it stops at the first limit that is reached.

    Arguments: ``simulations``, runs of the simulator (pilots and tuning included);
    ``seconds``, wall time. ``None`` means no limit.
    """

    simulations: float | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("simulations", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ParameterError(
                    f"`Budget({name}=...)` is {value}, expected a positive number."
                )


class Spending:
    """The running total against a `Budget`. Final."""

    def __init__(self, budget: Budget | None) -> None:
        self.budget = budget or Budget()
        self.simulations = 0
        self._start = time.perf_counter()

    def resume(self, simulations: float, seconds: float) -> None:
        """Add what an earlier part of the same run has spent."""
        self.simulations += int(simulations)
        self._start -= seconds

    @property
    def seconds(self) -> float:
        """Wall seconds since the spending began."""
        return time.perf_counter() - self._start

    @property
    def exhausted(self) -> bool:
        """Whether a limit has been reached."""
        limit = self.budget
        return (limit.simulations is not None and self.simulations >= limit.simulations) or (
            limit.seconds is not None and self.seconds >= limit.seconds
        )

    @property
    def simulations_left(self) -> float:
        """Runs that may still be spent."""
        limit = self.budget.simulations
        return float("inf") if limit is None else max(0.0, limit - self.simulations)

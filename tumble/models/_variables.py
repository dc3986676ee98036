"""Variables: real-valued quantities beside the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tumble._expressions import Expression
from tumble.models._rate_laws import as_expression


@dataclass(frozen=True)
class Variable:
    """A real-valued quantity beside the counts, such as a volume or a concentration.

    It starts at ``initial``, follows dV/dt = ``rate``, and may be assigned by events. Rates of
    reactions, definitions and events may read it.

    In text: ``V(0) = V0`` and, unless it stays constant between events, ``V' = -k * V``.

    Arguments: ``initial``, the value at the start: a number or an expression of parameters, initial
    counts and ``time``, the start. ``rate``, its derivative by time: an expression of species,
    parameters, variables and ``time``, or None, which is the default: constant until an event
    assigns it.
    """

    initial: Any
    rate: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "initial", as_expression(self.initial, "`initial`"))
        if self.rate is not None:
            object.__setattr__(self, "rate", as_expression(self.rate, "`rate`"))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its formulas: the initial value and, if there is one, the rate."""
        return (self.initial,) if self.rate is None else (self.initial, self.rate)

    def lines(self, name: str) -> list[str]:
        """Return the lines of text that declare it by this name."""
        lines = [f"{name}(0) = {self.initial}"]
        return lines if self.rate is None else [*lines, f"{name}' = {self.rate}"]

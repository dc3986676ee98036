"""One reaction of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from tumble._errors import ModelError
from tumble._expressions import Expression, Number
from tumble.models._names import check_name
from tumble.models._rate_laws import AbstractRate, MassAction, RateLaw

_MAX_COEFFICIENT = 10**6


@dataclass(frozen=True)
class Reaction:
    """One reaction, ``reactants -> products`` by mass action or a rate law.

    Arguments: ``reactants`` and ``products`` map species names to whole numbers; ``rate`` is the
    constant of mass action, per unit of time (a number ≥ 0, a parameter's name, or an expression of
    parameters such as ``"k1 * k2"``), or a member of the family: `MassAction`, `RateLaw`,
    `MichaelisMenten`, `Hill`. It is kept as `MassAction` or, with its formula, as `RateLaw`.

    The propensity of a mass-action reaction that takes m copies of a species of which there are n
    contains the number of distinct combinations n (n-1) … (n-m+1) / m!, so ``2 A -> B ; k`` fires
    at k n (n-1) / 2. This is the convention of Gillespie (1976),
    doi:10.1016/0021-9991(76)90041-3; software that leaves the 1/m! out needs its constant halved
    for ``2 A``. The propensity of a reaction with a rate law is the expression, and nothing more.
    """

    reactants: Mapping[str, int]
    products: Mapping[str, int]
    rate: Any

    def __post_init__(self) -> None:
        for label in ("reactants", "products"):
            side = dict(getattr(self, label))
            for name, count in side.items():
                check_name(name, f"a species in `{label}`")
                if not isinstance(count, (int, np.integer)) or not 0 < count <= _MAX_COEFFICIENT:
                    raise ModelError(
                        f"`{label}` takes {count!r} copies of {name!r}, expected a whole number "
                        f"from 1 to {_MAX_COEFFICIENT}."
                    )
            object.__setattr__(self, label, side)
        object.__setattr__(self, "rate", self._checked(self.rate))

    def _checked(self, rate: Any) -> AbstractRate:
        if isinstance(rate, Real):
            self._check_constant(float(rate), rate)
        elif not isinstance(rate, (str, Expression, AbstractRate)):
            raise ModelError(
                f"rate of '{self._equation('->')}' is {rate!r}, expected a number, the name of a "
                "parameter, an expression, or a member of tumble.models such as RateLaw('k * S')."
            )
        if not isinstance(rate, AbstractRate):
            rate = MassAction(rate)
        if not rate.is_mass_action:
            return RateLaw(rate.expression)
        if isinstance(rate.expression.tree, Number):
            self._check_constant(rate.expression.tree.value, rate)
        return rate

    def _check_constant(self, value: float, shown: Any) -> None:
        if not 0 <= value < np.inf:
            raise ModelError(
                f"rate of '{self._equation('->')} ; {shown}' is {shown}, expected a finite "
                "number ≥ 0."
            )

    @property
    def is_mass_action(self) -> bool:
        """Whether the rate is a constant that is multiplied by the combinations of reactants."""
        return self.rate.is_mass_action

    def __hash__(self) -> int:
        sides = (frozenset(self.reactants.items()), frozenset(self.products.items()))
        return hash((sides, self.rate))

    @property
    def equation(self) -> str:
        """The reaction without its rate, ``"S + I -> 2 I"``; with ``=>`` before a rate law."""
        return self._equation("->" if self.is_mass_action else "=>")

    def _equation(self, arrow: str) -> str:
        return f"{format_side(self.reactants)} {arrow} {format_side(self.products)}"

    def __str__(self) -> str:
        return f"{self.equation} ; {self.rate}"


def format_side(side: Mapping[str, int]) -> str:
    """Return ``"S + 2 I"`` for ``{"S": 1, "I": 2}``, and ``"0"`` for an empty side."""
    return " + ".join(name if n == 1 else f"{n} {name}" for name, n in side.items()) or "0"

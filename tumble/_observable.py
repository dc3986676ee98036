"""Observables: what is measured of a state, and with what noise."""

from __future__ import annotations

from dataclasses import dataclass, field

from tumble._errors import ModelError
from tumble._expressions import Expression, parse
from tumble.noise import AbstractNoise, Exact


@dataclass(frozen=True)
class Observable:
    """A function of the state, measured with noise.

    Arguments:

    - ``formula``: arithmetic of species, the network's definitions and the problem's parameters,
      such as ``"I"``, ``"S + I"`` or ``"scale * I"``.
    - ``noise``: a member of `tumble.noise`; default `Exact`, no measurement noise.
    """

    formula: str
    noise: AbstractNoise = field(default_factory=Exact)

    def __post_init__(self) -> None:
        if not isinstance(self.formula, str):
            raise ModelError(
                f"`formula` is {self.formula!r}, expected a string such as 'I' or 'S + I'."
            )
        if not isinstance(self.noise, AbstractNoise):
            raise ModelError(
                f"`noise` is {self.noise!r}, expected a member of tumble.noise such as "
                "NegativeBinomial('phi')."
            )
        parse(self.formula)

    @property
    def expression(self) -> Expression:
        """The parsed formula."""
        return parse(self.formula)

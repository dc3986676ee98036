"""The family of rates: how often a reaction fires in a state."""

from __future__ import annotations

import abc
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ModelError
from tumble._expressions import Expression, Macro, Number, parse

# The functions of rate laws that can be written in text.
_MICHAELIS_MENTEN = Macro(("s", "v", "k"), parse("v * s / (k + s)"))
_HILL = Macro(("s", "v", "k", "n"), parse("v * s ^ n / (k ^ n + s ^ n)"))
_REPRESSING_HILL = Macro(("s", "v", "k", "n"), parse("v * k ^ n / (k ^ n + s ^ n)"))
RATE_FUNCTIONS = {"mm": _MICHAELIS_MENTEN, "hill": _HILL, "hillr": _REPRESSING_HILL}


class AbstractRate(abc.ABC):
    """How often a reaction fires: its propensity, as mass action or as an expression."""

    is_mass_action: ClassVar[bool] = False
    """Whether `expression` is a constant that is multiplied by the combinations of reactants."""

    @property
    @abc.abstractmethod
    def expression(self) -> Expression:
        """The rate constant of mass action; otherwise the whole propensity."""

    def __str__(self) -> str:
        return str(self.expression)


@dataclass(frozen=True)
class MassAction(AbstractRate):
    """Mass action: the constant, times the number of distinct combinations of the reactants.

    Definition: a = c · Π n (n-1) … (n-m+1) / m! over the reactants, of which the reaction takes m
    copies each and the state holds n. See `Reaction` for this convention.

    Arguments: ``constant`` c, per unit of time: a number, the name of a parameter, or an expression
    of parameters, definitions and ``time``, such as ``"k1 * k2"``.

    Reference: Gillespie, J. Comput. Phys. 22 (1976), doi:10.1016/0021-9991(76)90041-3.
    """

    constant: Any
    is_mass_action: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "constant", as_expression(self.constant, "`constant`"))

    @property
    def expression(self) -> Expression:
        """The rate constant."""
        return self.constant


@dataclass(frozen=True)
class RateLaw(AbstractRate):
    """A law of its own: the expression is the whole propensity.

    It should vanish where a reactant runs out. Where it does not, a run that would take a count
    below zero ends with `SampleCode.NEGATIVE_COUNT`.

    Arguments: ``law``, an expression of species, parameters, definitions and ``time``, such as
    ``"Vmax * S / (Km + S)"``.
    """

    law: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "law", as_expression(self.law, "`law`"))

    @property
    def expression(self) -> Expression:
        """The propensity."""
        return self.law


@dataclass(frozen=True)
class MichaelisMenten(AbstractRate):
    """Conversion of a substrate by an enzyme that it saturates: V S / (K + S).

    In text: ``S => P ; mm(S, V, K)``. It stands for the three reactions of enzyme, substrate and
    complex where the enzyme is scarce; there it is accurate when enzyme ≪ substrate + K.

    Arguments: ``substrate``, the name of the species S; ``vmax`` V, events per unit of time at
    saturation; ``km`` K, the count at half of that. V and K are numbers, names or expressions.

    References: Michaelis, Menten, Biochem. Z. 49 (1913), translated in doi:10.1021/bi201284u; Rao,
    Arkin, J. Chem. Phys. 118 (2003), doi:10.1063/1.1545446 (in stochastic simulation).
    """

    substrate: Any
    vmax: Any
    km: Any

    @property
    def expression(self) -> Expression:
        """The propensity."""
        return _expand(_MICHAELIS_MENTEN, self.substrate, self.vmax, self.km)


@dataclass(frozen=True)
class Hill(AbstractRate):
    """Cooperative activation, V Sⁿ / (Kⁿ + Sⁿ), or repression, V Kⁿ / (Kⁿ + Sⁿ).

    In text: ``hill(S, V, K, n)`` and ``hillr(S, V, K, n)``.

    Arguments: ``species``, the name of the regulator S; ``vmax`` V, the largest rate; ``k`` K, the
    count at half of it; ``n``, the Hill coefficient; ``repress``, whether S represses. Default
    False. V, K and n are numbers, names or expressions.

    Reference: Hill, J. Physiol. 40 (1910), iv–vii; Weiss, FASEB J. 11 (1997),
    doi:10.1096/fasebj.11.11.9285481.
    """

    species: Any
    vmax: Any
    k: Any
    n: Any
    repress: bool = False

    @property
    def expression(self) -> Expression:
        """The propensity."""
        macro = _REPRESSING_HILL if self.repress else _HILL
        return _expand(macro, self.species, self.vmax, self.k, self.n)


def as_expression(value: Any, what: str) -> Expression:
    """Return the expression of a number, a text or an expression. Raises `ModelError`."""
    if isinstance(value, Expression):
        return value
    if isinstance(value, str):
        try:
            return parse(value, RATE_FUNCTIONS)
        except ModelError as error:
            raise ModelError(f"{what}: {error}") from None
    if isinstance(value, Real) and np.isfinite(float(value)):
        return Expression(Number(float(value)))
    raise ModelError(
        f"{what} is {value!r}, expected a finite number, or text such as 'k' or 'k1 * k2'."
    )


def _expand(macro: Macro, *arguments: Any) -> Expression:
    by = {
        name: as_expression(argument, f"argument {i} of a rate law")
        for i, (name, argument) in enumerate(zip(macro.arguments, arguments, strict=True), start=1)
    }
    return macro.body.substitute(by)

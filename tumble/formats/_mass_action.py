"""Recognizing mass action in rate laws."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from math import factorial, prod
from typing import NamedTuple

from tumble._expressions import Expression, Name
from tumble.formats._polynomial import (
    Polynomial,
    combinations,
    multiply,
    split,
    to_node,
    to_polynomial,
)


class FoundMassAction(NamedTuple):
    """A law as ``constant`` × combinations, with the ``counts`` of each species taken."""

    constant: Expression
    counts: dict[str, int]


def find_mass_action(
    law: Expression, species: Collection[str], others: Collection[str] = ()
) -> FoundMassAction | None:
    """Return ``law`` as mass action, or None where it is not exactly that.

    Definition: a law is mass action if it is c · Π n (n-1) … (n-m+1) / m! for some whole m of each
    species, with c free of ``species`` and of ``others``, names that change in time.

    Guarantee: what is returned is equal to the law for all values of the names, wherever the law
    has a value; it is decided by comparing polynomials in rational arithmetic. A law that is mass
    action in disguise, such as ``exp(log(S))``, may be missed.
    """
    variables = {*species, *others}
    terms = to_polynomial(law.tree, variables)
    if not terms:
        return None
    leading = max((split(m, variables)[0] for m in terms), key=lambda own: sum(n for _, n in own))
    counts = {f.name: n for f, n in leading if isinstance(f, Name)}
    constant: Polynomial = {}
    scale = Fraction(prod(factorial(n) for n in counts.values()))
    for monomial, coefficient in terms.items():
        own, rest = split(monomial, variables)
        if own == leading:
            constant[rest] = coefficient * scale
    pattern = combinations(counts)
    if not set(counts) <= set(species) or pattern is None:
        return None
    if multiply(constant, pattern) != terms:
        return None
    return FoundMassAction(Expression(to_node(constant)), _ordered(counts, species))


def _ordered(counts: Mapping[str, int], species: Collection[str]) -> dict[str, int]:
    return {name: counts[name] for name in species if name in counts}

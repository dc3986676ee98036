"""Expressions as polynomials, with exact rational arithmetic.

A polynomial maps monomials to coefficients that are not 0; a monomial is a set of pairs of a factor
and its whole exponent. Factors are names, and parts of the expression that cannot be taken apart,
such as ``exp(k)``. What is free of the variables may have negative exponents, which is how
quotients are written. Equal polynomials have equal values, so what is decided by comparing them is
proved.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import TypeAlias

from tumble._expressions import Call, Expression, Name, Node, Number

Monomial: TypeAlias = frozenset[tuple[Node, int]]
Polynomial: TypeAlias = dict[Monomial, Fraction]

_UNIT: Monomial = frozenset()
_MAX_TERMS = 300
_MAX_EXPONENT = 12
_LARGEST = Fraction(10**200)


def to_polynomial(node: Node, variables: Collection[str]) -> Polynomial | None:
    """Return a tree as a polynomial of ``variables``; None where it is not one, or a long one."""
    if isinstance(node, Number):
        return _cleaned({_UNIT: Fraction(node.value)})
    if isinstance(node, Name):
        return _factor(node)
    value = _combined(node, variables)
    free = value is None and not set(Expression(node).names) & set(variables)
    return _factor(node) if free else value


def to_node(terms: Polynomial) -> Node:
    """Return the tree of a polynomial; equal polynomials give equal trees."""
    total: Node | None = None
    for text in sorted(((str(Expression(_term(m))), m) for m in terms), key=lambda pair: pair[0]):
        coefficient = terms[text[1]]
        tree = _term(text[1], abs(coefficient))
        if total is None:
            total = Call("negative", (tree,)) if coefficient < 0 else tree
        else:
            total = Call("subtract" if coefficient < 0 else "add", (total, tree))
    return Number(0.0) if total is None else total


def combinations(counts: Mapping[str, int]) -> Polynomial | None:
    """Return Π n (n-1) … (n-m+1) / m!, where ``counts`` maps the name of n to m."""
    product: Polynomial | None = {_UNIT: Fraction(1)}
    for name, count in counts.items():
        for k in range(count):
            step = {frozenset({(Name(name), 1)}): Fraction(1, k + 1), _UNIT: Fraction(-k, k + 1)}
            product = product and multiply(product, {m: c for m, c in step.items() if c})
    return product


def multiply(a: Polynomial, b: Polynomial) -> Polynomial | None:
    """Return a · b, or None where it is too long."""
    if len(a) * len(b) > _MAX_TERMS:
        return None
    total: Polynomial = {}
    for left, x in a.items():
        for right, y in b.items():
            exponents = dict(left)
            for factor, exponent in right:
                exponents[factor] = exponents.get(factor, 0) + exponent
            monomial = frozenset((f, n) for f, n in exponents.items() if n)
            total[monomial] = total.get(monomial, Fraction(0)) + x * y
    return _cleaned(total)


def split(monomial: Monomial, variables: Collection[str]) -> tuple[Monomial, Monomial]:
    """Return the part of a monomial that is made of ``variables``, and the rest."""
    own = frozenset(p for p in monomial if isinstance(p[0], Name) and p[0].name in variables)
    return own, monomial - own


def _combined(node: Call, variables: Collection[str]) -> Polynomial | None:
    if node.function not in ("negative", "add", "subtract", "multiply", "divide", "power"):
        return None
    parts = [to_polynomial(argument, variables) for argument in node.arguments]
    first, last = parts[0], parts[-1]
    if first is None or last is None:
        return None
    if node.function == "negative":
        return _scaled(first, -1)
    if node.function in ("add", "subtract"):
        return _sum(first, last if node.function == "add" else _scaled(last, -1))
    if node.function == "multiply":
        return multiply(first, last)
    if node.function == "power":
        return _power(first, node.arguments[1], variables)
    inverse = _inverse(last, node.arguments[1], variables)
    return None if inverse is None else multiply(first, inverse)


def _power(base: Polynomial, exponent: Node, variables: Collection[str]) -> Polynomial | None:
    if not isinstance(exponent, Number) or exponent.value != int(exponent.value):
        return None
    times = int(exponent.value)
    if abs(times) > _MAX_EXPONENT:
        return None
    factor = base if times >= 0 else _inverse(base, None, variables)
    value: Polynomial | None = {_UNIT: Fraction(1)}
    for _ in range(abs(times)):
        value = None if value is None or factor is None else multiply(value, factor)
    return value


def _inverse(terms: Polynomial, node: Node | None, variables: Collection[str]) -> Polynomial | None:
    """Return 1 / ``terms`` where no variable is divided by; a sum is a factor of its own."""
    if any(split(monomial, variables)[0] for monomial in terms) or not terms:
        return None
    if len(terms) == 1:
        ((monomial, coefficient),) = terms.items()
        return _cleaned({frozenset((f, -n) for f, n in monomial): 1 / coefficient})
    # A part that hides a variable is no constant.
    if node is None or set(Expression(node).names) & set(variables):
        return None
    return {frozenset({(node, -1)}): Fraction(1)}


def _sum(a: Polynomial, b: Polynomial | None) -> Polynomial | None:
    if b is None:
        return None
    total = dict(a)
    for monomial, coefficient in b.items():
        total[monomial] = total.get(monomial, Fraction(0)) + coefficient
    return _cleaned(total)


def _scaled(terms: Polynomial, by: int) -> Polynomial:
    return {monomial: by * coefficient for monomial, coefficient in terms.items()}


def _factor(node: Node) -> Polynomial:
    return {frozenset({(node, 1)}): Fraction(1)}


def _cleaned(terms: Polynomial) -> Polynomial | None:
    """Return ``terms`` without zeros, or None where they are too many or too large."""
    kept = {monomial: c for monomial, c in terms.items() if c}
    fine = all(1 / _LARGEST < abs(c) < _LARGEST for c in kept.values())
    return kept if fine and len(kept) <= _MAX_TERMS else None


def _term(monomial: Monomial, coefficient: Fraction = Fraction(1)) -> Node:
    """Return the tree of one term that is not negative, a product over a product."""
    ordered = sorted(monomial, key=lambda pair: str(Expression(pair[0])))
    above = [f for f, n in ordered for _ in range(n)]
    below = [f for f, n in ordered for _ in range(-n)]
    if coefficient != 1 or not above:
        above.insert(0, Number(float(coefficient)))
    top = _product(above)
    return Call("divide", (top, _product(below))) if below else top


def _product(factors: list[Node]) -> Node:
    value = factors[0]
    for factor in factors[1:]:
        value = Call("multiply", (value, factor))
    return value

"""Propensities of mass-action reactions, and what firing does, for Numba."""

from __future__ import annotations

from tumble.kernels._jit import inlined, part

OK, MAX_EVENTS, INVALID_RATE, OVERFLOW, NEGATIVE_COUNT = 0, 1, 2, 3, 4
LARGEST_COUNT = 2**62


@inlined
def combinations(tables, reaction, state):
    """Return n (n-1) … (n-m+1) / m! over the reactants of ``reaction``, as a float."""
    factor = 1.0
    for j in range(tables.reactant_ptr[reaction], tables.reactant_ptr[reaction + 1]):
        count = state[tables.reactant_species[j]]
        for k in range(tables.reactant_order[j]):
            factor *= float(count - k) / (k + 1)
    return factor


@part
def fire(tables, reaction, state):
    """Apply ``reaction`` to ``state``; return OK, or what is wrong with the counts then."""
    code = OK
    for j in range(tables.change_ptr[reaction], tables.change_ptr[reaction + 1]):
        species = tables.change_species[j]
        state[species] += tables.change_amount[j]
        if state[species] > LARGEST_COUNT:
            code = OVERFLOW
        elif state[species] < 0:
            code = NEGATIVE_COUNT
    return code


@inlined
def rates_are_valid(rates):
    """Return whether every rate constant is finite and not negative."""
    for rate in rates:
        if not (0.0 <= rate < 1e300):
            return False
    return True

"""The propensity of one reaction, as the table-driven kernels read it."""

from __future__ import annotations

import numba

from tumble.kernels._mass_action import combinations


@numba.njit(inline="always", error_model="numpy")
def propensity(tables, rates, r, state):
    """Return a_r of counts ``state`` [S], given the rate constants ``rates`` [R]."""
    return rates[r] * combinations(tables, r, state)


@numba.njit(inline="always", error_model="numpy")
def propensity_of_reals(tables, rates, r, state):
    """Return a_r of real ``state`` [S], none of them negative: see `ReactionNetwork.combinations`.

    A factor n − k below 0 counts as 0, so that no propensity is negative between whole numbers.
    """
    factor = 1.0
    for j in range(tables.reactant_ptr[r], tables.reactant_ptr[r + 1]):
        count = state[tables.reactant_species[j]]
        for k in range(tables.reactant_order[j]):
            factor *= max(count - k, 0.0) / (k + 1)
    return rates[r] * factor

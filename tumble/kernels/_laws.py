"""Propensities of mass action and rate laws, and their derivatives, for Numba.

Tables are opened once a run: Numba counts references of what is taken out of a tuple, which in the
loop over events would cost more than all the rest.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._interpreter import evaluate
from tumble.kernels._jit import inlined, part
from tumble.kernels._mass_action import combinations

# Propensities are taken to stay the same between events: rates that read the time are not for the
# kernels that use this, and the simulator gives them another.
NO_TIME = 0.0


@part
def opened(laws):
    """Return (ptr, code, constants, stack) of the laws, or empty arrays where ``laws`` is None."""
    if laws is None:
        no = np.int64(0)  # not a literal, for which Numba would compile all of it once more
        return np.empty(no, np.int64), np.empty((no, no), np.int64), np.empty(no), np.empty(no)
    programs = laws.programs
    return programs.ptr, programs.code, programs.constants, np.empty(laws.depth)


@part
def opened_slopes(laws, num_reactions):
    """Return (first, parameter, ptr, code, constants) of the derivatives of the laws.

    Entries first[r] … first[r+1]-1 belong to reaction r; there are none where ``laws`` is None.
    """
    if laws is None:
        no = np.int64(0)
        nothing = np.empty(no, np.int64)
        first = np.empty(num_reactions + 1, np.int64)
        for r in range(num_reactions + 1):
            first[r] = 0
        return first, nothing, nothing, np.empty((no, no), np.int64), np.empty(no)
    slopes = laws.slopes
    return laws.slope_ptr, laws.slope_parameter, slopes.ptr, slopes.code, slopes.constants


@part
def factor_of(tables, laws, ptr, code, constants, stack, reaction, state, params):
    """Return what a reaction's rate constant is multiplied by.

    The combinations of its reactants, or the whole propensity of a rate law, whose constant is 1.
    """
    if laws is None or ptr[reaction] == ptr[reaction + 1]:
        return combinations(tables, reaction, state)
    return evaluate(
        code, constants, ptr[reaction], ptr[reaction + 1], state, params, NO_TIME, stack
    )


@inlined
def real_factor_of(tables, laws, ptr, code, constants, stack, reaction, state, params):
    """Return the same for real ``state`` [S] ≥ 0; see `ReactionNetwork.propensities`.

    Combinations are continued by max(0, n (n-1) … (n-m+1) / m!).
    """
    if laws is None or ptr[reaction] == ptr[reaction + 1]:
        factor = 1.0
        for j in range(tables.reactant_ptr[reaction], tables.reactant_ptr[reaction + 1]):
            count = state[tables.reactant_species[j]]
            for k in range(tables.reactant_order[j]):
                factor *= max(count - k, 0.0) / (k + 1)
        return factor
    return evaluate(
        code, constants, ptr[reaction], ptr[reaction + 1], state, params, NO_TIME, stack
    )


@inlined
def is_valid(propensity):
    """Return whether a propensity is finite and not negative."""
    return 0.0 <= propensity < 1e300


@part
def find_slopes(first, ptr, code, constants, stack, reaction, state, params, propensity, slope):
    """Fill in ∂a_r / ∂params in ``state``.

    NaN where it is not finite, or where a_r is 0 and would not stay so: paths in which r fires here
    are never seen, and the score, which is about paths that are, misses them.
    """
    for p in range(first[reaction], first[reaction + 1]):
        slope[p] = evaluate(code, constants, ptr[p], ptr[p + 1], state, params, NO_TIME, stack)
        if not abs(slope[p]) < np.inf or (propensity == 0.0 and slope[p] != 0.0):
            slope[p] = np.nan

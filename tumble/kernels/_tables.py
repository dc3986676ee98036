"""A network as flat arrays, the form in which kernels read it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import IntArray
from tumble.kernels._programs import Programs, compile_programs
from tumble.models import ReactionNetwork


class NetworkTables(NamedTuple):
    """Compressed rows: entries ``ptr[r] … ptr[r+1]-1`` belong to reaction r.

    ``reactant_*`` lists (species, order), ``change_*`` (species, net change), ``affected`` the
    reactions whose propensity may change when r fires.
    """

    reactant_ptr: IntArray
    reactant_species: IntArray
    reactant_order: IntArray
    change_ptr: IntArray
    change_species: IntArray
    change_amount: IntArray
    affected_ptr: IntArray
    affected: IntArray


class LawTables(NamedTuple):
    """The rate laws of a network, and their derivatives with respect to parameters.

    ``programs`` holds the law of each reaction, an empty one for mass action. Entries
    ``slope_ptr[r] … slope_ptr[r+1]-1`` of ``slope_parameter`` and ``slopes`` are the derivatives of
    law r that are not zero. ``depth`` is the stack that all of them need.
    """

    programs: Programs
    slope_ptr: IntArray
    slope_parameter: IntArray
    slopes: Programs
    depth: int


def network_tables(network: ReactionNetwork) -> NetworkTables:
    """Return the tables of ``network``."""
    orders, changes = network.reactant_orders, network.stoichiometry
    reactant_ptr, reactant_species, reactant_order = compressed_rows(orders)
    change_ptr, change_species, change_amount = compressed_rows(changes)
    touches = (changes != 0).astype(np.int64).T @ network.reads.astype(np.int64)
    affected_ptr, affected, _ = compressed_rows(touches.T)
    return NetworkTables(
        reactant_ptr,
        reactant_species,
        reactant_order,
        change_ptr,
        change_species,
        change_amount,
        affected_ptr,
        affected,
    )


def law_tables(network: ReactionNetwork) -> LawTables | None:
    """Return the tables of the rate laws of ``network``, or None where all is mass action.

    Kernels are compiled apart for None: a loop over events that calls nothing is many times faster.
    """
    is_law = ~network.is_mass_action
    if not is_law.any():
        return None
    names = network.species, network.parameters
    laws = [
        expression if law else None
        for expression, law in zip(network.rate_expressions, is_law, strict=True)
    ]
    slopes = [slope for slope in network.rate_slopes if is_law[slope.reaction]]
    programs = compile_programs(laws, *names)
    derivatives = compile_programs([slope.expression for slope in slopes], *names)
    of_reaction = np.array([slope.reaction for slope in slopes], dtype=np.int64)
    return LawTables(
        programs,
        np.searchsorted(of_reaction, np.arange(len(laws) + 1)).astype(np.int64),
        np.array([slope.parameter for slope in slopes], dtype=np.int64),
        derivatives,
        max(programs.depth, derivatives.depth),
    )


def compressed_rows(columns: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return (ptr, index, value) of the nonzero entries of each column."""
    per_column = [np.flatnonzero(column) for column in columns.T]
    ptr = np.concatenate([[0], np.cumsum([len(index) for index in per_column])])
    index = np.concatenate(per_column) if per_column else np.empty(0)
    value = np.concatenate([columns[i, r] for r, i in enumerate(per_column)])
    return ptr.astype(np.int64), index.astype(np.int64), value.astype(np.int64)

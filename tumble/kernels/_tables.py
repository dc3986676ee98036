"""A mass-action network as flat arrays, the form in which kernels read it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import IntArray
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


def network_tables(network: ReactionNetwork) -> NetworkTables:
    """Return the tables of ``network``."""
    orders, changes = network.reactant_orders, network.stoichiometry
    reactant_ptr, reactant_species, reactant_order = _rows(orders)
    change_ptr, change_species, change_amount = _rows(changes)
    touches = (changes != 0).astype(np.int64).T @ (orders != 0).astype(np.int64)
    affected_ptr, affected, _ = _rows(touches.T)
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


def _rows(columns: IntArray) -> tuple[IntArray, IntArray, IntArray]:
    """Return (ptr, index, value) of the nonzero entries of each column."""
    per_column = [np.flatnonzero(column) for column in columns.T]
    ptr = np.concatenate([[0], np.cumsum([len(index) for index in per_column])])
    index = np.concatenate(per_column) if per_column else np.empty(0)
    value = np.concatenate([columns[i, r] for r, i in enumerate(per_column)])
    return ptr.astype(np.int64), index.astype(np.int64), value.astype(np.int64)

"""What the kernels of the Cellular Potts model are given: geometry, couplings, state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tumble._errors import ModelError
from tumble._typing import FloatArray, IntArray
from tumble.models import Adhesion, CellularPotts, Perimeter, Volume
from tumble.models.cellular_potts import type_pairs
from tumble.models.lattices import AbstractNeighborhood, Periodic

_MOST_CHOICES = 2**40  # of a site and a neighbor: 24 bits are left to accept or not


@dataclass(frozen=True)
class CopyTables:
    """A model as kernels see it.

    Attributes: ``geometry`` (see the kernels); ``types`` [C + 1]; ``adhesion``, ``volume`` and
    ``perimeter``, the parameters of the entries of these terms, empty without; ``pairs`` [2, E],
    the types of the entries of the first.
    """

    geometry: Any
    types: IntArray
    pairs: IntArray
    adhesion: IntArray
    volume: IntArray
    perimeter: IntArray

    def couplings(self, params: FloatArray) -> Any:
        """Return the values of the tables at parameters [Q]."""
        from tumble.kernels._cellular_potts import Couplings

        size = int(self.types.max(initial=0)) + 1
        adhesion, volume, perimeter = np.zeros((size, size)), *np.zeros((2, 2, size))
        if len(self.adhesion):
            a, b = self.pairs
            adhesion[a, b] = adhesion[b, a] = params[self.adhesion]
        for table, entries in ((volume, self.volume), (perimeter, self.perimeter)):
            if len(entries):
                table[:, 1:] = params[entries].reshape(2, -1)
        return Couplings(adhesion, volume, perimeter)

    @cached_property
    def slots(self) -> Any:
        """Which parameter each entry of the tables is; -1 for none."""
        from tumble.kernels._copy_scores import Slots

        size = int(self.types.max(initial=0)) + 1
        adhesion = np.full((size, size), -1)
        volume, perimeter = np.full((2, 2, size), -1)
        if len(self.adhesion):
            a, b = self.pairs
            adhesion[a, b] = adhesion[b, a] = self.adhesion
        for table, entries in ((volume, self.volume), (perimeter, self.perimeter)):
            if len(entries):
                table[:, 1:] = entries.reshape(2, -1)
        return Slots(adhesion, volume, perimeter)


@lru_cache(maxsize=32)
def copy_tables(model: CellularPotts) -> CopyTables:
    """Return the tables of a model. Raises `ModelError` where the grid is too large."""
    num_axes = len(model.grid.shape)
    copies, contacts, outlines = (
        neighborhood.offsets(num_axes) if neighborhood else ()
        for neighborhood in (
            model.grid.neighborhood, _of(model.term(Adhesion)), _of(model.term(Perimeter)),
        )
    )  # fmt: skip
    if model.grid.num_sites * len(copies) > _MOST_CHOICES:
        raise ModelError(
            f"the grid has {model.grid.num_sites:,} sites, expected at most "
            f"{_MOST_CHOICES // len(copies):,}."
        )
    return CopyTables(
        _geometry(model, copies, contacts, outlines),
        model.start.types_of_ids,
        np.array(type_pairs(model.start.num_types), dtype=np.int64).reshape(-1, 2).T,
        *(model.entries(kind) for kind in (Adhesion, Volume, Perimeter)),
    )


def tissue_of(tables: CopyTables, ids: IntArray) -> Any:
    """Return the state of a frame, with volumes and perimeters counted."""
    from tumble.kernels._cellular_potts import Tissue, count_sizes, fill_codes

    geometry, number = tables.geometry, len(tables.types)
    codes = np.empty(int(np.prod(geometry.shape + 2 * geometry.margin)), np.uint32)
    solid = np.require(ids, np.int32, ["C"]).reshape(tuple(geometry.shape))
    fill_codes(solid, tables.types, geometry, codes)
    tissue = Tissue(codes, np.empty(number, np.int64), np.empty(number, np.int64))
    count_sizes(geometry, tissue)
    return tissue


def _of(term: Adhesion | Perimeter | None) -> AbstractNeighborhood | None:
    return term.neighborhood if term else None


def _geometry(model: CellularPotts, copies: Any, contacts: Any, outlines: Any) -> Any:
    from tumble.kernels._cellular_potts import Geometry, mark_edges

    offsets = [*copies, *contacts, *outlines]
    lead = 3 - len(model.grid.shape)
    reach = np.abs(offsets).max(axis=0)
    margin = np.array([*[0] * lead, *reach], dtype=np.int64)
    shape = np.array([*[1] * lead, *model.grid.shape], dtype=np.int64)
    if np.any(margin > shape):
        raise ModelError(
            f"neighbors are up to {margin.max()} sites away, but the grid is only {shape.min()} "
            "wide."
        )
    padded = shape + 2 * margin
    strides = np.array([padded[1] * padded[2], padded[2], 1])[lead:]
    edges = np.zeros(int(np.prod(padded)), np.bool_)
    periodic = isinstance(model.grid.boundary, Periodic)
    if periodic:
        mark_edges(shape, margin, edges)

    def distances(some: Any) -> Any:
        """Return the distances in the flat array, as unsigned numbers."""
        steps = [int(np.dot(offset, strides)) for offset in some]
        return np.array(steps, dtype=np.int64).view(np.uint64)

    return Geometry(
        shape, margin, periodic, edges, distances(copies), distances(contacts), distances(outlines)
    )

"""What the kernels of the Cellular Potts model are given: geometry, couplings, state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tumble._errors import ModelError
from tumble._typing import FloatArray, IntArray
from tumble.models import Activity, Adhesion, CellularPotts, Chemotaxis, Perimeter, Volume
from tumble.models.cellular_potts import AbstractTerm, type_pairs
from tumble.models.lattices import Periodic

_NEVER = np.int64(-(2**40))  # the step in which a site was copied to that never was
_MOST_CHOICES = 2**40  # of a site and a neighbor: 24 bits are left to accept or not


@dataclass(frozen=True)
class CopyTables:
    """A model as kernels see it.

    Attributes: ``geometry`` (see the kernels); ``types`` [C + 1]; ``adhesion``, ``volume``,
    ``perimeter``, ``taxis`` and ``drive``, the parameters of the entries of these terms, empty
    without; ``pairs`` [2, E], the types of the entries of the first.
    """

    geometry: Any
    types: IntArray
    pairs: IntArray
    adhesion: IntArray
    volume: IntArray
    perimeter: IntArray
    taxis: IntArray
    drive: IntArray

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
        taxis, drive = np.zeros((2, size))
        for table, entries in ((taxis, self.taxis), (drive, self.drive)):
            if len(entries):
                table[1:] = params[entries]
        return Couplings(adhesion, volume, perimeter, taxis, drive)

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
        taxis, drive = np.full((2, size), -1)
        for table, entries in ((taxis, self.taxis), (drive, self.drive)):
            if len(entries):
                table[1:] = entries
        return Slots(adhesion, volume, perimeter, taxis, drive)


@lru_cache(maxsize=32)
def copy_tables(model: CellularPotts) -> CopyTables:
    """Return the tables of a model. Raises `ModelError` where the grid is too large."""
    num_choices = len(model.grid.offsets)
    if model.grid.num_sites * num_choices > _MOST_CHOICES:
        raise ModelError(
            f"the grid has {model.grid.num_sites:,} sites, expected at most "
            f"{_MOST_CHOICES // num_choices:,}."
        )
    return CopyTables(
        _geometry(model),
        model.start.types_of_ids,
        np.array(type_pairs(model.start.num_types), dtype=np.int64).reshape(-1, 2).T,
        *(model.entries(kind) for kind in (Adhesion, Volume, Perimeter, Chemotaxis, Activity)),
    )


def tissue_of(tables: CopyTables, ids: IntArray) -> Any:
    """Return the state of a frame, with volumes and perimeters counted."""
    from tumble.kernels._cellular_potts import Tissue, count_sizes, fill_codes

    geometry, number = tables.geometry, len(tables.types)
    codes = np.empty(int(np.prod(geometry.shape + 2 * geometry.margin)), np.uint32)
    solid = np.require(ids, np.int32, ["C"]).reshape(tuple(geometry.shape))
    fill_codes(solid, tables.types, geometry, codes)
    stamps = np.full(len(codes) if len(geometry.active) else 0, _NEVER)
    tissue = Tissue(codes, np.empty(number, np.int64), np.empty(number, np.int64), stamps)
    count_sizes(geometry, tissue)
    return tissue


def _geometry(model: CellularPotts) -> Any:
    from tumble.kernels._cellular_potts import Geometry, mark_edges

    num_axes, periodic = len(model.grid.shape), isinstance(model.grid.boundary, Periodic)
    lead = 3 - num_axes
    copies = model.grid.offsets
    contacts, outlines, active = (_offsets(model, k) for k in (Adhesion, Perimeter, Activity))
    reach = np.maximum(_reach([*copies, *contacts, *outlines]), _reach(copies) + _reach(active))
    margin = np.array([*[0] * lead, *np.broadcast_to(reach, num_axes)], dtype=np.int64)
    shape = np.array([*[1] * lead, *model.grid.shape], dtype=np.int64)
    if np.any(margin > shape):
        raise ModelError(
            f"neighbors are up to {margin.max()} sites away, but the grid is only {shape.min()} "
            "wide."
        )
    padded = shape + 2 * margin
    strides = np.array([padded[1] * padded[2], padded[2], 1])[lead:]
    edges = np.zeros(int(np.prod(padded)), np.bool_)
    if periodic:
        mark_edges(shape, margin, edges)

    def distances(some: Any) -> Any:
        """Return the distances in the flat array, as unsigned numbers."""
        steps = [int(np.dot(offset, strides)) for offset in some]
        return np.array(steps, dtype=np.int64).view(np.uint64)

    chemotaxis, activity = model.term(Chemotaxis), model.term(Activity)
    field = np.empty(0)
    if chemotaxis:
        mode: Any = "wrap" if periodic else "edge"
        field = np.pad(chemotaxis.concentration, [(m, m) for m in margin[lead:]], mode).ravel()
    if activity:
        active = [(0,) * num_axes, *active]
    return Geometry(
        shape, margin, periodic, edges, distances(copies), distances(contacts),
        distances(outlines), field, distances(active), activity.memory if activity else 0,
    )  # fmt: skip


def _offsets(model: CellularPotts, kind: type[AbstractTerm]) -> Any:
    """Return the neighborhood that a term reads, empty without the term."""
    term = model.term(kind)
    num_axes = len(model.grid.shape)
    return [o for n in term.neighborhoods() for o in n.offsets(num_axes)] if term else []


def _reach(offsets: Any) -> Any:
    """Return how far offsets go along each axis; 0 where there are none."""
    return np.abs(offsets).max(axis=0) if len(offsets) else 0

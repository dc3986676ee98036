"""What there is to count in one state of a Cellular Potts model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.models.cellular_potts._cells import Cells
from tumble.models.lattices import AbstractNeighborhood, Grid, Periodic


class CellCounts:
    """Volumes, perimeters and contacts of cells on a grid, counted afresh. Final."""

    def __init__(self, grid: Grid, cells: Cells) -> None:
        self.grid, self.cells = grid, cells
        self._unlike = lru_cache(maxsize=None)(self._find_unlike)

    @cached_property
    def volumes(self) -> IntArray:
        """Sites of cell 1, 2, … [C]."""
        return self.cells.volumes

    def perimeters(self, neighborhood: AbstractNeighborhood) -> IntArray:
        """Return, for cell 1, 2, … [C], the pairs of a site in it and a neighbor outside."""
        here, _ = self._unlike(neighborhood)
        return np.bincount(here, minlength=self.cells.num_cells + 1)[1:]

    def contacts(self, neighborhood: AbstractNeighborhood) -> FloatArray:
        """Return the pairs of neighboring sites of unlike cells by their types, [T, T], symmetric.

        A pair counts once. Sites beyond a fixed edge are medium.
        """
        types, size = self.cells.types_of_ids, self.cells.num_types
        here, there = (types[ids] for ids in self._unlike(neighborhood))
        ordered = np.bincount(size * here + there, minlength=size * size).reshape(size, size)
        if not isinstance(self.grid.boundary, Periodic):
            ordered[0] = ordered[:, 0]  # those of the medium beyond the edge were not visited
        return np.where(np.eye(size, dtype=bool), ordered / 2, ordered).astype(float)

    def _find_unlike(self, neighborhood: AbstractNeighborhood) -> tuple[IntArray, IntArray]:
        """Return the cells of both sites of all ordered pairs of neighbors that differ."""
        ids = self.cells.ids
        here, there = [], []
        for offset in neighborhood.offsets(ids.ndim):
            seen = shifted(ids, offset, isinstance(self.grid.boundary, Periodic))
            where = np.flatnonzero(ids != seen)
            here.append(ids.ravel()[where])
            there.append(seen.ravel()[where])
        return np.concatenate(here), np.concatenate(there)


def shifted(ids: IntArray, offset: Sequence[int], periodic: bool) -> IntArray:
    """Return, at each site, the cell of the site at ``offset``; beyond a fixed edge, the medium."""
    axes = tuple(range(ids.ndim))
    if periodic:
        return np.roll(ids, [-o for o in offset], axes)
    reach = max(map(abs, offset))
    padded = np.pad(ids, reach)
    return padded[
        tuple(slice(reach + o, reach + o + n) for o, n in zip(offset, ids.shape, strict=True))
    ]

"""What is seen of cells: numbers for each observation."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tumble._errors import ModelError, shown
from tumble._typing import BoolArray, FloatArray
from tumble.models.cellular_potts._cells import Cells
from tumble.models.cellular_potts._counts import CellCounts
from tumble.models.cellular_potts._energy import type_pairs
from tumble.models.lattices import AbstractNeighborhood, Grid, Moore, Periodic, VonNeumann

_MOST_WAVES = 12


class AbstractMeasure(abc.ABC):
    """Numbers that a run shows at each time. Cells without a site are left out."""

    @abc.abstractmethod
    def names(self, num_types: int) -> tuple[str, ...]:
        """Return the names of its outputs, O."""

    @abc.abstractmethod
    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """Return the outputs [T, O] of T states, one after another, of a run from ``start``."""


@dataclass(frozen=True)
class ContactLength(AbstractMeasure):
    """Pairs of neighboring sites of unlike cells, by type: ``contact_0_1``, ``contact_1_2``, ….

    Arguments: ``neighborhood``, default `Moore`.
    """

    neighborhood: AbstractNeighborhood = field(default_factory=Moore)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractMeasure.names`."""
        return tuple(f"contact_{a}_{b}" for a, b in type_pairs(num_types))

    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """See `AbstractMeasure.along`."""
        a, b = np.transpose(type_pairs(start.num_types))
        return np.array([c.contacts(self.neighborhood)[a, b] for c in counts])


@dataclass(frozen=True)
class MeanVolume(AbstractMeasure):
    """Mean sites of a cell, for each type: ``volume_1``, …; 0 where no cell is left."""

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractMeasure.names`."""
        return tuple(f"volume_{k}" for k in range(1, num_types))

    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """See `AbstractMeasure.along`."""
        return np.array([_by_type(start, c.volumes.astype(float), c.volumes > 0) for c in counts])


@dataclass(frozen=True)
class CellCount(AbstractMeasure):
    """How many cells of each type have a site left: ``cells_1``, …."""

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractMeasure.names`."""
        return tuple(f"cells_{k}" for k in range(1, num_types))

    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """See `AbstractMeasure.along`."""
        bins = start.num_types
        rows = [np.bincount(start.types[c.volumes > 0], minlength=bins)[1:] for c in counts]
        return np.array(rows, dtype=float)


@dataclass(frozen=True)
class ShapeIndex(AbstractMeasure):
    """Mean P / √V of a cell, for each type: ``shape_1``, …: how far it is from round.

    P is the number of sides (in space, faces) between a site of the cell and one outside, V its
    sites: 4 for a square; in space P / V^(2/3), 6 for a cube.

    Reference: Bi et al., Nat. Phys. 11 (2015), doi:10.1038/nphys3471.
    """

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractMeasure.names`."""
        return tuple(f"shape_{k}" for k in range(1, num_types))

    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """See `AbstractMeasure.along`."""
        power = 1 - 1 / start.ids.ndim
        rows = []
        for c in counts:
            alive = c.volumes > 0
            ratio = c.perimeters(VonNeumann()) / np.maximum(c.volumes, 1) ** power
            rows.append(_by_type(start, ratio, alive))
        return np.array(rows)


@dataclass(frozen=True)
class SquareDisplacement(AbstractMeasure):
    """Mean square distance of cells from where they began, for each type: ``msd_1``, ….

    The place of a cell is the mean of its sites. On a torus it is followed from one observation to
    the next, so observe often enough that no cell moves by half of the lattice in between, nor is
    spread over half of it.
    """

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractMeasure.names`."""
        return tuple(f"msd_{k}" for k in range(1, num_types))

    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """See `AbstractMeasure.along`."""
        if not counts:
            return np.empty((0, start.num_types - 1))
        begin = CellCounts(counts[0].grid, start)
        places = centroids([begin, *counts])
        squares = ((places[1:] - places[0]) ** 2).sum(-1)
        alive = (begin.volumes > 0) & np.array([c.volumes > 0 for c in counts])
        return np.array([_by_type(start, row, a) for row, a in zip(squares, alive, strict=True)])


@dataclass(frozen=True)
class ShapeModes(AbstractMeasure):
    """Mean square amplitudes of the waves along the outline, for each type: ``mode_2_1``, ….

    Definition: where the outline of a cell is r(φ) = R (1 + Σ_m a_m cos(m φ − φ_m)) around its
    place, Σ z^m over its sites, z = x + i y from there, is π R^(m + 2) a_m to first order. So
    a_m = |Σ z^m| / (π R^(m + 2)), with R = √(V / π); ``mode_m_k`` is the mean of a_m² over the
    cells of type k. Mode 2 is elongation, 3 a triangle. No outline is traced, so cells may have
    holes or be in pieces. Waves shorter than some sites are those of the lattice.

    Arguments: ``modes``, whole numbers from 2 on, default 2, 3 and 4. Lattices of two axes.

    Reference: of such spectra, Pécréaux et al., Eur. Phys. J. E 13 (2004),
    doi:10.1140/epje/i2004-10001-9.
    """

    modes: Sequence[int] = (2, 3, 4)

    def __post_init__(self) -> None:
        modes = tuple(self.modes) if isinstance(self.modes, Sequence) else ()
        if not modes or not all(type(m) is int and 2 <= m <= _MOST_WAVES for m in modes):
            raise ModelError(
                f"`modes` is {shown(self.modes)}, expected whole numbers from 2 to {_MOST_WAVES}, "
                "such as [2, 3]."
            )
        object.__setattr__(self, "modes", modes)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractMeasure.names`."""
        return tuple(f"mode_{m}_{k}" for m in self.modes for k in range(1, num_types))

    def along(self, start: Cells, counts: Sequence[CellCounts]) -> FloatArray:
        """See `AbstractMeasure.along`."""
        if start.ids.ndim != 2:
            raise ModelError(
                f"ShapeModes are of cells in the plane, and the lattice has {start.ids.ndim} axes."
            )
        rows = [np.concatenate([_by_type(start, a, c.volumes > 0) for a in self._squares(c)])
                for c in counts]  # fmt: skip
        return np.array(rows)

    def _squares(self, counts: CellCounts) -> list[FloatArray]:
        """Return a_m² [C] of each mode."""
        ids, number = counts.cells.ids.ravel(), counts.cells.num_cells + 1
        y, x = places_from_middle(counts)
        z = np.where(ids > 0, x + 1j * y, 0)
        volumes = np.maximum(counts.volumes, 1)
        radii, squares = np.sqrt(volumes / np.pi), []
        for m in self.modes:
            power = z**m
            total = [np.bincount(ids, part, number)[1:] for part in (power.real, power.imag)]
            squares.append((total[0] ** 2 + total[1] ** 2) / (np.pi * radii ** (m + 2)) ** 2)
        return squares


def centroids(counts: Sequence[CellCounts]) -> FloatArray:
    """Return the mean place of each cell [T, C, axes] along a run; NaN without a site.

    On a torus places are unwrapped: each is the one nearest to the last place of that cell.
    """
    grid = counts[0].grid
    periodic = isinstance(grid.boundary, Periodic)
    found = np.array([_mean_places(grid, c.cells, periodic) for c in counts])
    if periodic:
        size = np.array(grid.shape, dtype=float)
        last = found[0]
        for now in found[1:]:
            now -= size * np.rint((now - last) / size)
            last = np.where(np.isnan(now), last, now)
    return found


def places_from_middle(counts: CellCounts) -> FloatArray:
    """Return where sites lie from the mean place of their cell, [axes, sites]; NaN in the medium.

    On a torus along the shorter way.
    """
    grid = counts.grid
    periodic = isinstance(grid.boundary, Periodic)
    middle = np.pad(_mean_places(grid, counts.cells, periodic), ((1, 0), (0, 0)),
                    constant_values=np.nan)  # fmt: skip
    found = np.indices(grid.shape).reshape(len(grid.shape), -1) - middle[counts.cells.ids.ravel()].T
    size = np.array(grid.shape, dtype=float)[:, None]
    return found - size * np.rint(found / size) if periodic else found


def _mean_places(grid: Grid, cells: Cells, periodic: bool) -> FloatArray:
    """Return mean places [C, axes]; on a torus around the circular mean, which is inside it."""
    ids, number = cells.ids.ravel(), cells.num_cells + 1
    volumes = np.bincount(ids, minlength=number).astype(float)
    where = np.empty((number - 1, len(grid.shape)))
    with np.errstate(invalid="ignore", divide="ignore"):
        for axis, n in enumerate(grid.shape):
            shape = [n if a == axis else 1 for a in range(len(grid.shape))]
            x = np.broadcast_to(np.arange(n).reshape(shape), grid.shape).ravel().astype(float)
            if periodic:
                angle = 2 * np.pi * x / n
                sums = [np.bincount(ids, f(angle), number) for f in (np.sin, np.cos)]
                middle = np.arctan2(*sums) * n / (2 * np.pi)
                x = x - n * np.rint((x - middle[ids]) / n)
            where[:, axis] = (np.bincount(ids, x, number) / volumes)[1:]
    return where


def _by_type(start: Cells, values: FloatArray, alive: BoolArray) -> FloatArray:
    """Return the means over the cells of each type that are alive, 0 where there are none."""
    kinds, bins = start.types[alive], start.num_types
    count = np.bincount(kinds, minlength=bins)[1:]
    return np.bincount(kinds, values[alive], bins)[1:] / np.maximum(count, 1)

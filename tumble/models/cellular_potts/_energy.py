"""Terms of the energy of a Cellular Potts model."""

from __future__ import annotations

import abc
import itertools
from dataclasses import dataclass, field

import numpy as np

from tumble._errors import ModelError, require_flag, require_member
from tumble._typing import FloatArray, IntArray
from tumble.models.cellular_potts._counts import CellCounts
from tumble.models.lattices import AbstractNeighborhood, Grid, Moore


class AbstractTerm(abc.ABC):
    """A term of what decides on a copy, with the parameters that it brings.

    All are in units of the temperature: only J / T and λ / T can be told from data.
    """

    @abc.abstractmethod
    def names(self, num_types: int) -> tuple[str, ...]:
        """Return the parameter of each entry of its table, in order; entries may share one."""

    def neighborhoods(self) -> tuple[AbstractNeighborhood, ...]:
        """Return the neighborhoods that it reads."""
        return ()

    def check(self, grid: Grid) -> None:
        """Raise `ModelError` where it does not fit the lattice. By default all do."""
        return


class AbstractEnergy(AbstractTerm):
    """A term of the energy."""

    @abc.abstractmethod
    def total(self, entries: FloatArray, counts: CellCounts) -> float:
        """Return the term's part of the energy, given the values of its entries."""


@dataclass(frozen=True)
class Adhesion(AbstractEnergy):
    """What contact costs: Σ J(type, type') over pairs of neighboring sites of unlike cells.

    Each pair counts once. J is symmetric: the parameters are ``J_0_1``, ``J_1_1``, ``J_0_2``,
    ``J_1_2``, ``J_2_2``, …, 0 being the medium. ``J_1_1`` is that of two cells of type 1.

    Arguments: ``neighborhood``, which pairs of sites are in contact, default `Moore`, the eight
    (26) sites around.
    """

    neighborhood: AbstractNeighborhood = field(default_factory=Moore)

    def __post_init__(self) -> None:
        require_neighborhood(self.neighborhood)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractTerm.names`."""
        return tuple(f"J_{a}_{b}" for a, b in type_pairs(num_types))

    def total(self, entries: FloatArray, counts: CellCounts) -> float:
        """See `AbstractEnergy.total`."""
        contacts = counts.contacts(self.neighborhood)
        pairs = type_pairs(counts.cells.num_types)
        return float(sum(e * contacts[a, b] for e, (a, b) in zip(entries, pairs, strict=True)))

    def neighborhoods(self) -> tuple[AbstractNeighborhood, ...]:
        """See `AbstractTerm.neighborhoods`."""
        return (self.neighborhood,)


@dataclass(frozen=True)
class Volume(AbstractEnergy):
    """What cells pay for their size: Σ λ (V − V*)² over the cells, V being their sites.

    Parameters: ``lambda_volume`` λ and ``target_volume`` V*; or, with ``by_type``,
    ``lambda_volume_1``, …, ``target_volume_1``, … for each type. The medium has none.
    """

    by_type: bool = False

    def __post_init__(self) -> None:
        require_flag("by_type", self.by_type, ModelError)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractTerm.names`."""
        return names_by_type(("lambda_volume", "target_volume"), self.by_type, num_types)

    def total(self, entries: FloatArray, counts: CellCounts) -> float:
        """See `AbstractEnergy.total`."""
        return _squares(entries, counts, counts.volumes)


@dataclass(frozen=True)
class Perimeter(AbstractEnergy):
    """What cells pay for their outline: Σ λ (P − P*)² over the cells.

    P is the number of pairs of a site of the cell and a neighbor of it that is not in the cell.

    Parameters: ``lambda_perimeter`` and ``target_perimeter``, or those of each type, as in
    `Volume`. Arguments: ``neighborhood``, default `Moore`; ``by_type``.
    """

    neighborhood: AbstractNeighborhood = field(default_factory=Moore)
    by_type: bool = False

    def __post_init__(self) -> None:
        require_neighborhood(self.neighborhood)
        require_flag("by_type", self.by_type, ModelError)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractTerm.names`."""
        return names_by_type(("lambda_perimeter", "target_perimeter"), self.by_type, num_types)

    def total(self, entries: FloatArray, counts: CellCounts) -> float:
        """See `AbstractEnergy.total`."""
        return _squares(entries, counts, counts.perimeters(self.neighborhood))

    def neighborhoods(self) -> tuple[AbstractNeighborhood, ...]:
        """See `AbstractTerm.neighborhoods`."""
        return (self.neighborhood,)


def type_pairs(num_types: int) -> list[tuple[int, int]]:
    """Return the pairs of types that can be in contact, a ≤ b: all but medium and medium."""
    pairs = itertools.combinations_with_replacement(range(num_types), 2)
    return sorted((pair for pair in pairs if pair != (0, 0)), key=lambda pair: pair[::-1])


def _squares(entries: FloatArray, counts: CellCounts, sizes: IntArray) -> float:
    """Return Σ λ (size − target)², the entries being λ of each type and then the targets."""
    strengths, targets = np.reshape(entries, (2, -1))
    kinds = counts.cells.types - 1
    return float((strengths[kinds] * (sizes - targets[kinds]) ** 2).sum())


def names_by_type(stems: tuple[str, ...], apart: bool, num_types: int) -> tuple[str, ...]:
    """Return names for each type but the medium, stem by stem: of their own, or shared."""
    kinds = range(1, num_types)
    return tuple(f"{stem}_{k}" if apart else stem for stem in stems for k in kinds)


def require_neighborhood(value: object) -> None:
    """Raise `ParameterError` unless this is a neighborhood."""
    require_member(
        "neighborhood", value, AbstractNeighborhood, "a neighborhood such as models.Moore()"
    )

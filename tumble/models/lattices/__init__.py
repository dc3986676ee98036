"""Lattice models, and the grids that they live on."""

from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._grid import (
    AbstractBoundary,
    AbstractNeighborhood,
    Fixed,
    Grid,
    Hexagonal,
    Moore,
    Periodic,
    Reflective,
    VonNeumann,
    WithinRadius,
)
from tumble.models.lattices._susceptible_infected import SusceptibleInfected
from tumble.models.lattices._walks import PersistentWalk, PlainWalk, RestrictedPottsWalk

__all__ = [
    "AbstractBoundary",
    "AbstractLattice",
    "AbstractNeighborhood",
    "Fixed",
    "Grid",
    "Hexagonal",
    "Moore",
    "Periodic",
    "PersistentWalk",
    "PlainWalk",
    "Reflective",
    "RestrictedPottsWalk",
    "SusceptibleInfected",
    "VonNeumann",
    "WithinRadius",
]

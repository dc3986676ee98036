"""Lattice models, and the grids that they live on."""

from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._forest_fire import ForestFire
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
from tumble.models.lattices._infection_counts import Estimated, InfectionCounts
from tumble.models.lattices._lattice_gas import FitzHughNagumoLatticeGas
from tumble.models.lattices._lattice_gas_frame import LatticeGasFrame, LatticeGasRatios
from tumble.models.lattices._lattice_gas_movie import LatticeGasFit, LatticeGasMovie
from tumble.models.lattices._levels import AbstractLevel, LocalOtsu, Otsu
from tumble.models.lattices._potts import Ising, Potts
from tumble.models.lattices._predator_prey import PredatorPrey
from tumble.models.lattices._random_transition import RandomTransition
from tumble.models.lattices._restarts import Restarts
from tumble.models.lattices._segmentation import SegmentationLattice
from tumble.models.lattices._susceptible_infected import SusceptibleInfected
from tumble.models.lattices._susceptible_infected_recovered import SusceptibleInfectedRecovered
from tumble.models.lattices._transitions import Transitions
from tumble.models.lattices._walks import PersistentWalk, PlainWalk, RestrictedPottsWalk

__all__ = [
    "AbstractBoundary",
    "AbstractLattice",
    "AbstractLevel",
    "AbstractNeighborhood",
    "Estimated",
    "FitzHughNagumoLatticeGas",
    "Fixed",
    "ForestFire",
    "Grid",
    "Hexagonal",
    "InfectionCounts",
    "Ising",
    "LatticeGasFit",
    "LatticeGasFrame",
    "LatticeGasMovie",
    "LatticeGasRatios",
    "LocalOtsu",
    "Moore",
    "Otsu",
    "Periodic",
    "PersistentWalk",
    "PlainWalk",
    "Potts",
    "PredatorPrey",
    "RandomTransition",
    "Reflective",
    "Restarts",
    "RestrictedPottsWalk",
    "SegmentationLattice",
    "SusceptibleInfected",
    "SusceptibleInfectedRecovered",
    "Transitions",
    "VonNeumann",
    "WithinRadius",
]

"""Models: what is simulated."""

from tumble.models._base import AbstractModel
from tumble.models._black_box import AbstractBlackBox, BlackBox
from tumble.models._conservation import ConservationLaw
from tumble.models._events import Event
from tumble.models._external_program import ExternalProgram
from tumble.models._kinetics import RateSlope
from tumble.models._rate_laws import AbstractRate, Hill, MassAction, MichaelisMenten, RateLaw
from tumble.models._reaction import Reaction
from tumble.models._reaction_network import ReactionNetwork
from tumble.models._variables import Variable
from tumble.models.lattices import (
    AbstractBoundary,
    AbstractLattice,
    AbstractNeighborhood,
    FitzHughNagumoLatticeGas,
    Fixed,
    ForestFire,
    Grid,
    Hexagonal,
    InfectionCounts,
    Ising,
    LatticeGasFrame,
    LatticeGasMovie,
    LatticeGasRatios,
    Moore,
    Periodic,
    PersistentWalk,
    PlainWalk,
    Potts,
    PredatorPrey,
    Reflective,
    Restarts,
    RestrictedPottsWalk,
    SusceptibleInfected,
    SusceptibleInfectedRecovered,
    Transitions,
    VonNeumann,
    WithinRadius,
)

__all__ = [
    "AbstractBlackBox",
    "AbstractBoundary",
    "AbstractLattice",
    "AbstractModel",
    "AbstractNeighborhood",
    "AbstractRate",
    "BlackBox",
    "ConservationLaw",
    "Event",
    "ExternalProgram",
    "FitzHughNagumoLatticeGas",
    "Fixed",
    "ForestFire",
    "Grid",
    "Hexagonal",
    "Hill",
    "InfectionCounts",
    "Ising",
    "LatticeGasFrame",
    "LatticeGasMovie",
    "LatticeGasRatios",
    "MassAction",
    "MichaelisMenten",
    "Moore",
    "Periodic",
    "PersistentWalk",
    "PlainWalk",
    "Potts",
    "PredatorPrey",
    "RateLaw",
    "RateSlope",
    "Reaction",
    "ReactionNetwork",
    "Reflective",
    "Restarts",
    "RestrictedPottsWalk",
    "SusceptibleInfected",
    "SusceptibleInfectedRecovered",
    "Transitions",
    "Variable",
    "VonNeumann",
    "WithinRadius",
]

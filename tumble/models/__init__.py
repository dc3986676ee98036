"""Models: what is simulated."""

from tumble.models._conservation import ConservationLaw
from tumble.models._kinetics import RateSlope
from tumble.models._rate_laws import AbstractRate, Hill, MassAction, MichaelisMenten, RateLaw
from tumble.models._reaction import Reaction
from tumble.models._reaction_network import ReactionNetwork

__all__ = [
    "AbstractRate",
    "ConservationLaw",
    "Hill",
    "MassAction",
    "MichaelisMenten",
    "RateLaw",
    "RateSlope",
    "Reaction",
    "ReactionNetwork",
]

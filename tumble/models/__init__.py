"""Models: what is simulated."""

from tumble.models._reaction_network import ConservationLaw, Reaction, ReactionNetwork

__all__ = ["ConservationLaw", "Reaction", "ReactionNetwork"]

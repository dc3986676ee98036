"""Learning which reactions there are."""

from tumble.structure._conserved import ObservedLaw, observed_laws
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._library import ReactionLibrary, equation, mass_action
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood
from tumble.structure._posterior import NetworkPosterior, NetworkPrior, Weighed
from tumble.structure._result import LearntReaction, NetworkChoice, StructureResult
from tumble.structure._search import WindowSearch

__all__ = [
    "AbstractSearch",
    "Found",
    "LearntReaction",
    "LogLikelihood",
    "NetworkChoice",
    "NetworkLikelihood",
    "NetworkPosterior",
    "NetworkPrior",
    "ObservedLaw",
    "ReactionLibrary",
    "StructureResult",
    "Weighed",
    "WindowSearch",
    "equation",
    "mass_action",
    "observed_laws",
]

"""Learning which reactions there are."""

from tumble.structure._conserved import ObservedLaw, observed_laws
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._frequencies import SelectionFrequencies
from tumble.structure._gate_path import GatePath
from tumble.structure._gate_trace import GateTrace
from tumble.structure._library import ReactionLibrary, equation, mass_action
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood
from tumble.structure._posterior import NetworkPosterior, NetworkPrior, Weighed
from tumble.structure._result import LearntReaction, NetworkChoice, StructureResult
from tumble.structure._screening import IncrementScreening
from tumble.structure._search import WindowSearch
from tumble.structure._stability import stability_selection

__all__ = [
    "AbstractSearch",
    "Found",
    "GatePath",
    "GateTrace",
    "IncrementScreening",
    "LearntReaction",
    "LogLikelihood",
    "NetworkChoice",
    "NetworkLikelihood",
    "NetworkPosterior",
    "NetworkPrior",
    "ObservedLaw",
    "ReactionLibrary",
    "SelectionFrequencies",
    "StructureResult",
    "Weighed",
    "WindowSearch",
    "equation",
    "mass_action",
    "observed_laws",
    "stability_selection",
]

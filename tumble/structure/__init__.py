"""Learning which reactions there are, and weighing models."""

from tumble.structure._conserved import ObservedLaw, observed_laws
from tumble.structure._criteria import AbstractCriterion, Evidence, Score
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._held_out import HeldOut
from tumble.structure._integral import Integral, integrate
from tumble.structure._joint import Joint, Mode, prior_words
from tumble.structure._library import ReactionLibrary, equation, mass_action
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood
from tumble.structure._model_comparison import ModelComparison, WeighedModel, ranked
from tumble.structure._posterior import NetworkPosterior, NetworkPrior, Weighed
from tumble.structure._result import LearntReaction, NetworkChoice, StructureResult
from tumble.structure._search import WindowSearch

__all__ = [
    "AbstractCriterion",
    "AbstractSearch",
    "Evidence",
    "Found",
    "HeldOut",
    "Integral",
    "Joint",
    "LearntReaction",
    "LogLikelihood",
    "Mode",
    "ModelComparison",
    "NetworkChoice",
    "NetworkLikelihood",
    "NetworkPosterior",
    "NetworkPrior",
    "ObservedLaw",
    "ReactionLibrary",
    "Score",
    "StructureResult",
    "Weighed",
    "WeighedModel",
    "WindowSearch",
    "equation",
    "integrate",
    "mass_action",
    "observed_laws",
    "prior_words",
    "ranked",
]

"""Learning which reactions there are."""

from tumble.structure._choice_gradients import (
    AbstractChoiceGradient,
    ScoredChoice,
    StraightThroughChoice,
)
from tumble.structure._choice_search import ChoiceSearch
from tumble.structure._coefficient_gradients import (
    AbstractCoefficientGradient,
    RelaxedCoefficients,
    StraightThroughCoefficients,
)
from tumble.structure._coefficient_search import CoefficientSearch
from tumble.structure._conserved import ObservedLaw, observed_laws
from tumble.structure._descent import Descent
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._library import ReactionLibrary, equation, mass_action
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood
from tumble.structure._posterior import NetworkPosterior, NetworkPrior, Weighed
from tumble.structure._relaxed_likelihood import RelaxedLikelihood
from tumble.structure._result import LearntReaction, NetworkChoice, StructureResult
from tumble.structure._search import WindowSearch
from tumble.structure._simulated_loss import SimulatedLoss

__all__ = [
    "AbstractChoiceGradient",
    "AbstractCoefficientGradient",
    "AbstractSearch",
    "ChoiceSearch",
    "CoefficientSearch",
    "Descent",
    "Found",
    "LearntReaction",
    "LogLikelihood",
    "NetworkChoice",
    "NetworkLikelihood",
    "NetworkPosterior",
    "NetworkPrior",
    "ObservedLaw",
    "ReactionLibrary",
    "RelaxedCoefficients",
    "RelaxedLikelihood",
    "ScoredChoice",
    "SimulatedLoss",
    "StraightThroughChoice",
    "StraightThroughCoefficients",
    "StructureResult",
    "Weighed",
    "WindowSearch",
    "equation",
    "mass_action",
    "observed_laws",
]

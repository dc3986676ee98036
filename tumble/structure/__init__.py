"""Learning which reactions there are, and weighing models."""

from tumble.structure._advice import Advice, DesignValue, NextExperiment, possible_experiments
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
from tumble.structure._criteria import AbstractCriterion, Evidence, Score
from tumble.structure._descent import Descent
from tumble.structure._equivalence import (
    Equivalences,
    NetworkClass,
    ReactionClass,
    Recovery,
    Relation,
)
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._frequencies import SelectionFrequencies
from tumble.structure._gate_path import GatePath
from tumble.structure._gate_trace import GateTrace
from tumble.structure._held_out import HeldOut
from tumble.structure._integral import Integral, integrate
from tumble.structure._joint import Joint, Mode, prior_words
from tumble.structure._learnt import LearntReaction, NetworkChoice
from tumble.structure._library import ReactionLibrary, equation, mass_action
from tumble.structure._likelihood import LogLikelihood, NetworkLikelihood
from tumble.structure._model_comparison import ModelComparison, WeighedModel, ranked
from tumble.structure._posterior import NetworkPosterior, NetworkPrior, Weighed
from tumble.structure._refinement import LeftOut, Refinement
from tumble.structure._relaxed_likelihood import RelaxedLikelihood
from tumble.structure._result import StructureResult
from tumble.structure._screening import IncrementScreening
from tumble.structure._search import WindowSearch
from tumble.structure._sight import Sight
from tumble.structure._simulated_loss import SimulatedLoss
from tumble.structure._stability import stability_selection

__all__ = [
    "AbstractChoiceGradient",
    "AbstractCoefficientGradient",
    "AbstractCriterion",
    "AbstractSearch",
    "Advice",
    "ChoiceSearch",
    "CoefficientSearch",
    "Descent",
    "DesignValue",
    "Equivalences",
    "Evidence",
    "Found",
    "GatePath",
    "GateTrace",
    "HeldOut",
    "IncrementScreening",
    "Integral",
    "Joint",
    "LearntReaction",
    "LeftOut",
    "LogLikelihood",
    "Mode",
    "ModelComparison",
    "NetworkChoice",
    "NetworkClass",
    "NetworkLikelihood",
    "NetworkPosterior",
    "NetworkPrior",
    "NextExperiment",
    "ObservedLaw",
    "ReactionClass",
    "ReactionLibrary",
    "Recovery",
    "Refinement",
    "Relation",
    "RelaxedCoefficients",
    "RelaxedLikelihood",
    "Score",
    "ScoredChoice",
    "SelectionFrequencies",
    "Sight",
    "SimulatedLoss",
    "StraightThroughChoice",
    "StraightThroughCoefficients",
    "StructureResult",
    "Weighed",
    "WeighedModel",
    "WindowSearch",
    "equation",
    "integrate",
    "mass_action",
    "observed_laws",
    "possible_experiments",
    "prior_words",
    "ranked",
    "stability_selection",
]

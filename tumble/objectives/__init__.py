"""Objectives: what a fit makes small."""

from tumble.objectives._base import (
    AbstractObjective,
    AbstractOutputObjective,
    BoundOutputs,
    Evaluation,
)
from tumble.objectives._default import (
    default_objective,
    objective_warnings,
    require_problem,
)
from tumble.objectives._distribution_matching import DistributionMatching
from tumble.objectives._expected_loss import ExpectedLoss
from tumble.objectives._loss_of_expectations import LossOfExpectations
from tumble.objectives._moment_matching import MomentMatching
from tumble.objectives._path_likelihood import BoundLikelihood, PathLikelihood
from tumble.objectives._stability_matching import StabilityMatching
from tumble.objectives._state_matching import StateMatching
from tumble.objectives._surrogate import Surrogate
from tumble.objectives._trajectory_matching import TrajectoryMatching

__all__ = [
    "AbstractObjective",
    "AbstractOutputObjective",
    "BoundLikelihood",
    "BoundOutputs",
    "DistributionMatching",
    "Evaluation",
    "ExpectedLoss",
    "LossOfExpectations",
    "MomentMatching",
    "PathLikelihood",
    "StabilityMatching",
    "StateMatching",
    "Surrogate",
    "TrajectoryMatching",
    "default_objective",
    "objective_warnings",
    "require_problem",
]

"""Objectives: what a fit makes small."""

from tumble.objectives._base import (
    AbstractObjective,
    AbstractOutputObjective,
    BoundOutputs,
    Evaluation,
)
from tumble.objectives._default import default_objective, objective_warnings
from tumble.objectives._expected_loss import ExpectedLoss
from tumble.objectives._moment_matching import MomentMatching
from tumble.objectives._path_likelihood import BoundLikelihood, PathLikelihood
from tumble.objectives._surrogate import Surrogate

__all__ = [
    "AbstractObjective",
    "AbstractOutputObjective",
    "BoundLikelihood",
    "BoundOutputs",
    "Evaluation",
    "ExpectedLoss",
    "MomentMatching",
    "PathLikelihood",
    "Surrogate",
    "default_objective",
    "objective_warnings",
]

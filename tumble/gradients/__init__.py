"""Gradients of stochastic simulators, each with its guarantee."""

from tumble.gradients._alternative_path import AlternativePath
from tumble.gradients._auto import Auto, Choice
from tumble.gradients._base import (
    AbstractEstimator,
    GradientEstimate,
    SampledJacobian,
    assemble,
    gauss_newton,
    without_noise,
)
from tumble.gradients._coupled_difference import CoupledDifference
from tumble.gradients._equivalence import Equivalence, Verdict, equivalence_test
from tumble.gradients._score_function import ScoreFunction

__all__ = [
    "AbstractEstimator",
    "AlternativePath",
    "Auto",
    "Choice",
    "CoupledDifference",
    "Equivalence",
    "GradientEstimate",
    "SampledJacobian",
    "ScoreFunction",
    "Verdict",
    "assemble",
    "equivalence_test",
    "gauss_newton",
    "without_noise",
]

"""Gradients of stochastic simulators, each with its guarantee."""

from tumble._relaxation import AbstractRelaxation
from tumble.gradients._allocated import Allocated, Block
from tumble.gradients._alternative_path import AlternativePath
from tumble.gradients._auto import Auto, Choice
from tumble.gradients._base import AbstractEstimator, require_estimators, require_valid
from tumble.gradients._baselines import AbstractBaseline, CrossFitted, LeaveOneOut, LinearResponse
from tumble.gradients._coupled_difference import CoupledDifference
from tumble.gradients._directions import (
    AbstractDirections,
    CoordinateDirections,
    GaussianDirections,
    OrthogonalDirections,
    RademacherDirections,
)
from tumble.gradients._equivalence import Equivalence, Verdict, equivalence_test
from tumble.gradients._estimate import (
    GradientEstimate,
    SampledJacobian,
    assemble,
    gauss_newton,
    without_noise,
)
from tumble.gradients._field_gradient import FieldGradient, field_gradient
from tumble.gradients._gaussian_smoothing import GaussianSmoothing
from tumble.gradients._mean_field import MeanField
from tumble.gradients._pathwise import Pathwise
from tumble.gradients._pooled import Pooled
from tumble.gradients._relaxations import GumbelSoftmax, SecondOrder, StraightThrough
from tumble.gradients._score_function import ScoreFunction
from tumble.gradients._smoothed_reinforce import SmoothedReinforce
from tumble.gradients._spsa import SPSA
from tumble.gradients._steps import AbstractSchedule, ConstantStep, ShrinkingStep

__all__ = [
    "SPSA",
    "AbstractBaseline",
    "AbstractDirections",
    "AbstractEstimator",
    "AbstractRelaxation",
    "AbstractSchedule",
    "Allocated",
    "AlternativePath",
    "Auto",
    "Block",
    "Choice",
    "ConstantStep",
    "CoordinateDirections",
    "CoupledDifference",
    "CrossFitted",
    "Equivalence",
    "FieldGradient",
    "GaussianDirections",
    "GaussianSmoothing",
    "GradientEstimate",
    "GumbelSoftmax",
    "LeaveOneOut",
    "LinearResponse",
    "MeanField",
    "OrthogonalDirections",
    "Pathwise",
    "Pooled",
    "RademacherDirections",
    "SampledJacobian",
    "ScoreFunction",
    "SecondOrder",
    "ShrinkingStep",
    "SmoothedReinforce",
    "StraightThrough",
    "Verdict",
    "assemble",
    "equivalence_test",
    "field_gradient",
    "gauss_newton",
    "require_estimators",
    "require_valid",
    "without_noise",
]

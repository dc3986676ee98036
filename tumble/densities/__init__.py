"""Densities that are learnt: of parameters, given what was seen."""

from tumble.densities._base import AbstractDensity
from tumble.densities._learning import Learner, Learnt
from tumble.densities._normal import StandardNormal
from tumble.densities._spline_flow import LearntFlow, SplineFlow
from tumble.densities._squeeze import Squeeze

__all__ = [
    "AbstractDensity",
    "Learner",
    "Learnt",
    "LearntFlow",
    "SplineFlow",
    "Squeeze",
    "StandardNormal",
]

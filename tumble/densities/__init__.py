"""Densities that are learnt: of parameters, given what was seen."""

from tumble.densities._learning import Learner, Learnt
from tumble.densities._spline_flow import LearntFlow, SplineFlow

__all__ = ["Learner", "Learnt", "LearntFlow", "SplineFlow"]

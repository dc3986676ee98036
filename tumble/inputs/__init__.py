"""Inputs: parameters that change in time, such as interventions and measured covariates."""

from tumble.inputs._base import AbstractInput
from tumble.inputs._members import LinearInput, SplineInput, StepInput

__all__ = ["AbstractInput", "LinearInput", "SplineInput", "StepInput"]

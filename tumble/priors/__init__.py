"""Priors: what is known of a number before the data."""

from tumble.priors._base import AbstractPrior
from tumble.priors._members import (
    Beta,
    Gamma,
    LogNormal,
    LogUniform,
    Normal,
    Poisson,
    Uniform,
)

__all__ = [
    "AbstractPrior",
    "Beta",
    "Gamma",
    "LogNormal",
    "LogUniform",
    "Normal",
    "Poisson",
    "Uniform",
]

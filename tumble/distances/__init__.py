"""Distances between the distribution of simulated data and a sample of observed ones."""

from tumble.distances._base import AbstractDistance, Grid
from tumble.distances._cdf import EnergyDistance, WassersteinDistance
from tumble.distances._maximum_mean_discrepancy import MaximumMeanDiscrepancy

__all__ = [
    "AbstractDistance",
    "EnergyDistance",
    "Grid",
    "MaximumMeanDiscrepancy",
    "WassersteinDistance",
]

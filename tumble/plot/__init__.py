"""Figures of a result. Every function takes ``ax=`` and returns it."""

from tumble.plot._audit import audit_plot
from tumble.plot._convergence import convergence, waterfall
from tumble.plot._fit_band import fit_band
from tumble.plot._parameters import parameters

__all__ = ["audit_plot", "convergence", "fit_band", "parameters", "waterfall"]

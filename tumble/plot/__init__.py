"""Figures of a result. Every function takes ``ax=`` and returns it."""

from tumble.plot._audit import audit_plot
from tumble.plot._cells import cells, render
from tumble.plot._convergence import convergence, waterfall
from tumble.plot._fit_band import fit_band
from tumble.plot._parameters import parameters

__all__ = [
    "audit_plot",
    "cells",
    "convergence",
    "fit_band",
    "parameters",
    "render",
    "waterfall",
]

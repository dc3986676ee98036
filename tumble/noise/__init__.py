"""Measurement noise: how an observable becomes a datum."""

from tumble.noise._base import AbstractNoise, Exact
from tumble.noise._law import DatumLaw
from tumble.noise._members import Binomial, LogNormal, NegativeBinomial, Normal, Poisson

__all__ = [
    "AbstractNoise",
    "Binomial",
    "DatumLaw",
    "Exact",
    "LogNormal",
    "NegativeBinomial",
    "Normal",
    "Poisson",
]

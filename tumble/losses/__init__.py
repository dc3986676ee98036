"""Losses ℓ(m) of expected features m = E[f(X)]."""

from tumble.losses._base import AbstractKinkedLoss, AbstractLoss, times
from tumble.losses._members import Linear, Quadratic, SmoothedAbsolute
from tumble.losses._smooth import Smooth

__all__ = [
    "AbstractKinkedLoss",
    "AbstractLoss",
    "Linear",
    "Quadratic",
    "Smooth",
    "SmoothedAbsolute",
    "times",
]

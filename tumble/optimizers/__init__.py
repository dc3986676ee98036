"""Optimizers: how a fit moves. Any optax optimizer can stand in their place."""

from tumble.optimizers._base import (
    AbstractOptimizer,
    AbstractState,
    DeterministicTask,
    NoisyTask,
    Report,
    Solution,
    Stop,
)
from tumble.optimizers._gauss_newton import GaussNewton
from tumble.optimizers._optax import Optax
from tumble.optimizers._stochastic_gauss_newton import StochasticGaussNewton

__all__ = [
    "AbstractOptimizer",
    "AbstractState",
    "DeterministicTask",
    "GaussNewton",
    "NoisyTask",
    "Optax",
    "Report",
    "Solution",
    "StochasticGaussNewton",
    "Stop",
]

"""Machines that learn to infer from simulated problems (for `tumble.train`)."""

from tumble.machines._amortized import AmortizedPosterior, LearntPosterior, TrainingRound
from tumble.machines._base import (
    AbstractInference,
    AbstractMachine,
    AbstractTraining,
    AbstractTrainingState,
    TrainingTask,
)
from tumble.machines._encoding import Encoding, Sources
from tumble.machines._moments import pooled_moments

__all__ = [
    "AbstractInference",
    "AbstractMachine",
    "AbstractTraining",
    "AbstractTrainingState",
    "AmortizedPosterior",
    "Encoding",
    "LearntPosterior",
    "Sources",
    "TrainingRound",
    "TrainingTask",
    "pooled_moments",
]

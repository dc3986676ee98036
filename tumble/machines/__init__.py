"""Machines that learn to infer from simulated problems (for `tumble.train`)."""

from tumble.machines._amortized import AmortizedPosterior
from tumble.machines._base import (
    AbstractInference,
    AbstractMachine,
    AbstractTraining,
    AbstractTrainingState,
    TrainingRound,
    TrainingTask,
)
from tumble.machines._encoding import Encoding, Sources
from tumble.machines._learnt import AmortizedWeights, LearntPosterior
from tumble.machines._moments import pooled_moments
from tumble.machines._novelty import Novelty
from tumble.machines._recurrent import RecurrentInferenceMachine
from tumble.machines._recurrent_posterior import RecurrentPosterior, RecurrentWeights
from tumble.machines._trained import LearntOnce, TrainedMachine

__all__ = [
    "AbstractInference",
    "AbstractMachine",
    "AbstractTraining",
    "AbstractTrainingState",
    "AmortizedPosterior",
    "AmortizedWeights",
    "Encoding",
    "LearntOnce",
    "LearntPosterior",
    "Novelty",
    "RecurrentInferenceMachine",
    "RecurrentPosterior",
    "RecurrentWeights",
    "Sources",
    "TrainedMachine",
    "TrainingRound",
    "TrainingTask",
    "pooled_moments",
]

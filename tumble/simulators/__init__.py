"""Simulators: how a model is run, and what more than samples a simulator can offer."""

from tumble.simulators._base import (
    AbstractSimulator,
    Batch,
    PairSample,
    Sample,
    ScoredSample,
    SupportsCoupling,
    SupportsLikelihood,
    SupportsPaths,
    SupportsScore,
)
from tumble.simulators._direct import DirectMethod
from tumble.simulators._finite_state import FiniteStateProjection
from tumble.simulators._linear_noise import LinearNoise
from tumble.simulators._particle_filter import ParticleFilter

__all__ = [
    "AbstractSimulator",
    "Batch",
    "DirectMethod",
    "FiniteStateProjection",
    "LinearNoise",
    "PairSample",
    "ParticleFilter",
    "Sample",
    "ScoredSample",
    "SupportsCoupling",
    "SupportsLikelihood",
    "SupportsPaths",
    "SupportsScore",
]

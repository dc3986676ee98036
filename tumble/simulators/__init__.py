"""Simulators: how a model is run, and what more than samples a simulator can offer."""

from tumble.simulators._base import (
    AbstractSimulator,
    AlternativeSample,
    Batch,
    PairSample,
    RelaxedSample,
    Sample,
    ScoredSample,
    SupportsAlternative,
    SupportsCoupling,
    SupportsFrames,
    SupportsLikelihood,
    SupportsPaths,
    SupportsRelaxation,
    SupportsScore,
)
from tumble.simulators._black_box import CallFunction, CallWithChoices
from tumble.simulators._checkerboard import Checkerboard
from tumble.simulators._default import default_simulator
from tumble.simulators._direct import DirectMethod
from tumble.simulators._external import RunProgram
from tumble.simulators._finite_state import FiniteStateProjection
from tumble.simulators._langevin import Langevin
from tumble.simulators._lattice import BackwardSample, LatticeSteps
from tumble.simulators._linear_noise import LinearNoise
from tumble.simulators._mean_field import MeanField
from tumble.simulators._metropolis import Metropolis
from tumble.simulators._next_reaction import NextReactionMethod
from tumble.simulators._particle_filter import ParticleFilter
from tumble.simulators._tau_leaping import TauLeaping
from tumble.simulators._transition_likelihood import MovieLikelihood, TransitionLikelihood

__all__ = [
    "AbstractSimulator",
    "AlternativeSample",
    "BackwardSample",
    "Batch",
    "CallFunction",
    "CallWithChoices",
    "Checkerboard",
    "DirectMethod",
    "FiniteStateProjection",
    "Langevin",
    "LatticeSteps",
    "LinearNoise",
    "MeanField",
    "Metropolis",
    "MovieLikelihood",
    "NextReactionMethod",
    "PairSample",
    "ParticleFilter",
    "RelaxedSample",
    "RunProgram",
    "Sample",
    "ScoredSample",
    "SupportsAlternative",
    "SupportsCoupling",
    "SupportsFrames",
    "SupportsLikelihood",
    "SupportsPaths",
    "SupportsRelaxation",
    "SupportsScore",
    "TauLeaping",
    "TransitionLikelihood",
    "default_simulator",
]

"""What the master equation on finitely many states begins from, and what it may lose."""

from __future__ import annotations

import numpy as np

from tumble._errors import ParameterError
from tumble._parameters import Ref
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.priors import AbstractPrior
from tumble.simulators._autonomous import require_autonomous
from tumble.simulators._datum_density import DatumDensity
from tumble.simulators._state_space import StateSpace

_LARGEST_QUANTILE = 1 - 1e-12


def too_much(leaked: FloatArray, allowed: FloatArray | float) -> BoolArray:
    """Return which sinks [sinks] took too much of what ``leaked`` [sinks, N] in total."""
    over = leaked.sum(axis=0) > allowed
    return (over & (leaked > np.asarray(allowed) / max(len(leaked), 1))).any(axis=1)


def seeded(space: StateSpace, weights: FloatArray) -> FloatArray:
    """Return the table [P+1, n, 1] of weights [P+1, k] of the first k states, the seeds."""
    table = np.zeros((len(weights), space.num_states + space.num_sinks, 1))
    table[:, : weights.shape[1], 0] = weights
    return table


def initial_mixture(density: DatumDensity, theta: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return initial states [k, S], and their probabilities with derivatives [U+1, k]."""
    binding = density.binding
    mean, jacobian = density.initial_mean(theta)
    states = np.zeros((1, 0), dtype=np.int64)
    weights = np.zeros((1 + jacobian.shape[1], 1))
    weights[0] = 1.0
    for name, m, slope in zip(binding.model.species, mean, jacobian, strict=True):
        source = binding.experiment.initial[name]
        if not m >= 0:
            raise ParameterError(
                f"`initial[{name!r}]` is {m:g}, expected ≥ 0; set the parameter's lower bound to 0."
            )
        change = np.zeros(1)
        if isinstance(source, AbstractPrior):
            counts, chance = _rounded(source)
            change = np.zeros(len(counts))
        elif isinstance(source, Ref):
            fraction = m - np.floor(m)
            counts = int(np.floor(m)) + np.arange(2)
            chance, change = np.array([1 - fraction, fraction]), np.array([-1.0, 1.0])
        else:
            counts, chance = np.array([int(m)]), np.ones(1)
        grown = weights[:, :, None] * chance
        grown[1:] += weights[0][:, None] * change * slope[:, None, None]
        weights = grown.reshape(len(weights), -1)
        left = np.repeat(states, len(counts), axis=0)
        states = np.column_stack([left, np.tile(counts, len(states))])
    return states, weights


def _rounded(prior: AbstractPrior) -> tuple[IntArray, FloatArray]:
    """Return whole numbers and the probabilities that a draw, rounded, gives them (at least 0).

    The distribution function is found from the quantiles, by bisection; tails of 1e-12 are cut.
    """
    ends = prior.quantile(np.array([1 - _LARGEST_QUANTILE, _LARGEST_QUANTILE]))
    first, last = np.maximum(np.rint(ends), 0).astype(np.int64)
    counts = np.arange(first, last + 1)
    lower, upper = np.zeros(len(counts)), np.ones(len(counts))
    for _ in range(60):
        middle = (lower + upper) / 2
        below = prior.quantile(middle) <= counts + 0.5
        lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
    lower[-1] = 1.0
    chance: FloatArray = np.diff(lower, prepend=0.0)
    return counts[chance > 0], chance[chance > 0]


def check_params(model: ReactionNetwork, params: FloatArray) -> FloatArray:
    expected = (len(model.parameters),)
    if params.shape != expected:
        raise ParameterError(
            f"`params` has shape {params.shape}, expected {expected}, a value for each of "
            f"{', '.join(model.parameters)}."
        )
    require_autonomous(model, "FiniteStateProjection")
    for name, value in zip(model.parameters, params, strict=True):
        if not model.allows(name, value):
            raise ParameterError(
                f"`params` has {name} = {value}, expected {model.expected_value(name)}."
            )
    return params

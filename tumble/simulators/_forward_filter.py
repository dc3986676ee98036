"""The likelihood of time series through the distribution of a network's state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tumble._typing import BoolArray, FloatArray
from tumble.simulators._datum_density import DatumDensity
from tumble.simulators._projection import check_params, initial_mixture, seeded, too_much
from tumble.simulators._state_space import DEPTH, StateSpace, project

if TYPE_CHECKING:
    from tumble.simulators._finite_state import FiniteStateProjection

# Paths this much longer are followed when a datum is impossible on all shorter ones.
_LARGE_DEPTH = 400


def log_likelihoods_of_series(
    method: FiniteStateProjection,
    density: DatumDensity,
    theta: FloatArray,
    params: FloatArray,
    jacobian: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the log likelihood of each series of an experiment [N], and its derivatives [N, U].

    Definition: the distribution of the state given the data so far is propagated to the next
    observation and multiplied by the density of the datum; the sum is the likelihood of that datum.
    """
    binding = density.binding
    model = binding.model
    params = check_params(model, params)
    seeds, weights = initial_mixture(density, theta)
    data = binding.observed.values
    seen = np.flatnonzero(np.isfinite(data).any(axis=(0, 2)))
    spans = np.diff(binding.times[seen], prepend=binding.experiment.start)
    tolerance = method.tolerance / len(seen)

    def attempt(space: StateSpace) -> tuple[tuple[FloatArray, FloatArray] | None, BoolArray]:
        flow = space.flow(model, params, jacobian)
        method.require_affordable(flow, spans)
        table = np.repeat(seeded(space, weights), len(data), axis=2)
        values, slopes = np.zeros(len(data)), np.zeros((len(data), jacobian.shape[1]))
        short = np.zeros(space.num_sinks, bool)
        for span, datum in zip(spans, data[:, seen].swapaxes(0, 1), strict=True):
            before = table

            def ahead(depth: int, before: FloatArray = before, span: float = span) -> FloatArray:
                return flow.advance(before, float(span), depth)

            step = observed(density, theta, space, ahead, datum)
            possible, alive = step.odds > 0, np.isfinite(values)
            if too_much(step.leaked[:, possible], tolerance * step.odds[possible]).any():
                return None, too_much(step.leaked, tolerance * step.odds)
            # What is impossible may be so on account of what leaked, unless it was so before.
            short |= too_much(step.leaked[:, alive], tolerance * step.odds[alive])
            values += step.log_likelihood
            slopes += step.gradient
            table = np.pad(step.joint, ((0, 0), (0, space.num_sinks), (0, 0)))
        return (values, slopes), short

    return project(model, seeds, method.max_states, attempt)


class Step(NamedTuple):
    """What data [N, O] at one time say, and the law ``joint`` [U+1, n, N] of states given them.

    ``log_likelihood`` [N], -∞ where a datum is impossible, and ``gradient`` [N, U], 0 there;
    ``odds`` [N], the likelihood over the largest density in any state; ``leaked`` [sinks, N].
    """

    joint: FloatArray
    log_likelihood: FloatArray
    gradient: FloatArray
    odds: FloatArray
    leaked: FloatArray


def observed(
    density: DatumDensity,
    theta: FloatArray,
    space: StateSpace,
    ahead: Callable[[int], FloatArray],
    datum: FloatArray,
) -> Step:
    """Condition the table that is ``ahead``, up to a depth, on the data [N, O].

    It is [U+1, n, N], or [U+1, n, 1] where all data are of the same distribution.
    """
    n, replicates = space.num_states, len(datum)
    log_density, slope = density.log_prob(
        theta, np.tile(space.states, (replicates, 1)), np.repeat(datum, n, axis=0)
    )
    log_density = log_density.reshape(replicates, n).T
    slope = np.moveaxis(slope.reshape(replicates, n, slope.shape[-1]), 2, 0).swapaxes(1, 2)
    for depth in (DEPTH, _LARGE_DEPTH):
        table = ahead(depth)
        before = np.broadcast_to(table[0, :n], log_density.shape)
        possible = np.where(before > 0, log_density, -np.inf)
        top = possible.max(axis=0)
        weight = np.exp(possible - np.where(np.isneginf(top), 0.0, top))
        odds = (before * weight).sum(axis=0)
        if np.all(odds):
            break
    # Derivatives of log densities may be infinite where the density is 0.
    safe = np.where(weight > 0, slope, 0.0)
    joint = np.concatenate([before[None], table[1:, :n] + before * safe]) * weight
    with np.errstate(divide="ignore"):
        log_likelihood = np.log(odds) + top
    joint /= np.where(odds > 0, odds, 1.0)
    change = joint[1:].sum(axis=1)
    joint[1:] -= joint[0] * change[:, None]
    return Step(joint, log_likelihood, change.T, odds, table[0, n:])

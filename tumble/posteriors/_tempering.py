"""Where chains start, and how they step: a population led from the prior to the posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._errors import SimulationError
from tumble._typing import FloatArray
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._log_likelihoods import AbstractLogLikelihood

_LEFT = 0.5  # the share of the population that is effective after a step of the temperature
_MOVES = 3  # at every temperature
_MOST_STEPS = 200  # of temperature
_TRIES = 20  # populations from the prior, until in enough of them the data are possible
_LEAST = 1e-6  # of the spread of the prior, that of proposals


@dataclass(frozen=True)
class Population:
    """Parameters ``z`` [N, P], about from the posterior, and their log likelihoods [N]. Final.

    ``evaluations``, how many likelihoods they took.
    """

    z: FloatArray
    log_likelihoods: FloatArray
    evaluations: int


def population(task: PosteriorTask, target: AbstractLogLikelihood, count: int) -> Population:
    """Return parameters led from the prior to the posterior.

    Definition: draws from the prior are weighted by the likelihood to a power that grows from 0 to
    1, each step such that half of them remain effective; then they are resampled and move by three
    Metropolis steps. Where there are several modes, each gets its share.

    Raises `SimulationError` where the data are impossible at all draws from the prior.

    Reference: Del Moral, Doucet, Jasra, J. R. Stat. Soc. B 68 (2006),
    doi:10.1111/j.1467-9868.2006.00553.x.
    """
    z, values, spent = _possible(task, target, count)
    power = 0.0
    for step in range(_MOST_STEPS):
        raised = _next_power(values, power)
        rng = task.stream.child("population", step).numpy()
        z, values = _resampled(z, values, raised - power, count, rng)
        power = raised
        root = root_of_steps(z)
        for move in range(_MOVES):
            stream = task.stream.child("population", step, "move", move)
            proposed = z + rng.standard_normal(z.shape) @ root.T
            prior, own = task.prior.log_density(proposed), task.prior.log_density(z)
            inside = np.flatnonzero(np.isfinite(prior))
            found = np.full(count, -np.inf)
            found[inside] = target.values(proposed[inside], stream)
            spent += len(inside)
            gain = power * (found - values) + prior - own
            taken = np.log(rng.random(count)) < gain
            z, values = np.where(taken[:, None], proposed, z), np.where(taken, found, values)
        if power >= 1:
            return Population(z, values, spent)
    raise SimulationError(
        f"after {_MOST_STEPS} steps the parameters have not come from the prior to the posterior: "
        "the likelihood is far too steep for it; narrow the bounds or give priors."
    )


def root_of_steps(z: FloatArray) -> FloatArray:
    """Return the root [P, P] of the covariance of proposals, from points [N, P] of the posterior.

    That of the points, never singular, times 2.38² / P, at which a random walk does best.

    Reference: Roberts, Gelman, Gilks, Ann. Appl. Probab. 7 (1997), doi:10.1214/aoap/1034625254.
    """
    size = z.shape[1]
    floor = np.maximum(_LEAST * np.abs(z).max(0), 1e-12) ** 2
    spread = np.cov(z.T).reshape(size, size) + np.eye(size) * floor
    return np.asarray(np.linalg.cholesky(spread) * 2.38 / np.sqrt(size))


def _possible(
    task: PosteriorTask, target: AbstractLogLikelihood, count: int
) -> tuple[FloatArray, FloatArray, int]:
    """Return draws from the prior, of which at least an eighth make the data possible."""
    z, values = np.empty((0, task.problem.space.size)), np.empty(0)
    spent = 0
    for batch in range(_TRIES):
        stream = task.stream.child("population", "prior", batch)
        drawn = task.prior.sample(count, stream.numpy())
        z = np.concatenate([z, drawn])
        values = np.concatenate([values, target.values(drawn, stream)])
        spent += count
        if np.isfinite(values).sum() >= count / 8:
            return z, values, spent
    if not np.isfinite(values).any():
        raise SimulationError(
            f"at {len(z):,} draws from the prior the data are impossible, or their likelihood "
            "cannot be computed; check bounds and priors, let there be measurement noise, or use "
            "more particles."
        )
    return z, values, spent


def _next_power(values: FloatArray, power: float) -> float:
    """Return the largest power at which enough of the population remains effective."""

    def effective(raised: float) -> float:
        weights = np.exp((raised - power) * (values - values.max()))
        return float(weights.sum() ** 2 / (weights**2).sum())

    wanted = _LEFT * np.isfinite(values).sum()
    if effective(1.0) >= wanted:
        return 1.0
    low, high = power, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= wanted else (low, middle)
    return max(low, np.nextafter(power, 1))


def _resampled(
    z: FloatArray, values: FloatArray, power: float, count: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Return as many as wanted, systematically by the likelihood to this power."""
    weights = np.exp(power * (values - values.max()))
    below = np.cumsum(weights) / weights.sum()
    chosen = np.searchsorted(below, (np.arange(count) + rng.random()) / count)
    chosen = np.minimum(chosen, len(z) - 1)
    return z[chosen], values[chosen]

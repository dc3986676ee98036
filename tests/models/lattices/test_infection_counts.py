"""Counts of infections against searches by hand, and the law of β recovered with honest errors."""

import numpy as np
import pytest

from tests.models.lattices.test_members import MOVIES, counts_of, movie_of
from tumble.models import Grid, InfectionCounts, SusceptibleInfected, Transitions

GRID = Grid((9, 9))
COUNTS = InfectionCounts.of(Transitions(SusceptibleInfected(GRID), MOVIES))


def test_counts_are_those_found_by_hand():
    trials, infected = counts_of(GRID, MOVIES)
    assert np.array_equal(COUNTS.trials.sum(0), trials)
    assert np.array_equal(COUNTS.infected.sum(0), infected)
    assert COUNTS.trials.shape == (48, 8)


def test_the_best_rates_are_those_of_a_fine_grid():
    grid = np.linspace(0.2, 0.4, 20_001)
    likelihood = [COUNTS.log_likelihood(beta) for beta in grid]
    loss = [COUNTS.expected_loss(beta) for beta in grid]
    best = COUNTS.maximum_likelihood()
    assert abs(best.value - grid[np.argmax(likelihood)]) < 1e-5
    assert abs(COUNTS.least_expected_loss() - grid[np.argmin(loss)]) < 1e-5
    near = np.array([COUNTS.log_likelihood(best.value + d) for d in (-1e-3, 0, 1e-3)])
    assert np.isclose(best.standard_error, np.sqrt(-1e-6 / (near @ [1, -2, 1])), rtol=1e-3)


def test_the_expected_loss_is_that_of_simulations():
    rng, beta = np.random.default_rng(0), 0.35
    p = 1 - (1 - beta) ** np.arange(1, 9)
    drawn = rng.binomial(COUNTS.trials.astype(int), p, (20_000, *COUNTS.trials.shape)).sum(-1)
    loss = ((drawn - COUNTS.infected.sum(1)) ** 2).mean(1)
    assert abs(loss.mean() - COUNTS.expected_loss(beta)) < 4 * loss.std() / np.sqrt(len(loss))


def varying_movies(seed, mean=0.45, sd=0.1, num=12):
    rng = np.random.default_rng(seed)
    movies = []
    for _ in range(num):
        movie = movie_of(GRID, 0.0, 0, 0)
        while len(movie) < 5:
            beta = float(np.clip(rng.normal(mean, sd), 0, 1))
            movie = np.concatenate([movie, step(movie[-1], beta, rng)])
        movies.append(movie)
    return InfectionCounts.of(Transitions(SusceptibleInfected(GRID), movies))


def step(frame, beta, rng):
    number = np.asarray(GRID.sum_neighbors(frame)).astype(int)
    return (frame | (rng.random(GRID.shape) < 1 - (1 - beta) ** number))[None]


def test_a_rate_that_varies_is_integrated_out():
    mean, sd = varying_movies(1, num=60).varying()
    assert abs(mean.value - 0.45) < 3 * mean.standard_error
    assert abs(sd.value - 0.1) < 3 * sd.standard_error
    assert mean.standard_error < 0.02


@pytest.mark.slow
def test_errors_of_a_varying_rate_cover():
    """Of 200 data sets, as many as 95 % intervals ought to hold the truth."""
    held = np.zeros(2)
    for seed in range(200):
        found = varying_movies(seed, num=30).varying()
        off = [abs(e.value - t) / e.standard_error for e, t in zip(found, (0.45, 0.1), strict=True)]
        held += np.array(off) < 1.96
    assert np.all((held >= 181) & (held <= 197)), held

"""The likelihood of snapshots: against closed-form laws of the cells at each time."""

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tumble import fit, noise, sample_posterior
from tumble._bootstrap import simulated_problems
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble.models import ReactionNetwork
from tumble.objectives import PathLikelihood
from tumble.optimizers import GaussNewton
from tumble.posteriors import AdaptiveMetropolis
from tumble.simulators import FiniteStateProjection, _snapshots

TIMES = np.array([0.5, 2.0])
projection = FiniteStateProjection(tolerance=1e-12)


def problem_of(cells, **changes):
    """Return arrivals and deaths from an empty cell, seen as cells [N, T]."""
    experiment = Experiment(helpers.series(TIMES, *cells), {"X": 0}, kind="snapshots")
    settings = {"parameters": {"k": Parameter(0.1, 100), "gamma": Parameter(0.01, 10)}} | changes
    return Problem(helpers.immigration_death(), experiments=[experiment], **settings)


def mean_at(k, gamma):
    return k / gamma * (1 - np.exp(-gamma * TIMES))


CELLS = np.array([[3, 9], [0, 4], [5, 4], [5, 11], [2, np.nan]])


def test_cells_are_drawn_from_the_law_at_their_time():
    """Poisson laws; of a series, later cells would depend on those before."""
    likelihood = projection.likelihood(problem_of(CELLS))
    theta = np.array([8.0, 0.7])

    def exact(theta):
        logs = stats.poisson.logpmf(np.nan_to_num(CELLS), mean_at(*theta))
        return logs[np.isfinite(CELLS)].sum()

    value, gradient = likelihood.value_and_gradient(theta)
    assert value == pytest.approx(exact(theta), rel=1e-9)
    assert likelihood.value(theta) == pytest.approx(value, rel=1e-12)
    for p in range(2):
        h = 1e-5 * np.eye(2)[p]
        slope = (exact(theta + h) - exact(theta - h)) / 2e-5
        assert gradient[p] == pytest.approx(slope, rel=1e-5)


def test_measurement_noise_and_cells_far_in_the_tail():
    """Another Poisson law on top; 60 of about 4 needs a larger projection."""
    seen = Observable("c * X", noise=noise.Poisson())
    parameters = {"k": Parameter(0.1, 100), "c": Parameter(0.01, 1), "gamma": 0.7}
    problem = problem_of(CELLS, observables={"X": seen}, parameters=parameters)
    value, gradient = projection.likelihood(problem).value_and_gradient([8.0, 0.5])
    x = np.arange(200)
    law = stats.poisson.pmf(x, mean_at(8.0, 0.7)[:, None])
    given = stats.poisson.pmf(np.nan_to_num(CELLS)[..., None], 0.5 * x)
    logs = np.log((given * law).sum(-1))
    assert value == pytest.approx(logs[np.isfinite(CELLS)].sum(), rel=1e-9)
    assert np.isfinite(gradient).all()
    far = projection.likelihood(problem_of([[60, 4]])).value([8.0, 0.7])
    exact = stats.poisson.logpmf([60, 4], mean_at(8.0, 0.7)).sum()
    assert far == pytest.approx(exact, abs=1e-6)  # paths of far more jumps than usual are left out


def test_pieces_do_not_matter(monkeypatch):
    likelihood = projection.likelihood(problem_of(CELLS))
    whole = likelihood.value_and_gradient(np.array([8.0, 0.7]))
    monkeypatch.setattr(_snapshots, "_AT_ONCE", 1)
    pieces = likelihood.value_and_gradient(np.array([8.0, 0.7]))
    assert pieces[0] == pytest.approx(whole[0], rel=1e-12)
    np.testing.assert_allclose(pieces[1], whole[1], rtol=1e-12)


def test_what_no_cell_can_show_is_impossible():
    network = ReactionNetwork.from_text("2 X -> 0 ; k")
    experiment = Experiment(helpers.series([1.0], [6], [5]), {"X": 10}, kind="snapshots")
    problem = Problem(network, experiments=[experiment], parameters={"k": Parameter(0.01, 1)})
    value, gradient = projection.likelihood(problem).value_and_gradient([0.1])
    assert value == -np.inf and np.isnan(gradient).all()


def test_a_fit_finds_the_most_likely_rates():
    """Where cells were empty at first, the two means tell both rates."""
    rng = np.random.default_rng(0)
    cells = rng.poisson(mean_at(8.0, 0.7), (300, 2)).astype(float)
    found = fit(problem_of(cells), objective=PathLikelihood(projection), optimizer=GaussNewton())
    mean = mean_at(found.params["k"], found.params["gamma"])
    np.testing.assert_allclose(mean, cells.mean(0), rtol=1e-3)


def test_posterior_of_arrivals_is_a_gamma_law():
    """Of n Poisson numbers of mean k, given a log-uniform prior; draws within standard errors."""
    cells = np.array([[4.0], [7.0], [2.0], [5.0]])
    experiment = Experiment(helpers.series([1.0], *cells), {"X": 0}, kind="snapshots")
    problem = Problem(
        helpers.arrival(), experiments=[experiment], parameters={"k": Parameter(0.1, 100)}
    )
    posterior = sample_posterior(
        problem, method=AdaptiveMetropolis(projection, num_draws=400), seed=0
    )
    exact = stats.gamma(cells.sum(), scale=1 / len(cells))
    draws, error = posterior.theta[:, 0], exact.std() / np.sqrt(posterior.effective_sample_size)
    assert abs(np.average(draws, weights=posterior.weights) - exact.mean()) < 4 * error


def test_simulated_cells_at_different_times_are_of_different_runs():
    """Of one run, cells at 0.5 and 2 would be correlated by 0.3; within 4 standard errors of 0."""
    found = fit(problem_of(CELLS), objective=PathLikelihood(projection), seed=0)
    copies = simulated_problems(found.problem, np.array([8.0, 0.7]), 400, Stream.from_seed(0))
    cells = np.concatenate([p.experiments[0].data.values[:4, :, 0] for p in copies])
    assert np.isfinite(cells).all() and len(cells) == 1600
    assert abs(np.corrcoef(cells.T)[0, 1]) < 4 / np.sqrt(1600)
    np.testing.assert_allclose(cells.mean(0), mean_at(8.0, 0.7), rtol=0.05)

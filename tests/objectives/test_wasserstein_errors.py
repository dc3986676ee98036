"""Fits by the Wasserstein distance end at its minimum, and know their errors.

X(t) is Poisson, so that the loss is known, and its minimum is found without simulation.
"""

from functools import cache

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.optimize import minimize

import tumble as tb
from tests import helpers
from tumble._random import Stream
from tumble._uncertainty import sandwich
from tumble.distances import WassersteinDistance
from tumble.gradients import CoupledDifference
from tumble.objectives import DistributionMatching

TIMES = np.array([0.5, 1.5, 4.0])
TRUTH = np.log([10.0, 1.0])
CELLS = 500
PARAMETERS = {"k": tb.Parameter(1.0, 100.0), "gamma": tb.Parameter(0.1, 10.0)}


def means(z):
    k, gamma = np.exp(z)
    return helpers.immigration_death_moments(k, gamma, TIMES)[0]


@cache
def problems(count):
    """Return problems with data sets of their own."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        values = np.stack([rng.poisson(m, CELLS) for m in means(TRUTH)], axis=1)
        data = xr.DataArray(
            values[..., None].astype(float), dims=("replicate", "time", "observable"),
            coords={"time": TIMES, "observable": ["X"]},
        )  # fmt: skip
        experiment = tb.Experiment(data, {"X": 0}, kind="snapshots")
        found.append(tb.Problem(helpers.immigration_death(), [experiment], PARAMETERS))
    return found


def minimum(bound):
    at = bound.data[0].center.at[:, 0, :]

    def loss(z):
        return bound.loss.value(stats.poisson.cdf(at, means(z)[:, None]).ravel())

    return minimize(loss, TRUTH, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-9}).x


@pytest.mark.parametrize("smoothing", [0.02, 0.002])
def test_stated_errors_are_those_of_minima(smoothing):
    """Of 150 data sets: their standard deviation is known to 6 %, so that 23 % would be seen."""
    objective = DistributionMatching(WassersteinDistance(smoothing=smoothing))
    bounds = [objective.bind(problem) for problem in problems(150)]
    spread = np.std([minimum(bound) for bound in bounds], axis=0, ddof=1)
    covariance, words, _ = sandwich(
        bounds[0], CoupledDifference(), TRUTH, np.ones(2, bool), np.zeros((2, 2)),
        Stream.from_seed(1),
    )  # fmt: skip
    assert words.startswith("minima for simulated errors of the data")
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), spread, rtol=4 / np.sqrt(2 * 150))


@pytest.mark.parametrize("data_set", [49, 50])
def test_a_fit_ends_at_the_minimum(data_set):
    """Steps by the second derivative went in circles on these, up to 0.4 away."""
    objective = DistributionMatching(WassersteinDistance())
    problem = problems(150)[data_set]
    fit = tb.fit(
        problem, objective=objective, seed=data_set, tolerance=0.01,
        budget=tb.Budget(simulations=200_000),
    )  # fmt: skip
    assert fit.result is tb.ResultCode.NOISE_LIMITED
    np.testing.assert_allclose(fit.fit_scale, minimum(objective.bind(problem)), atol=0.04)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_intervals_hold_the_truth():
    """In 132 … 149 of 150 data sets, the central 99.9 % of the binomial distribution at 95 %."""
    objective = DistributionMatching(WassersteinDistance())
    held = np.zeros(2)
    for i, problem in enumerate(problems(150)):
        fit = tb.fit(
            problem, objective=objective, seed=i, tolerance=0.01,
            budget=tb.Budget(simulations=200_000),
        )  # fmt: skip
        held += np.abs(fit.fit_scale - TRUTH) < 1.96 * np.sqrt(np.diag(fit.covariance))
    low, high = stats.binom.ppf([0.0005, 0.9995], 150, 0.95)
    assert np.all((held >= low) & (held <= high))

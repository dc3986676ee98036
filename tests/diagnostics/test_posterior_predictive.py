"""Posterior predictive checks: bands of known laws, extinction counted, failures told."""

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests import helpers
from tumble._errors import ParameterError


def arrival_fit():
    problem = tb.Problem(
        helpers.arrival(),
        data={"time": [1.0, 4.0], "X": [5, 19]},
        initial={"X": 0},
        parameters={"k": tb.Parameter(0.1, 100)},
    )
    return tb.fit(problem)


def test_band_is_that_of_the_law():
    """Arrivals at k are Poisson; the uncertainty of k widens the band a little."""
    fit = arrival_fit()
    known = tb.FitResult(**{**fit.__dict__, "covariance": np.zeros((1, 1))})
    check = tb.posterior_predictive(known, num_samples=20_000, seed=1)
    (band,) = check.experiments
    k = fit.params["k"]
    for level, found in zip(band.levels, band.quantiles[:, :, 0], strict=True):
        assert np.all(np.abs(found - stats.poisson.ppf(level, k * np.array([1, 4]))) <= 1)
    wide = tb.posterior_predictive(fit, num_samples=20_000, seed=1).experiments[0]
    assert wide.quantiles[-1, 1, 0] > band.quantiles[-1, 1, 0]
    assert check.coverage == 1.0 and "covers" in check.verdict


def test_of_a_posterior_it_is_the_exact_predictive_law():
    """Of Gamma(12, rate 2) for k, counts at time 2 are negative binomial."""
    problem = tb.Problem(
        helpers.arrival(), data={"time": [2.0], "X": [12]}, initial={"X": 0},
        parameters={"k": tb.Parameter(0.5, 50)},
    )  # fmt: skip
    exact = tb.simulators.FiniteStateProjection()
    method = tb.posteriors.AdaptiveMetropolis(exact, num_draws=400)
    posterior = tb.sample_posterior(problem, method=method, seed=1)
    (band,) = tb.posterior_predictive(posterior, num_samples=10_000, seed=1).experiments
    law = stats.nbinom(12, 0.5)
    found = band.quantiles[:, 0, 0]
    assert np.all(np.abs(found - law.ppf(band.levels)) <= 1)
    with pytest.raises(ParameterError, match="expected a fit or a posterior"):
        tb.posterior_predictive(3)


def test_extinction_is_counted():
    problem = tb.Problem(
        helpers.birth_death(),
        data={"time": [4.0, 8.0], "X": [30, 900]},
        initial={"X": 1},
        parameters={"birth": tb.Parameter(0.1, 10, start=1.0), "death": 0.5},
    )
    fit = tb.fit(problem, num_starts=1)
    fixed = tb.FitResult(**{**fit.__dict__, "covariance": np.zeros((1, 1))})
    check = tb.posterior_predictive(fixed, num_samples=4_000)
    extinct = 0.5 / fit.params["birth"]  # probability that a line of births and deaths dies out
    assert check.experiments[0].quiet_fraction > extinct - 0.05
    assert "die out early" in check.verdict


def test_same_seed_same_check():
    fit = arrival_fit()
    first = tb.posterior_predictive(fit, num_samples=200, seed=4)
    second = tb.posterior_predictive(fit, num_samples=200, seed=4)
    assert np.array_equal(first.experiments[0].quantiles, second.experiments[0].quantiles)
    with pytest.raises(ParameterError, match="expected at least 20"):
        tb.posterior_predictive(fit, num_samples=3)

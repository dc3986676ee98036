"""Which observation would help: against what conjugate laws expect to be left of a variance."""

import numpy as np
import pytest

from tests import helpers
from tumble import Observable, Parameter, Problem, ReactionNetwork, fit, noise
from tumble._errors import ParameterError
from tumble.diagnostics import next_observation
from tumble.objectives import MomentMatching


@pytest.fixture(scope="module")
def arrivals():
    """Return the rate of arrivals, fitted to 20 counts after one unit of time."""
    counts = np.random.default_rng(0).poisson(9.0, 20)
    problem = Problem(
        helpers.arrival(), data=helpers.series([1.0], *counts[:, None]), initial={"X": 0},
        parameters={"k": Parameter(1, 50, scale="linear")},
    )  # fmt: skip
    return fit(problem, objective=MomentMatching(order=1), seed=0)


@pytest.mark.parametrize(("time", "num_runs"), [(1.0, 1), (4.0, 1), (2.0, 10)])
def test_what_a_count_leaves_of_the_variance_of_its_rate(arrivals, time, num_runs):
    """With n counts behind it and m t more ahead, n / (n + m t); within 5 standard errors."""
    found = next_observation(arrivals, times=[time], num_runs=num_runs, num_samples=20_000)
    before = (arrivals.estimates[0].standard_error) ** 2
    ahead = arrivals.params["k"] / (num_runs * time)
    exact = np.sqrt(ahead / (ahead + before))
    # Of a correlation r between n pairs, r² is off by 2 r (1 − r²) / √n.
    r = np.sqrt(1 - exact**2)
    error = 2 * r * exact**2 / np.sqrt(20_000) / (2 * exact)
    assert abs(found.best.left["k"] - exact) < 5 * error
    assert found.best.gain == pytest.approx(-np.log(exact), abs=0.02)


def test_the_observation_that_shows_what_is_open_comes_first():
    """I dies at an unknown rate, J at a known one: J tells nothing."""
    network = ReactionNetwork.from_text("I -> 0 ; a\nJ -> 0 ; 1.0")
    problem = Problem(
        network, data={"time": [0.2], "I": [83]}, initial={"I": 100, "J": 100},
        parameters={"a": Parameter(0.01, 10)},
    )  # fmt: skip
    found = next_observation(fit(problem, seed=0), observables={"J": "J"}, times=[0.5, 1.5])
    assert found.best.observable == "I" and found.best.left["a"] < 0.9
    assert all(o.left["a"] > 0.99 for o in found.offers if o.observable == "J")
    assert found.best_for("a").left["a"] == min(o.left["a"] for o in found.offers)
    assert "I at time" in found.verdict and "J at" in found.summary()
    idle = next_observation(
        fit(problem, seed=0), observables={"noise": Observable("J", noise=noise.Normal(1e3))},
        times=[0.001],
    )  # fmt: skip
    assert [o.observable for o in idle.offers][-1] == "noise"


def test_bad_arguments(arrivals):
    with pytest.raises(ParameterError, match="expected a fit or a posterior"):
        next_observation(arrivals.problem)
    with pytest.raises(ParameterError, match="`num_samples` is 10"):
        next_observation(arrivals, num_samples=10)
    with pytest.raises(ParameterError, match="`num_runs` is 0"):
        next_observation(arrivals, num_runs=0)
    with pytest.raises(ParameterError, match="`name` is 'x', expected one of k"):
        next_observation(arrivals, times=[1.0], num_samples=200).best_for("x")

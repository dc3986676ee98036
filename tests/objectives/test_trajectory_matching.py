"""Trajectory matching: weights from replicates, and what it refuses."""

import numpy as np
import pytest

import tumble as tb
from tests import helpers
from tumble._errors import DataError
from tumble._random import Stream
from tumble.gradients import ScoreFunction
from tumble.objectives import TrajectoryMatching

TIMES = [0.5, 1.0, 2.0]
PARAMETERS = {"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)}


def problem(num_replicates):
    run = tb.simulate(
        helpers.immigration_death(), {"k": 10.0, "gamma": 1.0}, initial={"X": 0}, times=TIMES,
        num_samples=num_replicates, seed=4,
    )  # fmt: skip
    return tb.Problem(helpers.immigration_death(), data=run, initial={"X": 0},
                      parameters=PARAMETERS)  # fmt: skip


def test_weights_are_the_inverse_covariance_of_the_mean():
    """Cov(X(s), X(t)) = Var(X(s)) e^{−γ(t − s)} for s < t, with Poisson variances."""
    bound = TrajectoryMatching().bind(problem(20_000))
    mean = 10 * (1 - np.exp(-np.array(TIMES)))
    apart = np.abs(np.subtract.outer(TIMES, TIMES))
    covariance = np.minimum.outer(mean, mean) * np.exp(-apart)
    exact = np.linalg.inv(covariance) / 20_000
    assert np.allclose(bound.loss.weight, exact, atol=0.06 * np.abs(exact).max())


def test_gradients_are_those_of_the_exact_means():
    bound = TrajectoryMatching().bind(problem(200))
    k, gamma, t = 14.0, 0.8, np.array(TIMES)
    e = np.exp(-gamma * t)
    mean = k / gamma * (1 - e)
    slopes = np.stack([mean, k * (t * e) - mean], axis=1)  # by log k, log gamma
    gap = mean - bound.target
    exact = 2 * gap @ bound.loss.weight @ slopes
    found = ScoreFunction().estimate(bound, np.log([k, gamma]), 100_000, Stream.from_seed(1))
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)
    assert abs(found.value - gap @ bound.loss.weight @ gap) < 4 * np.sqrt(found.value_variance)
    assert 10 * found.standard_errors.max() < np.abs(exact).max()


def test_few_replicates_are_shrunk_and_usable():
    weight = TrajectoryMatching().bind(problem(10)).loss.weight
    assert np.all(np.linalg.eigvalsh(weight) > 0)


def test_a_fit_holds_the_truth():
    found = tb.fit(problem(100), objective=TrajectoryMatching(), seed=0, num_starts=1)
    assert found.result.ok
    for estimate, truth in zip(found.estimates, (10.0, 1.0), strict=True):
        assert estimate.interval[0] < truth < estimate.interval[1]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (tb.Experiment({"time": TIMES, "X": [4, 6, 9]}, {"X": 0}), "1 replicates"),
        (tb.Experiment({"time": TIMES, "X": [4, 6, 9]}, {"X": 0}, kind="mean", num_averaged=50),
         "kind 'mean'"),
    ],
)  # fmt: skip
def test_data_without_a_covariance_are_refused(experiment, message):
    few = tb.Problem(helpers.immigration_death(), [experiment], PARAMETERS)
    with pytest.raises(DataError, match=message):
        TrajectoryMatching().bind(few)


def test_gaps_are_refused():
    whole = problem(20)
    values = whole.experiments[0].data.values.copy()
    values[3, 1] = np.nan
    with pytest.raises(DataError, match="missing"):
        TrajectoryMatching().bind(whole.with_data([values]))

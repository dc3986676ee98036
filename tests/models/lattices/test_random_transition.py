"""Single transitions drawn at random, against sums over all of them."""

import numpy as np
import pytest

from tests.models.lattices.test_members import MOVIES
from tumble import Parameter, Problem, bootstrap, fit, simulate
from tumble._bootstrap import simulated_movies
from tumble._random import Stream
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.models import Grid, InfectionCounts, RandomTransition, SusceptibleInfected
from tumble.objectives import ExpectedLoss
from tumble.optimizers import StochasticGaussNewton

MODEL = RandomTransition(SusceptibleInfected(Grid((9, 9))), MOVIES)
COUNTS = InfectionCounts.of(MODEL.transitions)
BETA = 0.4


def bound_loss():
    unknown = {"beta": Parameter(0.01, 0.9, scale="logit")}
    return ExpectedLoss().bind(Problem(MODEL, data=MODEL.data, parameters=unknown))


def test_runs_show_the_difference_to_a_frame_of_the_movies():
    assert MODEL.num_transitions == 48
    assert {name: values.tolist() for name, values in MODEL.data.items()} == {
        "time": [1.0], "infected": [0.0]
    }  # fmt: skip
    seen = simulate(MODEL, {"beta": 0.0}, times=[1], num_samples=20_000, seed=1).data.values[:, 0]
    gaps, counts = np.unique(-seen, return_counts=True)
    exact, expected = np.unique(COUNTS.infected.sum(1), return_counts=True)
    assert np.array_equal(gaps, exact)  # without infections, it is those that were observed
    error = np.sqrt(expected / 48 * 20_000)
    assert np.all(np.abs(counts - expected / 48 * 20_000) < 4 * error)


@pytest.mark.parametrize(
    "estimator", [ScoreFunction(), AlternativePath(2), CoupledDifference()], ids=lambda e: e.label
)
def test_gradients_are_those_of_the_mean_over_all_transitions(estimator):
    bound = bound_loss()
    z = bound.problem.space.to_fit(np.array([BETA]))
    h = 1e-5
    exact = (COUNTS.expected_loss(BETA + h) - COUNTS.expected_loss(BETA - h)) / (2 * h)
    found = estimator.estimate(bound, z, 100_000, Stream.from_seed(2))
    slope = exact * BETA * (1 - BETA)
    assert found.standard_errors[0] < slope / 8
    assert abs(found.gradient[0] - slope) < 4 * found.standard_errors[0]
    assert abs(found.value - COUNTS.expected_loss(BETA)) < 4 * np.sqrt(found.value_variance)


def test_errors_of_small_batches_count_which_transitions_were_drawn():
    bound = bound_loss()
    z = bound.problem.space.to_fit(np.array([BETA]))
    found = [
        CoupledDifference().estimate(bound, z, 32, Stream.from_seed(3).child("batch", i))
        for i in range(400)
    ]
    spread = np.std([g.gradient[0] for g in found])
    stated = np.sqrt(np.mean([g.covariance[0, 0] for g in found]))
    assert 0.85 < spread / stated < 1.18  # three standard errors or so


def test_a_fit_by_simulation_ends_where_the_expected_loss_is_least():
    """Without any curvature to begin with, from far off."""
    problem = bound_loss().problem
    found = fit(problem, objective=ExpectedLoss(), start={"beta": 0.8}, warm_start=False,
                tolerance=0.01, seed=1)  # fmt: skip
    assert found.result.ok
    best = COUNTS.least_expected_loss()
    assert abs(found.params["beta"] - best) < 4 * 0.01 * best * (1 - best)
    assert found.optimizer == StochasticGaussNewton.__name__
    assert len(found.history) < 40


def test_the_bootstrap_simulates_frames():
    """The data are zeros whatever happened: what was seen is in the model."""
    problem = bound_loss().problem
    found = fit(problem, objective=ExpectedLoss(), start={"beta": 0.3}, warm_start=False,
                tolerance=0.05, seed=1)  # fmt: skip
    again = simulated_movies(problem, found.theta, Stream.from_seed(5))
    assert np.array_equal(again.model.transitions.before, MODEL.transitions.before)
    mean = again.model.transitions.data["infected"] - MODEL.transitions.before.sum((1, 2))
    p = 1 - (1 - found.theta) ** np.arange(1, 9)
    expected, variance = COUNTS.trials @ p, COUNTS.trials @ (p * (1 - p))
    assert abs((mean - expected).sum()) < 4 * np.sqrt(variance.sum())
    refits = bootstrap(found, num_datasets=2, tolerance=0.2, seed=0)
    assert refits.num_failed == 0 and np.all(np.abs(refits.thetas - found.theta) < 0.15)


def test_programs_are_shared_and_movies_are_not():
    other = RandomTransition(SusceptibleInfected(Grid((9, 9))), MOVIES[::-1])
    assert other == MODEL and hash(other) == hash(MODEL)
    assert other != MODEL.transitions
    one, two = (simulate(m, {"beta": 0.0}, times=[1], num_samples=50) for m in (MODEL, other))
    assert not np.array_equal(one.data.values, two.data.values)
    assert "48" in repr(MODEL) and "one of 48" in MODEL.to_text()

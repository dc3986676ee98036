"""Pools of estimators: right, counted, and better where members are good at different things."""

import numpy as np
import pytest

from tests import helpers
from tests.gradients.perturbed import exact_moments, mean_over_batches
from tests.gradients.test_exact_answers import dimerization, immigration_death, twice
from tumble import Parameter, Problem
from tumble._errors import CapabilityError, ParameterError
from tumble._random import Stream
from tumble.gradients import CoupledDifference, Pooled, ScoreFunction
from tumble.gradients._pooled import divide
from tumble.objectives import ExpectedLoss, MomentMatching
from tumble.simulators import NextReactionMethod

POOL = Pooled((ScoreFunction(), CoupledDifference()))
LOSSES = [MomentMatching(order=1), ExpectedLoss()]


def bind(make, loss):
    problem, theta = make()
    bound = loss.bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    moments, slopes = exact_moments(bound, z)
    return bound, z, bound.value(moments), bound.slope(moments) @ slopes


@pytest.mark.parametrize("make", [immigration_death, dimerization], ids=lambda f: f.__name__)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_loss_and_gradient_are_exact_within_four_standard_errors(make, loss):
    bound, z, value, gradient = bind(make, loss)
    found = POOL.estimate(bound, z, 200_000, Stream.from_seed(7))
    assert np.all(np.abs(found.gradient - gradient) < 4 * found.standard_errors)
    assert 4 * found.standard_errors.max() < 0.5 * np.abs(gradient).max()
    assert abs(found.value - value) < 4 * np.sqrt(found.value_variance)


@pytest.mark.parametrize(
    "loss", [LOSSES[0], *(pytest.param(x, marks=pytest.mark.slow) for x in LOSSES[1:])], ids=str
)
def test_small_pools_are_unbiased(loss):
    """40 runs, of which the pilots take 20; weights from the runs averaged would bias them."""
    bound, z, _, gradient = bind(immigration_death, loss)
    mean, error = mean_over_batches(POOL, bound, z, 8, 1_200)
    assert np.all(np.abs(mean - gradient) < 4 * error)


def test_the_stated_covariance_is_that_of_repeats():
    bound, z, _, _ = bind(immigration_death, MomentMatching(order=1))
    stream = Stream.from_seed(2)
    found = [POOL.estimate(bound, z, 2_000, stream.child(i)) for i in range(200)]
    spread = np.cov(np.stack([f.gradient for f in found]), rowvar=False)
    ratio = np.diag(np.mean([f.covariance for f in found], axis=0)) / np.diag(spread)
    assert np.all((ratio > 0.75) & (ratio < 1.3))
    assert all(1_900 <= f.num_runs <= 2_000 for f in found)


def test_members_that_are_good_at_different_parameters():
    """Few copies of A and many of B: scores serve the first, coupled differences the second."""
    problem = Problem(
        helpers.ReactionNetwork.from_text("0 -> A ; a\nA -> 0 ; b\n0 -> B ; c\nB -> 0 ; d"),
        data={"time": [4.0], "A": [3], "B": [480]},
        initial={"A": 0, "B": 0},
        parameters={"a": Parameter(0.1, 10), "b": Parameter(0.05, 5),
                    "c": Parameter(50, 5000), "d": Parameter(0.1, 10)},
    )  # fmt: skip
    bound, z = MomentMatching(order=1).bind(problem), np.log([1.0, 0.5, 500.0, 1.0])
    pool = POOL.estimate(bound, z, 10_000, Stream.from_seed(0))
    alone = [m.estimate(bound, z, 10_000, Stream.from_seed(0)) for m in POOL.members]
    assert pool.work_variance < 0.7 * min(a.work_variance for a in alone)


def test_runs_are_divided_by_what_they_are_worth():
    """By hand: equal members share alike, a useless one gets nothing, opposites get halves."""
    assert np.allclose(divide(np.array([[1.0, 2.0], [1.0, 2.0]])), 0.5)
    assert np.allclose(divide(np.array([[1.0, 1.0], [3.0, 9.0]])), [1, 0])
    assert np.allclose(divide(np.array([[1.0, 100.0], [100.0, 1.0]])), 0.5)
    # Each parameter is served by one member: Σ V_j / s_j is least where s_j goes with √V_j.
    divided = divide(np.array([[1.0, 1e9], [1e9, 4.0]]))
    assert np.allclose(divided, [1 / 3, 2 / 3], atol=1e-3)


def test_settings_and_capabilities():
    with pytest.raises(ParameterError, match=r"`members` has 1 estimator\(s\), expected 2 or"):
        Pooled([ScoreFunction()])
    with pytest.raises(ParameterError, match="`pilot` is 1, expected a share between 0 and 1"):
        Pooled(POOL.members, pilot=1)
    problem = Problem(
        helpers.arrival(),
        data={"time": [1.0], "X": [3]},
        initial={"X": 0},
        parameters={"k": Parameter(0.1, 10)},
        simulator=NextReactionMethod(),
    )
    bound = MomentMatching(order=1).bind(problem)
    with pytest.raises(CapabilityError, match="ScoreFunction needs a simulator that offers"):
        POOL.estimate(bound, np.zeros(1), 100, Stream.from_seed(0))
    assert POOL.runs_per_sample(bound) == 3

"""Baselines of the score function: unbiased at any batch size, and worth their while."""

import numpy as np
import pytest

from tests import helpers
from tests.gradients.perturbed import exact_moments, mean_over_batches
from tests.gradients.test_exact_answers import (
    dimerization,
    enzyme,
    immigration_death,
    noisy_decay,
    sir,
    sis,
    twice,
    two_experiments,
)
from tumble import Parameter, Problem, Ref
from tumble._errors import ParameterError
from tumble._random import Stream
from tumble.gradients import CrossFitted, LeaveOneOut, LinearResponse, ScoreFunction
from tumble.objectives import ExpectedLoss, MomentMatching

BASELINES = [LeaveOneOut(), CrossFitted(), LinearResponse(), LinearResponse(3)]
LOSSES = [MomentMatching(order=1), MomentMatching(order=2), ExpectedLoss()]
LONG = {"k": Parameter(0.1, 100), "gamma": Parameter(0.1, 10)}


def bind(make, loss):
    problem, theta = make()
    bound = loss.bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    moments, slopes = exact_moments(bound, z)
    return bound, z, moments, slopes


@pytest.mark.parametrize(
    "make",
    [dimerization, noisy_decay, two_experiments, enzyme, sis],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("loss", [MomentMatching(order=2), ExpectedLoss()], ids=str)
@pytest.mark.parametrize("baseline", BASELINES[1:2], ids=str)  # others: test_exact_answers.py
def test_loss_and_gradient_are_exact_within_four_standard_errors(make, loss, baseline):
    bound, z, moments, slopes = bind(make, loss)
    gradient = bound.slope(moments) @ slopes
    found = ScoreFunction(baseline).estimate(bound, z, 100_000, Stream.from_seed(7))
    assert np.all(np.abs(found.gradient - gradient) <= 4 * found.standard_errors + 1e-12)
    leading = np.argmax(np.abs(gradient))
    assert 4 * found.standard_errors[leading] < 0.5 * abs(gradient[leading])
    assert abs(found.value - bound.value(moments)) < 4 * np.sqrt(found.value_variance)


@pytest.mark.parametrize("baseline", BASELINES, ids=str)
def test_every_jacobian_has_the_right_mean(baseline):
    """Feature by feature and parameter by parameter, before a loss averages them."""
    bound, z, moments, slopes = bind(sir, MomentMatching(order=2))
    sampled = ScoreFunction(baseline).sample(bound, z, 100_000, Stream.from_seed(3))
    error = sampled.jacobians.std(0) / np.sqrt(100_000)
    # 24 comparisons: 4.5 standard errors keep the chance of one by luck below 2 in 10,000.
    assert np.all(np.abs(sampled.jacobians.mean(0) - slopes) < 4.5 * error)
    error = sampled.features.std(0) / np.sqrt(100_000)
    assert np.all(np.abs(sampled.features.mean(0) - moments) < 4.5 * error)


# 8 runs are too few to regress on; 70 are, after the first four, divided into halves of 33.
@pytest.mark.parametrize(
    ("loss", "case"),
    helpers.mostly_slow(LOSSES, [(CrossFitted(), 8, 3_000), (LinearResponse(), 70, 2_000)]),
    ids=str,
)
def test_small_batches_are_unbiased(loss, case):
    baseline, batch, count = case
    bound, z, moments, slopes = bind(immigration_death, loss)
    mean, error = mean_over_batches(ScoreFunction(baseline), bound, z, batch, count)
    assert np.all(np.abs(mean - bound.slope(moments) @ slopes) < 4 * error)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("batch", [8, 70])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("baseline", BASELINES[1:3], ids=str)
def test_a_hundred_thousand_small_batches_are_unbiased(baseline, loss, batch):
    bound, z, moments, slopes = bind(immigration_death, loss)
    mean, error = mean_over_batches(ScoreFunction(baseline), bound, z, batch, 100_000)
    assert np.all(np.abs(mean - bound.slope(moments) @ slopes) < 4 * error)


def test_coefficients_from_the_same_runs_would_be_biased():
    """The halves matter: fitted to the runs that they correct, coefficients bias the gradient."""
    bound, z, moments, slopes = bind(immigration_death, ExpectedLoss())
    gradient = bound.slope(moments) @ slopes

    class Same(LinearResponse):
        def _at_time(self, runs, k, here, other):
            return super()._at_time(runs, k, here, here)

    mean, error = mean_over_batches(ScoreFunction(Same()), bound, z, 70, 2_000)
    assert np.any(np.abs(mean - gradient) > 6 * error)


def test_the_stated_covariance_is_that_of_repeats():
    bound, z, _, _ = bind(sir, MomentMatching(order=2))
    for baseline in BASELINES[1:3]:
        stream = Stream.from_seed(2)
        found = [
            ScoreFunction(baseline).estimate(bound, z, 1_000, stream.child(i)) for i in range(300)
        ]
        spread = np.cov(np.stack([f.gradient for f in found]), rowvar=False)
        stated = np.mean([f.covariance for f in found], axis=0)
        ratio = np.diag(stated) / np.diag(spread)
        # The variance of 300 draws is known to 8 %.
        assert np.all((ratio > 0.75) & (ratio < 1.25))


def test_arrivals_are_linear_so_nothing_is_left_to_chance():
    """X = kT + M(T), and ∂E[X]/∂ log k = kT: the regression explains all of both."""
    problem = Problem(
        helpers.arrival(),
        data={"time": [10.0], "X": [17.0]},
        initial={"X": 0},
        parameters={"k": Parameter(0.1, 100)},
    )
    bound = MomentMatching(order=1).bind(problem)
    found = ScoreFunction(LinearResponse()).estimate(
        bound, np.log([2.0]), 10_000, Stream.from_seed(0)
    )
    plain = ScoreFunction().estimate(bound, np.log([2.0]), 10_000, Stream.from_seed(0))
    assert found.gradient[0] == pytest.approx(2 * 3 * 20 / 17**2, rel=1e-6)
    assert found.standard_errors[0] < 1e-5 * plain.standard_errors[0]


@pytest.mark.parametrize(("time", "gain"), [(2.0, 100), (20.0, 5)])
def test_linear_networks_gain_much(time, gain):
    """Immigration-death of means near and far from their start, in variance."""
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [time], "X": [12.0]},
        initial={"X": 0},
        parameters=LONG,
    )
    bound, z = MomentMatching(order=1).bind(problem), np.log([10.0, 1.0])
    plain, fitted = (
        ScoreFunction(b).estimate(bound, z, 20_000, Stream.from_seed(0))
        for b in (LeaveOneOut(), LinearResponse())
    )
    assert np.trace(plain.covariance) > gain * np.trace(fitted.covariance)
    assert fitted.value_variance < plain.value_variance / gain


def test_the_best_constant_is_not_the_mean():
    """E[(X − y)²] of arrivals: f grows with S², and the weighted mean of f takes that off."""
    problem = Problem(
        helpers.arrival(),
        data={"time": [10.0], "X": [17.0]},
        initial={"X": 0},
        parameters={"k": Parameter(0.1, 100)},
    )
    bound = ExpectedLoss().bind(problem)
    plain, fitted = (
        ScoreFunction(b).estimate(bound, np.log([2.0]), 50_000, Stream.from_seed(0))
        for b in (LeaveOneOut(), CrossFitted())
    )
    assert fitted.covariance[0, 0] < 0.85 * plain.covariance[0, 0]


def test_unknown_initial_counts():
    """X decays from a mean of 3.4 at γ: E[X(t)] = 3.4 e^{−γt}."""
    problem = Problem(
        helpers.ReactionNetwork.from_text("X -> 0 ; gamma"),
        data={"time": [0.5], "X": [5.0]},
        initial={"X": Ref("x0")},
        parameters={"gamma": Parameter(0.1, 10), "x0": Parameter(1, 10)},
    )
    bound = MomentMatching(order=1).bind(problem)
    mean = 3.4 * np.exp(-0.4)
    exact = 2 * (mean - 5) / 25 * np.array([-0.4 * mean, mean])
    found = ScoreFunction(LinearResponse()).estimate(
        bound, np.log([0.8, 3.4]), 100_000, Stream.from_seed(3)
    )
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)
    assert np.all(found.standard_errors < 0.05 * np.abs(exact))


def test_reactions_with_rate_laws_have_no_martingale_here():
    """S => P by a law, P -> S by mass action: only the second is regressed on; see `enzyme`."""
    network = helpers.ReactionNetwork.from_text("S => P ; mm(S, V, K)")
    problem = Problem(
        network,
        data={"time": [0.4], "P": [4.0]},
        initial={"S": 10, "P": 0},
        parameters={"V": Parameter(1, 50), "K": Parameter(0.5, 50)},
    )
    bound, z = MomentMatching(order=1).bind(problem), np.log([8.0, 4.0])
    moments, slopes = exact_moments(bound, z)
    found = ScoreFunction(LinearResponse()).estimate(bound, z, 50_000, Stream.from_seed(0))
    error = np.abs(found.gradient - bound.slope(moments) @ slopes)
    assert np.all(error < 4 * found.standard_errors)


def test_windows_in_which_hardly_anything_fires_are_left_out():
    """0.1, …, 0.7 and the ends of seven windows differ by rounding; and a reaction is rare."""
    problem = Problem(
        helpers.ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma\nX -> 2 X ; rare"),
        data={"time": np.linspace(0.1, 0.7, 7), "X": np.linspace(10.0, 40.0, 7)},
        initial={"X": 0},
        parameters={"k": Parameter(1, 1e4), "gamma": Parameter(0.01, 100), "rare": 1e-5},
    )
    bound, z = MomentMatching(order=1).bind(problem), np.log([100.0, 1.0])
    moments, slopes = exact_moments(bound, z)
    # 352 runs less 4 that go first are halves of 174: 21 coefficients, seven windows.
    found = [
        ScoreFunction(LinearResponse()).estimate(bound, z, 352, Stream.from_seed(0).child(k))
        for k in range(200)
    ]
    score = (np.mean([f.gradient for f in found], 0) - bound.slope(moments) @ slopes) / np.sqrt(
        np.mean([np.diag(f.covariance) for f in found], 0) / len(found)
    )
    assert np.all(np.abs(score) < 4)
    values = np.array([f.value for f in found]) - bound.value(moments)
    stated = np.mean([f.value_variance for f in found])
    assert abs(values.mean()) < 4 * np.sqrt(stated / len(found))
    # The variance of 200 draws is known to 10 %.
    assert 0.5 < stated / values.var() < 1.5


def test_few_runs_are_left_to_the_mean_of_the_others():
    bound, z, _, _ = bind(immigration_death, MomentMatching(order=1))
    few = [
        ScoreFunction(b).sample(bound, z, 40, Stream.from_seed(0))
        for b in (LeaveOneOut(), LinearResponse())
    ]
    assert np.array_equal(few[0].jacobians, few[1].jacobians)
    with pytest.raises(
        ParameterError, match="`windows` is 0, expected a whole number of at least 1"
    ):
        LinearResponse(0)

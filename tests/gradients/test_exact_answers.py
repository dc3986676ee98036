"""Estimators × problems with exact answers × kinds of loss."""

from dataclasses import replace

import numpy as np
import pytest

from tests import helpers
from tumble import Experiment, Observable, Parameter, Problem, Ref, noise
from tumble._random import Stream
from tumble.diagnostics._references import exact_loss_and_gradient
from tumble.distances import EnergyDistance, MaximumMeanDiscrepancy, WassersteinDistance
from tumble.gradients import (
    AlternativePath,
    CoupledDifference,
    LinearResponse,
    RademacherDirections,
    ScoreFunction,
)
from tumble.objectives import DistributionMatching, ExpectedLoss, MomentMatching
from tumble.simulators import FiniteStateProjection, NextReactionMethod

NUM_RUNS = 100_000
ESTIMATORS = [
    ScoreFunction(),
    ScoreFunction(LinearResponse()),
    CoupledDifference(),
    CoupledDifference(directions=RademacherDirections()),
    AlternativePath(),
]
LOSSES = [MomentMatching(order=1), MomentMatching(order=2), ExpectedLoss()]
ENERGY = DistributionMatching(EnergyDistance(num_cells=16))
WAVES = DistributionMatching(MaximumMeanDiscrepancy(num_frequencies=16))
ROUNDED = DistributionMatching(WassersteinDistance(num_cells=16))
JOINT = DistributionMatching(EnergyDistance(num_cells=16, num_projections=4), joint=True)
JOINT_WAVES = DistributionMatching(MaximumMeanDiscrepancy(num_frequencies=16), joint=True)


def arrival():
    data = {"time": [3.0, 10.0], "X": [5.0, 17.0]}
    parameters = {"k": Parameter(0.1, 100)}
    return Problem(helpers.arrival(), data=data, initial={"X": 0}, parameters=parameters), [2.0]


def immigration_death():
    data = {"time": [0.5, 2.0], "X": [5.0, 12.0]}
    parameters = {"k": Parameter(0.1, 100), "gamma": Parameter(0.1, 10)}
    network = helpers.immigration_death()
    return Problem(network, data=data, initial={"X": 3}, parameters=parameters), [10.0, 1.0]


def sir():
    data = {"time": [1.0, 2.0, 4.0], "I": [4.0, 5.0, 2.0], "R": [1.0, 4.0, 9.0]}
    parameters = {"beta": Parameter(1e-3, 1), "gamma": Parameter(0.05, 5, scale="linear")}
    initial = {"S": 18, "I": 2, "R": 0}
    return Problem(helpers.sir(), data=data, initial=initial, parameters=parameters), [0.1, 0.7]


def dimerization():
    data = {"time": [0.3, 1.0], "P": [14.0, 9.0]}
    parameters = {"k1": Parameter(1e-3, 1), "k2": Parameter(0.05, 0.95, scale="logit")}
    network = helpers.dimerization()
    return Problem(network, data=data, initial={"P": 20, "P2": 1}, parameters=parameters), [
        0.1,
        0.4,
    ]


def noisy_decay():
    """Unknown scale and overdispersion: part of the gradient does not pass through the runs."""
    network = helpers.birth_death()
    parameters = {
        "birth": 0.2,
        "death": Parameter(0.1, 10),
        "share": Parameter(0.1, 2),
        "phi": Parameter(1, 100),
    }
    return Problem(
        network,
        data={"time": [0.5, 1.0], "seen": [6, 1]},
        initial={"X": 10},
        observables={"seen": Observable("share * X", noise.NegativeBinomial("phi"))},
        parameters=parameters,
    ), [1.2, 0.7, 5.0]


def two_experiments():
    """The same rate in two experiments, another one in only one of them."""
    network = helpers.immigration_death()
    experiments = [
        Experiment({"time": [1.0], "X": [4]}, {"X": 0}),
        Experiment({"time": [2.0], "X": [9]}, {"X": 2}, conditions={"k": Ref("k2"), "gamma": 0.5}),
    ]
    parameters = {"k": Parameter(0.1, 50), "k2": Parameter(0.1, 50), "gamma": Parameter(0.1, 10)}
    return Problem(network, experiments, parameters), [5.0, 3.0, 1.0]


def enzyme():
    """Saturated by its substrate: a rate law, and a constant that is an expression."""
    network = helpers.ReactionNetwork.from_text("S => P ; mm(S, V, K)\nP -> S ; V / ratio")
    return Problem(
        network,
        data={"time": [0.4, 1.5], "S": [4.0, 8.0]},
        initial={"S": 10, "P": 0},
        parameters={"V": Parameter(1, 50), "K": Parameter(0.5, 50), "ratio": 20.0},
    ), [8.0, 4.0]


def repressed_gene():
    data = {"time": [0.5, 1.5], "P": [9.0, 6.0]}
    parameters = {
        "b": 0.5,
        "V": Parameter(1, 100),
        "K": Parameter(1, 50),
        "n": Parameter(0.5, 5, scale="linear"),
        "d": Parameter(0.1, 10),
    }
    network = helpers.repressed_gene()
    return Problem(network, data=data, initial={"P": 2}, parameters=parameters), [
        20.0,
        6.0,
        2.5,
        1.0,
    ]


def sis():
    """Infection that depends on the frequency, observed as the force that the network defines."""
    network = helpers.ReactionNetwork.from_text(
        "N = S + I\nforce = beta * I / N\nS => I ; force * S\nI -> S ; gamma"
    )
    return Problem(
        network,
        data={"time": [0.5, 1.5], "force": [0.5, 1.5]},
        initial={"S": 8, "I": 3},
        parameters={"beta": Parameter(0.1, 10), "gamma": Parameter(0.1, 10)},
        observables={"force": Observable("force", noise.Normal(0.2))},
    ), [2.0, 0.8]


PROBLEMS = [
    arrival,
    immigration_death,
    sir,
    dimerization,
    noisy_decay,
    two_experiments,
    enzyme,
    repressed_gene,
    sis,
]


def twice(problem):
    """Return the problem with a second replicate, since variances need two."""
    experiments = []
    for experiment in problem.experiments:
        data = experiment.data
        values = np.concatenate([data.values, data.values + 2])
        experiments.append(replace(experiment, data=replace(data, values=values)))
    return replace(problem, experiments=experiments)


EXACT = [(make, loss) for make in PROBLEMS for loss in LOSSES]
EXACT += [(immigration_death, ENERGY), (sir, WAVES), (noisy_decay, ROUNDED), (sir, JOINT)]
# Many features for each count: seconds each.
LONG = [(make, ENERGY) for make in PROBLEMS if make is not immigration_death]
LONG += [(make, WAVES) for make in (immigration_death, noisy_decay)]
LONG += [(make, ROUNDED) for make in (immigration_death, sir)]
LONG += [(sir, JOINT_WAVES), (noisy_decay, JOINT_WAVES)]
CASES = helpers.mostly_slow(EXACT, ESTIMATORS)
CASES += [pytest.param(c, e, marks=pytest.mark.slow) for c in LONG for e in ESTIMATORS]


def shown(value):
    """A name for a case of `CASES`."""
    return f"{value[0].__name__}-{value[1]}" if isinstance(value, tuple) else str(value)


@pytest.mark.parametrize(("case", "estimator"), CASES, ids=shown)
def test_loss_and_gradient_are_exact_within_four_standard_errors(case, estimator):
    make, loss = case
    problem, theta = make()
    bound = loss.bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    value, gradient = exact_loss_and_gradient(bound, z, FiniteStateProjection())
    # A random direction sees all parameters at once, and needs more runs for the same power.
    is_random = getattr(estimator, "directions", None) == RademacherDirections()
    num_runs = 2 * NUM_RUNS if is_random else NUM_RUNS
    found = estimator.estimate(bound, z, num_runs, Stream.from_seed(7))
    assert np.all(np.abs(found.gradient - gradient) <= 4 * found.standard_errors + 1e-12)
    # The test has the power to see an error of a tenth in the leading component.
    leading = np.argmax(np.abs(gradient))
    assert 4 * found.standard_errors[leading] < 0.5 * abs(gradient[leading])
    if estimator.unbiased:
        assert abs(found.value - value) < 4 * np.sqrt(found.value_variance)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("k", [0.3, 2.0])
def test_arrival_by_hand(estimator, k):
    """X(T) ~ Poisson(kT): d E[(X − y)²] / d log k = kT (1 + 2 (kT − y)), with y = 17."""
    problem, _ = arrival()
    problem = Problem(
        problem.model,
        data={"time": [10.0], "X": [17.0]},
        initial={"X": 0},
        parameters=problem.parameters,
    )
    mean = 10 * k
    z = np.log([k])
    expected = estimator.estimate(ExpectedLoss().bind(problem), z, NUM_RUNS, Stream.from_seed(0))
    exact = mean * (1 + 2 * (mean - 17)) / 17**2
    assert abs(expected.gradient[0] - exact) < 4 * expected.standard_errors[0]
    assert expected.standard_errors[0] < 0.03 * abs(exact)
    moments = MomentMatching(order=1).bind(problem)
    matched = estimator.estimate(moments, z, NUM_RUNS, Stream.from_seed(0))
    exact = mean * 2 * (mean - 17) / 17**2
    assert abs(matched.gradient[0] - exact) < 4 * matched.standard_errors[0]
    assert matched.standard_errors[0] < 0.03 * abs(exact)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("loss", [MomentMatching(order=1), ExpectedLoss()], ids=str)
def test_unknown_initial_count(estimator, loss):
    """X decays from a mean of 3.4 at γ: E[X(t)] = 3.4 e^{−γt}, and 3 or 4 are drawn at random."""
    network = helpers.ReactionNetwork.from_text("X -> 0 ; gamma")
    problem = Problem(
        network,
        data={"time": [0.5], "X": [5.0]},
        initial={"X": Ref("x0")},
        parameters={"gamma": Parameter(0.1, 10), "x0": Parameter(1, 10)},
    )
    z = np.log([0.8, 3.4])
    found = estimator.estimate(loss.bind(problem), z, 400_000, Stream.from_seed(3))
    e = np.exp(-0.4)
    mean, slope = 3.4 * e, np.array([-0.4 * 3.4 * e, 3.4 * e])
    if isinstance(loss, MomentMatching):
        exact = 2 * (mean - 5) * slope / 25
    else:
        # E[(X − 5)²] with X ~ Binomial(n, e), averaged over n = 3 (.6) and n = 4 (.4).
        def of_count(n, p):
            return n * p * (1 - p) + (n * p - 5) ** 2

        def of_rate(n, p):
            return (n * (1 - 2 * p) + 2 * n * (n * p - 5)) * (-0.4 * p)

        exact = np.array(
            [
                0.6 * of_rate(3, e) + 0.4 * of_rate(4, e),
                3.4 * (of_count(4, e) - of_count(3, e)),
            ]
        )
        exact = exact / 25
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)
    assert np.all(found.standard_errors < 0.05 * np.abs(exact))


def mean_over_batches(estimator, bound, z, num_samples, num_batches):
    """Return the mean gradient of many small batches, and its standard error."""
    stream = Stream.from_seed(11)
    runs = num_samples * estimator.runs_per_sample(bound) * len(bound.problem.bindings)
    gradients = np.stack(
        [estimator.estimate(bound, z, runs, stream.child(i)).gradient for i in range(num_batches)]
    )
    return gradients.mean(0), gradients.std(0, ddof=1) / np.sqrt(num_batches)


def check_small_batches(make, loss, estimator, num_batches):
    problem, theta = make()
    bound = loss.bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    _, gradient = exact_loss_and_gradient(bound, z, FiniteStateProjection())
    mean, error = mean_over_batches(estimator, bound, z, 8, num_batches)
    assert np.all(np.abs(mean - gradient) < 4 * error)


@pytest.mark.parametrize(
    ("loss", "estimator"), helpers.mostly_slow([*LOSSES, ENERGY, WAVES], ESTIMATORS), ids=str
)
def test_batches_of_eight_are_unbiased(loss, estimator):
    check_small_batches(immigration_death, loss, estimator, 5_000)


@pytest.mark.slow
@pytest.mark.parametrize("make", [arrival, immigration_death, sir], ids=lambda f: f.__name__)
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
@pytest.mark.parametrize("loss", [*LOSSES, ENERGY, WAVES], ids=str)
@pytest.mark.timeout(1200)
def test_a_hundred_thousand_batches_of_eight_are_unbiased(make, loss, estimator):
    check_small_batches(make, loss, estimator, 100_000)


def test_products_over_the_same_runs_would_be_biased():
    """The pairs of distinct runs matter: the plug-in gradient fails where the estimator passes."""
    problem, theta = immigration_death()
    bound = MomentMatching(order=1).bind(problem)
    z = problem.space.to_fit(np.array(theta))
    _, gradient = exact_loss_and_gradient(bound, z, FiniteStateProjection())
    stream = Stream.from_seed(5)
    plug_in = []
    for i in range(5_000):
        sampled = ScoreFunction().sample(bound, z, 8, stream.child(i))
        plug_in.append(bound.slope(sampled.features.mean(0)) @ sampled.jacobians.mean(0))
    error = np.std(plug_in, axis=0, ddof=1) / np.sqrt(len(plug_in))
    assert np.any(np.abs(np.mean(plug_in, axis=0) - gradient) > 6 * error)


@pytest.mark.slow
def test_the_stated_covariance_is_that_of_repeats():
    problem, theta = sir()
    bound = MomentMatching(order=2).bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    for estimator in ESTIMATORS:
        stream = Stream.from_seed(2)
        found = [estimator.estimate(bound, z, 400, stream.child(i)) for i in range(600)]
        spread = np.cov(np.stack([f.gradient for f in found]), rowvar=False)
        stated = np.mean([f.covariance for f in found], axis=0)
        ratio = np.diag(stated) / np.diag(spread)
        # The variance of 600 draws is known to 6 %; small batches add terms of order 1/n².
        assert np.all((ratio > 0.75) & (ratio < 1.25))


def test_coupled_differences_have_the_bias_of_their_quotient():
    """Central differences of E[X] in log γ: halving the step divides the bias by about four."""
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [2.0], "X": [12.0]},
        initial={"X": 0},
        parameters={"k": 10.0, "gamma": Parameter(0.05, 20)},
    )
    bound = MomentMatching(order=1).bind(problem)
    truth = helpers.immigration_death_mean_gradient(10, 1, 2)[1]
    biases = []
    for step in (1.0, 0.5):
        stream = Stream.from_seed(1)
        sampled = CoupledDifference(step).sample(bound, np.log([1.0]), 200_000, stream)
        up, _ = helpers.immigration_death_moments(10, np.exp(step), 2)
        down, _ = helpers.immigration_death_moments(10, np.exp(-step), 2)
        quotient = (up - down) / (2 * step)
        slopes = sampled.jacobians[:, 0, 0]
        error = slopes.std() / np.sqrt(len(slopes))
        assert abs(slopes.mean() - quotient) < 4 * error
        biases.append(slopes.mean() - truth)
        assert abs(biases[-1]) > 20 * error
    assert 3.2 < biases[0] / biases[1] < 4.8


def test_at_a_bound_the_difference_is_one_sided():
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [2.0], "X": [12.0]},
        initial={"X": 0},
        parameters={"k": Parameter(10, 100), "gamma": 1.0},
    )
    bound = MomentMatching(order=1).bind(problem)
    found = CoupledDifference().estimate(bound, np.log([10.0]), NUM_RUNS, Stream.from_seed(0))
    mean = 10 * (1 - np.exp(-2))
    exact = 2 * (mean - 12) / 144 * mean
    # One-sided with ε = 0.02 in a function exponential in z: off by ε/2 of the slope and value.
    assert abs(found.gradient[0] - exact) < 4 * found.standard_errors[0] + 0.03 * abs(exact)


@pytest.mark.parametrize("make", PROBLEMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("loss", [MomentMatching(order=1), ExpectedLoss()], ids=str)
def test_differences_on_common_clocks_are_exact_within_four_standard_errors(make, loss):
    problem, theta = make()
    bound = loss.bind(replace(twice(problem), simulator=NextReactionMethod()))
    z = problem.space.to_fit(np.array(theta))
    _, gradient = exact_loss_and_gradient(bound, z, FiniteStateProjection())
    found = CoupledDifference().estimate(bound, z, NUM_RUNS, Stream.from_seed(8))
    assert np.all(np.abs(found.gradient - gradient) <= 4 * found.standard_errors + 1e-12)
    leading = np.argmax(np.abs(gradient))
    assert 4 * found.standard_errors[leading] < 0.5 * abs(gradient[leading])

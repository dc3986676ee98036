"""Gaussian smoothing, smoothed REINFORCE and SPSA against exact averages over perturbations."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from tests import helpers
from tests.gradients.perturbed import (
    mean_over_batches,
    simultaneous_gradient,
    smoothed_gradient,
)
from tumble import Experiment, Observable, Parameter, Problem, Ref, noise
from tumble._random import Stream
from tumble.gradients import (
    SPSA,
    ConstantStep,
    CoupledDifference,
    GaussianDirections,
    GaussianSmoothing,
    OrthogonalDirections,
    RademacherDirections,
    SmoothedReinforce,
)
from tumble.objectives import ExpectedLoss, MomentMatching
from tumble.simulators import DirectMethod, Langevin, NextReactionMethod, TauLeaping

CONSTANT = ConstantStep()
SMOOTHERS = [
    GaussianSmoothing(0.3, CONSTANT),
    GaussianSmoothing(0.3, CONSTANT, GaussianDirections()),
    GaussianSmoothing(0.3, CONSTANT, OrthogonalDirections(1), common=False),
    SmoothedReinforce(0.3, CONSTANT),
    CoupledDifference(0.3, GaussianDirections()),
    CoupledDifference(0.3, OrthogonalDirections()),
]
SIGNED = [
    SPSA(0.3, CONSTANT),
    SPSA(0.3, CONSTANT, common=False),
    CoupledDifference(0.3, RademacherDirections()),
]
LOSSES = [MomentMatching(order=1), ExpectedLoss()]


def arrival(lower=0.01, upper=1e3, **options):
    return Problem(
        helpers.arrival(),
        data={"time": [10.0], "X": [17.0]},
        initial={"X": 0},
        parameters={"k": Parameter(lower, upper)},
        **options,
    )


def sir(**options):
    """β on the log scale, γ on the linear one, where a step is a share of half the bounds."""
    return Problem(
        helpers.sir(),
        data={"time": [1.0, 3.0], "I": [4.0, 2.0], "R": [1.0, 9.0]},
        initial={"S": 10, "I": 2, "R": 0},
        parameters={"beta": Parameter(1e-4, 10), "gamma": Parameter(0.1, 1.9, scale="linear")},
        **options,
    )


SIR_Z = np.array([np.log(0.15), 1.0])
# σ times the half width 0.9 of γ's bounds; so small that bounds do not matter to the quadrature.
SIR_STEPS = np.array([0.15, 0.15 * 0.9])


def with_step(estimator, step):
    return replace(estimator, step=step)


@pytest.mark.parametrize("estimator", SMOOTHERS, ids=str)
@pytest.mark.parametrize("k", [0.6, 3.0])
def test_smoothed_arrival_by_hand(estimator, k):
    """E[X] = kT on the log scale: the smoothed E[X] is kT e^{σ²/2}, and so is its derivative.

    E[(X − y)²] = kT + (kT − y)² becomes, term by term, kT s (1 − 2y) + (kT)² s⁴ with s = e^{σ²/2}.
    """
    s, mean, y = np.exp(0.3**2 / 2), 10 * k, 17
    exact = {
        "MomentMatching": 2 * (mean * s - y) * mean * s / y**2,
        "ExpectedLoss": (mean * s * (1 - 2 * y) + 2 * mean**2 * s**4) / y**2,
    }
    plain = {
        "MomentMatching": 2 * (mean - y) * mean / y**2,
        "ExpectedLoss": mean * (1 + 2 * (mean - y)) / y**2,
    }
    for loss in LOSSES:
        bound = loss.bind(arrival())
        found = estimator.estimate(bound, np.log([k]), 400_000, Stream.from_seed(0))
        error = found.standard_errors[0]
        name = type(loss).__name__
        assert abs(found.gradient[0] - exact[name]) < 4 * error
        # Precise enough to tell the smoothed gradient from the plain one: the guarantee is sharp.
        assert abs(found.gradient[0] - plain[name]) > 6 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator", [GaussianSmoothing(), SmoothedReinforce(), SPSA()], ids=lambda e: type(e).__name__
)
def test_the_bias_is_of_second_order_in_the_step(estimator):
    """∂E[X]/∂ log k is kT e^{σ²/2}, or kT sinh(c)/c: biases kT σ²/2 and kT c²/6 to second order.

    k is so large that the noise of runs is small beside the bias.
    """
    mean = 10 * 300.0
    bound = MomentMatching(order=1).bind(arrival(upper=1e6))
    biases = []
    for step in (0.8, 0.4):
        smoother = replace(estimator, step=step, schedule=CONSTANT)
        sampled = smoother.sample(bound, np.log([300.0]), 200_000, Stream.from_seed(2))
        slopes = sampled.jacobians[:, 0, 0]
        signed = isinstance(estimator, SPSA)
        exact = mean * (np.sinh(step) / step if signed else np.exp(step**2 / 2))
        error = slopes.std() / np.sqrt(len(slopes))
        assert abs(slopes.mean() - exact) < 4 * error
        biases.append(slopes.mean() - mean)
        assert abs(biases[-1]) > 6 * error
    assert 3.2 < biases[0] / biases[1] < 5.5


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("estimator", SMOOTHERS, ids=str)
def test_two_parameters_against_the_master_equation(estimator, loss):
    bound = loss.bind(sir())
    exact = smoothed_gradient(bound, SIR_Z, SIR_STEPS)
    smoother = with_step(estimator, 0.15)
    found = smoother.estimate(bound, SIR_Z, 200_000, Stream.from_seed(1))
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)
    assert 4 * found.standard_errors.max() < 0.5 * np.abs(exact).max()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("estimator", SIGNED, ids=str)
def test_simultaneous_perturbation_against_the_master_equation(estimator, loss):
    bound = loss.bind(sir())
    exact = simultaneous_gradient(bound, SIR_Z, 2 * SIR_STEPS)
    found = estimator.estimate(bound, SIR_Z, 200_000, Stream.from_seed(1))
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)
    assert 4 * found.standard_errors.max() < 0.5 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("loss", "estimator"),
    helpers.mostly_slow(LOSSES, [SMOOTHERS[0], SMOOTHERS[3], SIGNED[0], SIGNED[2]]),
    ids=lambda v: type(v).__name__,
)
def test_batches_of_eight_are_unbiased_for_what_is_smoothed(estimator, loss):
    bound = loss.bind(sir())
    signed = estimator in SIGNED
    exact = (simultaneous_gradient if signed else smoothed_gradient)(bound, SIR_Z, SIR_STEPS)
    mean, error = mean_over_batches(with_step(estimator, 0.15), bound, SIR_Z, 8, 2_000)
    assert np.all(np.abs(mean - exact) < 4 * error)
    assert 4 * error.max() < 0.5 * np.abs(exact).max()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize(
    "estimator", [SMOOTHERS[0], SMOOTHERS[3], SIGNED[0], SIGNED[2]], ids=lambda e: type(e).__name__
)
def test_a_hundred_thousand_batches_of_eight_are_unbiased(estimator, loss):
    bound = loss.bind(sir())
    signed = estimator in SIGNED
    exact = (simultaneous_gradient if signed else smoothed_gradient)(bound, SIR_Z, SIR_STEPS)
    mean, error = mean_over_batches(with_step(estimator, 0.15), bound, SIR_Z, 8, 100_000)
    assert np.all(np.abs(mean - exact) < 4 * error)


# -- bounds ----------------------------------------------------------


@pytest.mark.parametrize("estimator", SMOOTHERS, ids=str)
def test_a_bound_does_not_damp_the_gradient(estimator):
    """At the lower bounds of both factors of m = T e^{z1 + z2}: an average over what is inside.

    E[∂_1 m(clip(z + σu)) | u_1 > 0] = m · E[e^{σ u_1} | u_1 > 0] · E[e^{σ max(u_2, 0)}].
    """
    problem = Problem(
        helpers.ReactionNetwork.from_text("0 -> X ; k * c"),
        data={"time": [10.0], "X": [17.0]},
        initial={"X": 0},
        parameters={"k": Parameter(2, 1e3), "c": Parameter(1.5, 1e3)},
    )
    bound = MomentMatching(order=1).bind(problem)
    sampled = estimator.sample(bound, np.log([2.0, 1.5]), 200_000, Stream.from_seed(4))
    half = np.exp(0.3**2 / 2) * norm.cdf(0.3)
    exact = 30 * (2 * half) * (0.5 + half)
    slopes = sampled.jacobians[:, 0]
    error = slopes.std(0) / np.sqrt(len(slopes))
    assert np.all(np.abs(slopes.mean(0) - exact) < 4 * error)
    assert np.all(error < 0.02 * exact)


@pytest.mark.parametrize("estimator", SIGNED, ids=str)
def test_at_a_bound_signed_differences_are_one_sided(estimator):
    """At the lower bound of m = T e^z the quotient is (e^c − 1)/c; at the upper, (1 − e^{−c})/c."""
    for bounds, exact in [((2, 1e3), np.expm1(0.3) / 0.3), ((1e-3, 2), -np.expm1(-0.3) / 0.3)]:
        bound = MomentMatching(order=1).bind(arrival(*bounds))
        sampled = estimator.sample(bound, np.log([2.0]), 200_000, Stream.from_seed(4))
        slopes = sampled.jacobians[:, 0, 0]
        error = slopes.std() / np.sqrt(len(slopes))
        assert abs(slopes.mean() - 20 * exact) < 4 * error
        assert error < 0.02 * 20


# -- initial counts, observables, several experiments -----------------


@pytest.mark.parametrize("estimator", SMOOTHERS[:4], ids=str)
def test_initial_counts_are_perturbed_and_observables_are_not(estimator):
    """share · x0 e^{−γt}, with x0 and γ smoothed and the share explicit."""
    problem = Problem(
        helpers.ReactionNetwork.from_text("X -> 0 ; gamma"),
        data={"time": [0.5], "seen": [5.0]},
        initial={"X": Ref("x0")},
        observables={"seen": Observable("share * X", noise.NegativeBinomial("phi"))},
        parameters={
            "share": Parameter(0.01, 100),
            "gamma": Parameter(0.01, 100),
            "x0": Parameter(0.1, 1e3),
            "phi": Parameter(1, 100),
        },
    )
    x, w = np.polynomial.hermite_e.hermegauss(30)
    w = w / w.sum()
    rate = 0.8 * 0.5 * np.exp(0.3 * x)
    level = 0.7 * 8.4 * np.exp(0.3**2 / 2)
    survived, slope = w @ np.exp(-rate), w @ (-rate * np.exp(-rate))
    bound = MomentMatching(order=1).bind(problem)
    z = np.log([0.7, 0.8, 8.4, 5.0])
    sampled = estimator.sample(bound, z, 200_000, Stream.from_seed(5))
    exact = level * np.array([survived, slope, survived, 0.0])
    slopes = sampled.jacobians[:, 0]
    error = slopes.std(0) / np.sqrt(len(slopes))
    assert np.all(np.abs(slopes.mean(0) - exact) <= 4 * error)
    assert np.all(error[:3] < 0.02 * np.abs(exact[:3]))
    level_error = sampled.features[:, 0].std() / np.sqrt(len(slopes))
    assert abs(sampled.features[:, 0].mean() - level * survived) < 4 * level_error


@pytest.mark.parametrize("estimator", [*SMOOTHERS, *SIGNED], ids=str)
def test_an_experiment_is_not_disturbed_by_parameters_that_are_not_its_own(estimator):
    experiments = [
        Experiment({"time": [1.0], "X": [4]}, {"X": 0}),
        Experiment({"time": [1.0], "X": [9]}, {"X": 0}, conditions={"k": Ref("other")}),
    ]
    parameters = {"k": Parameter(0.1, 50), "other": Parameter(0.1, 50)}
    problem = Problem(helpers.arrival(), experiments, parameters)
    bound = MomentMatching(order=1).bind(problem)
    sampled = estimator.sample(bound, np.log([5.0, 3.0]), 1_000, Stream.from_seed(0))
    assert np.all(sampled.jacobians[:, 0, 1] == 0) and np.all(sampled.jacobians[:, 1, 0] == 0)
    assert np.any(sampled.jacobians[:, 0, 0] != 0) and np.any(sampled.jacobians[:, 1, 1] != 0)


@pytest.mark.parametrize("estimator", [*SMOOTHERS, *SIGNED], ids=str)
def test_nothing_moves_the_states(estimator):
    """Only the scale of the observable is unknown: its derivative is explicit, and E[f] itself."""
    problem = Problem(
        helpers.arrival(),
        data={"time": [1.0], "seen": [5.0]},
        initial={"X": 0},
        observables={"seen": Observable("share * X", noise.Normal(1.0))},
        parameters={"k": 8.0, "share": Parameter(0.1, 2)},
    )
    bound = MomentMatching(order=1).bind(problem)
    sampled = estimator.sample(bound, np.log([0.7]), 20_000, Stream.from_seed(0))
    assert np.allclose(sampled.jacobians[:, 0, 0], sampled.features[:, 0])
    error = sampled.features[:, 0].std() / np.sqrt(20_000)
    assert abs(sampled.features[:, 0].mean() - 5.6) < 4 * error


# -- simulators that offer samples alone ------------------------------


@pytest.mark.parametrize(
    ("estimator", "simulator"),
    helpers.mostly_slow(
        [SMOOTHERS[0], SMOOTHERS[3], SIGNED[0]],
        [Langevin(0.1), TauLeaping(), NextReactionMethod(), DirectMethod()],
    ),
    ids=str,
)
def test_any_simulator_will_do(estimator, simulator):
    """E[X] = kT under all of them."""
    bound = MomentMatching(order=1).bind(arrival(upper=1e6, simulator=simulator))
    sampled = estimator.sample(bound, np.log([200.0]), 40_000, Stream.from_seed(0))
    exact = 2000 * (np.sinh(0.3) / 0.3 if estimator in SIGNED else np.exp(0.3**2 / 2))
    slopes = sampled.jacobians[:, 0, 0]
    error = slopes.std() / np.sqrt(len(slopes))
    assert abs(slopes.mean() - exact) < 4 * error
    assert error < 0.02 * exact


@pytest.mark.slow
def test_rates_that_depend_on_time():
    """E[X] = k (T + T²/2): no score and no pairs exist, but samples do."""
    problem = Problem(
        helpers.ReactionNetwork.from_text("0 => X ; k * (1 + time)"),
        data={"time": [2.0], "X": [17.0]},
        initial={"X": 0},
        parameters={"k": Parameter(0.1, 1e3)},
    )
    bound = MomentMatching(order=1).bind(problem)
    sampled = SMOOTHERS[0].sample(bound, np.log([20.0]), 10_000, Stream.from_seed(0))
    slopes = sampled.jacobians[:, 0, 0]
    error = slopes.std() / np.sqrt(len(slopes))
    exact = 20 * 4 * np.exp(0.3**2 / 2)
    assert abs(slopes.mean() - exact) < 4 * error
    assert error < 0.05 * exact


@pytest.mark.parametrize("simulator", [NextReactionMethod(), Langevin(0.1)], ids=str)
def test_common_noise_is_worth_having_where_streams_belong_to_reactions(simulator):
    bound = MomentMatching(order=1).bind(arrival(simulator=simulator))
    variances = []
    for common in (True, False):
        estimator = SPSA(0.05, CONSTANT, common=common)
        sampled = estimator.sample(bound, np.log([20.0]), 5_000, Stream.from_seed(0))
        variances.append(sampled.jacobians.var())
    assert variances[0] < 0.3 * variances[1]

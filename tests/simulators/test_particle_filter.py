from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests import helpers
from tumble import noise
from tumble._errors import CapabilityError, DataError, ParameterError
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble.models import ReactionNetwork
from tumble.simulators import DirectMethod, FiniteStateProjection, LinearNoise
from tumble.simulators._particle_filter import ParticleFilter, _Particles, _resample

STREAM = Stream.from_seed(11)


def immigration_death_problem():
    return Problem(
        helpers.immigration_death(),
        data={"time": [0.5, 1.0, 2.0, 4.0], "seen": [7, 11, 6, 9]},
        initial={"X": 3},
        observables={"seen": Observable("X", noise.Poisson())},
        parameters={"k": Parameter(0.1, 100), "gamma": Parameter(0.01, 10)},
    )


def decay_problem(*replicates):
    """Individuals that disappear, counted exactly at times 1, 2, …"""
    return Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        experiments=[Experiment(helpers.series(1.0 + np.arange(2), *replicates), {"X": 8})],
        parameters={"gamma": Parameter(0.01, 10)},
    )


CASES = {
    "sir": (helpers.sir_problem, helpers.SIR_PARAMS),
    "immigration-death": (immigration_death_problem, np.array([10.0, 1.2])),
}


def standard_error(values):
    return values.std(axis=0, ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize("case", CASES)
def test_against_the_exact_likelihood(case):
    """Shows a likelihood off by 4 %, or a gradient (log scale) off by 5 % of its length."""
    make, theta = CASES[case]
    exact, gradient = FiniteStateProjection().likelihood(make()).value_and_gradient(theta)
    values, gradients = ParticleFilter(800).likelihood(make()).estimate(theta, STREAM, 200)
    ratios = np.exp(values - exact)
    assert standard_error(ratios) < 0.01
    assert abs(ratios.mean() - 1) < 4 * standard_error(ratios)
    # The bias of order 1/N is far below the standard error at this N.
    error = theta * standard_error(gradients)
    assert np.all(error < 0.0125 * np.linalg.norm(theta * gradient))
    assert np.all(np.abs(theta * (gradients.mean(axis=0) - gradient)) < 4 * error)


def test_the_likelihood_is_unbiased_with_few_particles():
    problem, theta = immigration_death_problem(), np.array([10.0, 1.2])
    exact, _ = FiniteStateProjection().likelihood(problem).value_and_gradient(theta)
    values, _ = ParticleFilter(8).likelihood(problem).estimate(theta, STREAM, 50_000)
    ratios = np.exp(values - exact)
    assert standard_error(ratios) < 0.005
    assert abs(ratios.mean() - 1) < 4 * standard_error(ratios)
    assert values.mean() - exact < -20 * standard_error(values)  # its logarithm is not


def test_the_bias_of_the_logarithm_falls_as_one_over_the_number_of_particles():
    problem, theta = immigration_death_problem(), np.array([10.0, 1.2])
    exact, _ = FiniteStateProjection().likelihood(problem).value_and_gradient(theta)
    scaled, error = [], []
    for size in (12, 96):
        values, _ = ParticleFilter(size).likelihood(problem).estimate(theta, STREAM, 10_000)
        scaled.append(size * (values.mean() - exact))
        error.append(size * standard_error(values))
    assert scaled[0] < -4 * error[0]
    # A bias of order 1/√N would make these differ by a factor of 2.8. Terms in 1/N² are left.
    assert abs(scaled[1] - scaled[0]) < 4 * np.hypot(*error) + 0.25 * abs(scaled[0])


def test_exact_data_are_weighed_by_hits():
    """The reference is that of the closed form (binomial survivors) in `test_finite_state`."""
    problem, theta = decay_problem([5, 2], [4, 4]), np.array([0.6])
    exact, gradient = FiniteStateProjection().likelihood(problem).value_and_gradient(theta)
    values, gradients = ParticleFilter(2_000).likelihood(problem).estimate(theta, STREAM, 200)
    assert abs(np.exp(values - exact).mean() - 1) < 4 * standard_error(np.exp(values - exact))
    # Given the data, the counts of events are known and only the exposure is averaged.
    assert abs(gradients.mean() - gradient[0]) < 4 * standard_error(gradients)[0]


def test_a_filter_that_no_particle_survives_is_nan():
    values, gradients = (
        ParticleFilter(50).likelihood(decay_problem([5, 6])).estimate(np.array([0.6]), STREAM, 3)
    )
    assert np.all(np.isnan(values))
    assert np.all(np.isnan(gradients))


def test_failed_runs_have_no_weight():
    """All 8 are left at time 1 with chance e^{−4.8}; runs that fire more than one event fail."""
    problem, theta = decay_problem([8, np.nan]), np.array([0.6])
    capped = ParticleFilter(2_000, DirectMethod(max_events=1))
    values, gradients = capped.likelihood(problem).estimate(theta, STREAM, 100)
    ratios = np.exp(values + 4.8)
    assert abs(ratios.mean() - 1) < 4 * standard_error(ratios)
    np.testing.assert_allclose(gradients, -8.0, rtol=1e-9)


def test_results_depend_neither_on_threads_nor_on_the_number_of_filters():
    problem, theta = helpers.sir_problem(), helpers.SIR_PARAMS
    likelihood = ParticleFilter(100).likelihood(problem)
    values, gradients = likelihood.estimate(theta, STREAM, 5)
    with ThreadPoolExecutor(3) as pool:
        again = likelihood.estimate(theta, STREAM, 5, executor=pool)
    np.testing.assert_array_equal(values, again[0])
    np.testing.assert_array_equal(gradients, again[1])
    # Another batch size may round the last bit of a log density differently.
    fewer = likelihood.estimate(theta, STREAM, 2)
    np.testing.assert_allclose(values[:2], fewer[0], rtol=1e-12)
    np.testing.assert_allclose(gradients[:2], fewer[1], rtol=1e-9)
    assert not np.any(likelihood.estimate(theta, Stream.from_seed(12), 5)[0] == values)


def test_resampling_keeps_proportions_and_leaves_healthy_filters_alone():
    size = 1_000
    rng = STREAM.numpy()
    weights = np.stack([rng.gamma(0.2, size=size), np.ones(size), rng.gamma(0.1, size=size)])
    weights[0, -5:] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    labels = np.tile(np.arange(size), (3, 1))[:, :, None]
    with np.errstate(divide="ignore"):
        before = _Particles(labels, 2.0 * labels, np.log(weights))
    after = _resample(before, STREAM)
    for f in (0, 2):
        copies = np.bincount(after.states[f, :, 0], minlength=size)
        assert np.all(np.abs(copies - size * weights[f]) < 1)  # what makes it systematic
        assert not np.any(copies[weights[f] == 0])
        np.testing.assert_array_equal(after.log_weights[f], -np.log(size))
    np.testing.assert_array_equal(after.states[1], labels[1])
    np.testing.assert_array_equal(after.log_weights[1], np.log(weights[1]))
    np.testing.assert_array_equal(after.score, 2.0 * after.states)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match="`num_particles` is 1, expected at least 2"):
        ParticleFilter(1)
    with pytest.raises(CapabilityError, match=r"`simulator` is LinearNoise.*use DirectMethod\(\)"):
        ParticleFilter(simulator=LinearNoise())
    likelihood = ParticleFilter(10).likelihood(decay_problem([5, 4]))
    with pytest.raises(ParameterError, match="`num_filters` is 0, expected at least 1"):
        likelihood.estimate(np.array([1.0]), STREAM, 0)
    data = helpers.series([1.0], [4])
    snapshots = Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        experiments=[Experiment(data, {"X": 9}, kind="snapshots")],
        parameters={"gamma": Parameter(0.01, 10)},
    )
    with pytest.raises(DataError, match=r"needs time series, but the data are of kind 'snapshots'"):
        ParticleFilter().likelihood(snapshots)

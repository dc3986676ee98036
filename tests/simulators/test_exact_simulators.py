"""Exact simulators × networks with exact answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tests.simulators.agreement import (
    CASES,
    LAW_CASES,
    OPEN_CASES,
    SCHLOEGL,
    TIMES,
    assert_distribution,
    assert_moments,
    batch_of,
    projection,
)
from tumble.models import ReactionNetwork
from tumble.simulators import DirectMethod, NextReactionMethod

EXACT = [DirectMethod(), NextReactionMethod()]
each_simulator = pytest.mark.parametrize("simulator", EXACT, ids=lambda s: type(s).__name__)
RUNS = 40_000


def test_all_are_exact():
    assert all(simulator.exact and simulator.discrete for simulator in EXACT)


@each_simulator
@pytest.mark.parametrize("case", [*CASES, *OPEN_CASES, *LAW_CASES])
def test_the_whole_distribution_is_that_of_the_master_equation(simulator, case):
    """40,000 runs: a shift of probability by a hundredth anywhere would be seen."""
    network, params, initial = {**CASES, **OPEN_CASES, **LAW_CASES}[case]
    got = simulator.sample(network, batch_of(params, initial, RUNS))
    assert np.all(got.codes == 0)
    exact = projection.distribution(network, params, initial, TIMES)
    for t in range(1, len(TIMES)):
        assert_distribution(got.states[:, t], exact, t)


@each_simulator
def test_joint_moments_of_two_times(simulator):
    """Immigration and death: Cov(X(s), X(t)) = Var X(s) e^{−γ(t − s)}."""
    network, (k, gamma), initial = OPEN_CASES["immigration-death"]
    x = simulator.sample(network, batch_of([k, gamma], initial, RUNS)).states[:, 1:, 0]
    mean, variance = helpers.immigration_death_moments(k, gamma, TIMES[1:], initial[0])
    assert_moments(x, mean, variance)
    products = (x[:, 0] - mean[0]) * (x[:, 1] - mean[1])
    exact = variance[0] * np.exp(-gamma * (TIMES[2] - TIMES[1]))
    assert abs(products.mean() - exact) < 4 * products.std() / np.sqrt(RUNS)
    assert exact > 10 * products.std() / np.sqrt(RUNS)


@each_simulator
def test_extinction(simulator):
    """Birth and death from 7: P(extinct by t) = (μ (g − 1) / (λ g − μ))⁷, g = e^{(λ − μ) t}."""
    network, (birth, death), initial = OPEN_CASES["birth-death"]
    batch = batch_of([birth, death], initial, RUNS, [2.5, 8.0])
    extinct = simulator.sample(network, batch).states[:, :, 0] == 0
    growth = np.exp((birth - death) * batch.times)
    exact = (death * (growth - 1) / (birth * growth - death)) ** initial[0]
    assert np.all(np.abs(extinct.mean(axis=0) - exact) < 4 * np.sqrt(exact * (1 - exact) / RUNS))
    assert np.all(exact > 0.05)


@each_simulator
def test_the_final_size_of_an_epidemic(simulator):
    batch = batch_of([0.1, 0.7], [18, 2, 0], 20_000, [200.0])
    states = simulator.sample(helpers.sir(), batch).states[:, 0]
    assert np.all(states[:, 1] == 0)
    expected = 20_000 * helpers.sir_final_sizes(0.1, 0.7, 18, 2)
    got = np.bincount(states[:, 0], minlength=19)
    assert expected.min() > 5
    assert 1e-4 < stats.chisquare(got, expected).pvalue < 1 - 1e-4


@each_simulator
def test_two_states(simulator):
    network, params, initial = SCHLOEGL
    times = [2.0, 6.0]
    states = simulator.sample(network, batch_of(params, initial, 4000, times)).states
    exact = projection.distribution(network, params, initial, times)
    for t in range(2):
        assert_distribution(states[:, t], exact, t)
    # and there are two: fewer runs between them than in either
    low, between, high = (
        np.mean((states[:, 1, 0] >= a) & (states[:, 1, 0] < b))
        for a, b in ((0, 40), (40, 80), (80, 200))
    )
    assert between < 0.5 * min(low, high)


@each_simulator
@pytest.mark.parametrize("case", CASES)
def test_a_path_does_not_depend_on_the_output_grid(simulator, case):
    network, params, initial = CASES[case]
    coarse = np.array([0.3, 1.1, 1.7, 4.0])
    fine = np.union1d(coarse, np.linspace(0.0, 4.0, 97))
    at = np.searchsorted(fine, coarse)
    few, many, twice = (
        simulator.sample(network, batch_of(params, initial, 300, times))
        for times in (coarse, fine, np.repeat(coarse, 2))
    )
    np.testing.assert_array_equal(few.states, many.states[:, at])
    np.testing.assert_array_equal(few.events, many.events)
    np.testing.assert_array_equal(np.repeat(few.states, 2, axis=1), twice.states)


@each_simulator
def test_absorbing_states_are_kept(simulator):
    got = simulator.sample(helpers.sir(), batch_of([0.1, 5.0], [9, 1, 0], 100, [50, 1e6, 1e12]))
    assert np.all(got.codes == 0)
    assert np.all(got.states[:, :, 1] == 0)
    np.testing.assert_array_equal(got.states[:, 0], got.states[:, 2])
    still = simulator.sample(helpers.sir(), batch_of([0.1, 5.0], [9, 0, 1], 3))
    np.testing.assert_array_equal(still.states, np.tile([9, 0, 1], (3, len(TIMES), 1)))
    np.testing.assert_array_equal(still.events, 0)


@each_simulator
def test_small_steps_late_in_time_are_exact(simulator):
    """Waiting times of 1e-4 at time 1e9, where a double holds steps of 1e-7."""
    times = 1e9 + np.array([0.0, 1e-2])
    network = ReactionNetwork.from_text("0 -> X ; k")
    x = simulator.sample(network, batch_of([1e4], [0], 20_000, times, start=1e9)).states[..., 0]
    span = times[1] - times[0]
    assert_moments(x[:, 1], 1e4 * span, 1e4 * span)


@each_simulator
def test_large_counts_are_exact(simulator):
    first = 2**61 + 1
    x = simulator.sample(helpers.arrival(), batch_of([5.0], [first], 1000, [1.0])).states[:, 0, 0]
    assert_moments(x - first, 5.0, 5.0)

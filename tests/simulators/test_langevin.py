"""The chemical Langevin equation against the moments of its own steps and of the model."""

from __future__ import annotations

import numpy as np
import pytest

from tests import helpers
from tests.simulators.agreement import assert_moments, batch_of
from tumble._errors import ParameterError
from tumble._results import SampleCode
from tumble.models import ReactionNetwork
from tumble.simulators import Langevin

RUNS = 20_000


def euler_moments(k, gamma, x0, step, num_steps):
    """Of X ← X + k h − γ X h + noise of variance (k + γ X) h: exact recursions."""
    mean, variance = float(x0), 0.0
    for _ in range(num_steps):
        variance = (1 - gamma * step) ** 2 * variance + (k + gamma * mean) * step
        mean += (k - gamma * mean) * step
    return mean, variance


@pytest.mark.parametrize(("k", "gamma", "x0"), [(3000.0, 1.5, 100), (0.0, 1.0, 5000)])
@pytest.mark.parametrize("num_steps", [4, 32])
def test_moments_are_those_of_euler_steps(k, gamma, x0, num_steps):
    method = Langevin(step=1.0 / num_steps)
    batch = batch_of([k, gamma], [x0], RUNS, [1.0])
    x = method.sample(helpers.immigration_death(), batch).states[:, 0, 0]
    assert_moments(x, *euler_moments(k, gamma, x0, 1.0 / num_steps, num_steps))


@pytest.mark.parametrize(("k", "gamma", "x0"), [(3000.0, 1.5, 100), (0.0, 1.0, 5000)])
def test_linear_networks_have_the_exact_moments_in_the_limit(k, gamma, x0):
    """The error of a step of 1/5000 is below a tenth of what four standard errors show."""
    batch = batch_of([k, gamma], [x0], 4000, [0.5, 1.0])
    x = Langevin(step=2e-4).sample(helpers.immigration_death(), batch).states[..., 0]
    moments = helpers.immigration_death_moments(k, gamma, batch.times, x0)
    assert_moments(x, *moments)
    coarse = euler_moments(k, gamma, x0, 2e-4, 5000)
    assert abs(coarse[0] - moments[0][1]) < 0.1 * 4 * np.sqrt(moments[1][1] / 4000)


def test_means_and_covariances_of_a_chain_are_multinomial():
    """From n of A, individuals are in A, B or gone: Var = n p (1 − p), Cov = −n p q."""
    network = ReactionNetwork.from_text("A -> B ; k\nB -> 0 ; d")
    k, d, n, t = 1.2, 0.7, 4000, 0.8
    states = Langevin(step=1e-3).sample(network, batch_of([k, d], [n, 0], RUNS, [t])).states[:, 0]
    p = np.exp(-k * t)
    q = k / (d - k) * (np.exp(-k * t) - np.exp(-d * t))
    assert_moments(states, n * np.array([p, q]), n * np.array([p * (1 - p), q * (1 - q)]), 5.0)
    products = (states[:, 0] - n * p) * (states[:, 1] - n * q)
    assert abs(products.mean() + n * p * q) < 5 * products.std() / np.sqrt(RUNS)


def test_steps_end_at_output_times_and_are_no_longer_than_stated():
    """Two outputs at 0.3 and 1 with steps of 0.25: two steps of 0.15, three of 0.7 / 3."""
    batch = batch_of([0.0, 1.0], [5000], RUNS, [0.3, 1.0])
    x = Langevin(step=0.25).sample(helpers.immigration_death(), batch).states[..., 0]
    expected = 5000 * (1 - 0.15) ** 2
    error = x[:, 0].std() / np.sqrt(RUNS)
    assert abs(x[:, 0].mean() - expected) < 4 * error
    expected *= (1 - 0.7 / 3) ** 3
    assert abs(x[:, 1].mean() - expected) < 4 * x[:, 1].std() / np.sqrt(RUNS)


def test_at_zero_propensities_are_clipped_and_states_are_not():
    """Deaths from 3: counts pass zero by a little, and then stay: nothing can happen."""
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    times = [1.0, 20.0, 30.0]
    x = Langevin(step=0.01).sample(network, batch_of([1.0], [3], 2000, times)).states[..., 0]
    assert np.all(np.isfinite(x))
    assert x.min() > -3
    assert np.all(x[:, 1] < 0)
    np.testing.assert_array_equal(x[:, 1], x[:, 2])
    # A product X (X − 1) is no negative rate between 0 and 1, either.
    pairs = ReactionNetwork.from_text("2 X -> 0 ; k")
    y = Langevin(step=0.01).sample(pairs, batch_of([1.0], [3], 2000, times)).states[..., 0]
    assert np.all(np.isfinite(y))
    assert np.all(y[:, 2] < 1.5)


def test_what_explodes_has_a_code():
    network = ReactionNetwork.from_text("2 X -> 3 X ; k")
    got = Langevin(step=0.1).sample(network, batch_of([1.0], [50], 5, [0.0, 100.0]))
    np.testing.assert_array_equal(got.codes, SampleCode.OVERFLOW)
    assert np.all(np.isnan(got.states))


@pytest.mark.parametrize("step", [0.0, -1.0, np.inf, np.nan])
def test_settings_are_checked(step):
    with pytest.raises(ParameterError, match=rf"`step` is {step}, expected a time above 0\."):
        Langevin(step=step)


def test_too_many_steps_are_refused_before_they_are_made():
    message = r"`step` is 1e-12, which makes 1e\+12 steps until the last time, 1; expected at most"
    with pytest.raises(ParameterError, match=message):
        Langevin(step=1e-12).sample(helpers.arrival(), batch_of([1.0], [0], 1, [1.0]))

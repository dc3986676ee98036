"""The rate equations against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from tests import helpers
from tests.simulators.agreement import TIMES, batch_of
from tumble._errors import ParameterError
from tumble._results import SampleCode
from tumble.models import ReactionNetwork
from tumble.simulators import Langevin, MeanField

method = MeanField(rtol=1e-10)


def solve(network, params, initial, times=TIMES, **options):
    got = method.sample(network, batch_of(params, initial, 3, times, **options))
    assert np.all(got.codes == 0)
    np.testing.assert_array_equal(got.states[0], got.states[2])
    return got.states[0]


@pytest.mark.parametrize(("k", "gamma", "x0"), [(10.0, 1.0, 0), (0.3, 2.0, 25)])
def test_first_order_networks_have_the_mean_of_the_model(k, gamma, x0):
    x = solve(helpers.immigration_death(), [k, gamma], [x0])[:, 0]
    exact = helpers.immigration_death_moments(k, gamma, TIMES, x0)[0]
    np.testing.assert_allclose(x, exact, rtol=1e-8, atol=1e-9)


def test_pairs_react_as_combinations():
    """2 X -> 0 at k x (x − 1) / 2: dx/dt = −k x (x − 1), so 1 − 1/x = (1 − 1/x₀) e^{−k t}."""
    k, x0 = 0.7, 12
    x = solve(ReactionNetwork.from_text("2 X -> 0 ; k"), [k], [x0])[:, 0]
    np.testing.assert_allclose(x, 1 / (1 - (1 - 1 / x0) * np.exp(-k * TIMES)), rtol=1e-8)


def test_logistic_growth_by_contact():
    """S + I -> 2 I: I is logistic, N / (1 + (N / I₀ − 1) e^{−β N t})."""
    beta, s, i = 0.02, 95, 5
    x = solve(ReactionNetwork.from_text("S + I -> 2 I ; beta"), [beta], [s, i])
    infected = 100 / (1 + (100 / i - 1) * np.exp(-beta * 100 * TIMES))
    np.testing.assert_allclose(x, np.stack([100 - infected, infected], axis=1), rtol=1e-7)


def test_rate_laws():
    """S => P at V S / (K + S): K log(S / S₀) + S − S₀ = −V t."""
    V, K, s0 = 9.0, 3.0, 40
    s = solve(ReactionNetwork.from_text("S => P ; V * S / (K + S)"), [V, K], [s0, 0])[:, 0]
    np.testing.assert_allclose(K * np.log(s / s0) + s - s0, -V * TIMES, rtol=1e-7, atol=1e-8)


def test_rates_may_depend_on_time():
    """0 -> X at k (1 + sin t) from t = 2: x = k ((t − 2) + cos 2 − cos t)."""
    network = ReactionNetwork.from_text("0 -> X ; k * (1 + sin(time))")
    times = np.array([2.0, 3.0, 7.5])
    x = solve(network, [3.0], [0], times, start=2.0)[:, 0]
    np.testing.assert_allclose(x, 3 * (times - 2 + np.cos(2) - np.cos(times)), rtol=1e-8, atol=1e-9)


def test_langevin_without_noise_is_the_same():
    """Both continue combinations in the same way: one small step from a real state."""
    network = ReactionNetwork.from_text("3 A -> B ; k\nB + A -> 2 B ; h\nB -> 0 ; d")
    params, n = [1e-11, 1e-5, 0.4], 200_000
    x = solve(network, params, [n, n // 4], [0.0, 0.5])[1]
    noisy = Langevin(step=1e-3).sample(network, batch_of(params, [n, n // 4], 200, [0.5])).states
    error = noisy[:, 0].std(axis=0) / np.sqrt(200)
    assert np.all(np.abs(noisy[:, 0].mean(axis=0) - x) < 4 * error + 1e-3 * n)
    assert np.all(np.abs(x - [n, n // 4]) > 0.05 * n)


def test_rows_with_other_parameters_are_solved_by_themselves():
    network = helpers.immigration_death()
    params = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 1.0]])
    batch = batch_of([1.0, 1.0], [4], 3)
    from dataclasses import replace

    got = method.sample(network, replace(batch, params=params)).states[..., 0]
    for row, (k, gamma) in zip(got, params, strict=True):
        exact = helpers.immigration_death_moments(k, gamma, TIMES, 4)[0]
        np.testing.assert_allclose(row, exact, rtol=1e-8)


def test_what_diverges_has_a_code():
    """2 X -> 3 X reaches infinity in finite time."""
    network = ReactionNetwork.from_text("2 X -> 3 X ; k")
    got = MeanField().sample(network, batch_of([1.0], [10], 2, [0.01, 100.0]))
    np.testing.assert_array_equal(got.codes, SampleCode.INTEGRATION)
    assert np.all(np.isnan(got.states))
    assert "differential equations" in SampleCode.INTEGRATION.advice


@pytest.mark.parametrize("rtol", [0.0, 0.1])
def test_settings_are_checked(rtol):
    message = rf"`rtol` is {rtol}, expected between 1e-12 and 1e-2\."
    with pytest.raises(ParameterError, match=message):
        MeanField(rtol=rtol)

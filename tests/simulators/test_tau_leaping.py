"""Tau-leaping: its error, its step, and what holds in every run."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import helpers
from tests.simulators.agreement import (
    CASES,
    LAW_CASES,
    SCHLOEGL,
    TIMES,
    assert_distribution,
    assert_moments,
    batch_of,
    projection,
)
from tumble._errors import ParameterError
from tumble._results import SampleCode
from tumble.models import Reaction, ReactionNetwork
from tumble.simulators import TauLeaping

RUNS = 10_000


def test_arrivals_are_exact_in_one_leap():
    """A constant rate does not change however long the step."""
    got = TauLeaping().sample(helpers.arrival(), batch_of([800.0], [2], 40_000))
    assert_moments(got.states[:, :, 0], 2 + 800 * TIMES, 800 * TIMES)


@pytest.mark.parametrize("case", [*CASES, *LAW_CASES])
def test_small_populations_have_the_exact_distribution(case):
    """No leap is worth it there, so that all is simulated one by one."""
    network, params, initial = {**CASES, **LAW_CASES}[case]
    got = TauLeaping().sample(network, batch_of(params, initial, 20_000))
    exact = projection.distribution(network, params, initial, TIMES)
    for t in range(1, len(TIMES)):
        assert_distribution(got.states[:, t], exact, t)


def test_schloegl_keeps_its_two_states():
    """Within 5 % of the exact probability of the lower one, though counts are leapt over."""
    network, params, initial = SCHLOEGL
    exact = projection.distribution(network, params, initial, [4.0])
    states = TauLeaping().sample(network, batch_of(params, initial, 4000, [4.0])).states
    low = exact.expectation(lambda n: n[:, 0] < 60)[0]
    assert 0.2 < low < 0.8
    assert abs(np.mean(states < 60) - low) < 0.05 + 4 * np.sqrt(low * (1 - low) / 4000)


@pytest.mark.parametrize(("k", "gamma", "x0"), [(1e4, 1.0, 0), (0.0, 1.0, 10_000)])
def test_the_error_falls_with_epsilon(k, gamma, x0):
    """Mean after one unit of time: the bias is of the order of ε, and so found to be."""
    network = helpers.immigration_death()
    mean, variance = helpers.immigration_death_moments(k, gamma, np.array([1.0]), x0)
    biases = []
    for epsilon in (0.3, 0.1, 0.03):
        method = TauLeaping(epsilon=epsilon)
        x = method.sample(network, batch_of([k, gamma], [x0], RUNS, [1.0])).states[:, 0]
        biases.append(abs(x.mean() - mean[0]) / mean[0])
        assert abs(x.var() - variance[0]) < (1.2 * epsilon + 0.06) * variance[0]
    error = np.sqrt(variance[0] / RUNS) / mean[0]
    assert biases[2] > 10 * error  # so that the ratios below mean something
    assert 2 < biases[0] / biases[1] < 4.5
    assert 2.3 < biases[1] / biases[2] < 4.5
    assert biases[2] < 0.03


def test_leaps_are_few_where_counts_are_large():
    """Dimers of 10⁶: 10⁵ events and more a run, in a thousand steps."""
    method = TauLeaping(max_steps=1000)
    batch = batch_of([1e-6, 0.5], [1_000_000, 0], 20, [2.0])
    got = method.sample(helpers.dimerization(), batch)
    assert np.all(got.codes == 0)
    assert got.events.min() > 1e5
    np.testing.assert_array_equal(got.states[:, 0] @ [1, 2], 1_000_000)


def test_short_steps_keep_fluctuations_right():
    """Near equilibrium ε allows steps beyond the relaxation time, and variances grow; see there."""
    network = helpers.immigration_death()
    batch = batch_of([1e5, 1.0], [100_000], 4000, [5.0])
    ratio = [
        TauLeaping(epsilon=0.1, max_step=step).sample(network, batch).states.var() / 1e5
        for step in (np.inf, 0.05)
    ]
    error = np.sqrt(2 / 4000)
    assert ratio[0] > 2
    # Euler steps h of dX = (k − γ X) dt + noise multiply the variance by 1 / (1 − γ h / 2).
    assert abs(ratio[1] - 1 / (1 - 0.05 / 2)) < 4 * error


def test_deaths_to_the_last_one():
    """Extinction: each of 1000 has a time of its own, so P(all dead) = (1 − e^{−t})¹⁰⁰⁰."""
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    times = [6.0, 8.0, 10.0]
    x = (
        TauLeaping(epsilon=0.01)
        .sample(network, batch_of([1.0], [1000], RUNS, times))
        .states[..., 0]
    )
    exact = (1 - np.exp(-np.array(times))) ** 1000
    assert x.min() == 0
    assert np.all(np.abs((x == 0).mean(axis=0) - exact) < 0.02)


# -- what holds in every run ----------------------------------------------------------------------


@st.composite
def networks(draw):
    """Networks of up to four species and five reactions of orders up to three."""
    species = "ABCD"[: draw(st.integers(1, 4))]
    sides = st.dictionaries(st.sampled_from(species), st.integers(1, 2), max_size=2)
    reactions = []
    for _ in range(draw(st.integers(1, 5))):
        reactants, products = draw(sides), draw(sides)
        if reactants != products and sum(reactants.values()) <= 3:
            size = max(sum(reactants.values()) - 1, 0)
            rate = draw(st.sampled_from([0.1, 1.0, 10.0])) / 1000.0**size
            reactions.append(Reaction(reactants, products, rate))
    if not reactions:
        reactions = [Reaction({"A": 1}, {}, 1.0)]
    return ReactionNetwork(tuple(reactions), tuple(species))


@settings(derandomize=True, deadline=None, max_examples=80)
@given(networks(), st.lists(st.integers(0, 5000), min_size=4, max_size=4), st.data())
def test_counts_are_never_negative_and_sums_are_kept(network, initial, data):
    epsilon = data.draw(st.sampled_from([0.03, 0.3, 0.9]))
    num_critical = data.draw(st.sampled_from([1, 10]))
    initial = np.array(initial[: len(network.species)])
    method = TauLeaping(epsilon=epsilon, num_critical=num_critical, max_steps=3000)
    got = method.sample(network, batch_of([], initial, 4, [0.1, 1.0, 3.0]))
    ended = (0, SampleCode.MAX_STEPS, SampleCode.OVERFLOW, SampleCode.INVALID_RATE)
    assert np.all(np.isin(got.codes, ended))
    states = got.states[got.codes == 0]
    assert np.all(states >= 0)
    for law in network.conservation_laws:
        weights = np.array([law.weights.get(s, 0) for s in network.species])
        np.testing.assert_array_equal(states @ weights, initial @ weights)


def test_a_step_that_would_go_below_zero_is_taken_again():
    """With hardly any reaction critical and ε = 0.9, many steps would."""
    method = TauLeaping(epsilon=0.9, num_critical=1)
    network = ReactionNetwork.from_text("X -> 0 ; k\n2 X -> 0 ; h")
    got = method.sample(network, batch_of([1.0, 0.01], [500], 2000, [1.0, 3.0, 20.0]))
    assert np.all(got.codes == 0)
    assert np.all(got.states >= 0)
    assert np.all(got.states[:, 2] == 0)
    assert np.all(np.diff(got.states[..., 0], axis=1) <= 0)


# -- trouble --------------------------------------------------------------------------------------


def test_max_steps_ends_single_runs():
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    got = TauLeaping(max_steps=3).sample(network, batch_of([1.0], [3], 4, [0.0, 100.0]))
    np.testing.assert_array_equal(got.codes, 0)
    more = TauLeaping(max_steps=3).sample(network, batch_of([1.0], [4], 4, [0.0, 100.0]))
    np.testing.assert_array_equal(more.codes, SampleCode.MAX_STEPS)
    assert np.all(more.states == -1)
    assert "`max_steps`" in SampleCode.MAX_STEPS.advice


def test_counts_do_not_wrap_around():
    network = ReactionNetwork.from_text("0 -> 1000000 X ; k")
    got = TauLeaping().sample(network, batch_of([50.0], [2**62 - 3_000_000], 4, [0.0, 100.0]))
    np.testing.assert_array_equal(got.codes, SampleCode.OVERFLOW)


def test_a_law_without_reactants_left_is_found():
    network = ReactionNetwork.from_text("X => 0 ; k")
    got = TauLeaping().sample(network, batch_of([1.0], [3], 4, [0.0, 100.0]))
    np.testing.assert_array_equal(got.codes, SampleCode.NEGATIVE_COUNT)
    np.testing.assert_array_equal(got.culprits, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epsilon": 0.0}, r"`epsilon` is 0\.0, expected between 0 and 1\."),
        ({"epsilon": 1.0}, r"`epsilon` is 1\.0, expected between 0 and 1\."),
        ({"num_critical": 0}, r"`num_critical` is 0, expected at least 1\."),
        ({"max_step": 0.0}, r"`max_step` is 0\.0, expected a time above 0\."),
        ({"max_steps": 0}, r"`max_steps` is 0, expected at least 1\."),
    ],
)
def test_settings_are_checked(options, message):
    with pytest.raises(ParameterError, match=message):
        TauLeaping(**options)

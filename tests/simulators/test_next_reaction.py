"""The next reaction method: clocks, and pairs on common clocks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tests.simulators.agreement import (
    CASES,
    OPEN_CASES,
    STREAM,
    TIMES,
    assert_distribution,
    assert_moments,
    batch_of,
    pairs_of,
    projection,
)
from tumble._errors import ParameterError
from tumble._random import run_ids
from tumble._results import SampleCode
from tumble.models import ReactionNetwork
from tumble.simulators import Batch, DirectMethod, NextReactionMethod

method = NextReactionMethod()
RUNS = 40_000


# -- clocks ---------------------------------------------------------------------------------------


def clock(network, rate, grid, num_runs=200):
    """How often reaction 0 -> X, run on its own, has fired by times [T]."""
    return method.sample(network, batch_of([rate], [0], num_runs, grid)).states[..., 0]


def test_runs_share_their_clocks_whatever_the_rates():
    """0 -> X at k fires at the jumps of its clock divided by k: X(t; k) is X(k t; 1)."""
    grid = np.linspace(0.1, 8.0, 80)
    network = ReactionNetwork.from_text("0 -> X ; k")
    np.testing.assert_array_equal(clock(network, 2.5, grid / 2.5), clock(network, 1.0, grid))
    other = method.sample(network, batch_of([1.0], [0], 200, grid, STREAM.child("other")))
    assert np.mean(np.all(other.states[..., 0] == clock(network, 1.0, grid), axis=1)) < 0.01


def test_clocks_of_reactions_are_independent():
    network = ReactionNetwork.from_text("0 -> A ; k\n0 -> B ; k\n0 -> C ; k")
    x = method.sample(network, batch_of([3.0], [0, 0, 0], RUNS, [1.0, 2.0])).states
    counts = np.concatenate([x[:, 0], x[:, 1] - x[:, 0]], axis=1)
    assert_moments(counts, 3.0, 3.0)
    error = np.abs(np.corrcoef(counts.T) - np.eye(6)).max()
    assert error < 4.5 / np.sqrt(RUNS)


def test_a_reaction_keeps_its_clock_when_others_come_after_it():
    one = method.sample(helpers.arrival(), batch_of([3.0], [0], 200)).states[..., 0]
    network = ReactionNetwork.from_text("0 -> X ; k\nY -> Z ; h")
    more = method.sample(network, batch_of([3.0, 0.4], [0, 50, 0], 200)).states[..., 0]
    np.testing.assert_array_equal(one, more)


def test_counters_of_clocks_never_meet():
    """Every block of every clock and run is another: no counter is used twice."""
    from tumble.kernels._philox import philox_block

    key = np.array([1, 2], dtype=np.uint64)
    seen = {
        tuple(philox_block(np.array([n, r, i & 0xFFFFFFFF, i >> 32], dtype=np.uint64), key))
        for n in (0, 1, 2**32 - 1)
        for r in (0, 1, 2**32 - 1)
        for i in (0, 1, 2**32, 2**64 - 1)
    }
    assert len(seen) == 36


def test_the_first_gap_of_a_clock_is_the_stated_block():
    """X -> 0 from 1 dies at E / γ with E of block 0 of clock 0."""
    from tumble.kernels._philox import philox_block

    grid = np.linspace(0, 6, 60_001)
    runs = np.array([0, 3, 2**33 + 5], dtype=np.uint64)
    batch = Batch(np.ones((3, 1)), np.ones((3, 1), np.int64), grid, STREAM, runs)
    alive = method.sample(ReactionNetwork.from_text("X -> 0 ; gamma"), batch).states[..., 0].sum(1)
    key = STREAM.child("reaction clocks").key
    words = np.array([key & 0xFFFFFFFF, key >> 32], dtype=np.uint64)
    for i, run in enumerate(runs.tolist()):
        counter = np.array([0, 0, run & 0xFFFFFFFF, run >> 32], dtype=np.uint64)
        high, low, *_ = (int(w) for w in philox_block(counter, words))
        u = ((((high << 32) | low) & (2**64 - 1)) >> 12) * 2.0**-52 + 2.0**-53
        assert abs(alive[i] * 1e-4 - min(-np.log(u), 6.0)) < 2e-4


def test_a_large_network_has_the_right_law():
    """60 species in a ring, 120 reactions: counts are multinomial, as each walks on its own."""
    n, k, h = 60, 1.3, 0.4
    lines = [f"S{i} <-> S{(i + 1) % n} ; k, h" for i in range(n)]
    network = ReactionNetwork.from_text("\n".join(lines))
    initial = np.zeros(n, np.int64)
    initial[network.species.index("S0")] = 40
    states = method.sample(network, batch_of([k, h], initial, 2000, [1.0])).states[:, 0]
    assert np.all(states.sum(axis=1) == 40)
    place = np.array([network.species.index(f"S{i}") for i in range(n)])
    # A walker makes Poisson(k) steps forth and Poisson(h) back.
    steps = stats.skellam.pmf(np.arange(-30, 30), k, h)
    chance = np.roll(steps, -30)
    got = states[:, place].sum(axis=0)
    expected = 2000 * 40 * chance
    common = expected > 8
    assert common.sum() > 8
    statistic = ((got - expected)[common] ** 2 / expected[common]).sum()
    assert 1e-4 < stats.chi2.sf(statistic, common.sum()) < 1 - 1e-4


# -- pairs ----------------------------------------------------------------------------------------


def test_a_pair_is_two_runs_of_one_id():
    network, params, initial = CASES["sir"]
    both = np.array([params, [0.12, 0.6]])
    pairs = method.sample_pairs(network, pairs_of(both, [initial, initial], 200))
    for side in range(2):
        alone = method.sample(network, batch_of(both[side], initial, 200))
        np.testing.assert_array_equal(pairs.states[:, side], alone.states)


@pytest.mark.parametrize("case", ["sir", "dimerization"])
def test_each_side_of_a_pair_has_the_exact_distribution(case):
    network, params, initial = CASES[case]
    both = [params, [1.3 * params[0], 0.9 * params[1]]]
    states = method.sample_pairs(network, pairs_of(both, [initial, initial], RUNS)).states
    for side in range(2):
        exact = projection.distribution(network, both[side], initial, TIMES)
        for t in (2, 3):
            assert_distribution(states[:, side, t], exact, t)


@pytest.mark.parametrize("case", ["immigration-death", "birth-death"])
def test_differences_of_pairs_are_quiet_and_right(case):
    network, params, initial = OPEN_CASES[case]
    moments = {
        "immigration-death": helpers.immigration_death_moments,
        "birth-death": helpers.birth_death_moments,
    }[case]
    for q in range(2):
        above, below = ([*params[:q], params[q] * f, *params[q + 1 :]] for f in (1.02, 0.98))
        batch = pairs_of([above, below], [initial, initial], RUNS)
        x = method.sample_pairs(network, batch).states[..., 0].astype(float)
        difference = x[:, 0] - x[:, 1]
        exact = moments(*above, TIMES, *initial)[0] - moments(*below, TIMES, *initial)[0]
        error = difference.std(axis=0) / np.sqrt(RUNS)
        assert np.all(np.abs(difference.mean(axis=0) - exact) <= 4 * error)
        assert np.all(np.abs(exact[2:]) > 4 * error[2:])
        independent = moments(*above, TIMES, *initial)[1] + moments(*below, TIMES, *initial)[1]
        assert np.all(difference.var(axis=0)[1:] < 0.25 * independent[1:])


def test_the_variance_of_coupled_arrivals_is_known():
    """On one clock, arrivals at k' > k lead by Poisson((k' − k) t)."""
    batch = pairs_of([[5.0], [6.5]], [[0], [0]], RUNS)
    states = method.sample_pairs(helpers.arrival(), batch).states[..., 0]
    extra = states[:, 1] - states[:, 0]
    assert extra.min() >= 0
    assert_moments(extra, 1.5 * TIMES, 1.5 * TIMES)


def test_equal_sides_never_part():
    network, params, initial = CASES["sir"]
    states = method.sample_pairs(network, pairs_of([params] * 2, [initial] * 2, 500)).states
    np.testing.assert_array_equal(states[:, 0], states[:, 1])
    assert np.all(states.sum(axis=-1) == 20)


def test_a_pair_fails_when_one_side_does():
    batch = Batch(
        np.ones((3, 2, 1)),
        np.array([[[3], [3]], [[3], [4]], [[4], [3]]]),
        np.array([100.0]),
        STREAM,
        run_ids(3),
    )
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    got = NextReactionMethod(max_events=3).sample_pairs(network, batch)
    np.testing.assert_array_equal(got.codes, [0, *[SampleCode.MAX_EVENTS] * 2])
    np.testing.assert_array_equal(got.states[:, :, 0, 0], [[0, 0], [-1, -1], [-1, -1]])
    np.testing.assert_array_equal(got.events, [6, 6, 6])


# -- settings and trouble -------------------------------------------------------------------------


@pytest.mark.parametrize("given", [0, 2**33 + 1])
def test_settings_are_checked(given):
    message = rf"`max_events` is {given}, expected between 1 and 2\*\*33 = 8589934592\."
    with pytest.raises(ParameterError, match=message):
        NextReactionMethod(max_events=given)


def test_it_shares_no_numbers_with_the_direct_method():
    """Else a comparison of the two at one seed would see too small a difference."""
    network = helpers.arrival()
    a, b = (
        s.sample(network, batch_of([5.0], [0], RUNS)).states[:, 2, 0]
        for s in (method, DirectMethod())
    )
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(RUNS)

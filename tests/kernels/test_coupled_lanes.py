"""Pairs in lanes: the paths of the scalar kernel."""

from __future__ import annotations

import numpy as np
import pytest

from tests import helpers
from tumble._results import SampleCode
from tumble.kernels._coupled import coupled_pair
from tumble.kernels._coupled_lanes import coupled_pairs_in_lanes
from tumble.kernels._lanes import Job
from tumble.kernels._tables import law_tables, network_tables
from tumble.models import ReactionNetwork

ENZYMES = ReactionNetwork.from_text(
    "P = A + B\nA => B ; mm(A, V, 3.5)\n0 => A ; hillr(B, 9.0, K, n)\nB -> 0 ; g\n"
    "B => C ; k * B * exp(-0.1 * C) * where(P > 4, 1, 0.5)\nC => 0 ; C ^ 1.5 / (1 + C)"
)
NEGATIVE = ReactionNetwork.from_text("0 -> X ; k\nX => 0 ; g * X * (12 - X)")
CLIFF = ReactionNetwork.from_text("0 -> X ; k\nX => Y ; g\nY -> 0 ; k")
TRIMER = ReactionNetwork.from_text("3 A -> B ; k\nB -> 3 A ; h\n0 -> A ; s\nA + B -> 0 ; m")
CASES = {
    "immigration-death": (helpers.immigration_death(), [10.0, 1.0], [0], [0.5, 1.0, 4.0]),
    "arrival, many outputs": (helpers.arrival(), [2.0], [0], np.linspace(0, 3, 31)),
    "dies out": (helpers.birth_death(), [0.5, 2.0], [5], [0.0, 0.5, 0.5, 20.0, 40.0]),
    "dimers": (helpers.dimerization(), [0.05, 0.4], [20, 0], [0.5, 2.0]),
    "epidemic": (helpers.sir(), [0.1, 0.7], [18, 2, 0], [1.0, 2.0, 4.0]),
    "third order": (TRIMER, [0.02, 0.5, 1.0, 0.01], [12, 3], [0.3, 2.0]),
    "rate laws": (ENZYMES, [5.0, 8.0, 2.5, 0.7, 0.6], [6, 2, 0], [0.0, 0.5, 0.5, 1.5, 3.0]),
    "a law that turns negative": (NEGATIVE, [6.0, 0.01], [3], [0.5, 1.5, 3.0]),
    "a law that does not vanish": (CLIFF, [2.0, 1.0], [3, 0], [0.5, 1.5, 3.0]),
    "nothing happens": (helpers.arrival(), [0.0], [3], [1.0, 2.0]),
}


def run(case, num_pairs, lanes, max_events=10_000, first=0, rates=None, shift=1.1):
    """Return states [B, 2, T, S], codes and events by one of the two kernels."""
    network, values, initial, times = case
    num_times, num_species = len(times), len(initial)
    params = np.tile(np.array(values, float), (num_pairs, 2, 1))
    params[:, 1, 0] *= shift
    if rates is None:
        rates = network.rates(params)
    starts = np.tile(np.array(initial, np.int64), (num_pairs, 2, 1))
    states = np.empty((num_pairs, 2, num_times, num_species), np.int64)
    codes, culprits, events = (np.full(num_pairs, -1, np.int64) for _ in range(3))
    tables, laws = network_tables(network), law_tables(network)
    grid, key = np.array(times, float), np.uint64(78)
    runs = np.arange(first, first + num_pairs, dtype=np.uint64)
    if lanes:
        coupled_pairs_in_lanes(
            Job(
                tables, laws, rates.reshape(num_pairs, -1), params.reshape(num_pairs, -1),
                starts.reshape(num_pairs, -1), 0.0, grid, key, runs, max_events,
                states.reshape(num_pairs, -1, num_species), codes, culprits, events,
            )
        )  # fmt: skip
    else:
        coupled_pair(
            tables, laws, rates, params, starts, 0.0, grid, key, runs, max_events, states, codes,
            culprits, events,
        )  # fmt: skip
    return states, codes, events


def assert_same(single, together):
    """What is wrong with a pair is for the scalar kernel to say."""
    assert np.array_equal(single[1] == SampleCode.OK, together[1] == SampleCode.OK)
    assert np.array_equal(single[0], together[0])
    judged = np.isin(single[1], [SampleCode.OK, SampleCode.MAX_EVENTS])
    for one, other in zip(single[1:], together[1:], strict=True):
        assert np.array_equal(one[judged], other[judged])


@pytest.mark.parametrize("name", CASES)
def test_paths_are_those_of_the_scalar_kernel(name):
    single, together = (run(CASES[name], 300, lanes) for lanes in (False, True))
    assert_same(single, together)
    fails = name in ("a law that turns negative", "a law that does not vanish")
    assert (single[1] != SampleCode.OK).any() == fails


@pytest.mark.parametrize("name", CASES)
def test_pairs_do_not_depend_on_what_runs_beside(name):
    whole = run(CASES[name], 200, True)
    for first, count in ((0, 1), (7, 3), (30, 170)):
        part = run(CASES[name], count, True, first=first)
        for one, other in zip(part, whole, strict=True):
            assert np.array_equal(one, other[first : first + count])


def test_copies_at_equal_rates_stay_together():
    states, codes, _ = run(CASES["epidemic"], 200, True, shift=1.0)
    assert not codes.any()
    assert np.array_equal(states[:, 0], states[:, 1])


def test_each_copy_has_its_own_exact_law():
    """Immigration–death from 0 is Poisson with mean k/γ (1 − e^{−γt})."""
    states, _, _ = run(CASES["immigration-death"], 40_000, True)
    for side, k in enumerate([10.0, 11.0]):
        for t, time in enumerate([0.5, 1.0, 4.0]):
            mean = k * (1 - np.exp(-time))
            count = states[:, side, t, 0]
            assert abs(count.mean() - mean) < 4 * np.sqrt(mean / 40_000)
            spread = mean * np.sqrt((2 + 1 / mean) / 40_000)
            assert abs(count.var() - mean) < 4 * spread


def test_failures_end_with_codes():
    case = CASES["immigration-death"]
    single, together = (run(case, 100, lanes, max_events=70) for lanes in (False, True))
    assert set(together[1]) == {SampleCode.OK, SampleCode.MAX_EVENTS}
    for one, other in zip(single, together, strict=True):
        assert np.array_equal(one, other)
    rates = np.tile([10.0, 1.0], (40, 2, 1))
    rates[3, 0, 0], rates[5, 1, 1], rates[39, 1, 0] = np.nan, -1.0, np.inf
    states, codes, _ = run(case, 40, True, rates=rates)
    assert np.flatnonzero(codes).tolist() == [3, 5, 39]
    assert np.all(states[[3, 5, 39]] == -1)

"""The score in lanes: the paths of the scalar kernel, and its counts and integrals."""

from __future__ import annotations

import numpy as np
import pytest

from tests import helpers
from tumble._results import SampleCode
from tumble.kernels._direct import direct_method
from tumble.kernels._lanes import Job
from tumble.kernels._scored_lanes import direct_method_with_exposure
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


def run(case, num_runs, lanes, max_events=10_000, first=0, rates=None):
    """Return states, codes, events, firings, exposures and scores by one of the two kernels."""
    network, values, initial, times = case
    num_times, width = len(times), len(network.reactions)
    tables, laws = network_tables(network), law_tables(network)
    # Every run has parameters of its own, by which number it has.
    shares = 1.0 + 0.2 * np.sin(np.arange(first, first + num_runs))
    params = np.array(values, float) * shares[:, None]
    scores = np.empty((num_runs, num_times, 0 if laws is None else params.shape[1]))
    states = np.empty((num_runs, num_times, len(initial)), np.int64)
    fired = np.empty((num_runs, num_times, width), np.int64)
    exposure = np.empty((num_runs, num_times, width))
    codes, culprits, events = (np.full(num_runs, -1, np.int64) for _ in range(3))
    rates = network.rates(params) if rates is None else rates
    job = Job(
        tables, laws, rates, params,
        np.tile(np.array(initial, np.int64), (num_runs, 1)), 0.0, np.array(times, float),
        np.uint64(77), np.arange(first, first + num_runs, dtype=np.uint64), max_events, states,
        codes, culprits, events,
    )  # fmt: skip
    if lanes:
        direct_method_with_exposure(job, fired, exposure, scores)
    else:
        direct_method(
            tables, laws, laws, job.rates, job.params, job.initial, 0.0, job.times, job.key,
            job.runs, max_events, states, fired, exposure, scores, codes, culprits, events,
        )  # fmt: skip
    return states, codes, events, fired, exposure, scores


def assert_same(single, together):
    """What the kernels know of failed runs differs; all else is equal, integrals up to rounding."""
    fine = single[1] == SampleCode.OK
    assert np.array_equal(fine, together[1] == SampleCode.OK)
    judged = np.isin(single[1], [SampleCode.OK, SampleCode.MAX_EVENTS])
    for one, other in zip(single[1:3], together[1:3], strict=True):
        assert np.array_equal(one[judged], other[judged])
    for k in (0, 3):
        assert np.array_equal(single[k], together[k])
    for one, other in zip(single[4:], together[4:], strict=True):
        assert np.allclose(one[fine], other[fine], rtol=1e-10, atol=1e-10, equal_nan=True)
        assert np.all(np.isnan(other[~fine]))


@pytest.mark.parametrize("name", CASES)
def test_paths_are_those_of_the_scalar_kernel(name):
    single, together = (run(CASES[name], 300, lanes) for lanes in (False, True))
    assert_same(single, together)
    fails = name in ("a law that turns negative", "a law that does not vanish")
    assert (single[1] != SampleCode.OK).any() == fails


@pytest.mark.parametrize("name", CASES)
def test_integrals_do_not_depend_on_what_runs_beside(name):
    whole = run(CASES[name], 200, True)
    for first, count in ((0, 1), (7, 3), (30, 170)):
        part = run(CASES[name], count, True, first=first)
        for one, other in zip(part, whole, strict=True):
            assert np.array_equal(one, other[first : first + count], equal_nan=one.dtype == float)


def test_a_run_with_too_many_events_ends_with_a_code():
    case = CASES["immigration-death"]
    single, together = (run(case, 100, lanes, max_events=70) for lanes in (False, True))
    assert set(together[1]) == {SampleCode.OK, SampleCode.MAX_EVENTS}
    assert_same(single, together)
    laws = [run(CASES["rate laws"], 100, lanes, max_events=45) for lanes in (False, True)]
    assert set(laws[1][1]) == {SampleCode.OK, SampleCode.MAX_EVENTS}
    assert_same(*laws)


def test_rates_that_are_no_rates_end_with_a_code():
    rates = np.tile([10.0, 1.0], (40, 1))
    rates[3, 0], rates[5, 1], rates[39, 0] = np.nan, -1.0, np.inf
    found = run(CASES["immigration-death"], 40, True, rates=rates)
    assert np.flatnonzero(found[1]).tolist() == [3, 5, 39]
    assert set(found[1][[3, 5, 39]]) == {SampleCode.INVALID_RATE}
    assert np.all(found[0][[3, 5, 39]] == -1)
    assert np.all(np.isnan(found[4][[3, 5, 39]]))


def test_exposures_are_integrals_of_what_they_say():
    """X -> 0 at rate 1 from 10: E ∫ X ds = 10 (1 − e^{−t})."""
    network = ReactionNetwork.from_text("X -> 0 ; d")
    n = 20_000
    exposure = run((network, [1.0], [10], [0.7, 3.0]), n, True, rates=np.ones((n, 1)))[4][:, :, 0]
    expected = 10 * (1 - np.exp(-np.array([0.7, 3.0])))
    error = exposure.std(0) / np.sqrt(n)
    assert np.all(np.abs(exposure.mean(0) - expected) < 4 * error)

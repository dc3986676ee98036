"""The score in lanes: the paths of the scalar kernel, and its counts and integrals."""

from __future__ import annotations

import numpy as np
import pytest

from tests import helpers
from tumble._results import SampleCode
from tumble.kernels._direct import direct_method
from tumble.kernels._lanes import Job
from tumble.kernels._scored_lanes import direct_method_with_exposure
from tumble.kernels._tables import network_tables
from tumble.models import ReactionNetwork

TRIMER = ReactionNetwork.from_text("3 A -> B ; k\nB -> 3 A ; h\n0 -> A ; s\nA + B -> 0 ; m")
CASES = {
    "immigration-death": (helpers.immigration_death(), [10.0, 1.0], [0], [0.5, 1.0, 4.0]),
    "arrival, many outputs": (helpers.arrival(), [2.0], [0], np.linspace(0, 3, 31)),
    "dies out": (helpers.birth_death(), [0.5, 2.0], [5], [0.0, 0.5, 0.5, 20.0, 40.0]),
    "dimers": (helpers.dimerization(), [0.05, 0.4], [20, 0], [0.5, 2.0]),
    "epidemic": (helpers.sir(), [0.1, 0.7], [18, 2, 0], [1.0, 2.0, 4.0]),
    "third order": (TRIMER, [0.02, 0.5, 1.0, 0.01], [12, 3], [0.3, 2.0]),
    "nothing happens": (helpers.arrival(), [0.0], [3], [1.0, 2.0]),
}


def run(case, num_runs, lanes, max_events=10_000, first=0, rates=None):
    """Return states, codes, events, firings and exposures by one of the two kernels."""
    network, values, initial, times = case
    num_times, width = len(times), len(network.reactions)
    states = np.empty((num_runs, num_times, len(initial)), np.int64)
    fired = np.empty((num_runs, num_times, width), np.int64)
    exposure = np.empty((num_runs, num_times, width))
    codes, culprits, events = (np.full(num_runs, -1, np.int64) for _ in range(3))
    rates = np.tile(np.array(values, float), (num_runs, 1)) if rates is None else rates
    job = Job(
        network_tables(network), None, rates, np.empty((num_runs, 0)),
        np.tile(np.array(initial, np.int64), (num_runs, 1)), 0.0, np.array(times, float),
        np.uint64(77), np.arange(first, first + num_runs, dtype=np.uint64), max_events, states,
        codes, culprits, events,
    )  # fmt: skip
    if lanes:
        direct_method_with_exposure(job, fired, exposure)
    else:
        direct_method(
            job.tables, None, None, job.rates, job.params, job.initial, 0.0, job.times, job.key,
            job.runs, max_events, states, fired, exposure, np.empty((num_runs, num_times, 0)),
            codes, culprits, events,
        )  # fmt: skip
    return states, codes, events, fired, exposure


@pytest.mark.parametrize("name", CASES)
def test_paths_are_those_of_the_scalar_kernel(name):
    single, together = (run(CASES[name], 300, lanes) for lanes in (False, True))
    for one, other in zip(single[:4], together[:4], strict=True):
        assert np.array_equal(one, other)
    assert np.allclose(single[4], together[4], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_integrals_do_not_depend_on_what_runs_beside(name):
    whole = run(CASES[name], 200, True)
    for first, count in ((0, 1), (7, 3), (30, 170)):
        part = run(CASES[name], count, True, first=first)
        for one, other in zip(part, whole, strict=True):
            assert np.array_equal(one, other[first : first + count])


def test_a_run_with_too_many_events_ends_with_a_code():
    case = CASES["immigration-death"]
    single, together = (run(case, 100, lanes, max_events=70) for lanes in (False, True))
    assert set(together[1]) == {SampleCode.OK, SampleCode.MAX_EVENTS}
    for one, other in zip(single[:4], together[:4], strict=True):
        assert np.array_equal(one, other)
    failed = together[1] != SampleCode.OK
    assert np.all(np.isnan(together[4][failed]))
    assert np.allclose(single[4][~failed], together[4][~failed], rtol=1e-12)


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
    exposure = run((network, [1.0], [10], [0.7, 3.0]), n, True)[4][:, :, 0]
    expected = 10 * (1 - np.exp(-np.array([0.7, 3.0])))
    error = exposure.std(0) / np.sqrt(n)
    assert np.all(np.abs(exposure.mean(0) - expected) < 4 * error)

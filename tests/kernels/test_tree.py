"""The kernel for large networks: exact, whatever the size, and without drift."""

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tumble._random import Stream, run_ids
from tumble._results import SampleCode
from tumble.kernels._lanes import Job
from tumble.kernels._tables import law_tables, network_tables
from tumble.kernels._tree import direct_method_in_trees
from tumble.models import ReactionNetwork
from tumble.simulators import Batch, DirectMethod, FiniteStateProjection

TIMES = np.array([0.3, 1.0])


def run(network, params, initial, num_runs, *, times=TIMES, max_events=10**7):
    shape = (num_runs, len(times), len(network.species))
    job = Job(
        network_tables(network), law_tables(network),
        network.rates(np.tile(params, (num_runs, 1))), np.tile(params, (num_runs, 1)),
        np.tile(np.array(initial), (num_runs, 1)), 0.0, np.asarray(times), np.uint64(77),
        np.arange(num_runs, dtype=np.uint64), max_events, np.empty(shape, np.int64),
        np.empty(num_runs, np.int64), np.empty(num_runs, np.int64), np.empty(num_runs, np.int64),
    )  # fmt: skip
    direct_method_in_trees(job)
    return job


def ring(size):
    """Particles that hop along a ring: X_i -> X_{i+1} at rate d."""
    hops = (f"X{i} -> X{(i + 1) % size} ; d" for i in range(size))
    return ReactionNetwork.from_text("\n".join(hops))


@pytest.mark.parametrize(
    ("network", "params", "initial"),
    [
        (helpers.sir(), [0.1, 0.7], [18, 2, 0]),
        (helpers.dimerization(), [0.4, 1.3], [9, 1]),
        (helpers.immigration_death(), [3.0, 1.0], [2]),
    ],
)
def test_small_networks_have_the_exact_distribution(network, params, initial):
    job = run(network, params, initial, 50_000)
    exact = FiniteStateProjection().distribution(network, params, initial, TIMES)
    for t in range(len(TIMES)):
        place = {tuple(state): i for i, state in enumerate(exact.states.tolist())}
        got = np.bincount(
            [place[tuple(s)] for s in job.states[:, t].tolist()], minlength=len(place)
        )
        expected = 50_000 * exact.probabilities[t]
        common = expected >= 8
        rest = got[~common].sum(), expected[~common].sum()
        statistic = ((got - expected)[common] ** 2 / expected[common]).sum()
        degrees = common.sum() - 1
        if rest[1] > 8:
            statistic += (rest[0] - rest[1]) ** 2 / rest[1]
            degrees += 1
        assert 1e-4 < stats.chi2.sf(statistic, degrees) < 1 - 1e-4


@pytest.mark.parametrize("size", [3, 200, 257])
def test_hops_along_a_ring_are_poisson(size):
    """After time t each particle has hopped Poisson(t) times, so the boxes are multinomial."""
    network = ring(size)
    initial = np.zeros(size, np.int64)
    initial[0] = 50
    job = run(network, [1.0], initial, 2000, times=[2.0])
    chance = np.zeros(size)
    for k in range(60):
        chance[k % size] += stats.poisson.pmf(k, 2.0)
    found, expected = job.states[:, 0].sum(0), 2000 * 50 * chance
    common = expected > 8
    statistic = ((found - expected)[common] ** 2 / expected[common]).sum()
    assert 1e-4 < stats.chi2.sf(statistic, common.sum() - 1) < 1 - 1e-4
    assert np.all(job.states.sum(-1) == 50)


def test_large_networks_go_to_it_by_themselves():
    network = ring(300)
    batch = Batch(
        np.ones((40, 1)), np.ones((40, 300), np.int64), TIMES, Stream.from_seed(3), run_ids(40)
    )
    alone = DirectMethod().sample(network, batch)
    again = run(network, [1.0], np.ones(300, np.int64), 40)
    assert np.all(alone.states.sum(-1) == 300) and alone.events.mean() == pytest.approx(
        300, rel=0.05
    )
    assert not np.array_equal(alone.states, again.states)  # other streams, so other paths


def test_failures_have_codes():
    explosive = ReactionNetwork.from_text("X -> 2 X ; k")
    assert np.all(run(explosive, [50.0], [10], 3, max_events=500).codes == SampleCode.MAX_EVENTS)
    assert np.all(run(explosive, [np.nan], [10], 3).codes == SampleCode.INVALID_RATE)

"""What 52-bit uniforms and float64 leave of rare reactions, long runs and large counts."""

import math

import numba
import numpy as np
import pytest

from tests import helpers
from tests.kernels.test_tree import run
from tumble.kernels._direct import choose
from tumble.kernels._philox import two_uniforms
from tumble.kernels._tree import find
from tumble.kernels._uniforms import exponential, fill_exponentials
from tumble.models import ReactionNetwork


@numba.njit(error_model="numpy")
def in_order(weights, v):
    total = 0.0
    for weight in weights:
        total += weight
    return choose(weights, v * total)


@numba.njit(error_model="numpy")
def in_tree(weights, v):
    tree = np.zeros(2 * weights.shape[0])
    tree[weights.shape[0] :] = weights
    for n in range(weights.shape[0] - 1, 0, -1):
        tree[n] = tree[2 * n] + tree[2 * n + 1]
    return find(tree, weights.shape[0], v * tree[1])


def share(chooser, weights, reaction):
    """Return the fraction of the 2⁵² uniforms that choose ``reaction``, by bisection."""

    def first(at_least):
        low, high = 0, 2**52
        while low < high:
            middle = (low + high) // 2
            if chooser(weights, (middle + 0.5) * 2.0**-52) >= at_least:
                high = middle
            else:
                low = middle + 1
        return low

    return (first(reaction + 1) - first(reaction)) / 2**52


@pytest.mark.parametrize("chooser", [in_order, in_tree])
@pytest.mark.parametrize("place", range(4))
def test_a_reaction_of_relative_rate_1e_9_has_its_share(chooser, place):
    weights = np.array([0.7, 1.3, 0.4, 0.6])
    weights[place] = 1e-9
    expected = 1e-9 / weights.sum()
    # A share is a whole number of steps of 2⁻⁵², and sums round to 2⁻⁵³.
    assert share(chooser, weights, place) == pytest.approx(expected, abs=3 * 2.0**-52)
    assert abs(expected - share(chooser, weights, place)) < 1e-6 * expected


@pytest.mark.parametrize("chooser", [in_order, in_tree])
def test_a_reaction_that_cannot_happen_is_never_chosen(chooser):
    for weights in ([0.0, 1.0, 0.0, 0.0], [0.1, 0.0, 0.2, 0.0], [0.0, 0.0, 0.0, 1e-300]):
        for v in (2.0**-53, 0.1 / 0.3, np.nextafter(0.1 / 0.3, 1), 0.5, 1 - 2.0**-53):
            assert weights[chooser(np.array(weights), v)] > 0


def test_exponentials_are_logarithms_to_two_units_in_the_last_place():
    rng = np.random.default_rng(4)
    small = rng.random(10**5) * 2.0 ** -rng.integers(0, 52, 10**5)
    u = np.concatenate([small, 1 - small / 2, [2.0**-53, 0.5, math.sqrt(0.5), 1 - 2.0**-53]])
    u = u[(u > 0) & (u < 1)]
    found = np.empty_like(u)
    fill_exponentials(u, found)
    exact = -np.log(u.astype(np.longdouble))
    assert np.abs((found - exact) / np.spacing(found)).max() < 2


@numba.njit(error_model="numpy")
def elapsed(num_events, rate, gap):
    """Return time passed in ``num_events``: as kernels keep it, and by compensated summation."""
    left, outputs = gap, 0
    total, carry = 0.0, 0.0
    for i in range(num_events):
        u, _ = two_uniforms(np.uint64(5), np.uint64(1), np.uint64(i))
        wait = exponential(u) / rate
        left -= wait
        while not left > 0.0:
            left += gap
            outputs += 1
        y = wait - carry
        t = total + y
        carry = (t - total) - y
        total = t
    return outputs * gap + (gap - left), total


@pytest.mark.parametrize(
    "num_events", [10**6, pytest.param(10**9, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
@pytest.mark.parametrize("gap", [1.0, 2.0**20])
def test_time_does_not_drift(num_events, gap):
    """The gap of 2²⁰ holds all events, a million or a billion of them, before a single output."""
    kept, exact = elapsed(num_events, num_events / 2.0**19, gap)
    # Each event rounds time by half a unit in its last place, at random: √n such steps.
    assert abs(kept - exact) < 6 * math.sqrt(num_events) * np.spacing(gap) + 1e-12 * exact


def test_counts_of_a_billion_are_exact():
    network = ReactionNetwork.from_text("2 A -> B ; k\nB -> 2 A ; g")
    start = 10**9 + 1
    job = run(network, [1e-15, 1e-6], [start, 10**9], 4, times=[1.0])
    assert np.all(job.states[:, 0, 0] + 2 * job.states[:, 0, 1] == start + 2 * 10**9)
    # A falls by 2 at k A (A - 1)/2 = 500 and grows by 2 at g B = 1000 a unit of time.
    assert np.all(np.abs(job.events - 1500) < 5 * math.sqrt(1500))


@pytest.mark.slow
def test_rare_events_happen_as_often_as_they_should():
    """C appears at a relative rate of 1e-7: 40 times in the 4·10⁸ events of all runs."""
    text = "A -> B ; fast\nB -> A ; fast\nA -> A + C ; rare\nB -> B + C ; rare"
    job = run(
        ReactionNetwork.from_text(text), [1.0, 1e-7], [2 * 10**5, 0, 0], 20, times=[100.0],
        max_events=10**9,
    )  # fmt: skip
    fired = job.states[:, 0, 2].sum()
    assert abs(fired - 40) < 4 * math.sqrt(40)


def test_runs_in_which_nothing_can_happen_end_at_once():
    job = run(helpers.sir(), [0.1, 0.1], [10, 0, 0], 3)
    assert np.all(job.events == 0) and np.all(job.states[:, :, 0] == 10)

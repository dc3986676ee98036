"""Networks that a search has not come to, against all there are."""

import itertools

import numpy as np
import pytest

import tumble as tb
from tumble.kernels._spike_and_slab import sample_members
from tumble.structure import NetworkPosterior, NetworkPrior
from tumble.structure._beyond import look_beyond
from tumble.structure._likelihood import NetworkLikelihood


def enumerated(slope, bend, rates, log_prior, steps):
    """Return the probability that each of Q rates is not 0, by summing over all there are."""
    size, points = rates.shape
    total, inside = 0.0, np.zeros(size)
    for members in itertools.chain.from_iterable(
        itertools.combinations(range(size), k) for k in range(size + 1)
    ):
        weight = np.exp(steps[: len(members)].sum())
        value = 0.0
        for places in itertools.product(range(points), repeat=len(members)):
            theta = np.zeros(size)
            theta[list(members)] = [rates[r, i] for r, i in zip(members, places, strict=True)]
            log = slope @ theta - 0.5 * theta @ bend @ theta + sum(log_prior[i] for i in places)
            value += np.exp(log)
        total += weight * value
        inside[list(members)] += weight * value
    return inside / total


def test_members_are_sampled_as_often_as_they_are_probable():
    rng = np.random.default_rng(1)
    size, points = 3, 7
    root = rng.standard_normal((size, size))
    bend = root @ root.T + np.eye(size)
    slope = np.array([1.0, -0.5, 2.0])
    rates = np.exp(rng.standard_normal((size, 1)) * 0.3 + np.linspace(-2, 1, points))
    log_prior = np.log(rng.dirichlet(np.full(points, 3.0)))
    steps = np.array([-0.5, -1.0, -1.5])
    chosen = np.zeros((200_000, size), np.bool_)
    sample_members(slope, bend, rates, log_prior, steps, rng.random((200_000, size, 2)), chosen)
    exact = enumerated(slope, bend, rates, log_prior, steps)
    batches = chosen.reshape(200, 1000, size).mean(1)
    error = batches.std(0) / np.sqrt(200)
    assert np.abs((chosen.mean(0) - exact) / error).max() < 4


@pytest.fixture(scope="module")
def weighed():
    """Return the posterior of a decay seen 30 times, and all networks of eight candidates."""
    library = tb.structure.mass_action(["A", "B"], conserve=["A + B"])
    network = tb.ReactionNetwork.from_text("A -> B ; 0.5")
    start = {"A": 300, "B": 0}
    seen = tb.simulate(network, {}, initial=start, times=np.linspace(0.1, 3, 30), seed=3)
    problem = tb.Problem(
        library.network, [tb.Experiment(seen, start)], library.parameters(1e-9, 1e6)
    )
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())
    true = library.equations.index("A -> B")
    others = [r for r in range(len(library)) if r != true]
    found = {}
    for k in range(len(library)):
        for extra in itertools.combinations(others, k):
            network = frozenset({true, *extra})
            found[network] = posterior.weigh(network, {true: np.log(0.5)})
    return posterior, found


def test_what_is_beyond_is_what_there_is(weighed):
    posterior, found = weighed
    ranked = sorted(found.values(), key=lambda w: -w.log_posterior)
    best = ranked[0].log_posterior
    # Known are the best network and what it would be with one candidate more.
    known = {
        w.network: w.log_posterior for w in ranked
        if w.network == ranked[0].network or len(w.network - ranked[0].network) == 1
    }  # fmt: skip
    rest = {n: np.exp(w.log_posterior - best) for n, w in found.items() if n not in known}
    beyond = look_beyond(posterior, ranked[:1], known, posterior.gains)
    exact = sum(rest.values())
    inclusion = np.zeros(len(posterior.library))
    for network, share in rest.items():
        inclusion[sorted(network)] += share
    assert exact > 0.02  # else there would be nothing to find
    # Laplace's method, by which these were weighed, is off by 0.1 and more for each rate that the
    # data leave between 0 and some limit, as two and more of them are here.
    assert abs(np.log(beyond.weight / exact)) < 0.4
    assert abs(np.log(beyond.inclusion.sum() / inclusion.sum())) < 0.4


def test_nothing_is_beyond_what_is_all_known(weighed):
    posterior, found = weighed
    ranked = sorted(found.values(), key=lambda w: -w.log_posterior)
    known = {w.network: w.log_posterior for w in ranked}
    with_true = [w for w in ranked[:3] if ranked[0].network <= w.network]
    beyond = look_beyond(posterior, with_true, known, posterior.gains)
    assert beyond.weight == 0 and not beyond.inclusion.any()


def test_pairs_that_come_together_are_left_alone():
    library = tb.structure.mass_action(["A", "B"], conserve=["A + B"], reversible=True)
    start = {"A": 300, "B": 0}
    network = tb.ReactionNetwork.from_text("A -> B ; 0.5\nB -> A ; 0.2")
    seen = tb.simulate(network, {}, initial=start, times=np.linspace(0.1, 3, 10))
    problem = tb.Problem(
        library.network, [tb.Experiment(seen, start)], library.parameters(1e-9, 1e6)
    )
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())
    one = posterior.weigh(library.closed([library.equations.index("A -> B")]), {})
    assert look_beyond(posterior, [one], {}, posterior.gains).weight == 0

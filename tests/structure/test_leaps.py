"""Exchanges of two reactions at once."""

import itertools

import numpy as np
import pytest

from tests.structure.epidemics import TRUTH, epidemic
from tumble import Problem, ReactionNetwork, simulate
from tumble.structure import NetworkLikelihood, NetworkPosterior, NetworkPrior, mass_action
from tumble.structure._leaps import _Quadratic, leaps


def posterior_of(problem, library):
    return NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())


def test_the_best_pairs_are_those_of_all_pairs():
    rng = np.random.default_rng(0)
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    posterior, size = posterior_of(epidemic(library), library), 12
    root = rng.normal(size=(size, size))
    information = root @ root.T * 50
    slope = information @ rng.uniform(0, 1, size)
    model = _Quadratic(posterior, range(size), np.zeros(size), slope, information)
    kept = [0, 2]
    found = {tuple(row) for row in model.best_with(kept, 2, 3).tolist()}

    def value(row):
        best = np.linalg.solve(information[np.ix_(row, row)], slope[list(row)])
        return slope[list(row)] @ best / 2 if np.all(best[2:] > 0) else -np.inf

    pairs = [(*kept, i, j) for i, j in itertools.combinations(range(3, size), 2)]
    usable = sorted((p for p in pairs if value(p) > -np.inf), key=value, reverse=True)
    assert len(usable) > 5
    assert found == set(usable[:30])
    # Scores are those of Laplace's method.
    rows = np.array(usable[:1])
    (score,), (rates,) = model.scores(rows)
    row = rows[0].tolist()
    block = information[np.ix_(row, row)]
    assert np.allclose(rates, np.linalg.solve(block, slope[row]))
    away = (np.log(rates) - posterior.centers[row]) / posterior.prior.spread
    logs = block * np.outer(rates, rates)
    assert score == pytest.approx(
        rates @ block @ rates / 2 - away @ away / 2 - np.linalg.slogdet(logs)[1] / 2
        - 4 * np.log(posterior.prior.spread) + posterior.log_prior(frozenset(row))
    )  # fmt: skip


def test_leaps_alone_lead_to_the_epidemic():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    posterior = posterior_of(epidemic(library), library)
    here, passed = posterior.weigh(frozenset(library.positions(["S -> I", "2 I -> 2 R"])), {}), 0
    while True:
        offers = leaps(posterior, here, posterior.gains(here).worth, here.log_posterior)
        tried = [posterior.weigh(network, start) for network, start in offers]
        best = max([here, *tried], key=lambda w: w.log_posterior)
        if best is here:
            break
        here, passed = best, passed + 1
    assert here.network == frozenset(library.positions(TRUTH))
    assert passed <= 4


def test_a_pair_that_stands_in_for_another_is_exchanged():
    """Births of two and deaths by an encounter look like births and deaths."""
    names = ["H", "Ha", "B"]
    toggle = "H -> H + B ; 10\nB -> 0 ; 1\nH -> Ha ; 0.5\nHa -> H ; 0.5"
    start = {"H": 50, "Ha": 0, "B": 300}
    network = ReactionNetwork.from_text(toggle, species=tuple(names))
    seen = simulate(network, {}, initial=start, times=np.arange(1, 61) / 8, num_samples=5, seed=0)
    library = mass_action(names, conserve=["H + Ha"])
    data = seen.data.rename(sample="replicate", species="observable").astype(float)
    problem = Problem(library.network, data=data, initial=start,
                      parameters=library.parameters(1e-9, 1e6))  # fmt: skip
    posterior = posterior_of(problem, library)
    truth = posterior.weigh(
        frozenset(library.positions(["H -> H + B", "B -> 0", "H -> Ha", "Ha -> H"])), {}
    )
    others = ["0 -> 2 B", "B + Ha -> Ha", "H -> Ha", "Ha -> H"]
    wrong = posterior.weigh(frozenset(library.positions(others)), {})
    offers = leaps(posterior, wrong, posterior.gains(wrong).worth, wrong.log_posterior)
    assert truth.log_posterior > wrong.log_posterior
    assert truth.network in [network for network, _ in offers]
    # Where nothing is better, nothing is offered as better.
    assert leaps(posterior, truth, posterior.gains(truth).worth, truth.log_posterior + 5) == []


def test_what_is_required_stays():
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"], require=["I -> R"])
    posterior = posterior_of(epidemic(library), library)
    here = posterior.weigh(frozenset(library.positions(["I -> R", "S -> I"])), {})
    for found, _ in leaps(posterior, here, posterior.gains(here).worth, -np.inf):
        assert frozenset(library.positions(["I -> R"])) <= found

"""Which reactions there are: against full enumeration, and on epidemics with a known answer."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from tumble import Experiment, Problem, ReactionNetwork, learn_structure, simulate
from tumble._errors import ParameterError
from tumble.structure import (
    ChoiceSearch,
    GatePath,
    IncrementScreening,
    NetworkLikelihood,
    NetworkPosterior,
    NetworkPrior,
    WindowSearch,
    _search,
    mass_action,
)

SIR = ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
START = {"S": 1980, "I": 20, "R": 0}
TRUTH = {"I + S -> 2 I", "I -> R"}


def epidemic(library, num_times, num_samples, seed):
    """Return a problem with simulated epidemics at evenly spaced times."""
    data = simulate(
        SIR, {"beta": 0.02, "gamma": 5.0}, initial=START,
        times=np.linspace(0, 1, num_times)[1:], num_samples=num_samples, seed=seed,
    )  # fmt: skip
    return Problem(
        library.network, data=data, initial=START, parameters=library.parameters(1e-6, 1e3)
    )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_epidemic_is_found_among_ninety_reactions(seed):
    library = mass_action(["S", "I", "R"])
    found = learn_structure(epidemic(library, 101, 1, seed), library=library)
    assert found.result.ok
    assert [law.weights for law in found.laws] == [{"S": 1, "I": 1, "R": 1}]
    assert len(found.library) == 36
    assert set(found.networks[0].equations) == TRUTH
    assert {r.equation for r in found.reactions[:2]} == TRUTH
    rates = dict(zip(found.networks[0].equations, found.networks[0].rates, strict=True))
    assert abs(rates["I + S -> 2 I"] / 0.02 - 1) < 0.1
    assert abs(rates["I -> R"] / 5 - 1) < 0.1
    assert sum(n.probability for n in found.networks) + found.passed_over == pytest.approx(1)
    assert 0 <= found.passed_over < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_coarse_epidemics_are_found(seed):
    library = mass_action(["S", "I", "R"])
    found = learn_structure(epidemic(library, 21, 20, seed), library=library)
    assert set(found.networks[0].equations) == TRUTH


def test_probabilities_agree_with_full_enumeration():
    """Of all 2,048 networks among 11 candidates."""
    library = mass_action(
        ["S", "I", "R"], conserve=["S + I + R"],
        forbid=[e for e in mass_action(["S", "I", "R"], conserve=["S + I + R"]).equations
                if e not in _ELEVEN],
    )  # fmt: skip
    assert len(library) == 11
    data = simulate(
        SIR, {"beta": 0.004, "gamma": 1.0}, initial={"S": 290, "I": 10, "R": 0},
        times=np.linspace(0, 4, 9)[1:], num_samples=1, seed=4,
    )  # fmt: skip
    problem = Problem(
        library.network, data=data, initial={"S": 290, "I": 10, "R": 0},
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
    prior = NetworkPrior(largest=4)
    assert_enumerated(problem, library, prior)


def assert_enumerated(problem, library, prior):
    """Compare with the probabilities of all networks, each at the best rates from two starts."""
    found = learn_structure(problem, library=library, prior=prior)
    rough = NetworkPosterior(NetworkLikelihood(problem, library), prior)
    posterior = replace(rough, closely=True)
    logs, networks = [], []
    for size in range(prior.largest + 1):
        for members in itertools.combinations(range(len(library)), size):
            start = {r: float(posterior.centers[r]) for r in members}
            tried = [
                rough.weigh(frozenset(members), {r: c + shift for r, c in start.items()})
                for shift in (0.0, -3.0)
            ]
            best = max(tried, key=lambda w: w.log_posterior)
            logs.append(posterior.weigh(best.network, rough.start_with(best)).log_posterior)
            networks.append(members)
    shares = np.exp(np.array(logs) - max(logs))
    shares /= shares.sum()
    for r, equation in enumerate(library.equations):
        exact = sum(p for p, members in zip(shares, networks, strict=True) if r in members)
        assert abs(found.inclusion[equation] - exact) < 0.05, equation
    return found


def test_networks_that_linear_noise_would_rule_out_are_offered():
    """A dozen firings: their normal law is off by ten nats, for one network and not for another."""
    wanted = (
        "A -> 0", "B -> 0", "A -> B", "2 A -> 0", "2 A -> A", "2 A -> B", "A + B -> 0",
        "A + B -> B", "A + B -> 2 B", "2 B -> 0",
    )  # fmt: skip
    every = mass_action(["A", "B"])
    library = mass_action(["A", "B"], forbid=[e for e in every.equations if e not in wanted])
    truth = ["A + B -> 0", "A + B -> 2 B"]
    network = library.network_of(library.positions(truth), [3.4e-5, 0.0025])
    starts, times = ({"A": 400, "B": 150}, {"A": 100, "B": 300}), np.linspace(0, 1, 41)[1:]
    experiments = [
        Experiment(simulate(network, {}, initial=start, times=times, seed=130 + k), start)
        for k, start in enumerate(starts)
    ]
    problem = Problem(
        library.network, experiments=experiments, parameters=library.parameters(1e-12, 1e9)
    )
    prior = NetworkPrior(largest=3, count=400.0, duration=1.0)
    assert assert_enumerated(problem, library, prior).inclusion["A + B -> 0"] > 0.1


_ELEVEN = (
    "I + S -> 2 I", "I -> R", "R -> S", "S -> I", "I -> S", "S -> R", "I + R -> 2 R",
    "2 I -> I + R", "R + S -> I + R", "I + S -> I + R", "I + S -> 2 S",
)  # fmt: skip


@pytest.mark.slow
def test_reversible_pairs_agree_with_full_enumeration():
    """Of all networks of up to two of 15 pairs, each with its reverse."""
    library = mass_action(["A", "B"], reversible=True)
    truth = ["0 -> A", "A -> 0", "A -> B", "B -> A"]
    network = library.network_of(library.positions(truth), [100.0, 1.0, 2.0, 1.0])
    start = {"A": 20, "B": 0}
    data = simulate(network, {}, initial=start, times=np.arange(1, 31) / 10, seed=0)
    problem = Problem(
        library.network, data=data, initial=start, parameters=library.parameters(1e-6, 1e3)
    )
    prior = NetworkPrior(largest=2)
    found = learn_structure(problem, library=library, prior=prior)
    rough = NetworkPosterior(NetworkLikelihood(problem, library), prior)
    posterior = replace(rough, closely=True)
    pairs = {min(unit) for unit in library.units}
    weighed = [
        posterior.weigh(
            library.closed(chosen), rough.start_with(rough.weigh(library.closed(chosen), {}))
        )
        for size in range(3)
        for chosen in itertools.combinations(sorted(pairs), size)
    ]
    logs = np.array([w.log_posterior for w in weighed])
    shares = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    assert len(weighed) == 121
    best = weighed[int(logs.argmax())].network
    assert set(found.networks[0].equations) == {library.equations[r] for r in best}
    for r, equation in enumerate(library.equations):
        exact = sum(p for p, w in zip(shares, weighed, strict=True) if r in w.network)
        assert abs(found.inclusion[equation] - exact) < 0.05, equation
        (back,) = library.units[r] - {r}
        assert found.inclusion[equation] == pytest.approx(found.inclusion[library.equations[back]])


@pytest.mark.parametrize(
    "method", [IncrementScreening(), GatePath(), ChoiceSearch(3, starts=1), WindowSearch()]
)
def test_every_search_keeps_pairs(method):
    library = mass_action(["P", "D"], conserve=["P + 2 D"], reversible=True)
    truth = ["2 P -> D", "D -> 2 P"]
    network = library.network_of(library.positions(truth), [0.002, 0.3])
    start = {"P": 300, "D": 0}
    data = simulate(network, {}, initial=start, times=np.arange(1, 31) / 10, seed=0)
    problem = Problem(
        library.network, data=data, initial=start, parameters=library.parameters(1e-6, 1e3)
    )
    found = learn_structure(problem, library=library, method=method)
    assert set(found.networks[0].equations) == set(truth)
    for choice in found.networks:
        members = library.positions(choice.equations)
        assert library.closed(members) == frozenset(members)


def test_required_reactions_are_kept_and_known():
    library = mass_action(["S", "I", "R"], require=["R -> S"])
    found = learn_structure(epidemic(library, 41, 1, 2), library=library)
    assert all("R -> S" in n.equations for n in found.networks)
    assert found.inclusion["R -> S"] == pytest.approx(1)


def test_result_is_readable(tmp_path):
    library = mass_action(["S", "I", "R"], conserve=["S + I + R"])
    found = learn_structure(epidemic(library, 41, 1, 5), library=library)
    assert "S + I + R stayed the same through" in found.summary()
    kept = json.loads(found.save(tmp_path / "structure.json").read_text())
    assert kept["inclusion"].keys() == set(library.equations)
    network = found.network
    run = simulate(network, {}, initial=START, times=[1.0], num_samples=10, seed=0)
    assert run.data.values.sum(-1).tolist() == [[2000.0]] * 10


def test_what_is_wrong_is_said():
    library = mass_action(["S", "I", "R"])
    problem = epidemic(library, 5, 1, 1)
    with pytest.raises(ParameterError, match=r"`prior` is 3, expected a NetworkPrior"):
        learn_structure(problem, library=library, prior=3)
    with pytest.raises(ParameterError, match=r"`spread` is -1"):
        NetworkPrior(spread=-1)
    with pytest.raises(ParameterError, match=r"`window` is 0"):
        WindowSearch(window=0)


def test_what_seems_sure_is_doubted(monkeypatch):
    """The search climbs without it, and none of the networks on the way has it."""
    library = mass_action(["A", "B"])
    network = ReactionNetwork.from_text("A -> B ; a\n0 -> A ; c")
    run = simulate(
        network, {"a": 1.0, "c": 100.0}, initial={"A": 400, "B": 50},
        times=np.linspace(0.1, 3, 30), num_samples=4, seed=3,
    )  # fmt: skip
    problem = Problem(
        library.network, data=run, initial={"A": 400, "B": 50},
        parameters=library.parameters(1e-9, 1e9),
    )  # fmt: skip
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior())
    search, doubt = WindowSearch(), WindowSearch._doubt
    monkeypatch.setattr(WindowSearch, "_doubt", lambda self, found: False)
    found = search.run(posterior)
    sure = [r for r, p in enumerate(found.inclusion()) if p > 0.9]
    assert library.equations.index("A -> B") in sure
    before = set(found.weighed)
    monkeypatch.setattr(_search, "_REACH", np.inf)
    assert not doubt(search, found)  # nothing explains these data as well
    new = set(found.weighed) - before
    assert new and all(any(r not in network for r in sure) for network in new)

"""Steps between known states: against transition probabilities by matrix exponentials."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import binom, poisson

from tumble import (
    Experiment,
    Observable,
    Problem,
    ReactionNetwork,
    learn_structure,
    noise,
    simulate,
)
from tumble._errors import CapabilityError
from tumble._results import ResultCode
from tumble.structure import (
    NetworkLikelihood,
    NetworkPosterior,
    NetworkPrior,
    ReactionLibrary,
    _found,
    mass_action,
)
from tumble.structure._found import AbstractSearch, Found
from tumble.structure._known_steps import KnownSteps, _lattice


def likelihood_of(text, series, spans, conditions=None):
    """Return the likelihood of states [T, S], of which the first one is the initial one."""
    network = ReactionNetwork.from_text(text)
    library = ReactionLibrary(network.reactions, network.species)
    states = np.asarray(series, dtype=float)
    times = np.cumsum(spans)
    data = {"time": times} | {s: states[1:, i] for i, s in enumerate(network.species)}
    initial = {s: int(states[0, i]) for i, s in enumerate(network.species)}
    experiment = Experiment(data, initial, conditions=conditions or {})
    unknown = library.parameters(1e-9, 1e9)
    unknown = {name: p for name, p in unknown.items() if name not in (conditions or {})}
    problem = Problem(network, experiments=[experiment], parameters=unknown)
    return NetworkLikelihood(problem, library)


def log_probability(text, rates, before, after, span):
    """Return log p of one step by known steps."""
    likelihood = likelihood_of(text, [before, after], [span])
    rates = np.asarray(rates, dtype=float)
    return KnownSteps(likelihood, rates, tuple(range(len(rates)))).evaluate(rates).value


def exact(rates, changes, propensities, shape, span):
    """Return the matrix of transition probabilities between all states of a box."""
    states = list(itertools.product(*(range(n) for n in shape)))
    number = {state: i for i, state in enumerate(states)}
    table = np.zeros((len(states), len(states)))
    for state, i in number.items():
        for rate, change, h in zip(rates, changes, propensities, strict=True):
            there = tuple(np.add(state, change))
            flow = rate * h(*state)
            if flow > 0:
                table[i, i] -= flow
                if there in number:
                    table[i, number[there]] += flow
    return expm(table * span), number


@pytest.mark.parametrize("mean", [0.003, 0.5, 3.9])
def test_arrivals_are_poisson(mean):
    for n in range(6):
        value = log_probability("0 -> A ; k", [mean / 2], [7], [7 + n], 2.0)
        assert value == pytest.approx(poisson.logpmf(n, mean), abs=1e-9)


@pytest.mark.parametrize("mean", [0.02, 0.4, 3.0])
def test_deaths_are_binomial_up_to_one_over_the_square_of_the_count(mean):
    for n in range(5):
        value = log_probability("A -> 0 ; k", [mean / 50], [50], [50 - n], 1.0)
        truth = binom.logpmf(n, 50, 1 - np.exp(-mean / 50))
        assert abs(value - truth) < (1 + n) ** 3 / 50**2 / 4, n


@pytest.mark.parametrize(
    ("text", "rates", "changes", "propensities", "before", "shape"),
    [
        ("A -> 0 ; k", [0.5], [(-1,)], [lambda a: a], (30,), (31,)),
        ("A -> 2 A ; k", [0.5], [(1,)], [lambda a: a], (30,), (80,)),
        ("2 A -> A ; k", [0.03], [(-1,)], [lambda a: a * (a - 1) / 2], (30,), (31,)),
        (
            "A -> B ; k\nB -> A ; m", [0.5, 0.7], [(-1, 1), (1, -1)],
            [lambda a, b: a, lambda a, b: b], (20, 25), (46, 46),
        ),
        (
            "A + B -> 0 ; k\n0 -> A + B ; m", [0.02, 8.0], [(-1, -1), (1, 1)],
            [lambda a, b: a * b, lambda a, b: 1.0], (12, 30), (30, 48),
        ),
        (  # what few firings change, many others have made up for by the end of the step
            "0 -> A ; b\nA -> 0 ; d\n2 A -> 0 ; k", [2000.0, 40.0, 0.008],
            [(1,), (-1,), (-2,)],
            [lambda a: 1.0, lambda a: a, lambda a: a * (a - 1) / 2], (50,), (120,),
        ),
    ],
)  # fmt: skip
def test_probabilities_of_few_firings_add_up_to_one(
    text, rates, changes, propensities, before, shape
):
    """Else reactions that make each other slower would seem less probable than they are.

    Of what may be seen after a step, with the probability of each; and the true law is better than
    any other, but not by much.
    """
    span = 0.25
    table, number = exact(rates, changes, propensities, shape, span)
    truth = table[number[before]]
    total, worse = 0.0, 0.0
    for state, i in number.items():
        if truth[i] > 1e-7:
            value = log_probability(text, rates, before, state, span)
            total += np.exp(value)
            worse += truth[i] * (np.log(truth[i]) - value)
    assert total == pytest.approx(1, abs=0.01)
    assert abs(worse) < 0.01


def test_a_rare_reaction_beside_frequent_ones():
    """Exact probabilities; a normal law with means of 15 firings is off by some hundredths."""
    text = "0 -> A ; b\nA -> 0 ; d\nA -> B ; r"
    rates = [30.0, 1.0, 0.01]
    table, number = exact(
        rates, [(1, 0), (-1, 0), (-1, 1)], [lambda a, b: 1.0, lambda a, b: a, lambda a, b: a],
        (75, 4), 0.5,
    )  # fmt: skip
    for a, b in [(30, 0), (25, 0), (38, 0), (30, 1), (24, 1), (33, 2)]:
        truth = np.log(table[number[30, 0], number[a, b]])
        assert abs(log_probability(text, rates, [30, 0], [a, b], 0.5) - truth) < 0.06, (a, b)


def test_what_frequent_reactions_cannot_make_tells_the_rare_ones():
    """Pairs die often, single ones hardly ever: only the latter make an odd number.

    The slope of the normal law for a hundred pairs is off by some hundredths.
    """
    text = "0 -> 2 A ; b\n2 A -> 0 ; d\nA -> 0 ; r"
    rates = [200.0, 0.0205, 0.001]
    table, number = exact(
        rates, [(2,), (-2,), (-1,)],
        [lambda a: 1.0, lambda a: a * (a - 1) / 2, lambda a: a], (300,), 0.5,
    )  # fmt: skip
    for even in (126, 140, 150):  # how much rarer odd ones are, where both laws are about as high
        truth = np.log(table[number[140,], number[even + 1,]] / table[number[140,], number[even,]])
        got = [log_probability(text, rates, [140], [a], 0.5) for a in (even, even + 1)]
        assert truth < -1.5
        assert abs(got[1] - got[0] - truth) < 0.04, even


def test_a_step_that_cannot_be_made_has_no_probability():
    assert log_probability("2 A -> 0 ; k", [1e-5], [100], [99], 1.0) == -np.inf
    assert log_probability("A -> 0 ; k", [1e-3], [100], [101], 1.0) == -np.inf
    assert log_probability("A -> B ; k", [1.0], [100, 0], [40, 59], 1.0) == -np.inf


SERIES = [[100, 40], [93, 47], [95, 44], [88, 51], [90, 50], [91, 50], [80, 60]]
MIXED = "A -> B ; f\nB -> A ; b\nA -> 0 ; d\n0 -> A ; k\nA + B -> 2 B ; i"


@pytest.mark.parametrize("conditions", [{}, {"k": 1.5}])
def test_slopes_are_derivatives(conditions):
    likelihood = likelihood_of(MIXED, SERIES, [0.2] * 6, conditions)
    rates = np.array([0.8, 1.1, 0.01, 2.0, 0.0005])
    steps = KnownSteps(likelihood, rates, (0, 1, 2, 3, 4))
    assert len(steps._groups) > 1 or len(steps._groups[0].few)
    found = steps.evaluate(rates)
    for r in range(5):
        h = 1e-5 * rates[r]
        ends = [steps.evaluate(rates + sign * h * np.eye(5)[r]).value for sign in (1, -1)]
        np.testing.assert_allclose(
            found.slope[r], (ends[0] - ends[1]) / (2 * h), rtol=2e-4, atol=1e-4
        )
    if conditions:
        assert found.slope[3] == 0


def test_information_is_the_curvature_where_firings_are_few():
    """In logarithms of rates, at the most likely ones, where steps tell the firings or not."""
    text = "A -> 0 ; d\n0 -> A ; k\n2 A -> A ; c"
    series = [[100], [99], [99], [101], [100], [98], [98], [99]]
    likelihood = likelihood_of(text, series, [0.01] * 7)
    u = np.log([0.7, 60.0, 0.006])
    steps = KnownSteps(likelihood, np.exp(u), (0, 1, 2))

    def slope(u):
        found = steps.evaluate(np.exp(u))
        return found.slope * np.exp(u)

    for _ in range(200):  # expectation maximization, as Poisson rates have it
        fired = slope(u) + np.exp(u) * np.array(
            [g.exposure.lasting.sum(0) for g in steps._groups]
        ).sum(0)
        u = np.log(fired) - np.log(
            np.array([g.exposure.lasting.sum(0) for g in steps._groups]).sum(0)
        )
    found = steps.evaluate(np.exp(u))
    h = 1e-5
    bend = np.array([(slope(u + h * e) - slope(u - h * e)) / (2 * h) for e in np.eye(3)])
    own = found.information * np.exp(u[:, None] + u)
    np.testing.assert_allclose(own, -bend, atol=2e-3)


def test_coordinates_of_a_lattice_are_whole():
    changes = ((2, 0, -2), (-1, 3, 1), (1, 3, -1))
    coordinates, rest = _lattice(changes, 3)
    assert coordinates.shape == (2, 3)
    inside = np.array(changes[0]) * 3 - np.array(changes[1])
    np.testing.assert_allclose(coordinates @ inside, np.rint(coordinates @ inside), atol=1e-9)
    np.testing.assert_allclose(rest @ inside, 0, atol=1e-9)
    assert np.abs(rest @ [1, 0, 0]).max() > 0.1  # not in its span
    half = coordinates @ (np.array(changes[0]) / 2 + 0.0)
    assert np.abs(half - np.rint(half)).max() > 0.1  # in the span, and not in the lattice


@pytest.mark.parametrize(
    ("truth", "rate"), [("2 A -> 0", 6e-5), ("A -> 0", 0.01), ("A -> A + B", 0.02)]
)
def test_few_firings_are_told_apart_by_what_they_change(truth, rate):
    """A handful of firings, each of which everybody can see in the data."""
    library = mass_action(["A", "B"])
    network = library.network_of(library.positions([truth]), [rate])
    start = {"A": 400, "B": 150}
    data = simulate(network, {}, initial=start, times=np.linspace(0, 1, 41)[1:], seed=3)
    fired = np.abs(np.diff(data.data.values[0].sum(1))).astype(bool).sum()
    assert 1 <= fired <= 12
    problem = Problem(
        library.network, data=data, initial=start, parameters=library.parameters(1e-12, 1e9)
    )
    found = learn_structure(problem, library=library, prior=NetworkPrior(count=400.0, duration=1.0))
    change = library.change[library.positions([truth])[0]]
    alike = [
        e for e, c in zip(library.equations, library.change, strict=True) if (c == change).all()
    ]
    assert sum(found.inclusion[e] for e in alike) > 0.9
    assert sum(p for e, p in found.inclusion.items() if e not in alike) < 0.3


def test_a_network_weighs_the_same_from_wherever_its_rates_are_sought():
    """Which firings are few is counted anew where the rates are found."""
    library = mass_action(["A", "B"])
    network = ReactionNetwork.from_text("A -> B ; a\n2 B -> B ; b\n0 -> A ; c")
    run = simulate(
        network, {"a": 1.0, "b": 0.002, "c": 60.0}, initial={"A": 60, "B": 80},
        times=np.linspace(0.1, 3, 30), num_samples=1, seed=5,
    )  # fmt: skip
    problem = Problem(
        library.network, data=run, initial={"A": 60, "B": 80},
        parameters=library.parameters(1e-9, 1e9),
    )  # fmt: skip
    posterior = NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior(), closely=True)
    true = {"A -> B": 1.0, "2 B -> B": 0.002, "0 -> A": 60.0}
    start = {library.equations.index(e): np.log(rate) for e, rate in true.items()}
    found = [
        posterior.weigh(frozenset(start), {r: u + shift for r, u in start.items()}).log_posterior
        for shift in (0.0, -0.7, 0.7, 1.4)
    ]
    assert np.ptp(found) < 0.2


def test_states_that_are_not_known_are_refused():
    likelihood = likelihood_of("A -> 0 ; k", [[9], [np.nan], [7]], [1.0, 1.0])
    with pytest.raises(CapabilityError, match="need the exact counts of all species"):
        KnownSteps(likelihood, np.array([1.0]), (0,))


def test_what_linear_noise_found_survives_an_interruption_of_the_closer_look(monkeypatch):
    library = mass_action(["A"])
    problem = Problem(
        library.network, data={"time": [1.0, 2.0], "A": [88.0, 87.0]}, initial={"A": 90},
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
    weigh = NetworkPosterior.weigh

    def stopped(self, *args):
        if self.closely:
            raise KeyboardInterrupt
        return weigh(self, *args)

    monkeypatch.setattr(NetworkPosterior, "weigh", stopped)
    found = learn_structure(problem, library=library)
    assert found.result is ResultCode.INTERRUPTED
    assert found.likelihood == "linear noise"
    assert found.networks[0].probability > 0


def test_what_is_not_looked_at_closely_is_passed_over(monkeypatch):
    library = mass_action(["A"])
    problem = Problem(
        library.network, data={"time": [1.0, 2.0, 3.0], "A": [7.0, 6.0, 6.0]}, initial={"A": 9},
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
    found = Found(NetworkPosterior(NetworkLikelihood(problem, library), NetworkPrior()), 50.0)
    for size in range(3):
        for network in itertools.combinations(range(len(library)), size):
            found.weigh(frozenset(network), {})
    every = LookingOnce().look_closely(found)
    assert every.share_passed_over == 0
    monkeypatch.setattr(_found, "_CLOSELY", 3)
    some = LookingOnce().look_closely(found)
    assert len(some.weighed) == 3
    closely = sum(np.exp(w.log_posterior - some.best.log_posterior) for w in some.weighed.values())
    left = [w.log_posterior for w, _ in found.ranked()[3:]]
    roughly = np.exp(np.array(left) - found.best.log_posterior).sum()
    assert some.share_passed_over == pytest.approx(roughly / (roughly + closely), rel=1e-9)
    assert some.share_passed_over > 0.01


class LookingOnce(AbstractSearch):
    """A search with the default closer look."""

    def run(self, posterior):
        raise NotImplementedError


def test_noise_and_gaps_leave_linear_noise_alone():
    library = mass_action(["A"])
    for values, observable in [([9.0, 8.0], noise.Normal(0.1)), ([9.0, np.nan], noise.Exact())]:
        problem = Problem(
            library.network, data={"time": [1.0, 2.0], "A": values}, initial={"A": 10},
            observables={"A": Observable("A", noise=observable)},
            parameters=library.parameters(1e-12, 1e9),
        )  # fmt: skip
        assert NetworkLikelihood(problem, library).known_steps is None


def test_where_no_network_can_make_the_steps_linear_noise_stays_and_says_so():
    """Few deaths and a rise, and a library in which nothing is born: as when there is noise."""
    library = mass_action(["A"], forbid=[e for e in mass_action(["A"]).equations if e != "A -> 0"])
    values = [88.0, 87.0, 88.0, 86.0, 84.0]
    problem = Problem(
        library.network, data={"time": np.arange(1.0, 6.0), "A": values}, initial={"A": 90},
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
    found = learn_structure(problem, library=library)
    assert found.likelihood.startswith("linear noise, since no network")
    falling = replace(problem, experiments=[Experiment(
        {"time": np.arange(1.0, 6.0), "A": [88.0, 87.0, 87.0, 86.0, 84.0]}, {"A": 90}
    )])  # fmt: skip
    assert learn_structure(falling, library=library).likelihood.startswith("numbers of firings")

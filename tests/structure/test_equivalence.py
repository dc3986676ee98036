"""What a design cannot tell apart: against likelihoods, and against algebra by hand."""

import numpy as np
import pytest

from tumble import Experiment, Observable, Problem, ReactionNetwork, learn_structure, simulate
from tumble._errors import ModelError
from tumble.priors import Poisson
from tumble.structure import NetworkLikelihood, Sight, mass_action

FULL = mass_action(["S", "I", "R"])
CLOSED = mass_action(["S", "I", "R"], conserve=["S + I + R"])
SIR = ("S + I -> 2 I", "I -> R")
START = {"S": 180, "I": 20, "R": 0}
HALF = {"S": 90, "I": 10, "R": 0}


def problem_of(library, columns, *starts, observables=None):
    """Return a problem with data that do not matter."""
    data = {"time": [0.5, 1.0], **{name: [30, 40] for name in columns}}
    experiments = [Experiment(data, start) for start in starts]
    return Problem(
        library.network, experiments=experiments, observables=observables,
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip


def alike(library, columns, starts, one, other, observables=None):
    problem = problem_of(library, columns, *starts, observables=observables)
    left, right = ([library.reactions[r] for r in library.positions(n)] for n in (one, other))
    return Sight.of(problem, library.reactions).alike(left, right)


@pytest.mark.parametrize(
    ("last", "same"),
    [("I -> 0", True), ("I -> 2 R", True), ("I -> S", False), ("I -> R + S", False),
     ("2 I -> I", False), ("I -> I + R", False)],
)  # fmt: skip
def test_what_nobody_counts_does_not_matter_unless_it_acts(last, same):
    assert alike(FULL, ["I"], [START], SIR, ("S + I -> 2 I", last)) is same
    assert not alike(FULL, ["S", "I", "R"], [START], SIR, ("S + I -> 2 I", last))


@pytest.mark.parametrize(
    ("more", "same"), [("R -> 0", True), ("0 -> R", True), ("R -> S", False), ("S -> 0", False)]
)
def test_what_is_not_seen_at_all(more, same):
    assert alike(FULL, ["I"], [START], SIR, (*SIR, more)) is same


def test_hidden_species_act_once_a_reaction_takes_them():
    waning = (*SIR, "R -> S")
    assert not alike(FULL, ["I"], [START], waning, ("S + I -> 2 I", "I -> 2 R", "R -> S"))
    assert not alike(FULL, ["I"], [START], waning, ("S + I -> 2 I", "I -> 0", "R -> S"))


def test_a_sum_that_is_observed_hides_what_passes_within_it():
    both = {"ill": Observable("I + R")}
    assert alike(FULL, ["ill"], [START], ("S -> I",), ("S -> R",), both)
    assert alike(FULL, ["ill"], [START], ("S -> I",), ("S -> I", "I -> R"), both)
    assert not alike(FULL, ["ill"], [START], SIR, ("S + I -> 2 I",), both)


@pytest.mark.slow
def test_likelihoods_of_what_is_alike_are_equal():
    data = simulate(
        ReactionNetwork.from_text("S + I -> 2 I ; 0.02\nI -> R ; 1"), {}, initial=START,
        times=np.linspace(0, 3, 11)[1:], num_samples=2, seed=3,
    ).data.rename(sample="replicate", species="observable").sel(observable=["I"])  # fmt: skip
    problem = Problem(
        FULL.network, data=data.astype(float), initial=START, parameters=FULL.parameters(1e-6, 1e3)
    )
    likelihood = NetworkLikelihood(problem, FULL)

    def value(last):
        rates = np.zeros(len(FULL))
        rates[list(FULL.positions(("S + I -> 2 I", last)))] = 0.018, 1.1
        return likelihood.evaluate(rates, []).value

    # Steps of Runge and Kutta are shorter where more copies change.
    assert value("I -> 0") == pytest.approx(value("I -> R"), abs=1e-9)
    assert value("I -> 2 R") == pytest.approx(value("I -> R"), abs=1e-4)
    assert abs(value("I -> S") - value("I -> R")) > 1


THREE = ("2 S -> I + S", "S + I -> 2 I", "R + S -> I + R")


def related(problem, text):
    """Return the rates at which others stand for a candidate."""
    reaction = CLOSED.reactions[CLOSED.positions([text])[0]]
    others = [r for r in CLOSED.reactions if r.reactants != reaction.reactants]
    found = Sight.of(problem, CLOSED.reactions).expressed(reaction, others, CLOSED.reactions)
    return {others[i].equation: rate for i, rate in found.items()}


@pytest.mark.slow
def test_one_population_has_a_relation_that_two_have_not():
    """S = S (S − 1)/2 · 2/(N − 1) + S I/(N − 1) + S R/(N − 1) where S + I + R = N."""
    one = problem_of(CLOSED, ["S", "I", "R"], START)
    found = related(one, "S -> I")
    assert found == {
        "2 S -> S + I": pytest.approx(2 / 199),
        "S + I -> 2 I": pytest.approx(1 / 199),
        "S + R -> I + R": pytest.approx(1 / 199),
    }
    assert related(problem_of(CLOSED, ["S", "I", "R"], START, HALF), "S -> I") == {}
    drawn = problem_of(CLOSED, ["S", "I", "R"], {**START, "I": Poisson(20)})
    assert related(drawn, "S -> I") == {}
    assert related(one, "S + I -> 2 I") == {}
    # As likelihoods have it, but for the error of steps of Runge and Kutta.
    likelihood = NetworkLikelihood(one, CLOSED)
    alone, together = np.zeros(len(CLOSED)), np.zeros(len(CLOSED))
    alone[list(CLOSED.positions(("S -> I", "I -> R")))] = 0.7, 0.4
    together[list(CLOSED.positions((*THREE, "I -> R")))] = *(
        0.7 * np.array([2, 1, 1]) / 199
    ), 0.4  # fmt: skip
    values = [likelihood.evaluate(rates, []).value for rates in (alone, together)]
    assert values[0] == pytest.approx(values[1], rel=1e-6)
    together[CLOSED.positions([THREE[1]])[0]] *= 1.01
    assert likelihood.evaluate(together, []).value != pytest.approx(values[0], rel=1e-6)


def test_hidden_species_that_start_alike_may_be_exchanged():
    library = mass_action(["X", "A", "B"], 1)
    start = {"X": 50, "A": 0, "B": 0}
    one, other = ("X -> A", "A -> X"), ("X -> B", "B -> X")
    assert alike(library, ["X"], [start], one, other)
    assert not alike(library, ["X"], [{**start, "B": 3}], one, other)
    assert not alike(library, ["X", "A"], [start], one, other)


def test_reactions_without_reactants_are_no_trouble():
    library = mass_action(["S", "I", "R"], 1)
    assert not alike(library, ["I"], [START], ("S -> I",), ("R -> I",))
    problem = problem_of(library, ["I"], {"S": 0, "I": 9, "R": 0})
    few = library.only(library.positions(("R -> I", "S -> I", "0 -> I")))
    sight = Sight.of(problem, few.reactions)
    assert sight.expressed(few.reactions[0], few.reactions[1:], few.reactions) == {}


def test_rates_that_an_experiment_knows_are_not_exchanged():
    data = {"time": [0.5, 1.0], "I": [30, 40]}
    name = str(FULL.reactions[FULL.positions(["I -> R"])[0]].rate)
    experiments = [Experiment(data, START, {name: 2.0}), Experiment(data, HALF)]
    problem = Problem(FULL.network, experiments=experiments, parameters=FULL.parameters(1e-6, 1e3))
    sight = Sight.of(problem, FULL.reactions)
    one, other = (
        [FULL.reactions[r] for r in FULL.positions(n)] for n in (SIR, ("S + I -> 2 I", "I -> 0"))
    )
    assert not sight.alike(one, other)
    assert sight.alike(one, one)


@pytest.fixture(scope="module")
def only_infected():
    """What is learnt where only I is counted, of a small library."""
    library = mass_action(
        ["S", "I", "R"],
        forbid=[
            e for e in FULL.equations
            if e not in ("I + S -> 2 I", "I -> R", "I -> 0", "I -> 2 R", "R -> S", "S -> 0",
                         "R -> 0")
        ],
    )  # fmt: skip
    data = simulate(
        ReactionNetwork.from_text("S + I -> 2 I ; 0.02\nI -> R ; 1"), {}, initial=START,
        times=np.linspace(0, 5, 21)[1:], num_samples=5, seed=1,
    ).data.rename(sample="replicate", species="observable").sel(observable=["I"])  # fmt: skip
    problem = Problem(
        library.network, data=data.astype(float), initial=START,
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
    return learn_structure(problem, library=library)


def test_classes_have_names_reasons_and_summed_probabilities(only_infected):
    same = only_infected.equivalent
    by_first = {one.equations: one for one in same.reactions}
    infection, unseen = (
        next(c for names, c in by_first.items() if probe in names) for probe in ("I -> R", "R -> 0")
    )
    assert set(infection.equations) == {"I -> R", "I -> 0", "I -> 2 R"}
    assert "the same change of all that is observed (I)" in str(infection)
    assert infection.probability == pytest.approx(1, abs=0.02)
    assert unseen.equations == ("R -> 0",)
    assert "no change of what is observed (I)" in unseen.reason
    first = same.networks[0]
    assert len(first.ranks) >= 3
    assert first.probability > 0.5
    shares = [only_infected.networks[rank].probability for rank in first.ranks]
    assert first.probability == pytest.approx(sum(shares))
    assert shares[:3] == pytest.approx([shares[0]] * 3, rel=1e-2)
    assert any("I -> 0, I -> 2 R and I -> R: the same change" in text for text in first.reasons)
    assert "networks, together" in same.summary()


def test_recovery_is_scored_up_to_what_cannot_be_told_apart(only_infected):
    found = only_infected.recovery(SIR)
    assert found.same and found.precision == found.recall == 1
    assert found.probability == pytest.approx(only_infected.equivalent.networks[0].probability)
    network = ReactionNetwork.from_text("S + I -> 2 I ; a\nI -> 2 R ; b", species=("S", "I", "R"))
    assert only_infected.recovery(network).same
    more = only_infected.recovery((*SIR, "S -> 0"))
    assert not more.same and more.probability < 0.2
    assert more.precision == 1 and more.recall == pytest.approx(2 / 3)
    with pytest.raises(ModelError, match=r"`truth` has species 'Q'"):
        only_infected.recovery(ReactionNetwork.from_text("Q -> 0 ; 1"))

"""What to measure next."""

import numpy as np
import pytest

from tumble import Observable, Problem, ReactionNetwork, learn_structure, simulate
from tumble._errors import ParameterError
from tumble.structure import NextExperiment, mass_action, possible_experiments

TRUE = ReactionNetwork.from_text("S + I -> 2 I ; 0.02\nI -> R ; 1")
START = {"S": 180, "I": 20, "R": 0}
FIVE = ("I + S -> 2 I", "I -> R", "I -> 0", "I -> 2 R", "R -> S")


@pytest.fixture(scope="module")
def found():
    every = mass_action(["S", "I", "R"])
    library = every.only([r for r, e in enumerate(every.equations) if e in FIVE])
    data = simulate(
        TRUE, {}, initial=START, times=np.linspace(0, 5, 11)[1:], num_samples=3, seed=1
    ).data.rename(sample="replicate", species="observable").sel(observable=["I"])  # fmt: skip
    problem = Problem(
        library.network, data=data.astype(float), initial=START,
        parameters=library.parameters(1e-6, 1e3),
    )  # fmt: skip
    return learn_structure(problem, library=library)


def test_possible_experiments_change_one_thing(found):
    words = {e.words: e for e in possible_experiments(found.problem, found.library)}
    assert len(words) == 9
    once = words["counting R once, at time 5,"]
    assert dict(once.once) == {"R": (5.0,)}
    values = once.experiment(np.ones((1, 10, 2)), "series").data.values
    assert np.isfinite(values[0, :, 1]).tolist() == [False] * 9 + [True]
    assert len(words["an experiment with twice as many times"].times) == 20
    assert words["an experiment twice as long"].times[-1] == pytest.approx(10)
    half = words["a second experiment with half the population"]
    assert half.initial == {"S": 90, "I": 10, "R": 0}


def test_counting_what_is_hidden_decides_between_what_is_alike(found):
    advice = found.next_observation(seed=1)
    assert advice.now < 0.5
    best = advice.designs[0]
    assert best.experiment.words.startswith("counting R")
    assert best.probability > 0.9
    assert advice.words.startswith("Counting R")
    assert "would separate the most probable network from the one with" in advice.words
    again = next(d for d in advice.designs if d.experiment.words == "the same experiment once more")
    alike = [
        gain for gain, rival in zip(again.gains, advice.rivals, strict=True)
        if set(rival) ^ set(advice.best) <= {"I -> R", "I -> 0", "I -> 2 R"}
    ]  # fmt: skip
    assert len(alike) >= 2
    np.testing.assert_allclose(alike, 0, atol=0.02)


def test_an_experiment_of_ones_own(found):
    own = NextExperiment("counting S + R", (1.0, 2.0), START, {"others": Observable("S + R")})
    advice = found.next_observation([own], num_draws=2, seed=1)
    assert [d.experiment for d in advice.designs] == [own]
    assert "counting S + R" in advice.summary()


def test_no_rival_needs_no_experiment(found):
    from dataclasses import replace

    alone = replace(found, networks=found.networks[:1])
    assert "No other network is probable enough" in str(alone.next_observation())
    with pytest.raises(ParameterError, match=r"`num_draws` is 0"):
        found.next_observation(num_draws=0)

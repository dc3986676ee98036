"""`Auto`: what it measures, what it charges, and whom it trusts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from tests import helpers
from tumble._budget import Budget, Spending
from tumble._errors import ParameterError
from tumble._gradient_source import GradientSource
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble.gradients import (
    SPSA,
    AbstractEstimator,
    Auto,
    CoupledDifference,
    GaussianSmoothing,
    LinearResponse,
    SampledJacobian,
    ScoreFunction,
)
from tumble.models import ReactionNetwork
from tumble.objectives import MomentMatching
from tumble.simulators import AbstractSimulator

Z = np.log([10.0, 1.0])


@dataclass(frozen=True)
class Formula(AbstractEstimator):
    """The exact Jacobian of E[X] times a factor, with little noise, and unproven."""

    factor: float = 1.0
    noise: float = 1e-3
    requires: ClassVar[type] = AbstractSimulator
    unbiased: ClassVar[bool] = False
    proven: ClassVar[bool] = False
    guarantee: ClassVar[str] = "none"

    def runs_per_sample(self, objective: Any) -> int:
        """One."""
        return 1

    def sample(self, objective, z, num_samples, stream, executor=None) -> SampledJacobian:
        """Return the closed form with noise from the stream."""
        k, gamma = np.exp(z)
        (binding,) = objective.problem.bindings
        mean = [helpers.immigration_death_moments(k, gamma, t)[0] for t in binding.times]
        slope = np.array(
            [helpers.immigration_death_mean_gradient(k, gamma, t) for t in binding.times]
        )
        rng = np.random.default_rng(stream.key % 2**32)
        size = (num_samples, len(mean), 1)
        features = np.array(mean) + self.noise * rng.standard_normal(size[:2])
        jacobians = self.factor * slope * [k, gamma] + self.noise * rng.standard_normal(size)
        return SampledJacobian(features, jacobians, num_samples, 0)


@pytest.fixture(scope="module")
def bound():
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [0.5, 1.0, 2.0], "X": [3, 5, 6]},
        initial={"X": 0},
        parameters={"k": Parameter(0.1, 1e3), "gamma": Parameter(0.01, 1e2)},
    )
    return MomentMatching(order=1).bind(problem)


def test_takes_the_cheapest_and_says_what_it_cost(bound):
    choice = Auto().choose(bound, Z, Stream.from_seed(0))
    costs = {e.label: estimate.work_variance for e, estimate in choice.pilots}
    names = {"ScoreFunction", "ScoreFunction (LinearResponse)", "CoupledDifference"}
    assert set(costs) == names
    assert choice.estimator.label in costs
    assert choice.num_runs == sum(estimate.num_runs for _, estimate in choice.pilots)
    assert "work-normalized variance" in str(choice)


def test_the_same_seed_makes_the_same_choice(bound):
    first, second = (Auto().choose(bound, Z, Stream.from_seed(3)) for _ in range(2))
    assert str(first) == str(second)


def test_clearly_dearer_candidates_drop_out_early(bound):
    score, coarse = ScoreFunction(), CoupledDifference(step=0.2)
    noisy = GaussianSmoothing(step=0.02, common=False)
    choice = Auto([score, coarse]).choose(bound, Z, Stream.from_seed(0))
    # Both stay to the end; the one that is taken is looked at once more, to divide its runs.
    runs = sorted(estimate.num_runs for _, estimate in choice.pilots)
    assert runs[0] == 448 < runs[1] < 3 * 448
    alone = Auto([noisy]).choose(bound, Z, Stream.from_seed(0))
    assert "not proven" in str(alone)
    far = Auto([noisy, SPSA(step=0.2)]).choose(bound, Z, Stream.from_seed(0))
    runs = {type(e): estimate.num_runs for e, estimate in far.pilots}
    assert runs[GaussianSmoothing] < 448
    assert isinstance(far.estimator, SPSA)


def test_a_variance_that_was_not_seen_is_not_believed(bound):
    """Pairs that are a ten-millionth apart never differ in a pilot: no variance, no gradient."""
    blind = CoupledDifference(step=1e-7)
    for seed in range(5):
        choice = Auto([blind, ScoreFunction()]).choose(bound, Z, Stream.from_seed(seed))
        claimed = {e: estimate.work_variance for e, estimate in choice.pilots}
        assert claimed[blind] == 0.0
        assert choice.estimator == ScoreFunction()


def test_what_one_has_not_seen_says_nothing_about_another():
    """Pairs that never differed in a rate of a pilot must not discredit who knows it well."""
    rates = {"k0": 0.14, "k1": 0.053, "k2": 0.029, "k3": 0.017, "k4": 1.6, "k5": 1.3}
    problem = Problem(
        ReactionNetwork.from_text(
            "2 C -> 2 A ; k0\n2 B -> 2 C ; k1\nB + C -> A + C ; k2\nA + C -> 2 B ; k3\n"
            "A -> B ; k4\nA -> C ; k5"
        ),
        data={"time": [0.2, 1.0, 5.0], "A": [7.0, 4.0, 5.0], "C": [4.0, 6.0, 5.0]},
        initial={"A": 10, "B": 4, "C": 1},
        parameters={name: Parameter(value / 100, value * 100) for name, value in rates.items()},
    )
    bound, z = MomentMatching(order=1).bind(problem), np.log(list(rates.values())) + 0.3
    for seed in range(3):
        choice = Auto().choose(bound, z, Stream.from_seed(seed), num_runs=100_000)
        assert choice.estimator == ScoreFunction(LinearResponse())


def test_events_with_rate_laws_are_charged_for():
    """Scores compute the laws and their derivatives, pairs the laws of both sides."""

    def costs(text):
        problem = Problem(
            ReactionNetwork.from_text(text),
            data={"time": [1.0], "X": [20.0]},
            initial={"X": 3},
            parameters={"k": Parameter(0.1, 1e3), "gamma": Parameter(0.01, 100)},
        )
        bound = MomentMatching(order=1).bind(problem)
        return [e.cost_of_event(bound) for e in (ScoreFunction(), CoupledDifference(), SPSA())]

    assert costs("0 -> X ; k\nX -> 0 ; gamma") == [1.0, 1.0, 0.5]
    assert costs("0 -> X ; k\nX => 0 ; gamma * X") == [1 + 2.5 + 4.5, 1 + 5.0, 0.5 + 2.5]
    assert costs("0 -> X ; k\nX => 0 ; mm(X, k, gamma)") == [1 + 2.5 + 9.0, 1 + 5.0, 0.5 + 2.5]


def test_runs_and_reactions_are_charged_for():
    """An event looks at all reactions; a run has its price even where nothing happens in it."""

    def costs(num_reactions, estimator):
        lines = [f"X{i} -> X{i + 1} ; k{i}" for i in range(num_reactions)]
        problem = Problem(
            ReactionNetwork.from_text("\n".join(lines)),
            data={"time": [1.0], "X1": [2.0]},
            initial={f"X{i}": 30 for i in range(num_reactions + 1)},
            parameters={f"k{i}": Parameter(0.01, 10) for i in range(num_reactions)},
        )
        bound = MomentMatching(order=1).bind(problem)
        return estimator.cost_of_event(bound), estimator.overhead(bound)

    assert costs(2, CoupledDifference()) == (1.0, 50 + 4 * 1)
    assert costs(6, CoupledDifference())[0] == 3.0
    assert costs(300, CoupledDifference())[0] == 100.0
    assert costs(2, ScoreFunction())[1] == 75 + 13
    assert costs(10, ScoreFunction(LinearResponse()))[1] == 75 + 13 + 250 + 50 + 28


def test_pilots_take_a_tenth_at_most_and_are_charged(bound):
    budget = 20_000
    found = Auto().estimate(bound, Z, budget, Stream.from_seed(0))
    assert 0.98 * budget < found.num_runs <= budget
    choice = Auto().choose(bound, Z, Stream.from_seed(0).child("auto"), num_runs=budget)
    assert choice.num_runs <= 0.1 * budget


def test_an_estimate_is_that_of_the_exact_gradient(bound):
    found = Auto().estimate(bound, Z, 200_000, Stream.from_seed(1))
    exact = Formula(noise=0.0).estimate(bound, Z, 4, Stream.from_seed(0)).gradient
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)


@pytest.mark.parametrize(("factor", "word"), [(3.0, "WRONG"), (-1.0, "WRONG"), (0.0, "WRONG")])
def test_an_unproven_candidate_that_is_wrong_is_refused(bound, factor, word):
    auto = Auto([ScoreFunction(), CoupledDifference(), Formula(factor)], pilot_runs=2_000)
    choice = auto.choose(bound, Z, Stream.from_seed(0))
    assert not isinstance(choice.estimator, Formula)
    ((refused, why),) = choice.refused
    assert isinstance(refused, Formula)
    assert why.startswith(word)


def test_an_unproven_candidate_is_taken_once_it_is_called_right(bound):
    few, many = (
        Auto([CoupledDifference(), Formula()], pilot_runs=n).choose(bound, Z, Stream.from_seed(0))
        for n in (64, 8_000)
    )
    assert isinstance(few.estimator, CoupledDifference)
    assert few.refused[0][1].startswith("UNDECIDED")
    assert isinstance(many.estimator, Formula)


def test_an_unproven_candidate_alone_is_used_and_reported(bound):
    choice = Auto([Formula(2.0)]).choose(bound, Z, Stream.from_seed(0))
    assert isinstance(choice.estimator, Formula)
    assert "not proven" in str(choice)


def test_candidates_that_would_take_most_of_the_runs_are_not_tried(bound):
    choice = Auto().choose(bound, Z, Stream.from_seed(0), num_runs=60)
    assert {type(e) for e, _ in choice.pilots} == {ScoreFunction}


def test_a_fit_chooses_again_when_it_has_moved_and_it_pays(bound):
    spending = Spending(Budget())
    source = GradientSource(bound, Auto(), Stream.from_seed(0), spending, None)
    source.estimate(Z, 256, 0)
    first = source.memory
    source.estimate(Z + 1.0, 256, 1)  # far, but the pilots were dear beside what was spent
    assert np.all(source.memory.where == Z)
    for step in range(2, 40):
        source.estimate(Z + 1.0, 256, step)
    assert np.all(source.memory.where == Z + 1.0)
    assert source.memory.cost > 0
    assert first.chosen_at == source.memory.chosen_at == 256


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"candidates": []}, "`candidates` is empty"), ({"pilot_runs": 0}, "`pilot_runs` is 0")],
)
def test_refuses_what_makes_no_sense(arguments, message):
    with pytest.raises(ParameterError, match=message):
        Auto(**arguments)

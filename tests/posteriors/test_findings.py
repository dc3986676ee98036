"""What is wrong with a posterior, told in a code, in words and with advice."""

import numpy as np
import pytest

import tumble as tb
from tumble._budget import Spending
from tumble._random import Stream
from tumble.posteriors import PosteriorTask
from tumble.posteriors._findings import _extinct, _has_valley, findings
from tumble.posteriors._rejection import RejectionABC

DEATH = tb.ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma")
SIR = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
QUICK = RejectionABC(num_particles=500, num_simulations=20_000)
FEWER = RejectionABC(num_particles=200, num_simulations=4000)


def births_and_deaths(counts, times, initial=0, **parameters):
    given = {"k": tb.Parameter(1, 1000), "gamma": tb.Parameter(0.05, 20)} | parameters
    return tb.Problem(
        DEATH, data={"time": times, "X": counts}, initial={"X": initial}, parameters=given
    )


def at_rest(**parameters):
    """Return the problem of a count that says how k and gamma compare, and nothing else."""
    given = {"k": tb.Parameter(1, 200), "gamma": tb.Parameter(0.1, 10)} | parameters
    return births_and_deaths([40], [50.0], **given)


def test_a_sound_posterior_has_no_finding():
    problem = births_and_deaths([29, 41, 43], [1.0, 2.0, 3.0])
    found = tb.sample_posterior(problem, method=QUICK, seed=1)
    assert found.result.ok and found.warnings == ()


def test_a_ratio_alone_is_told_as_not_identified():
    """A count at rest depends on k / gamma alone."""
    found = tb.sample_posterior(at_rest(), method=FEWER, seed=1)
    assert found.result is tb.ResultCode.NOT_IDENTIFIED and not found.result.ok
    assert "what takes" in found.reason
    assert "'gamma' up" in found.reason and "'k' up" in found.reason
    assert "observe more" in found.result.advice
    assert "advice: " in found.summary()


def test_what_a_prior_says_is_no_failure():
    known = tb.Parameter(0.1, 10, prior=tb.priors.LogNormal(0.0, 0.2))
    found = tb.sample_posterior(at_rest(gamma=known), method=FEWER, seed=1)
    assert found.result.ok
    assert any("say nothing about" in words and "gamma" in words for words in found.warnings)
    assert "say nothing about" in found.summary()


def test_a_parameter_at_its_bound():
    problem = births_and_deaths([29, 41, 43], [1.0, 2.0, 3.0], k=tb.Parameter(1, 25))
    found = tb.sample_posterior(problem, method=QUICK, seed=1)
    assert found.result is tb.ResultCode.AT_BOUND
    assert "'k' are at its upper bound" in found.reason and "widen them" in found.result.advice


def test_data_that_no_parameters_make():
    """Counts that jump up and down by hundreds are not those of births and deaths at rest."""
    counts = [400, 5, 390, 2, 410, 7, 395, 3]
    problem = births_and_deaths(counts, np.arange(1.0, 9.0), k=tb.Parameter(1, 1e4))
    found = tb.sample_posterior(problem, method=QUICK, seed=1)
    assert found.result is tb.ResultCode.MISSPECIFIED
    assert "times as far" in found.reason and "change the model" in found.result.advice


def squared(params, times, rng):
    return np.full(len(times), params["x"] ** 2 + 0.05 * rng.standard_normal())


def test_two_modes():
    problem = tb.Problem(
        tb.BlackBox(squared, ["x"], ["y"]), data={"time": [0.0], "y": [0.5]},
        parameters={"x": tb.Parameter(-1, 1, scale="linear")},
    )  # fmt: skip
    found = tb.sample_posterior(problem, method=QUICK, seed=1)
    assert found.result is tb.ResultCode.MULTIMODAL
    assert "several modes, apart in 'x'" in found.reason and "plot()" in found.result.advice


def test_an_epidemic_that_died_out():
    problem = tb.Problem(
        SIR, data={"time": np.arange(1.0, 9.0), "I": [1, 0, 0, 0, 0, 0, 0, 0]},
        initial={"S": 297, "I": 3, "R": 0},
        parameters={"beta": tb.Parameter(1e-4, 0.1), "gamma": tb.Parameter(0.02, 2)},
    )  # fmt: skip
    found = tb.sample_posterior(problem, method=QUICK, seed=1)
    assert found.result is tb.ResultCode.EXTINCT
    assert "do not change from time 2 on" in found.reason and "more replicates" in (
        found.result.advice
    )


def test_an_epidemic_that_ran_its_course_is_not_extinct():
    problem = tb.Problem(
        SIR, data={"time": np.arange(1.0, 9.0), "I": [9, 40, 80, 60, 20, 4, 0, 0]},
        initial={"S": 297, "I": 3, "R": 0},
        parameters={"beta": tb.Parameter(1e-4, 0.1), "gamma": tb.Parameter(0.02, 2)},
    )  # fmt: skip
    task = PosteriorTask(problem, Stream.from_seed(0), Spending(None))
    assert _extinct(task) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_normal_law_has_one_mode_and_two_that_overlap_little_have_two(seed):
    rng = np.random.default_rng(seed)
    values, even = rng.standard_normal(1000), np.full(1000, 1e-3)
    assert not _has_valley(values, even)
    assert _has_valley(values + 5.0 * (rng.random(1000) < 0.3), even)


def test_few_draws_are_not_judged():
    problem = at_rest()
    task = PosteriorTask(problem, Stream.from_seed(0), Spending(None))
    z = task.prior.sample(50, np.random.default_rng(0))
    assert findings(task, z, np.full(50, 1 / 50), simulates=False) == []


def test_no_runs_are_made_beyond_the_budget():
    problem = births_and_deaths([29, 41, 43], [1.0, 2.0, 3.0])
    budget = tb.Budget(simulations=5000)
    found = tb.sample_posterior(problem, method=QUICK, seed=1, budget=budget)
    assert found.result is tb.ResultCode.OUT_OF_BUDGET and found.stats["runs"] == 5000

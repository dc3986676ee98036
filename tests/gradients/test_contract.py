"""What every estimator promises apart from being right."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from tests import helpers
from tumble import Parameter, Problem
from tumble._errors import CapabilityError, SimulationError
from tumble._random import Stream
from tumble.gradients import (
    SPSA,
    AlternativePath,
    Auto,
    CoupledDifference,
    CrossFitted,
    GaussianDirections,
    GaussianSmoothing,
    LinearResponse,
    OrthogonalDirections,
    RademacherDirections,
    ScoreFunction,
    SmoothedReinforce,
)
from tumble.objectives import MomentMatching
from tumble.simulators import AbstractSimulator, DirectMethod

ESTIMATORS = [
    ScoreFunction(),
    ScoreFunction(CrossFitted()),
    ScoreFunction(LinearResponse()),
    CoupledDifference(),
    CoupledDifference(directions=RademacherDirections()),
    CoupledDifference(directions=OrthogonalDirections()),
    GaussianSmoothing(),
    GaussianSmoothing(directions=GaussianDirections(), common=False),
    SmoothedReinforce(),
    SPSA(),
    AlternativePath(),
]
NEEDY = [e for e in ESTIMATORS if e.requires is not AbstractSimulator]


@dataclass(frozen=True)
class SamplesOnly(AbstractSimulator):
    """A simulator that offers nothing but samples. Final."""

    exact: ClassVar[bool] = True

    def sample(self, *args, **kwargs):
        return DirectMethod().sample(*args, **kwargs)


def bound_problem(simulator=None, **options):
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [0.5, 2.0], "X": [5.0, 12.0]},
        initial={"X": 3},
        parameters={"k": Parameter(0.1, 1e9), "gamma": Parameter(0.1, 10)},
        **({"simulator": simulator} if simulator else {}),
        **options,
    )
    return MomentMatching(order=1).bind(problem)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_same_stream_same_estimate_whatever_the_threads(estimator):
    bound, z = bound_problem(), np.log([10.0, 1.0])
    first = estimator.estimate(bound, z, 4_000, Stream.from_seed(3))
    with ThreadPoolExecutor(3) as pool:
        second = estimator.estimate(bound, z, 4_000, Stream.from_seed(3), pool)
    assert np.array_equal(first.gradient, second.gradient)
    assert np.array_equal(first.covariance, second.covariance)
    other = estimator.estimate(bound, z, 4_000, Stream.from_seed(4))
    assert not np.array_equal(first.gradient, other.gradient)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_runs_are_counted(estimator):
    bound = bound_problem()
    found = estimator.estimate(bound, np.log([10.0, 1.0]), 4_000, Stream.from_seed(0))
    assert found.num_runs == 4_000 - 4_000 % estimator.runs_per_sample(bound)
    assert found.work > found.num_runs
    few = estimator.estimate(bound, np.log([10.0, 1.0]), 1, Stream.from_seed(0))
    assert few.num_runs == 4 * estimator.runs_per_sample(bound)  # the least that is unbiased


@pytest.mark.parametrize("estimator", NEEDY, ids=str)
def test_missing_capability_is_named(estimator):
    bound = bound_problem(SamplesOnly())
    needs = estimator.requires.__name__
    with pytest.raises(CapabilityError, match=f"{needs}, but SamplesOnly does not; choose another"):
        estimator.estimate(bound, np.log([10.0, 1.0]), 100, Stream.from_seed(0))
    with pytest.raises(CapabilityError, match="SamplesOnly offers what none of the candidates"):
        Auto([estimator]).choose(bound, np.log([10.0, 1.0]), Stream.from_seed(0))


@pytest.mark.parametrize("estimator", [e for e in ESTIMATORS if e not in NEEDY], ids=str)
def test_samples_alone_will_do_for_the_others(estimator):
    z = np.log([10.0, 1.0])
    found = estimator.estimate(bound_problem(SamplesOnly()), z, 400, Stream.from_seed(0))
    same = estimator.estimate(bound_problem(), z, 400, Stream.from_seed(0))
    assert np.array_equal(found.gradient, same.gradient)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_failed_runs_are_not_left_out(estimator):
    bound = bound_problem(DirectMethod(max_events=20))
    with pytest.raises(SimulationError, match="Leaving runs out would bias it"):
        estimator.estimate(bound, np.log([10.0, 1.0]), 400, Stream.from_seed(0))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_large_batches_are_pooled_from_pieces(estimator, monkeypatch):
    bound, z = bound_problem(), np.log([10.0, 1.0])
    monkeypatch.setattr("tumble.gradients._base.LARGEST_PIECE", 8 * 2 * 2 * 4_000)
    found = estimator.estimate(bound, z, 40_000, Stream.from_seed(0))
    monkeypatch.undo()
    whole = estimator.estimate(bound, z, 40_000, Stream.from_seed(1))
    error = np.hypot(found.standard_errors, whole.standard_errors)
    assert np.all(np.abs(found.gradient - whole.gradient) < 4 * error)
    assert found.num_runs == 40_000 - 40_000 % estimator.runs_per_sample(bound)
    assert np.allclose(found.standard_errors, whole.standard_errors, rtol=0.1)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_a_run_that_fails_names_its_reaction(estimator):
    problem = Problem(
        helpers.ReactionNetwork.from_text("X => 0 ; V"),
        data={"time": [2.0], "X": [1.0]},
        initial={"X": 3},
        parameters={"V": Parameter(0.1, 10)},
    )
    with pytest.raises(
        SimulationError, match=r"(?s)every run, but .*'X => 0 ; V' in \d+\. Leaving"
    ):
        bound = MomentMatching(order=1).bind(problem)
        estimator.estimate(bound, np.log([2.0]), 400, Stream.from_seed(0))


def test_auto_prefers_coupling_in_large_populations_and_scores_for_few_copies():
    """The two regimes that the estimators' docstrings name."""
    many = {f"k{i}": Parameter(0.1, 10) for i in range(12)}
    text = "\n".join(f"0 -> X{i} ; k{i}" for i in range(12))
    network = helpers.ReactionNetwork.from_text(text)
    few = Problem(
        network,
        data={"time": [1.0], **{f"X{i}": [2] for i in range(12)}},
        initial={f"X{i}": 0 for i in range(12)},
        parameters=many,
    )
    choice = Auto().choose(MomentMatching(order=1).bind(few), np.zeros(12), Stream.from_seed(0))
    assert isinstance(choice.estimator, ScoreFunction)
    large = Problem(
        helpers.sir(),
        data={"time": [0.3], "I": [700.0]},
        initial={"S": 1980, "I": 20, "R": 0},
        parameters={"beta": Parameter(1e-3, 1), "gamma": Parameter(0.1, 100)},
    )
    bound = MomentMatching(order=1).bind(large)
    choice = Auto().choose(bound, np.log([0.02, 5.0]), Stream.from_seed(0))
    assert isinstance(choice.estimator, CoupledDifference)

"""Moment matching and expected loss: targets, weights, defaults, surrogates."""

import numpy as np
import pytest

from tests import helpers
from tumble import Experiment, Observable, Parameter, Problem, noise
from tumble._errors import ParameterError
from tumble.objectives import (
    ExpectedLoss,
    MomentMatching,
    PathLikelihood,
    Surrogate,
    default_objective,
    objective_warnings,
)
from tumble.simulators import LinearNoise

PARAMETERS = {"k": Parameter(0.1, 100), "gamma": Parameter(0.1, 10)}


def problem_of(*replicates, kind="series", **options):
    data = helpers.series([1.0, 2.0], *replicates)
    experiment = Experiment(data, {"X": 0}, kind=kind, **options)
    return Problem(helpers.immigration_death(), [experiment], PARAMETERS)


def test_targets_are_means_and_mean_squares_about_them():
    bound = MomentMatching(order=2).bind(problem_of([2, 4], [4, 8], [6, 6]))
    assert bound.target.tolist() == [4.0, pytest.approx(8 / 3), 6.0, pytest.approx(8 / 3)]
    states = np.array([[[2], [4]], [[4], [8]], [[6], [6]]])
    features = bound.features_of(0, states, np.array([1.0, 1.0]))
    assert np.allclose(features.mean(0).ravel(), bound.target)
    assert bound.value(bound.target) == 0


def test_missing_data_have_no_weight():
    bound = MomentMatching(order=1).bind(problem_of([2, np.nan], [4, np.nan]))
    assert bound.target.tolist() == [3.0, 0.0]
    assert bound.weight[1] == 0 and bound.weight[0] > 0


def test_many_replicates_weigh_by_their_variance():
    rng = np.random.default_rng(0)
    rows = np.stack([rng.normal(100, 1, 50), rng.normal(100, 5, 50)], axis=1).round()
    bound = MomentMatching(order=1).bind(problem_of(*rows))
    assert bound.weight[0] / bound.weight[1] == pytest.approx(
        rows[:, 1].var(ddof=1) / rows[:, 0].var(ddof=1)
    )
    few = MomentMatching(order=1).bind(problem_of(*rows[:5]))
    assert few.weight[0] == few.weight[1]


def test_noise_enters_second_moments():
    problem = Problem(
        helpers.immigration_death(),
        data=helpers.series([1.0], [4], [8]),
        initial={"X": 0},
        observables={"X": Observable("X", noise.Poisson())},
        parameters=PARAMETERS,
    )
    bound = MomentMatching(order=2).bind(problem)
    features = bound.features_of(0, np.array([[[7]]]), np.array([1.0, 1.0]))
    assert features.ravel().tolist() == [7.0, (7 - 6) ** 2 + 7.0]


def test_the_kind_of_data_decides():
    assert isinstance(default_objective(problem_of([1, 2])), PathLikelihood)
    assert isinstance(default_objective(problem_of(*[[1, 2]] * 9)), PathLikelihood)
    assert isinstance(default_objective(problem_of(*[[1, 2]] * 10)), MomentMatching)
    assert isinstance(default_objective(problem_of([1, 2], kind="snapshots")), MomentMatching)
    averages = problem_of([1.5, 2.5], kind="mean", num_averaged=100)
    assert isinstance(default_objective(averages), MomentMatching)
    assert MomentMatching().bind(averages).num_features == 2
    with pytest.raises(ParameterError, match="averages hold no variances"):
        MomentMatching(order=2).bind(averages)
    assert MomentMatching().bind(problem_of([1, 2])).num_features == 2
    assert MomentMatching().bind(problem_of([1, 2], [3, 4])).num_features == 4
    with pytest.raises(ParameterError, match="a single replicate holds no variances"):
        MomentMatching(order=2).bind(problem_of([1, 2]))


def test_an_ensemble_mean_that_meets_one_series_is_warned_of():
    (warning,) = objective_warnings(MomentMatching(), problem_of([1, 2]))
    assert "single series" in warning and "PathLikelihood" in warning
    assert objective_warnings(MomentMatching(), problem_of([1, 2], [2, 3])) == ()
    averages = problem_of([1.5, 2.5], kind="mean", num_averaged=100)
    assert objective_warnings(MomentMatching(), averages) == ()


@pytest.mark.parametrize("loss", [MomentMatching(order=1), MomentMatching(order=2), ExpectedLoss()])
def test_surrogate_is_exact_for_linear_networks(loss):
    bound = loss.bind(problem_of([2, 4], [4, 8]))
    surrogate = Surrogate(LinearNoise(rtol=1e-9), bound)
    z = np.log([10.0, 1.0])
    found = surrogate.evaluate(np.stack([z, z + 1e-5, z - 1e-5]))
    mean, variance = np.array([helpers.immigration_death_moments(10, 1, t) for t in (1.0, 2.0)]).T
    center = np.array([3.0, 6.0])
    square = (mean - center) ** 2 + variance
    if isinstance(loss, ExpectedLoss):
        exact = (square / 36).mean()
    elif loss.order == 1:
        exact = ((mean - center) ** 2 / 36).mean()
    else:
        target = np.array([1.0, 4.0])
        terms = np.concatenate([(mean - center) ** 2 / 36, (square - target) ** 2 / 16])
        exact = terms.mean()
    assert found.values[0] == pytest.approx(exact, rel=1e-6)
    slope = (found.values[1] - found.values[2]) / 2e-5
    assert found.gradients[0].sum() == pytest.approx(slope, rel=1e-4)

"""Directions and schedules of perturbations."""

import numpy as np
import pytest

from tests import helpers
from tests.gradients.test_smoothing import CONSTANT, arrival
from tumble import Parameter, Problem
from tumble._errors import ParameterError
from tumble._random import Stream
from tumble.gradients import (
    SPSA,
    CoordinateDirections,
    CoupledDifference,
    GaussianDirections,
    GaussianSmoothing,
    OrthogonalDirections,
    RademacherDirections,
    ShrinkingStep,
    SmoothedReinforce,
)
from tumble.objectives import ExpectedLoss, MomentMatching


def test_the_step_shrinks_with_the_runs_of_the_whole_estimate():
    """Not with those of a piece: large estimates are made in pieces, the first of them small."""
    schedule = ShrinkingStep(runs=100)
    for make in (GaussianSmoothing, SPSA, SmoothedReinforce):
        estimator = make(0.4, schedule)
        bound, z = MomentMatching(order=1).bind(arrival()), np.log([2.0])
        found = estimator.estimate(bound, z, 1_600, Stream.from_seed(0))
        same = make(0.2, CONSTANT).estimate(bound, z, 1_600, Stream.from_seed(0))
        assert np.array_equal(found.gradient, same.gradient)
        few = estimator.sample(bound, z, 20, Stream.from_seed(0))
        whole = make(0.4, CONSTANT).sample(bound, z, 20, Stream.from_seed(0))
        assert np.array_equal(few.jacobians, whole.jacobians)


def test_shrinking_keeps_the_bias_below_the_noise():
    """ExpectedLoss of arrivals at ever more runs: bias over standard error does not grow.

    The bias of the loss is known, see above, so that it can be compared without noise of its own.
    """
    s, mean, y = 0.2, 20.0, 17
    schedule = ShrinkingStep(runs=1000)
    bound = ExpectedLoss().bind(arrival())
    ratios = []
    for runs in (4_000, 32_000, 256_000):
        sigma = s * schedule.factor(runs)
        growth = np.exp(sigma**2 / 2)
        smoothed = (mean * growth * (1 - 2 * y) + 2 * mean**2 * growth**4) / y**2
        bias = smoothed - mean * (1 + 2 * (mean - y)) / y**2
        found = GaussianSmoothing(s, schedule).estimate(
            bound, np.log([2.0]), runs, Stream.from_seed(0)
        )
        ratios.append(abs(bias) / found.standard_errors[0])
    assert ratios[2] < ratios[1] * 1.1 and ratios[1] < ratios[0] * 1.1


def test_settings_are_checked():
    for make in (GaussianSmoothing, SPSA, SmoothedReinforce, CoupledDifference):
        with pytest.raises(ParameterError, match="`step` is 2, expected between 0 and 1"):
            make(step=2)
    with pytest.raises(ParameterError, match="smoothing with a Gaussian needs normal ones"):
        GaussianSmoothing(directions=RademacherDirections())
    with pytest.raises(ParameterError, match="needs normal ones"):
        GaussianSmoothing(directions=CoordinateDirections())
    with pytest.raises(ParameterError, match="`block` is 0, expected a whole number of at least 1"):
        OrthogonalDirections(0)
    with pytest.raises(ParameterError, match="`runs` is 0, expected a whole number of at least 1"):
        ShrinkingStep(0)
    with pytest.raises(ParameterError, match=r"`power` is 0\.5, expected between 0 and 1/2"):
        ShrinkingStep(power=0.5)


@pytest.mark.parametrize(
    ("directions", "count"),
    [
        (CoordinateDirections(), 3),
        (RademacherDirections(), 1),
        (GaussianDirections(), 1),
        (OrthogonalDirections(), 3),
        (OrthogonalDirections(2), 2),
        (OrthogonalDirections(9), 3),
    ],
    ids=str,
)
def test_directions_are_what_they_say(directions, count):
    n = 100_000
    u = directions.draw(n, 3, np.random.default_rng(0))
    assert u.shape == (n, count, 3) and directions.count(3) == count
    second = np.einsum("ndi,ndj->nij", u, u)
    reach = directions.reach(np.full(3, -np.inf), np.full(3, np.inf))
    error = second.std(0) / np.sqrt(n)
    assert np.all(np.abs(second.mean(0) - np.diag(reach)) <= 4 * error + 1e-12)
    lower, upper = np.array([-0.2, -np.inf, -2.0]), np.array([np.inf, 0.0, 0.5])
    cut = (u * np.clip(u, lower, upper)).sum(1)
    if not isinstance(directions, CoordinateDirections):  # by itself only one side of it exists
        error = cut.std(0) / np.sqrt(n)
        assert np.all(np.abs(cut.mean(0) - directions.reach(lower, upper)) <= 4 * error + 1e-12)
    if isinstance(directions, OrthogonalDirections):
        inner = np.einsum("nci,ndi->ncd", u, u)
        off = inner[:, ~np.eye(count, dtype=bool)]
        assert np.abs(off).max() < 1e-12
    if directions.is_normal:
        fourth = (u**4).mean((0, 1))
        spread = (u**4).mean(1).std(0) / np.sqrt(n)
        assert np.all(np.abs(fourth - 3) < 4 * spread)


def test_a_pair_serves_all_parameters():
    many = {f"k{i}": Parameter(0.1, 10) for i in range(12)}
    network = helpers.ReactionNetwork.from_text("\n".join(f"0 -> X{i} ; k{i}" for i in range(12)))
    problem = Problem(
        network,
        data={"time": [1.0], **{f"X{i}": [2] for i in range(12)}},
        initial={f"X{i}": 0 for i in range(12)},
        parameters=many,
    )
    bound = MomentMatching(order=1).bind(problem)
    costs = {
        CoupledDifference(): 24,
        CoupledDifference(directions=RademacherDirections()): 2,
        SPSA(): 2,
        GaussianSmoothing(): 24,
        GaussianSmoothing(directions=GaussianDirections()): 2,
        SmoothedReinforce(): 1,
    }
    for estimator, cost in costs.items():
        assert estimator.runs_per_sample(bound) == cost
        assert estimator.sample(bound, np.zeros(12), 5, Stream.from_seed(0)).num_runs == 5 * cost

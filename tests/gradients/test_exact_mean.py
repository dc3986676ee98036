"""Gradients of means that a model knows, against chains over all states."""

import numpy as np
import pytest

from tests.models.lattices.test_walks import CASES, STEP
from tumble import Experiment, Parameter, Problem, Ref, bootstrap, fit, simulate
from tumble._errors import CapabilityError
from tumble._random import Stream
from tumble.gradients import ExactMean
from tumble.models import PersistentWalk, RestrictedPottsWalk
from tumble.objectives import MomentMatching, TrajectoryMatching

UNKNOWN = Parameter(0.01, 0.99, scale="logit")


def bound_means(case, order=1):
    model, params, times, _ = CASES[case]
    tracks = simulate(model, params, times=times, num_samples=20, seed=0)
    return MomentMatching(order).bind(
        Problem(model, [Experiment(tracks)], dict.fromkeys(params, UNKNOWN))
    )


@pytest.mark.parametrize("case", ["plain", "persistent"])
def test_means_and_derivatives_are_exact(case):
    _, params, times, exact = CASES[case]
    bound = bound_means(case)
    theta = np.array(list(params.values()))
    found = ExactMean().sample(bound, bound.problem.space.to_fit(theta), 3, Stream.from_seed(0))
    assert np.allclose(found.features, np.real(exact(theta, times)), rtol=1e-12)
    slopes = [
        exact(theta + STEP * (np.arange(len(theta)) == q), times).imag / STEP.imag
        for q in range(len(theta))
    ]
    assert np.allclose(found.jacobians, np.array(slopes).T * theta * (1 - theta), rtol=1e-9)
    assert found.num_runs == 0


def test_it_is_taken_where_it_can_be_had():
    assert ExactMean().fits(bound_means("persistent"))
    assert not ExactMean().fits(bound_means("persistent", order=2))
    assert not ExactMean().fits(bound_means("potts"))
    with pytest.raises(CapabilityError, match="features linear in the outputs"):
        ExactMean().estimate(bound_means("plain", 2), np.zeros(1), 1, Stream.from_seed(0))
    with pytest.raises(CapabilityError, match="on average"):
        RestrictedPottsWalk().mean({"p": 0.1}, np.array([1]))


def persistent_problem(num_tracks=300, seed=0):
    times = [1, 2, 4, 8, 16, 32]
    tracks = simulate(PersistentWalk(), {"p_start": 0.3, "p_stop": 0.3, "p_turn": 0.1}, times=times,
                      num_samples=num_tracks, seed=seed)  # fmt: skip
    both = {"p_start": Ref("p_switch"), "p_stop": Ref("p_switch")}
    unknown = {"p_switch": UNKNOWN, "p_turn": UNKNOWN}
    return Problem(PersistentWalk(), [Experiment(tracks, conditions=both)], unknown)


def test_a_fit_by_it_ends_at_the_minimum_itself():
    problem = persistent_problem()
    found = fit(problem, objective=TrajectoryMatching(), num_starts=1, seed=0)
    assert found.gradient == "ExactMean" and found.stats["search_runs"] < 5_000
    bound = TrajectoryMatching().bind(problem)
    z = problem.space.to_fit(np.array([found.params[n] for n in problem.space.names]))
    left = ExactMean().estimate(bound, z, 1, Stream.from_seed(0))
    assert np.abs(np.linalg.solve(left.curvature, left.gradient)).max() < 0.003
    truth = problem.space.to_fit(np.array([0.3, 0.1]))
    errors = np.array([e.standard_error for e in found.estimates])
    assert np.all(np.abs(z - truth) < 4 * errors)
    assert np.all(errors < 0.1)


@pytest.mark.slow
def test_its_intervals_are_those_of_the_bootstrap():
    found = fit(persistent_problem(), objective=TrajectoryMatching(), num_starts=1, seed=0)
    again = bootstrap(found, num_datasets=60, seed=1)
    stated = np.sqrt(np.diag(found.covariance))
    assert np.all((again.standard_errors / stated > 0.7) & (again.standard_errors / stated < 1.4))

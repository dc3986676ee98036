"""Standard errors against theory."""

import numpy as np
import pytest

import tumble as tb
from tests import helpers
from tumble._random import Stream
from tumble._uncertainty import _Jacobian, _Sandwich, observed_information, sandwich
from tumble.gradients import CoupledDifference, ScoreFunction, gauss_newton, without_noise
from tumble.objectives import MomentMatching, PathLikelihood

TIMES = np.linspace(0, 20, 101)
Z = np.log([10.0, 1.0])
FREE = np.ones(2, dtype=bool)


def bound_problem(num_replicates=50):
    run = tb.simulate(
        helpers.immigration_death(),
        {"k": 10.0, "gamma": 1.0},
        initial={"X": 0},
        times=TIMES,
        num_samples=num_replicates,
    )
    parameters = {"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)}
    problem = tb.Problem(
        helpers.immigration_death(), data=run, initial={"X": 0}, parameters=parameters
    )
    return MomentMatching(order=1).bind(problem)


def exact_parts():
    """Return ∂E[X]/∂z [T, P] and Cov(X_t, X_s) = E[X_s] e^{−(t−s)} for s ≤ t, from X = 0."""
    mean = 10 * (1 - np.exp(-TIMES))
    jacobian = np.stack([mean, -mean + 10 * TIMES * np.exp(-TIMES)], axis=1)
    gaps = np.abs(np.subtract.outer(TIMES, TIMES))
    return jacobian, np.minimum.outer(mean, mean) * np.exp(-gaps)


@pytest.mark.parametrize("estimator", [CoupledDifference(), ScoreFunction()], ids=str)
def test_sandwich_is_that_of_exact_moments(estimator):
    """k and γ are nearly collinear here, so that noise in the Jacobian would show."""
    bound = bound_problem()
    jacobian, covariance = exact_parts()
    weighted = bound.loss.second(bound.target)[:, None] * jacobian
    bread = np.linalg.inv(jacobian.T @ weighted)
    exact = bread @ weighted.T @ covariance @ weighted @ bread / 50
    found = np.mean(
        [
            sandwich(bound, estimator, Z, FREE, np.zeros((2, 2)), Stream.from_seed(s))[0]
            for s in range(6)
        ],
        axis=0,
    )
    assert np.allclose(np.sqrt(np.diag(found)), np.sqrt(np.diag(exact)), rtol=0.06)


def test_the_noise_of_the_jacobian_is_taken_out():
    bound = bound_problem()
    jacobian, _ = exact_parts()
    exact = jacobian.T @ (bound.loss.second(bound.target)[:, None] * jacobian)
    plain, sharp = [], []
    for i in range(400):
        sampled = ScoreFunction().sample(bound, Z, 64, Stream.from_seed(0).child(i))
        curvature, noise = gauss_newton(sampled.jacobians, bound.loss.second(bound.target))
        plain.append(curvature)
        sharp.append(curvature - noise)
    error = np.std(sharp, axis=0, ddof=1) / np.sqrt(len(sharp))
    assert np.all(np.abs(np.mean(sharp, axis=0) - exact) < 4 * error)
    assert np.all(np.diag(np.mean(plain, axis=0) - exact) > 8 * np.diag(error))


def test_the_error_of_a_standard_error_is_seen():
    """The jackknife over groups says how much a standard error varies with the Jacobian."""
    rng = np.random.default_rng(0)
    exact = np.array([[1.0, 1.0], [1.0, 0.8], [0.5, 0.9], [0.2, 0.1]])
    root = rng.normal(size=(4, 4))
    second, spread = np.full(4, 2.0), root @ root.T
    logs, errors = [], []
    for _ in range(300):
        drawn = exact + 1.5 * rng.normal(size=(1600, 4, 2))
        groups = np.stack([drawn[g::16].sum(0) for g in range(16)])
        flat = drawn.reshape(-1, 2)
        jacobian = _Jacobian(groups, 1600, flat.T @ (np.tile(second, 1600)[:, None] * flat))
        pulled = 2 * jacobian.means
        scores = np.einsum("gfp,fe,heq->gphq", pulled, spread, pulled)
        sandwich = _Sandwich(jacobian, second, scores)
        logs.append(np.log(np.diag(sandwich.covariance())) / 2)
        errors.append(sandwich.error())
    bread = np.linalg.inv(2 * exact.T @ exact)
    known = np.log(np.diag(bread @ (4 * exact.T @ spread @ exact) @ bread)) / 2
    actual = np.std(logs, axis=0).max()
    assert 0.05 < actual < 0.3
    assert 0.7 * actual < np.mean(errors) < 1.4 * actual
    assert np.all(np.abs(np.mean(logs, axis=0) - known) < 0.3 * actual)


def test_what_is_left_is_positive():
    curvature = np.diag([4.0, 1.0])
    assert np.allclose(without_noise(curvature, np.diag([1.0, 0.1])), np.diag([3.0, 0.9]))
    assert np.allclose(without_noise(curvature, np.diag([9.0, 0.0])), np.diag([0.8, 1.0]))


def test_observed_information_of_a_known_likelihood():
    """One exact Poisson count y at time T: the information of log k is kT, here of its Gaussian."""
    problem = tb.Problem(
        helpers.arrival(),
        data={"time": [4.0], "X": [400]},
        initial={"X": 0},
        parameters={"k": tb.Parameter(1, 1e4)},
    )
    bound = PathLikelihood().bind(problem)
    covariance, words = observed_information(bound, np.log([100.0]), np.array([True]))
    assert words == "observed information"
    # N(y; μ, μ + 1/12) with μ = kT: information μ²/V + ½ (μ/V)² + terms that vanish at y = μ.
    mu, variance = 400.0, 400.0 + 1 / 12
    step = 1e-4

    def minus_log_density(shift):
        m = mu * np.exp(shift)
        v = m + variance - mu
        return 0.5 * (400 - m) ** 2 / v + 0.5 * np.log(v)

    second = minus_log_density(step) - 2 * minus_log_density(0.0) + minus_log_density(-step)
    assert covariance[0, 0] == pytest.approx(step**2 / second, rel=1e-3)
    held, words = observed_information(bound, np.log([100.0]), np.array([False]))
    assert held[0, 0] == 0.0 and words == "every parameter is at a bound"


def test_a_fit_at_all_its_bounds_has_no_errors():
    network = tb.ReactionNetwork.from_text("0 -> A ; k")
    nothing = {"time": [1.0, 2.0], "A": [0.0, 0.0]}
    parameters = {"k": tb.Parameter(0.1, 10)}
    problem = tb.Problem(network, data=nothing, initial={"A": 0}, parameters=parameters)
    found = tb.fit(problem, objective=MomentMatching(order=1), seed=0)
    assert found.result is tb.ResultCode.AT_BOUND
    assert np.array_equal(found.covariance, [[0.0]])
    assert "at a bound" in found.uncertainty

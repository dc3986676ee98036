"""The optimizers on losses with known minima."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import optax
import pytest

from tumble import Parameter, ResultCode
from tumble._errors import CapabilityError
from tumble._parameters import ParameterSpace
from tumble.gradients import GradientEstimate
from tumble.objectives import Evaluation
from tumble.optimizers import (
    DeterministicTask,
    GaussNewton,
    NoisyTask,
    Optax,
    StochasticGaussNewton,
)
from tumble.optimizers._secant import Visit, completed, left_out, secant_curvature

SPACE = ParameterSpace({n: Parameter(-5, 5, scale="linear") for n in ("a", "b")})


def run(optimizer, task, starts, max_steps=500):
    state = optimizer.init(task, np.atleast_2d(np.array(starts, dtype=float)))
    reports = []
    while state.stop is None and len(reports) < max_steps:
        state, report = optimizer.step(task, state)
        reports.append(report)
    return optimizer.solution(state), state, reports


def least_squares(residual, jacobian, *, curvature=True):
    def evaluate(z, rows):
        r = np.stack([residual(p) for p in z])
        j = np.stack([jacobian(p) for p in z])
        values = 0.5 * (r**2).sum(1)
        gradients = np.einsum("mr,mrp->mp", r, j)
        return Evaluation(values, gradients, np.einsum("mrp,mrq->mpq", j, j) if curvature else None)

    return DeterministicTask(SPACE, evaluate, 1e-8)


def rosenbrock(**options):
    return least_squares(
        lambda p: np.array([10 * (p[1] - p[0] ** 2), 1 - p[0]]),
        lambda p: np.array([[-20 * p[0], 10.0], [-1.0, 0.0]]),
        **options,
    )


@pytest.mark.parametrize("curvature", [True, False], ids=["gauss-newton", "bfgs"])
def test_rosenbrock_from_several_starts(curvature):
    starts = [[-1.2, 1.0], [3.0, -3.0], [0.0, 4.0]]
    solution, state, _ = run(GaussNewton(), rosenbrock(curvature=curvature), starts)
    assert np.allclose(solution.z, 1, atol=1e-3)
    assert state.stop.code is ResultCode.CONVERGED
    assert solution.starts.shape == (3,)


def test_minimum_beyond_a_bound_is_held_at_it():
    """(a − 7)² + (b − a/7 − 1)² within |a| ≤ 5: a = 5, b = 12/7."""
    task = least_squares(
        lambda p: np.array([p[0] - 7, p[1] - p[0] / 7 - 1]),
        lambda p: np.array([[1.0, 0.0], [-1 / 7, 1.0]]),
    )
    solution, state, _ = run(GaussNewton(), task, [[0.0, 0.0]])
    assert np.allclose(solution.z, [5, 12 / 7], atol=1e-6)
    assert state.stop.code is ResultCode.CONVERGED


def test_loss_never_rises():
    _, _, reports = run(GaussNewton(), rosenbrock(), [[-1.2, 1.0]])
    losses = [r.loss for r in reports]
    assert all(b <= a for a, b in pairwise(losses))


def test_starts_that_cannot_be_computed_are_left_and_none_is_told():
    def evaluate(z, rows):
        bad = z[:, 0] > 1
        values = np.where(bad, np.inf, (z**2).sum(1))
        return Evaluation(values, 2 * z, np.tile(2 * np.eye(2), (len(z), 1, 1)))

    task = DeterministicTask(SPACE, evaluate, 1e-8)
    solution, _, _ = run(GaussNewton(), task, [[2.0, 0.0], [0.5, 0.5]])
    assert np.allclose(solution.z, 0, atol=1e-6)
    state = GaussNewton().init(task, np.array([[2.0, 0.0]]))
    assert state.stop.code is ResultCode.DIVERGED
    assert "not finite at any start" in state.stop.reason


def noisy_quadratic(matrix, minimum, sd, seed, tolerance, *, curvature=True, data=0.0, told=1.0):
    """L = ½ (z − m)ᵀ A (z − m), gradients with covariance A sd²/n A, and ``told`` · A for A."""
    root = matrix * sd

    def estimate(z, num_runs, step):
        rng = np.random.default_rng([seed, step])
        noise = root @ rng.normal(size=2) / np.sqrt(num_runs)
        gap = z - minimum
        return GradientEstimate(
            0.5 * gap @ matrix @ gap,
            0.0,
            matrix @ gap + noise,
            root @ root.T / num_runs,
            told * matrix if curvature else None,
            np.zeros((2, 2)) if curvature else None,
            num_runs,
            float(num_runs),
            0.0,
        )

    return NoisyTask(SPACE, estimate, tolerance, lambda z: matrix, lambda z: np.full(2, data))


MATRIX = np.array([[50.0, 5.0], [5.0, 1.0]])
MINIMUM = np.array([1.0, -2.0])


def test_averaged_estimate_has_the_error_it_states():
    errors, scores = [], []
    for seed in range(200):
        task = noisy_quadratic(MATRIX, MINIMUM, 2.0, seed, 0.02)
        solution, state, _ = run(StochasticGaussNewton(), task, [[4.0, 4.0]])
        assert state.stop.code is ResultCode.NOISE_LIMITED
        gap = solution.z - MINIMUM
        errors.append(gap)
        scores.append(gap @ np.linalg.solve(solution.noise, gap))
    assert np.all(np.std(errors, axis=0) < 1.2 * 0.02)
    # The squared distance in stated standard errors is χ² with two degrees of freedom: mean 2.
    assert 1.5 < np.mean(scores) < 2.6


def test_what_gauss_newton_leaves_out_is_found():
    """With half the curvature full steps would go to the other side for ever."""
    scores, steps = [], []
    for seed in range(60):
        task = noisy_quadratic(MATRIX, MINIMUM, 2.0, seed, 0.02, told=0.5)
        solution, state, reports = run(StochasticGaussNewton(), task, [[2.0, 1.0]])
        assert state.stop.code is ResultCode.NOISE_LIMITED
        gap = solution.z - MINIMUM
        scores.append(gap @ np.linalg.solve(solution.noise, gap))
        steps.append(len(reports))
    # Stated errors are off by as much as the curvature is at the end, which is not by its half.
    assert 1.2 < np.mean(scores) < 3.5
    assert np.median(steps) < 25


def test_what_is_left_out_is_the_rest_of_the_second_derivative():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(2, 3, 3))
    known, whole = (r @ r.T for r in root)
    before, after = rng.normal(size=(2, 3)) * 1e-5
    none, exact = np.zeros((3, 3)), [Visit(z, whole @ z, np.zeros((3, 3))) for z in (before, after)]
    found = left_out(none, known, *exact)
    step = after - before
    assert step @ (known + found) @ step == pytest.approx(step @ whole @ step)
    vague = [visit._replace(covariance=np.eye(3) * 1e3) for visit in exact]
    assert np.array_equal(left_out(none, known, *vague), none)
    assert np.array_equal(left_out(none, known, exact[0], exact[0]), none)
    # Over a long way the second derivative is not the one at its end.
    far = Visit(after + 2.0, whole @ (after + 2.0), np.zeros((3, 3)))
    assert np.allclose(left_out(none, known, exact[0], far), none, atol=1e-6)
    # No direction is trusted to be flatter than half, or steeper than four times.
    factors = np.linalg.eigvals(np.linalg.solve(known, completed(known, -2 * known)))
    assert np.allclose(factors, 0.5)
    assert np.allclose(completed(known, 9 * known), 4 * known)


def test_finer_tolerance_takes_more_runs():
    spent = []
    for tolerance in (0.1, 0.02):
        task = noisy_quadratic(MATRIX, MINIMUM, 2.0, 0, tolerance)
        _, _, reports = run(StochasticGaussNewton(), task, [[4.0, 4.0]])
        spent.append(sum(r.num_runs for r in reports))
    assert spent[1] > 4 * spent[0]


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [(StochasticGaussNewton(), "a tenth of the error"), (Optax(optax.adam(0.05)), "a tenth of")],
)
def test_data_that_say_little_are_not_followed_closely(optimizer, words):
    task = noisy_quadratic(MATRIX, MINIMUM, 2.0, 0, 0.001, data=0.5)
    solution, state, reports = run(optimizer, task, [[2.0, -1.0]])
    assert state.stop.code is ResultCode.NOISE_LIMITED
    assert words in state.stop.reason
    assert np.all(np.sqrt(np.diag(solution.noise)) <= 0.05)
    # An error of 0.001 in both takes 4 · 10⁶ runs: sd² / 0.001².
    assert sum(r.num_runs for r in reports) < 200_000


def test_a_curvature_that_nobody_knows_is_found_on_the_way():
    for seed in range(20):
        task = noisy_quadratic(MATRIX, MINIMUM, 2.0, seed, 0.02, curvature=False)
        task = replace(task, curvature=lambda z: None)
        solution, state, reports = run(StochasticGaussNewton(), task, [[4.0, 4.0]])
        assert state.stop.code is ResultCode.NOISE_LIMITED
        assert np.all(np.abs(solution.z - MINIMUM) < 0.1)  # five times the tolerance
        assert len(reports) < 60


def test_a_secant_is_the_curvature_of_a_parabola_and_noise_is_not_taken_for_one():
    def visit(z, noise=0.0):
        z = np.array([z])
        return Visit(z, 3.0 * (z - 1.0), np.array([[noise**2]]))

    unknown = np.full((1, 1), np.nan)
    assert np.isnan(secant_curvature(unknown, Visit.nowhere(1), visit(0.0))).all()
    known = secant_curvature(unknown, visit(0.0), visit(0.5))
    assert np.allclose(known, 3.0)
    assert np.isnan(secant_curvature(unknown, visit(0.0, 0.5), visit(0.5, 0.5))).all()
    downward = Visit(np.array([0.5]), np.array([-9.0]), np.zeros((1, 1)))
    assert secant_curvature(known, visit(0.0), downward) is known
    full = secant_curvature(
        np.diag([2.0, 5.0]),
        Visit(np.zeros(2), np.zeros(2), np.zeros((2, 2))),
        Visit(np.array([1.0, 1.0]), np.array([4.0, 1.0]), np.zeros((2, 2))),
    )
    assert np.allclose(full @ [1.0, 1.0], [4.0, 1.0]) and np.allclose(full, full.T)


def test_steps_take_the_runs_that_are_missing():
    """An error of 0.02 in both takes 10⁴ runs: few steps, and not many times as many runs."""
    for seed in range(10):
        task = noisy_quadratic(MATRIX, MINIMUM, 2.0, seed, 0.02)
        _, _, reports = run(StochasticGaussNewton(), task, [[2.0, -1.0]])
        assert len(reports) <= 10
        assert sum(r.num_runs for r in reports) < 25_000


def test_without_noise_the_minimum_is_reached():
    def estimate(z, num_runs, step):
        gap = z - MINIMUM
        none = np.zeros((2, 2))
        return GradientEstimate(
            0.5 * gap @ MATRIX @ gap, 0.0, MATRIX @ gap, none, MATRIX, none, 1, 0.0, 0.0
        )

    task = NoisyTask(SPACE, estimate, 0.01, lambda z: None, lambda z: np.zeros(2))
    solution, state, _ = run(StochasticGaussNewton(), task, [[4.0, 4.0]])
    assert state.stop.code is ResultCode.NOISE_LIMITED
    assert np.all(np.abs(solution.z - MINIMUM) < 0.002)


def test_a_gradient_that_fails_shortens_the_step():
    task = noisy_quadratic(np.eye(2), np.zeros(2), 0.1, 0, 0.01)

    def broken(z, num_runs, step):
        estimate = task.estimate(z, num_runs, step)
        if z[0] < -0.5:  # beyond the minimum the simulator explodes
            nothing = np.full((2, 2), np.nan)
            return GradientEstimate(
                np.nan, np.nan, nothing[0], nothing, None, None, num_runs, 0.0, 0.0
            )
        return estimate

    solution, state, _ = run(
        StochasticGaussNewton(largest_step=3.0),
        NoisyTask(SPACE, broken, 0.01, task.curvature, task.data_errors),
        [[3.0, 0.0]],
    )
    assert state.stop.code is ResultCode.NOISE_LIMITED
    assert np.allclose(solution.z, 0, atol=0.05)


def test_optax_on_a_deterministic_loss():
    task = least_squares(lambda p: p - MINIMUM, lambda p: np.eye(2))
    solution, state, _ = run(Optax(optax.sgd(0.3)), task, [[4.0, 4.0], [0.0, 0.0]])
    assert np.allclose(solution.z, MINIMUM, atol=1e-6)
    assert state.stop.code is ResultCode.CONVERGED


@pytest.mark.parametrize("transformation", [optax.adam(0.1), optax.sgd(0.02)], ids=["adam", "sgd"])
def test_optax_on_a_noisy_loss_averages_and_stops(transformation):
    matrix = np.diag([10.0, 4.0])
    task = noisy_quadratic(matrix, MINIMUM, 2.0, 3, 0.02, curvature=False)
    solution, state, reports = run(Optax(transformation), task, [[4.0, 4.0]], 3000)
    assert state.stop.code is ResultCode.NOISE_LIMITED
    assert np.allclose(solution.z, MINIMUM, atol=0.1)
    assert reports[-1].num_runs > reports[0].num_runs


def test_optax_line_searches_are_refused():
    task = least_squares(lambda p: p - MINIMUM, lambda p: np.eye(2))
    with pytest.raises(CapabilityError, match=r"leave out its line search, or use optimizers"):
        run(Optax(optax.lbfgs()), task, [[0.0, 0.0]])

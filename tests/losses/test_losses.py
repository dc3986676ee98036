"""Losses: derivatives, and the bias of what batches say about them, summed exactly."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from tumble._errors import ParameterError
from tumble.gradients._estimate import SampledJacobian, assemble, gauss_newton
from tumble.losses import Linear, Quadratic, Smooth, SmoothedAbsolute, times
from tumble.objectives import BoundOutputs

TARGET = np.array([0.4, 0.9, 0.2])
WEIGHT = np.array([1.0, 0.5, 2.0])
MATRIX = np.array([[2.0, 0.5, 0.1], [0.5, 1.0, 0.3], [0.1, 0.3, 0.7]])


def log_ratio(m, y):
    return jnp.sum(jnp.log(m / y) ** 2) + m[0] * y[-1]


LOSSES = [
    Linear(WEIGHT),
    Quadratic(TARGET, WEIGHT),
    Quadratic(TARGET, MATRIX),
    SmoothedAbsolute(TARGET, WEIGHT, 0.1),
    Smooth(log_ratio, TARGET, np.arange(3)),
    Smooth(log_ratio, TARGET, np.array([0, 2])),
]
IDS = ["linear", "diagonal", "matrix", "absolute", "smooth", "smooth, one missing"]


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_derivatives(loss):
    m, h = np.array([0.5, 0.6, 0.7]), 1e-5
    shifts = h * np.eye(3)
    slope = (loss.value(m + shifts) - loss.value(m - shifts)) / (2 * h)
    np.testing.assert_allclose(loss.slope(m), slope, rtol=1e-6, atol=1e-9)
    second = (loss.slope(m + shifts) - loss.slope(m - shifts)) / (2 * h)
    np.testing.assert_allclose(times(loss.second(m), np.eye(3)), second, rtol=1e-6, atol=1e-8)
    if loss.compares:
        from dataclasses import replace

        up, down = (
            np.stack([replace(loss, target=TARGET + s * shift).slope(m) for shift in shifts])
            for s in (1, -1)
        )
        mixed = times(loss.mixed(m), np.eye(3))
        np.testing.assert_allclose(mixed, (up - down) / (2 * h), rtol=1e-6, atol=1e-8)
    rows = np.stack([[m, m + 0.1], [m + 0.2, m]])
    assert loss.value(rows).shape == (2, 2) and loss.slope(rows).shape == (2, 2, 3)
    assert loss.value(rows)[1, 1] == pytest.approx(float(loss.value(m)))


def test_the_kink_has_subgradient_zero():
    sharp = SmoothedAbsolute(TARGET, WEIGHT, 0.0)
    assert sharp.value(TARGET) == 0
    assert sharp.slope(TARGET).tolist() == [0, 0, 0]
    assert sharp.value(TARGET + 0.1) == pytest.approx(0.1 * WEIGHT.sum())
    assert "1/√runs" in sharp.remaining_bias
    round_one = SmoothedAbsolute(TARGET, WEIGHT, 0.02)
    m = np.array([0.5, 0.2, 0.2])
    assert 0 <= sharp.value(m) - round_one.value(m) <= 0.02 * WEIGHT.sum()


def test_weights_that_make_no_sense():
    with pytest.raises(ParameterError, match=r"expected \(3,\) or \(3, 3\)"):
        Quadratic(TARGET, np.ones(2))
    with pytest.raises(ParameterError, match="not symmetric"):
        Quadratic(TARGET, np.triu(np.ones((3, 3))))


P = np.array([0.3, 0.6])
JACOBIANS = np.array([[[1.0, -0.5], [0.2, 0.4]], [[-0.3, 0.8], [0.7, -0.1]]])
"""Of runs in which a coin falls 0 or 1, [2, F, P]."""
FEATURES = np.array([[0.2, 0.5], [0.9, 0.6]])
COIN = 0.3
MEAN = (1 - COIN) * FEATURES[0] + COIN * FEATURES[1]
JACOBIAN = (1 - COIN) * JACOBIANS[0] + COIN * JACOBIANS[1]


def expectations(loss, n, corrected):
    """Return E[value] and E[gradient] [P] of batches of n coins, summed over their outcomes."""
    bound = BoundOutputs(None, None, [], loss)
    value, gradient = 0.0, np.zeros(2)
    for ones in range(n + 1):
        coins = np.repeat([0, 1], [n - ones, ones])
        sample = SampledJacobian(FEATURES[coins], JACOBIANS[coins], n, 0)
        chance = binom.pmf(ones, n, COIN)
        if corrected:
            found = assemble(bound, sample)
            value, gradient = value + chance * found.value, gradient + chance * found.gradient
        else:
            mean = sample.features.mean(0)
            value = value + chance * loss.value(mean)
            gradient = gradient + chance * (loss.slope(mean) @ sample.jacobians.mean(0))
    return value, gradient


def biases(loss, n, corrected):
    value, gradient = expectations(loss, n, corrected)
    return np.abs([value - loss.value(MEAN), *(gradient - loss.slope(MEAN) @ JACOBIAN)])


@pytest.mark.parametrize(
    "loss",
    [Linear(WEIGHT[:2]), Quadratic(P, WEIGHT[:2]), Quadratic(P, MATRIX[:2, :2])],
    ids=IDS[:3],
)
@pytest.mark.parametrize("n", [4, 8])
def test_polynomials_are_unbiased_at_every_batch_size(loss, n):
    assert np.all(biases(loss, n, corrected=True) < 1e-13)
    if isinstance(loss, Quadratic):
        assert np.all(biases(loss, n, corrected=False) > 1e-3)


@pytest.mark.parametrize(
    "loss",
    [
        Smooth(lambda m, y: jnp.sum(jnp.log(m / y) ** 2), P, np.arange(2)),
        Smooth(lambda m, y: jnp.exp(2 * m @ y), P, np.arange(2)),
        SmoothedAbsolute(P, WEIGHT[:2], 1.0),
    ],
    ids=["log", "exp", "absolute"],
)
def test_the_bias_of_other_losses_falls_as_one_over_the_square_of_the_runs(loss):
    """Without the jackknife, as one over the runs. Slopes are those of log bias on log n."""
    sizes = np.array([64, 128])
    assert "1/runs²" in loss.remaining_bias
    for corrected, expected in ((False, -1.0), (True, -2.0)):
        found = np.log([biases(loss, n, corrected) for n in sizes])
        slopes = np.diff(found, axis=0)[-1] / np.log(2)
        np.testing.assert_allclose(slopes, expected, atol=0.1)


@pytest.mark.parametrize("loss", [LOSSES[2], LOSSES[4]], ids=["matrix", "smooth"])
def test_the_covariance_is_that_of_repeats(loss):
    rng = np.random.default_rng(0)
    bound = BoundOutputs(None, None, [], loss)
    found = []
    for _ in range(2000):
        f = rng.gamma(4.0, 0.15, (100, 3))
        jacobians = f[:, :, None] * rng.normal(1.0, 1.0, (100, 3, 2))
        found.append(assemble(bound, SampledJacobian(f, jacobians, 100, 0)))
    spread = np.cov(np.stack([e.gradient for e in found]), rowvar=False)
    stated = np.mean([e.covariance for e in found], axis=0)
    # The variance of 2,000 draws is known to 3 %.
    np.testing.assert_allclose(np.diag(stated), np.diag(spread), rtol=0.13)
    values = np.var([e.value for e in found], ddof=1)
    assert np.mean([e.value_variance for e in found]) == pytest.approx(values, rel=0.13)
    assert found[0].remaining_bias == loss.remaining_bias


def test_curvatures_of_matrices_and_diagonals_agree():
    jacobians = np.random.default_rng(0).normal(size=(20, 3, 2))
    one = gauss_newton(jacobians, WEIGHT)
    other = gauss_newton(jacobians, np.diag(WEIGHT))
    np.testing.assert_allclose(one, other)


@pytest.mark.parametrize("smoothing", [0.3, 0.0])
def test_parabolas_touch_the_absolute_loss_and_lie_above_it(smoothing):
    rng = np.random.default_rng(4)
    target, weight = rng.normal(size=5), rng.uniform(0.5, 2, 5)
    loss = SmoothedAbsolute(target, weight, smoothing)
    at, beyond = rng.normal(size=5), 3 * rng.normal(size=(200, 5))
    step = beyond - at
    above = loss.value(at) + step @ loss.slope(at) + step**2 @ loss.majorant(at) / 2
    assert np.all(above >= loss.value(beyond))
    assert np.all(loss.stiffness(at) >= 0.1 * loss.majorant(at))
    if smoothing:  # the parabola is the tightest: it touches again on the other side
        mirrored = 2 * target - at
        step = mirrored - at
        above = loss.value(at) + step @ loss.slope(at) + step**2 @ loss.majorant(at) / 2
        assert loss.value(mirrored) == pytest.approx(above)


@pytest.mark.parametrize("smoothing", [0.3, 0.01])
def test_shifts_are_minima(smoothing):
    from scipy.optimize import minimize

    rng = np.random.default_rng(5)
    loss = SmoothedAbsolute(np.zeros(12), rng.uniform(0.5, 2, 12), smoothing)
    jacobian, errors = rng.normal(size=(12, 2)), rng.normal(size=(6, 12))
    found = loss.shifts(jacobian, errors)
    for u, e in zip(found, errors, strict=True):
        best = minimize(lambda x, e=e: loss.value(jacobian @ x - e), u, method="Nelder-Mead")
        assert loss.value(jacobian @ u - e) <= best.fun + 1e-4


def test_shifts_of_a_wide_loss_are_least_squares():
    """For ε far above the errors, Σ w √(r² + ε²) is quadratic."""
    rng = np.random.default_rng(6)
    weight = rng.uniform(0.5, 2, 12)
    jacobian, errors = rng.normal(size=(12, 2)), rng.normal(size=(3, 12))
    loss = SmoothedAbsolute(np.zeros(12), weight, 1e4)
    normal = np.linalg.solve(jacobian.T * weight @ jacobian, jacobian.T * weight)
    np.testing.assert_allclose(loss.shifts(jacobian, errors), errors @ normal.T, rtol=1e-6)

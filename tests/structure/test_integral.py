"""Integrals by importance sampling against closed forms."""

import numpy as np
import pytest
from scipy import stats

from tumble import Parameter, Problem, ReactionNetwork, priors
from tumble._random import Stream
from tumble.objectives import PathLikelihood
from tumble.structure import Joint, Mode, integrate


def mode(x, value=0.0, width=1.0):
    size = len(x)
    return Mode(np.array(x, float), value, width**2 * np.eye(size))


def run(log_density, modes, seed, tolerance=0.02):
    rng = np.random.default_rng(seed)
    return integrate(log_density, modes, rng, tolerance, 65_536)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_hill_with_exponential_tails(seed):
    """The product of logistic densities: its integral is 1."""
    found = run(lambda x: stats.logistic.logpdf(x).sum(1), [mode([0.0, 0.0, 0.0])], seed)
    assert found.settled and found.standard_error <= 0.02
    assert abs(found.log_value) < 4 * found.standard_error
    assert found.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_hill_that_no_start_has_found(seed):
    """A tenth of the mass is known: without the guard, the logarithm would be 2.3 too small."""

    def two_hills(x):
        near = stats.norm.logpdf(x, [2.0, 2.0], 0.3).sum(1) + np.log(0.1)
        far = stats.norm.logpdf(x, [-2.0, 0.0], 0.4).sum(1) + np.log(0.9)
        return np.logaddexp(near, far)

    found = run(two_hills, [mode([2.0, 2.0], width=0.3)], seed)
    assert found.settled
    assert abs(found.log_value) < 4 * found.standard_error


def test_a_ridge_that_laplace_misjudges():
    """Uniform along the first coordinate up to an edge: half a box of logistic mass."""

    def ridge(x):
        flat = np.where(x[:, 0] < 0, 0.0, -np.inf)
        return stats.logistic.logpdf(x[:, 0]) + flat + stats.norm.logpdf(x[:, 1], 0, 0.01)

    found = run(ridge, [mode([-1.0, 0.0], width=0.01)], 0)
    assert found.settled
    assert abs(found.log_value - np.log(0.5)) < 4 * found.standard_error


def test_what_is_too_hard_is_said():
    size = 12
    narrow = lambda x: stats.norm.logpdf(x, 1.0, 1e-3).sum(1)  # noqa: E731
    found = integrate(narrow, [mode([0.0] * size)], np.random.default_rng(0), 0.02, 256)
    assert not found.settled
    nothing = integrate(lambda x: np.full(len(x), -np.inf), [mode([0.0])],
                        np.random.default_rng(0), 0.1, 128)  # fmt: skip
    assert nothing.log_value == -np.inf and not nothing.settled


@pytest.mark.parametrize(
    ("parameter", "mean"),
    [
        (Parameter(0.1, 10), None),
        (Parameter(0.1, 10, scale="linear"), None),
        (Parameter(0.1, 0.9, scale="logit"), None),
        (Parameter(0.1, 10, prior=priors.LogNormal(0.0, 0.5)), 0.0),
        (Parameter(1e-6, 1e6, prior=priors.LogNormal(1.0, 0.01)), 1.0),
        (Parameter(0.5, 10, prior=priors.Gamma(2.0, 1.0)), None),
        (Parameter(0.1, 3, scale="linear", prior=priors.Normal(0.0, 2.0)), None),
        (Parameter(0.1, 0.9, scale="logit", prior=priors.Beta(2.0, 5.0)), None),
    ],
    ids=str,
)
def test_the_prior_is_a_density_within_the_bounds(parameter, mean):
    """Without data the integral is 1, also where the bounds cut a prior."""
    problem = Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"), data={"time": [1.0], "X": [5.0]},
        initial={"X": 10}, parameters={"gamma": parameter},
    )  # fmt: skip
    joint = Joint(problem, PathLikelihood().bind(problem))
    x = np.linspace(-30, 30, 200_001)[:, None]
    given = np.zeros(len(x))
    if parameter.prior is not None:
        import jax

        with jax.enable_x64(True):
            given = np.asarray(parameter.prior.log_prob(problem.space.from_fit(joint.z(x))[:, 0]))
    density = np.exp(joint.log_prior(x) + given)
    assert np.trapezoid(density, x[:, 0]) == pytest.approx(1, abs=1e-5)
    if mean is not None:
        z = joint.z(x)[:, 0]
        assert np.trapezoid(density * z, x[:, 0]) == pytest.approx(mean, abs=1e-4)


def test_gradient_and_curvature_are_those_of_the_density():
    problem = Problem(
        ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma"),
        data={"time": [1.0, 2.0, 3.0], "X": [40.0, 60.0, 66.0]}, initial={"X": 0},
        parameters={
            "k": Parameter(1, 1e3), "gamma": Parameter(0.05, 20, prior=priors.LogNormal(0, 1))
        },
    )  # fmt: skip
    joint = Joint(problem, PathLikelihood().bind(problem))
    x, step = np.array([[0.3, -0.4]]), 1e-5
    moved = np.concatenate([x + step * np.eye(2), x - step * np.eye(2)])
    values = -joint.log_density(moved)
    found = joint.evaluate(x)
    assert np.allclose(found.gradients[0], (values[:2] - values[2:]) / (2 * step), rtol=1e-3)
    assert found.values[0] == pytest.approx(-joint.log_density(x)[0])
    modes = joint.modes(4, Stream.from_seed(0))
    at = joint.evaluate(modes[0].x[None])
    assert np.abs(at.gradients).max() < 0.05
    assert np.allclose(np.linalg.inv(modes[0].covariance), at.curvatures[0], rtol=0.3, atol=0.3)

"""The path likelihood as the fit sees it: value, gradient, curvature on the fit scale."""

from dataclasses import replace

import numpy as np
import pytest

from tests import helpers
from tumble import Parameter, Problem, noise, priors
from tumble._errors import CapabilityError, DataError
from tumble._observable import Observable
from tumble.objectives import PathLikelihood
from tumble.objectives._path_likelihood import _compiled
from tumble.simulators import FiniteStateProjection, LinearNoise, ParticleFilter


def z_of(problem):
    return problem.space.to_fit(helpers.SIR_PARAMS)


@pytest.mark.parametrize("through", [LinearNoise(), FiniteStateProjection()], ids=repr)
def test_gradient_is_that_of_the_value(through):
    problem = helpers.sir_problem()
    bound = PathLikelihood(through).bind(problem)
    z = z_of(problem)
    step = 1e-5
    points = np.concatenate([z + step * np.eye(5), z - step * np.eye(5), z[None]])
    evaluation = bound.evaluate(points)
    quotient = (evaluation.values[:5] - evaluation.values[5:10]) / (2 * step)
    assert np.allclose(evaluation.gradients[-1], quotient, rtol=2e-4, atol=2e-4)


def test_value_is_minus_the_log_likelihood_and_priors_enter():
    problem = helpers.sir_problem()
    z = z_of(problem)
    plain = PathLikelihood().bind(problem).evaluate(z[None])
    value, gradient = LinearNoise().likelihood(problem).value_and_gradient(helpers.SIR_PARAMS)
    assert plain.values[0] == pytest.approx(-value)
    assert np.allclose(plain.gradients[0], -gradient * helpers.SIR_PARAMS)
    prior = priors.LogNormal(0.0, 0.5)
    parameters = {**problem.parameters, "gamma": Parameter(0.05, 5, prior=prior)}
    informed = replace(problem, parameters=parameters)
    with_prior = PathLikelihood().bind(informed).evaluate(z[None])
    gamma = helpers.SIR_PARAMS[1]
    added = -(-0.5 * (np.log(gamma) / 0.5) ** 2 - np.log(gamma * 0.5 * np.sqrt(2 * np.pi)))
    assert with_prior.values[0] - plain.values[0] == pytest.approx(added)
    extra = with_prior.gradients[0] - plain.gradients[0]
    assert extra[1] == pytest.approx(np.log(gamma) / 0.25 + 1)
    assert np.allclose(np.delete(extra, 1), 0)


def test_curvature_is_the_fisher_information():
    """Its mean over data drawn from the Gaussian model itself is the variance of the gradient."""
    problem = Problem(
        helpers.immigration_death(),
        data={"time": np.arange(1.0, 6.0), "X": np.full(5, 90.0)},
        initial={"X": 60},
        observables={"X": Observable("X", noise.Normal(8.0))},
        parameters={"k": Parameter(1, 1e4), "gamma": Parameter(0.01, 100)},
    )
    bound = PathLikelihood().bind(problem)
    theta = np.array([100.0, 1.0])
    rng = np.random.default_rng(0)
    e = np.exp(-1.0)
    state, series = np.full(400, 60.0), np.empty((400, 5))
    for t in range(5):
        variance = state * e * (1 - e) + 100 * (1 - e)
        state = state * e + 100 * (1 - e) + rng.normal(size=400) * np.sqrt(variance)
        series[:, t] = state + 8 * rng.normal(size=400)
    problems = [problem.with_data([row[None, :, None]]) for row in series]
    evaluation = bound.evaluate(np.tile(np.log(theta), (400, 1)), problems)
    assert evaluation.curvatures is not None
    information = evaluation.curvatures.mean(0)
    spread = np.cov(evaluation.gradients, rowvar=False)
    assert np.allclose(np.diag(information), np.diag(spread), rtol=0.25)
    assert np.all(np.linalg.eigvalsh(information) > 0)


def test_problems_that_differ_in_data_share_the_compiled_function():
    problem = helpers.sir_problem()
    PathLikelihood().bind(problem).evaluate(z_of(problem)[None])
    before = _compiled.cache_info().misses
    other = problem.with_data([problem.experiments[0].data.values + 1])
    first = PathLikelihood().bind(problem).evaluate(z_of(problem)[None])
    second = PathLikelihood().bind(other).evaluate(z_of(problem)[None])
    assert _compiled.cache_info().misses == before
    assert first.values[0] != second.values[0]


def test_rows_do_not_depend_on_their_neighbors():
    problem = helpers.sir_problem()
    bound = PathLikelihood().bind(problem)
    z = z_of(problem) + 0.1 * np.random.default_rng(0).normal(size=(11, 5))
    together = bound.evaluate(z)
    alone = np.array([bound.evaluate(row[None]).values[0] for row in z])
    assert np.allclose(together.values, alone, rtol=1e-12)


def test_what_cannot_be_computed_is_infinite():
    network = helpers.ReactionNetwork.from_text("2 X -> 3 X ; k")
    problem = Problem(
        network,
        data={"time": [1.0], "X": [10.0]},
        initial={"X": 10},
        parameters={"k": Parameter(1e-3, 1e6)},
    )
    evaluation = PathLikelihood().bind(problem).evaluate(np.log([[1e-3], [1e5]]))
    assert np.isfinite(evaluation.values[0]) and evaluation.values[1] == np.inf


def test_refusals():
    problem = helpers.sir_problem()
    with pytest.raises(
        CapabilityError, match="offers no deterministic likelihood; use LinearNoise"
    ):
        PathLikelihood(ParticleFilter()).bind(problem)
    snapshots = replace(problem.experiments[0], kind="snapshots")
    with pytest.raises(DataError, match="needs time series, but the data are of kind 'snapshots'"):
        PathLikelihood().bind(replace(problem, experiments=[snapshots]))

"""Parameters that differ from run to run: against integrals over their law."""

import jax
import numpy as np
import pytest
from scipy import integrate, stats
from typer.testing import CliRunner

from tests import helpers
from tumble import RandomEffect, Ref, _random_effect, fit, sample_posterior
from tumble._errors import CapabilityError, ParameterError
from tumble._experiment import Experiment
from tumble._parameters import Parameter
from tumble._problem import Problem
from tumble._random import Stream
from tumble.cli import app
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.io import load_run_config
from tumble.io._yaml import RunFileError
from tumble.models import ReactionNetwork
from tumble.objectives import MomentMatching, PathLikelihood
from tumble.posteriors import SMCABC
from tumble.simulators import FiniteStateProjection

ARRIVALS = ReactionNetwork.from_text("0 -> X ; k")
CELLS = np.array([4.0, 9.0, 2.0, 31.0, 12.0, 0.0])
UNKNOWN = {"m": Parameter(1, 100), "s": Parameter(0.05, 2)}


def cells_problem(cells, effect=None, **changes):
    """Return arrivals during one unit of time, whose rate differs from cell to cell."""
    effect = RandomEffect("m", Ref("s")) if effect is None else effect
    experiment = Experiment(
        helpers.series([1.0], *cells[:, None]), {"X": 0}, {"k": effect}, kind="snapshots"
    )
    return Problem(ARRIVALS, experiments=[experiment], **({"parameters": UNKNOWN} | changes))


def exact_log_prob(x, median, sigma):
    """Return log ∫ Poisson(x; m exp(s ε)) φ(ε) dε."""
    value, _ = integrate.quad(
        lambda e: stats.poisson.pmf(x, median * np.exp(sigma * e)) * stats.norm.pdf(e),
        -9, 9, epsabs=1e-16, epsrel=1e-12, limit=400,
    )  # fmt: skip
    return np.log(value)


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_likelihood_of_cells_is_an_integral_over_their_rates(sigma):
    theta = np.array([8.0, sigma])
    likelihood = FiniteStateProjection(tolerance=1e-12).likelihood(cells_problem(CELLS))
    value, gradient = likelihood.value_and_gradient(theta)
    exact = sum(exact_log_prob(x, *theta) for x in CELLS)
    assert value == pytest.approx(exact, abs=1e-6)
    for p in range(2):
        h = 1e-4 * theta[p] * np.eye(2)[p]
        ends = [sum(exact_log_prob(x, *(theta + sign * h)) for x in CELLS) for sign in (1, -1)]
        assert gradient[p] == pytest.approx((ends[0] - ends[1]) / (2 * h[p]), rel=1e-4)


def test_counts_that_tell_their_rate_take_more_nodes_or_are_refused(monkeypatch):
    cells = np.array([300.0, 180.0, 260.0])
    likelihood = FiniteStateProjection().likelihood(cells_problem(cells, RandomEffect("m", "s")))
    exact = sum(exact_log_prob(x, 250.0, 0.3) for x in cells)
    assert likelihood.value(np.array([250.0, 0.3])) == pytest.approx(exact, abs=1e-4)
    monkeypatch.setattr(_random_effect, "_NARROWEST", 0.5)
    with pytest.raises(CapabilityError, match="tells its own rate better than the quadrature"):
        likelihood.value(np.array([250.0, 0.5]))


def test_no_spread_is_no_effect():
    alone = cells_problem(CELLS, RandomEffect("m", 0.0), parameters={"m": UNKNOWN["m"]})
    value = FiniteStateProjection().likelihood(alone).value(np.array([8.0]))
    assert value == pytest.approx(stats.poisson.logpmf(CELLS, 8.0).sum(), abs=1e-6)


def moments(median, sigma):
    """Return mean and variance of a Poisson number of log-normal mean."""
    mean = median * np.exp(sigma**2 / 2)
    return mean, mean + mean**2 * np.expm1(sigma**2)


def test_runs_have_rates_of_their_own():
    """Mean and variance of many cells, within 4 standard errors."""
    sample = cells_problem(CELLS).simulate_binding(
        0, np.array([8.0, 0.5]), Stream.from_seed(0), 20_000
    )
    x = sample.states[:, 0, 0].astype(float)
    mean, variance = moments(8.0, 0.5)
    assert abs(x.mean() - mean) < 4 * x.std() / np.sqrt(len(x))
    spread = ((x - x.mean()) ** 2).std() / np.sqrt(len(x))
    assert abs(x.var() - variance) < 4 * spread


@pytest.mark.parametrize("estimator", [CoupledDifference(), ScoreFunction()])
def test_gradients_of_moments_are_those_of_the_mixture(estimator):
    """Of the loss of mean and variance, by the median and by the spread."""
    problem = cells_problem(np.array([3.0, 5.0, 9.0, 14.0] * 5))
    z = problem.space.to_fit(np.array([8.0, 0.5]))
    objective = MomentMatching().bind(problem)
    found = estimator.estimate(objective, z, 20_000, Stream.from_seed(1))

    def loss(z):
        median, sigma = problem.space.from_fit(z)
        e = np.linspace(-8, 8, 1601)
        given = stats.poisson.pmf(np.arange(200)[:, None], median * np.exp(sigma * e))
        return objective.value((given @ stats.norm.pdf(e) * (e[1] - e[0])) @ features)

    with jax.enable_x64(True):
        states = np.arange(200)[:, None, None]
        features = np.asarray(objective.features_of(0, states, np.array([8.0, 0.5])))[:, 0]
    for p in range(2):
        h = 1e-4 * np.eye(2)[p]
        exact = (loss(z + h) - loss(z - h)) / 2e-4
        assert abs(found.gradient[p] - exact) < 4.5 * found.standard_errors[p]


def test_what_needs_one_rate_for_all_runs_says_so():
    problem = cells_problem(CELLS)
    z = problem.space.to_fit(np.array([8.0, 0.5]))
    with pytest.raises(CapabilityError, match="'k' differs from run to run"):
        AlternativePath().estimate(MomentMatching().bind(problem), z, 64, Stream.from_seed(0))
    one = Experiment(helpers.series([1.0], [3]), {"X": 0}, {"k": RandomEffect("m", "s")})
    series = Problem(ARRIVALS, parameters=UNKNOWN, experiments=[one])
    for through in (PathLikelihood(), PathLikelihood(FiniteStateProjection())):
        with pytest.raises(CapabilityError, match="'k' differs from run to run"):
            fit(series, objective=through)
    with pytest.raises(ParameterError, match=r"RandomEffect\(sigma=...\)` is -1"):
        RandomEffect("m", -1)
    with pytest.raises(ParameterError, match=r"RandomEffect\(median=...\)` is 0"):
        RandomEffect(0, 1)
    with pytest.raises(ParameterError, match="needs parameter 'missing'"):
        cells_problem(CELLS, RandomEffect("missing", "s"))


def seen_cells():
    """Return cells whose rate has median 20 and spread 0.4, and the problem of finding them."""
    rng = np.random.default_rng(0)
    cells = rng.poisson(20 * np.exp(0.4 * rng.standard_normal(150))).astype(float)
    return cells_problem(cells, parameters={"m": Parameter(5, 80), "s": Parameter(0.1, 1)})


def test_a_fit_through_the_exact_law_finds_median_and_spread():
    found = fit(seen_cells(), objective=PathLikelihood(FiniteStateProjection()), seed=0)
    for estimate, truth in zip(found.estimates, (20.0, 0.4), strict=True):
        assert estimate.interval[0] < truth < estimate.interval[1]
        assert estimate.standard_error < 0.2


def test_a_posterior_by_simulation_finds_median_and_spread():
    posterior = sample_posterior(seen_cells(), method=SMCABC(num_particles=300), seed=0)
    for name, truth in (("m", 20.0), ("s", 0.4)):
        low, high = posterior.intervals()[name]
        assert low < truth < high and high / low < 3


RUN = """
model: "0 -> X ; k"
experiments:
  - data: {time: [1], X: [9]}
    initial: {X: 0}
    kind: snapshots
    conditions: {k: {median: m, sigma: SIGMA}}
parameters:
  m: {lower: 1, upper: 100}
"""


def test_a_run_file_has_them_and_says_what_is_wrong(tmp_path, monkeypatch):
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)
    path = tmp_path / "run.yaml"
    path.write_text(RUN.replace("SIGMA", "0.3"))
    problem = load_run_config(path).problem()
    assert problem.experiments[0].conditions == {"k": RandomEffect("m", 0.3)}
    told = CliRunner().invoke(app, ["simulate", str(path), "-p", "m=8", "-o", "x.csv"])
    assert told.exit_code == 2 and "another number in every run" in told.stderr
    path.write_text(RUN.replace("SIGMA", "-1"))
    with pytest.raises(RunFileError, match=r"conditions.k`: `RandomEffect\(sigma=...\)` is -1"):
        load_run_config(path)
    path.write_text(RUN.replace("sigma: SIGMA", "sd: 1"))
    with pytest.raises(RunFileError, match="unknown key 'sd', expected median, sigma"):
        load_run_config(path)

"""Draws through likelihoods, against exact posteriors."""

import sys

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests.helpers import arrival, immigration_death
from tests.posteriors.test_sample_posterior import COUNT, arrivals, exact, off
from tumble._errors import CapabilityError, ParameterError
from tumble.posteriors import (
    ABCMCMC,
    NUTS,
    AdaptiveMetropolis,
    ParticleMCMC,
    Summary,
    SyntheticLikelihood,
)
from tumble.posteriors._synthetic import NormalSummaries
from tumble.simulators import FiniteStateProjection, LinearNoise

EXACT = FiniteStateProjection()


def few_arrivals(count=12, noise=None):
    """Return the problem of a small Poisson count, perhaps measured with noise."""
    observables = None if noise is None else {"X": tb.Observable("X", noise=noise)}
    return tb.Problem(
        arrival(), data={"time": [2.0], "X": [count]}, initial={"X": 0},
        parameters={"k": tb.Parameter(0.5, 50)}, observables=observables,
    )  # fmt: skip


def two_rates(prior=None):
    """Return three counts of immigration and death."""
    return tb.Problem(
        immigration_death(), data={"time": [1.0, 2.0, 3.0], "X": [29, 41, 43]}, initial={"X": 0},
        parameters={"k": tb.Parameter(5, 200), "gamma": tb.Parameter(0.1, 10, prior=prior)},
    )  # fmt: skip


def truth_on_a_grid(problem, through, size=80):
    """Return mean and standard deviation [P] of the log parameters by the likelihood itself."""
    bound = tb.objectives.PathLikelihood(through).bind(problem)
    low, high = problem.space.lower, problem.space.upper
    # In the middle of cells, so that the bounds count as they should.
    axes = [a + (b - a) * (np.arange(size) + 0.5) / size for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(low))
    logs = -bound.values(grid)
    for name, column in zip(problem.space.names, grid.T, strict=True):
        if problem.space.parameters[name].prior is not None:
            logs = logs + column  # the prior is one of the parameter, the grid of its logarithm
    density = np.exp(logs - logs.max())
    density /= density.sum()
    mean = density @ grid
    return mean, np.sqrt(density @ (grid - mean) ** 2)


def off_from(found, mean, sd):
    """Return by how many standard errors means and spreads of log parameters are off."""
    z, size = np.log(found.theta), found.effective_sample_size
    means = (found.weights @ z - mean) / sd * np.sqrt(size)
    spreads = np.sqrt(found.weights @ (z - mean) ** 2) / sd
    return np.abs([*means, *((spreads - 1) * np.sqrt(size / 2) / 1.5)]).max()


def test_metropolis_draws_from_the_exact_posterior():
    method = AdaptiveMetropolis(EXACT, num_draws=400)
    found = tb.sample_posterior(few_arrivals(), method=method, seed=1)
    assert found.result.ok and found.effective_sample_size >= 400
    assert np.abs(off(found, exact(12))).max() < 4


@pytest.mark.parametrize("prior", [None, tb.priors.LogNormal(0, 0.3)], ids=["flat", "prior"])
def test_metropolis_draws_from_the_posterior_of_linear_noise(prior):
    problem = two_rates(prior)
    found = tb.sample_posterior(problem, method=AdaptiveMetropolis(), seed=2)
    assert found.result.ok
    assert off_from(found, *truth_on_a_grid(problem, LinearNoise())) < 4


@pytest.mark.slow
@pytest.mark.parametrize("prior", [None, tb.priors.LogNormal(0, 0.3)], ids=["flat", "prior"])
def test_nuts_draws_from_the_same(prior):
    problem = two_rates(prior)
    found = tb.sample_posterior(problem, method=NUTS(), seed=2)
    assert found.result.ok
    assert off_from(found, *truth_on_a_grid(problem, LinearNoise())) < 4


def test_nuts_draws_from_the_posterior_of_one_rate():
    problem = few_arrivals(count=30)
    found = tb.sample_posterior(problem, method=NUTS(num_draws=400), seed=2)
    assert found.result.ok
    assert off_from(found, *truth_on_a_grid(problem, LinearNoise(), 400)) < 4


def noisy_truth(count):
    """Return mean and sd of log k for a count that is measured with Poisson noise."""
    grid = np.linspace(0.5, 50, 4000)
    states = np.arange(400)
    likelihood = stats.poisson(2 * grid[:, None]).pmf(states) @ stats.poisson(
        np.maximum(states, 1e-300)
    ).pmf(count)
    density = likelihood / grid
    density /= density.sum()
    mean = density @ np.log(grid)
    return np.array([mean]), np.array([np.sqrt(density @ (np.log(grid) - mean) ** 2)])


@pytest.mark.parametrize("screen", [LinearNoise(), None], ids=["screened", "plain"])
def test_particle_chains_draw_from_the_exact_posterior(screen):
    problem = few_arrivals(noise=tb.noise.Poisson())
    found = tb.sample_posterior(problem, method=ParticleMCMC(screen=screen), seed=3)
    assert found.result.ok
    assert off_from(found, *noisy_truth(12)) < 4


def test_a_poor_screen_and_few_particles_cost_draws_and_not_exactness():
    problem = few_arrivals(2, tb.noise.Poisson())  # where linear noise is far off
    found = tb.sample_posterior(problem, method=ParticleMCMC(num_particles=10), seed=4)
    assert found.result is tb.ResultCode.AT_BOUND and "R-hat" in found.reason  # it has mixed
    assert off_from(found, *noisy_truth(2)) < 4


def test_abc_chains_are_exact_at_tolerance_zero():
    method = ABCMCMC(tolerance=0.0)
    found = tb.sample_posterior(arrivals(), method=method, seed=1)
    assert found.result.ok
    assert np.abs(off(found, exact())).max() < 4


def test_synthetic_likelihood_is_exact_where_summaries_are_normal():
    """The mean of many counts, the law of which is normal as good as exactly."""
    problem = tb.Problem(
        arrival(), data={"time": [2.0], "X": [2000]}, initial={"X": 0},
        parameters={"k": tb.Parameter(100, 10_000)},
    )  # fmt: skip
    found = tb.sample_posterior(problem, method=SyntheticLikelihood(num_draws=300), seed=1)
    assert found.result.ok
    assert np.abs(off(found, stats.gamma(2000, scale=0.5))).max() < 4


def test_the_synthetic_density_is_unbiased():
    rng = np.random.default_rng(5)
    mean, root = np.array([1.0, -2.0]), np.array([[2.0, 0.0], [0.7, 0.5]])

    class Known:
        comparison = None

    def averaged(at):
        known = Known()
        known.comparison = type("C", (), {"observed": at})
        density = NormalSummaries(known, 12)
        draws = mean + rng.standard_normal((40_000, 12, 2)) @ root.T
        values = np.exp([density._log_density(d) for d in draws])
        return values.mean(), values.std() / np.sqrt(len(values))

    law = stats.multivariate_normal(mean, root @ root.T)
    near, far = mean + np.array([[0.5, 0.5], [-3.0, 0.4]])
    (one, error), (other, doubt) = averaged(near), averaged(far)
    expected = law.pdf(near) / law.pdf(far)
    tolerance = 4 * one / other * np.hypot(error / one, doubt / other)
    assert abs(one / other - expected) < tolerance
    assert doubt / other < 0.05  # else the test would say little


# -- promises ------------------------------------------------------------------


def two_signs():
    """Return a problem with two modes: only the square of a matters."""
    return tb.Problem(
        tb.ReactionNetwork.from_text("0 -> X ; a * a"),
        data={"time": [1.0], "X": [400]}, initial={"X": 0},
        parameters={"a": tb.Parameter(-30, 30, scale="linear")},
    )  # fmt: skip


def test_modes_that_chains_cannot_leave_are_told():
    method = AdaptiveMetropolis(max_steps=300)
    found = tb.sample_posterior(two_signs(), method=method, seed=1)
    assert found.result is tb.ResultCode.NOT_MIXED and "R-hat is" in found.reason
    assert "several modes" in found.summary()
    # Yet both were found.
    assert 0.1 < np.mean(found.theta > 0) < 0.9
    assert np.abs(np.abs(found.theta).mean() - 20) < 1


def test_where_the_data_are_impossible_it_says_so():
    problem = tb.Problem(
        tb.ReactionNetwork.from_text("X -> 0 ; k"), data={"time": [1.0], "X": [12]},
        initial={"X": 10}, parameters={"k": tb.Parameter(0.1, 10)},
    )  # fmt: skip
    with pytest.raises(tb.TumbleError, match="the data are impossible"):
        tb.sample_posterior(problem, method=AdaptiveMetropolis(EXACT))
    with pytest.raises(tb.TumbleError, match="use more particles"):
        tb.sample_posterior(problem, method=ParticleMCMC(num_particles=50))


def test_the_same_seed_gives_the_same_draws_whatever_the_executor():
    from concurrent.futures import ThreadPoolExecutor

    problem = few_arrivals(noise=tb.noise.Poisson())
    method = ParticleMCMC(num_particles=20, num_draws=100, max_steps=200)
    one = tb.sample_posterior(problem, method=method, seed=7)
    with ThreadPoolExecutor(2) as pool:
        two = tb.sample_posterior(problem, method=method, seed=7, executor=pool)
    np.testing.assert_array_equal(one.theta, two.theta)


def test_ctrl_c_keeps_the_rounds_and_a_budget_ends_it():
    seen = []

    def stop(done):
        seen.append(done)
        if len([r for r in seen if not r.warming]) == 2:
            raise KeyboardInterrupt

    problem = few_arrivals(noise=tb.noise.Poisson())
    method = ParticleMCMC(num_particles=20, num_draws=10**6)
    found = tb.sample_posterior(problem, method=method, callback=stop)
    assert found.result is tb.ResultCode.INTERRUPTED
    assert found.basis.z.shape[:2] == (8, 100)
    spent = tb.sample_posterior(problem, method=method, budget=tb.Budget(simulations=100_000))
    assert spent.result is tb.ResultCode.OUT_OF_BUDGET and spent.stats["runs"] < 200_000


def test_it_is_told_on_one_screen_and_kept_in_a_file(tmp_path):
    from tumble.io import load_posterior

    problem = few_arrivals()
    found = tb.sample_posterior(problem, method=AdaptiveMetropolis(num_draws=200), seed=1)
    text = found.summary()
    assert "likelihoods" in text and "chains, largest R-hat 1.0" in text
    tree = load_posterior(found.save(tmp_path / "chains.nc"))
    assert "unadjusted_posterior" not in tree.children
    assert tree["posterior"]["k"].shape == found.basis.z.shape[:2]
    np.testing.assert_allclose(tree["posterior"]["k"].values, np.exp(found.basis.z[:, :, 0]))
    assert tree["rounds"]["warming"].values[0] == 1


def test_without_blackjax_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "blackjax", None)
    with pytest.raises(CapabilityError, match=r"tumble\[mcmc\]"):
        tb.sample_posterior(few_arrivals(), method=NUTS())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveMetropolis("exact"), "`through` is 'exact'"),
        (lambda: AdaptiveMetropolis(screen=3), "`screen` is 3"),
        (lambda: AdaptiveMetropolis(num_draws=0), "`num_draws` is 0"),
        (lambda: ParticleMCMC(num_particles=-1), "`num_particles` is -1"),
        (lambda: NUTS(through=EXACT), "`through` is FiniteStateProjection"),
        (lambda: ABCMCMC(quantile=2), "`quantile` is 2"),
        (lambda: ABCMCMC(tolerance=-1), "`tolerance` is -1"),
        (lambda: SyntheticLikelihood(summary=3), "`summary` is 3"),
        (lambda: tb.posteriors.SMCABC(adjustment="linear"), "`adjustment` is 'linear'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_too_few_data_sets_for_a_covariance_are_refused():
    many = Summary(lambda sets: np.arange(50) + sets[0].sum())
    method = SyntheticLikelihood(summary=many, num_data_sets=40)
    with pytest.raises(ParameterError, match="expected at least 54"):
        tb.sample_posterior(arrivals(COUNT), method=method)

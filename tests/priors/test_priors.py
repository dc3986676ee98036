from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from tumble import priors
from tumble._errors import ParameterError

CONTINUOUS = [
    (priors.Uniform(-1.0, 3.0), stats.uniform(-1, 4)),
    (priors.LogUniform(0.1, 20.0), stats.loguniform(0.1, 20)),
    (priors.Normal(-2.0, 0.7), stats.norm(-2, 0.7)),
    (priors.LogNormal(0.4, 0.6), stats.lognorm(0.6, scale=np.exp(0.4))),
    (priors.Gamma(2.5, 0.5), stats.gamma(2.5, scale=2)),
    (priors.Gamma(1.0, 3.0), stats.gamma(1.0, scale=1 / 3)),
    (priors.Beta(2.0, 3.5), stats.beta(2, 3.5)),
    (priors.Beta(1.0, 1.0), stats.beta(1, 1)),
]
MEMBERS = [*CONTINUOUS, (priors.Poisson(3.7), stats.poisson(3.7))]


def over(members):
    ids = [str(prior) for prior, _ in members]
    return pytest.mark.parametrize(("prior", "reference"), members, ids=ids)


each, each_continuous = over(MEMBERS), over(CONTINUOUS)


def log_prob(prior, value):
    with jax.enable_x64(True):
        return np.asarray(prior.log_prob(jnp.asarray(value, dtype=float)))


def test_every_member_is_tested():
    members = {getattr(priors, name) for name in priors.__all__} - {priors.AbstractPrior}
    assert members == {type(prior) for prior, _ in MEMBERS}


@each
def test_log_prob_is_that_of_scipy(prior, reference):
    x = reference.ppf(np.linspace(0.01, 0.99, 21))
    exact = reference.logpdf(x) if hasattr(reference.dist, "logpdf") else reference.logpmf(x)
    np.testing.assert_allclose(log_prob(prior, x), exact, rtol=1e-11, atol=1e-11)


@each
def test_cdf_is_that_of_scipy(prior, reference):
    x = np.concatenate([[-5.0], reference.ppf(np.linspace(0.01, 0.99, 21)), [300.0]])
    np.testing.assert_allclose(prior.cdf(x), reference.cdf(x), rtol=1e-11, atol=1e-14)


@each_continuous
def test_densities_integrate_to_one_with_the_stated_mean_and_variance(prior, reference):
    lower, upper = np.clip(prior.support, -40, 200)
    for function, exact in (
        (lambda x: 1.0, 1.0),
        (lambda x: x, prior.mean),
        (lambda x: (x - prior.mean) ** 2, prior.variance),
    ):
        total = integrate.tanhsinh(
            lambda x, f=function: f(x) * np.exp(log_prob(prior, x)), lower, upper, rtol=1e-10
        )
        assert total.integral == pytest.approx(exact, rel=1e-7)


def test_masses_sum_to_one_with_the_stated_mean_and_variance():
    prior = priors.Poisson(3.7)
    n = np.arange(80.0)
    mass = np.exp(log_prob(prior, n))
    assert mass.sum() == pytest.approx(1, rel=1e-12)
    assert mass @ n == pytest.approx(prior.mean, rel=1e-12)
    assert mass @ (n - prior.mean) ** 2 == pytest.approx(prior.variance, rel=1e-12)


@each
def test_mean_variance_and_quantiles_are_those_of_scipy(prior, reference):
    assert prior.mean == pytest.approx(reference.mean(), rel=1e-12)
    assert prior.variance == pytest.approx(reference.var(), rel=1e-10)
    u = np.linspace(0.001, 0.999, 31)
    np.testing.assert_allclose(prior.quantile(u), reference.ppf(u), rtol=1e-9)


@each_continuous
def test_the_slope_of_the_quantile_is_one_over_the_density(prior, reference):
    u, h = np.linspace(0.05, 0.95, 13), 1e-5
    slope = (prior.quantile(u + h) - prior.quantile(u - h)) / (2 * h)
    np.testing.assert_allclose(slope, np.exp(-log_prob(prior, prior.quantile(u))), rtol=1e-6)


@each
def test_samples(prior, reference):
    n = 100_000
    draws = prior.sample(np.random.default_rng(1), (n // 2, 2))
    assert draws.shape == (n // 2, 2)
    draws = draws.ravel()
    assert abs(draws.mean() - prior.mean) < 4 * np.sqrt(prior.variance / n)
    squares = (draws - prior.mean) ** 2
    assert abs(squares.mean() - prior.variance) < 4 * squares.std() / np.sqrt(n)
    assert draws.min() >= prior.support[0]
    assert draws.max() <= prior.support[1]
    if hasattr(reference.dist, "logpdf"):
        assert stats.kstest(draws, reference.cdf).pvalue > 1e-4


@each
def test_the_density_is_zero_outside_the_support(prior, reference):
    lower, upper = prior.support
    outside = [x for x in (lower - 0.1, lower - 30, upper + 0.1, upper + 30) if np.isfinite(x)]
    assert outside or isinstance(prior, priors.Normal)
    assert np.all(log_prob(prior, outside) == -np.inf)


@each_continuous
def test_the_slope_of_log_prob_is_right_inside_and_finite_everywhere_inside(prior, reference):
    x = prior.quantile(np.linspace(0.05, 0.95, 7))
    with jax.enable_x64(True):
        slope = np.asarray(jax.vmap(jax.grad(prior.log_prob))(jnp.asarray(x)))
    h = 1e-6 * np.abs(x)
    central = (log_prob(prior, x + h) - log_prob(prior, x - h)) / (2 * h)
    np.testing.assert_allclose(slope, central, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: priors.Uniform(2.0, 1.0), r"`Uniform\(lower, upper\)` is \(2\.0, 1\.0\), expected "
         r"finite lower < upper\."),
        (lambda: priors.Uniform(0.0, np.inf), r"`Uniform\(lower, upper\)` is \(0\.0, inf\)"),
        (lambda: priors.Uniform(np.nan, 1.0), r"`Uniform\(lower, upper\)` is \(nan, 1\.0\)"),
        (lambda: priors.LogUniform(0.0, 1.0), r"`LogUniform\(lower=\.\.\.\)` is 0\.0, expected a "
         r"number > 0\."),
        (lambda: priors.LogUniform(2.0, 2.0), r"`LogUniform\(lower, upper\)` is \(2\.0, 2\.0\)"),
        (lambda: priors.Normal(0.0, 0.0), r"`Normal\(scale=\.\.\.\)` is 0\.0, expected a number"),
        (lambda: priors.LogNormal(0.0, -1.0), r"`LogNormal\(scale=\.\.\.\)` is -1\.0"),
        (lambda: priors.Gamma(-1.0, 1.0), r"`Gamma\(shape=\.\.\.\)` is -1\.0"),
        (lambda: priors.Gamma(1.0, np.inf), r"`Gamma\(rate=\.\.\.\)` is inf"),
        (lambda: priors.Beta(0.0, 1.0), r"`Beta\(a=\.\.\.\)` is 0\.0"),
        (lambda: priors.Beta(1.0, 0.0), r"`Beta\(b=\.\.\.\)` is 0\.0"),
        (lambda: priors.Poisson(np.nan), r"`Poisson\(rate=\.\.\.\)` is nan"),
    ],
)  # fmt: skip
def test_errors(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_priors_are_values():
    assert priors.Normal(0.0, 1.0) == priors.Normal(0.0, 1.0)
    assert len({priors.Gamma(1.0, 2.0), priors.Gamma(1.0, 2.0), priors.Gamma(2.0, 1.0)}) == 2

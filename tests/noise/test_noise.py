from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from tumble import noise
from tumble._errors import CapabilityError, ParameterError

# member, its arguments, and an independent reference: x -> a distribution of scipy
COUNTS = [
    (noise.Poisson(), {}, lambda x: stats.poisson(x)),
    (noise.NegativeBinomial("phi"), {"phi": 1.7}, lambda x: stats.nbinom(1.7, 1.7 / (1.7 + x))),
    (noise.NegativeBinomial("phi"), {"phi": 200.0}, lambda x: stats.nbinom(200, 200 / (200 + x))),
    (noise.Binomial("p"), {"p": 0.35}, lambda x: stats.binom(int(x), 0.35)),
]
REAL = [
    (noise.Normal("sd"), {"sd": 1.3}, lambda x: stats.norm(x, 1.3)),
    (noise.LogNormal("sd"), {"sd": 0.4}, lambda x: stats.lognorm(0.4, scale=x)),
]
EXACT = (noise.Exact(), {}, None)
LEVELS = [1.0, 7.0, 40.0]


def over(members):
    ids = [type(member).__name__ + "".join(map(str, args.values())) for member, args, _ in members]
    return pytest.mark.parametrize(("member", "args", "reference"), members, ids=ids)


def log_prob(member, y, x, args):
    with jax.enable_x64(True):
        return np.asarray(member.log_prob(jnp.asarray(y, float), jnp.asarray(x, float), args))


def moments(member, x, args):
    """E and Var, the same in NumPy and in JAX."""
    functions = (member.mean, member.variance)
    with jax.enable_x64(True):
        in_jax = [np.asarray(f(jnp.asarray(x, float), args, jnp)) for f in functions]
    in_numpy = [f(np.asarray(x, float), args) for f in functions]
    np.testing.assert_allclose(in_numpy, in_jax, rtol=1e-14)
    return in_numpy


def test_every_member_is_tested():
    members = {getattr(noise, name) for name in noise.__all__} - {
        noise.AbstractNoise,
        noise.DatumLaw,
    }
    assert members == {type(member) for member, *_ in [*COUNTS, *REAL, EXACT]}


@over(COUNTS)
@pytest.mark.parametrize("x", LEVELS)
def test_count_densities_sum_to_one_with_the_stated_moments(member, args, reference, x):
    y = np.arange(2000.0)
    log_mass = log_prob(member, y, x, args)
    inside = reference(x).logpmf(y) > -600
    np.testing.assert_allclose(log_mass[inside], reference(x).logpmf(y)[inside], rtol=1e-9)
    mass = np.exp(log_mass)
    mean, variance = moments(member, x, args)
    assert mass.sum() == pytest.approx(1, rel=1e-9)
    assert mass @ y == pytest.approx(float(mean), rel=1e-8)
    assert mass @ (y - mean) ** 2 == pytest.approx(float(variance), rel=1e-8)
    assert member.counts


@over(REAL)
@pytest.mark.parametrize("x", LEVELS)
def test_real_densities_integrate_to_one_with_the_stated_moments(member, args, reference, x):
    mean, variance = (float(m) for m in moments(member, x, args))
    y = np.linspace(0.2 * x, 3 * x, 30)
    np.testing.assert_allclose(log_prob(member, y, x, args), reference(x).logpdf(y), rtol=1e-10)
    for power, exact in ((0, 1.0), (1, mean), (2, variance + mean**2)):
        total = integrate.tanhsinh(
            lambda y, power=power: y**power * np.exp(log_prob(member, y, x, args)),
            *(mean + np.array([-40, 40]) * np.sqrt(variance) if not member.positive
              else (1e-9, mean + 200 * np.sqrt(variance))),
            rtol=1e-10,
        )  # fmt: skip
        assert total.integral == pytest.approx(exact, rel=1e-7)


def test_the_median_of_lognormal_noise_is_the_observable():
    draws = noise.LogNormal(0.8).sample(np.random.default_rng(0), np.full(40_000, 5.0), {"sd": 0.8})
    assert abs((draws < 5.0).mean() - 0.5) < 4 * 0.5 / np.sqrt(40_000)


@over([*COUNTS, *REAL])
@pytest.mark.parametrize("x", [0.0, *LEVELS])
def test_samples_have_the_stated_mean_and_variance(member, args, reference, x):
    n = 100_000
    draws = member.sample(np.random.default_rng(2), np.full((n // 4, 4), x), args)
    assert draws.shape == (n // 4, 4)
    assert draws.dtype == float
    draws = draws.ravel()
    mean, variance = (float(m) for m in moments(member, x, args))
    squares = (draws - mean) ** 2
    assert abs(draws.mean() - mean) <= 4 * draws.std() / np.sqrt(n)
    assert abs(squares.mean() - variance) <= 4 * squares.std() / np.sqrt(n)
    if member.positive or member.counts:
        assert draws.min() >= 0
    if member.counts:
        assert np.all(draws == np.rint(draws))


@over(COUNTS)
def test_count_samples_follow_the_density(member, args, reference):
    x, n = 7.0, 100_000
    draws = member.sample(np.random.default_rng(3), np.full(n, x), args).astype(int)
    mass = np.exp(log_prob(member, np.arange(500), x, args))
    edge = np.flatnonzero(n * mass > 10).max()
    expected = n * np.append(mass[:edge], 1 - mass[:edge].sum())
    observed = np.bincount(np.minimum(draws, edge), minlength=edge + 1)
    keep = expected > 5
    assert observed[~keep].sum() <= 5 * np.sum(~keep) + 5
    statistic = ((observed - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(statistic, keep.sum() - 1) > 1e-4


@over([*COUNTS, *REAL, EXACT])
def test_an_observable_of_zero_gives_no_nan(member, args, reference):
    y = np.array([0.0, 1.0, 12.0])
    values = log_prob(member, y, 0.0, args)
    assert not np.any(np.isnan(values))
    mean, variance = moments(member, 0.0, args)
    assert mean == 0
    assert variance == (args["sd"] ** 2 if isinstance(member, noise.Normal) else 0)

    def density(x, y, args):
        return member.log_prob(y, x, args)

    for datum in y:
        with jax.enable_x64(True):
            slopes = jax.grad(density, argnums=(0, 2))(0.0, datum, args)
        assert np.all(np.isfinite(jax.tree.leaves(slopes)))


@over(COUNTS)
def test_nothing_is_counted_where_nothing_is(member, args, reference):
    assert log_prob(member, 0.0, 0.0, args) == pytest.approx(0, abs=1e-9)
    assert log_prob(member, 1.0, 0.0, args) < -20


@over([*COUNTS, *REAL])
def test_slopes_in_the_observable_and_in_the_arguments(member, args, reference):
    y, x, h = 6.0, 9.3, 1e-6

    def density(x, args):
        return member.log_prob(y, x, args)

    with jax.enable_x64(True):
        in_x, in_args = jax.grad(density, argnums=(0, 1))(x, args)
        central = (density(x + h, args) - density(x - h, args)) / (2 * h)
        np.testing.assert_allclose(in_x, central, rtol=1e-6)
        for key, value in args.items():
            h = 1e-4 * value
            above, below = ({**args, key: value + s} for s in (h, -h))
            central = (density(x, above) - density(x, below)) / (2 * h)
            np.testing.assert_allclose(in_args[key], central, rtol=1e-5, atol=1e-8)


def both_ways(function, *arguments):
    """The values in NumPy; those in JAX are the same."""
    in_numpy = np.asarray(function(*arguments, np))
    with jax.enable_x64(True):
        np.testing.assert_allclose(in_numpy, np.asarray(function(*arguments, jnp)), atol=1e-12)
    return in_numpy


@over([*COUNTS, *REAL])
@pytest.mark.parametrize("x", LEVELS)
def test_distribution_functions(member, args, reference, x):
    y = np.linspace(-1.5, 3 * x, 40)
    found = both_ways(member.cdf, y, np.full(40, x), args)
    np.testing.assert_allclose(found, reference(x).cdf(y), rtol=1e-9, atol=1e-12)


@over([*COUNTS, *REAL])
def test_slopes_of_distribution_functions(member, args, reference):
    y, h = np.array([-0.5, 0.5, 6.5, 20.5]), 1e-4

    def cdf(x, args):
        return member.cdf(jnp.asarray(y), x, args, jnp)

    with jax.enable_x64(True):
        in_x, in_args = jax.jacfwd(cdf, argnums=(0, 1))(9.3, args)
        central = (cdf(9.3 + h, args) - cdf(9.3 - h, args)) / (2 * h)
        np.testing.assert_allclose(in_x, central, rtol=1e-5, atol=1e-9)
        for key, value in args.items():
            h = 1e-4 * value
            above, below = ({**args, key: value + s} for s in (h, -h))
            central = (cdf(9.3, above) - cdf(9.3, below)) / (2 * h)
            np.testing.assert_allclose(in_args[key], central, rtol=1e-5, atol=1e-9)
        at_zero = jax.jacfwd(cdf, argnums=(0, 1))(0.0, args)
    assert np.all(np.isfinite(jax.tree.leaves(at_zero)))


@over([m for m in [*COUNTS, *REAL] if not isinstance(m[0], noise.LogNormal)])
@pytest.mark.parametrize("x", [1.0, 7.0])
def test_characteristic_functions(member, args, reference, x):
    omega = np.array([-2.0, 0.0, 0.3, 1.7])
    found = both_ways(member.characteristic, omega, np.full(4, x), args)
    if member.counts:
        y = np.arange(400.0)
        mass = reference(x).pmf(y)
    else:
        y = np.linspace(x - 12, x + 12, 20_001)
        mass = reference(x).pdf(y) * (y[1] - y[0])
    np.testing.assert_allclose(found, np.exp(1j * np.outer(omega, y)) @ mass, atol=1e-9)


def test_lognormal_noise_has_no_characteristic_function():
    with pytest.raises(CapabilityError, match=r"closed form; use distances.EnergyDistance\(\)"):
        noise.LogNormal(0.3).characteristic(1.0, 2.0, {"sd": 0.3})


def test_the_law_of_a_datum():
    noises = [(noise.Normal("sd"), {"sd": 2.0}), (noise.Exact(), {})]
    x = np.array([[3.0, 4.0], [5.0, np.nan]])
    law = noise.DatumLaw(noises, x)
    np.testing.assert_array_equal(law.mean, x)
    np.testing.assert_array_equal(law.variance[0], [4.0, 0.0])
    below = law.cdf(np.array([[3.0, 4.0], [3.5, 4.0]]))
    np.testing.assert_allclose(below[0], [[0.5, stats.norm.cdf(0.5)], [0.0, 1.0]])
    assert np.all(np.isnan(below[1, 1])) and np.all(np.isfinite(below[1, 0]))
    # Y1 + Y2 is normal; what is not used may be missing.
    total = law.projected(np.array([[1.0, 1.0]]))
    np.testing.assert_allclose(total.cdf(np.array([[7.0, 9.0]]))[0, 0], [0.5, stats.norm.cdf(1)])
    waves = law.characteristic(np.array([[0.3, 0.0], [0.3, 0.2]]))
    expected = np.exp(0.9j - 0.18), np.exp(0.9j - 0.18 + 0.8j)
    np.testing.assert_allclose(waves[0], expected)
    assert np.isfinite(waves[1, 0]) and np.isnan(waves[1, 1])
    counted = noise.DatumLaw([(noise.Poisson(), {})] * 2, x)
    with pytest.raises(CapabilityError, match=r"Poisson noise have no distribution function"):
        counted.projected(np.eye(2))


def test_no_more_can_be_counted_than_there_are():
    member = noise.Binomial("p")
    assert log_prob(member, 8.0, 7.0, {"p": 0.5}) == -np.inf
    for p in (1.0, 1e-14):
        assert not np.isnan(log_prob(member, 7.0, 7.0, {"p": p}))
    assert log_prob(member, 7.0, 7.0, {"p": 1.0}) == pytest.approx(0, abs=1e-9)


def test_exact_means_the_observable_itself():
    member = noise.Exact()
    np.testing.assert_array_equal(log_prob(member, [3.0, 4.0], 3.0, {}), [0.0, -np.inf])
    x = np.array([3, 4])
    np.testing.assert_array_equal(member.sample(np.random.default_rng(0), x, {}), [3.0, 4.0])
    np.testing.assert_array_equal(member.variance(np.array([3.0, 4.0]), {}), [0.0, 0.0])
    assert member.counts
    assert member.names == ()


def test_arguments_are_numbers_or_names():
    member = noise.NegativeBinomial("phi")
    assert member.arguments == {"phi": "phi"}
    assert member.names == ("phi",)
    assert noise.Normal(2.0).arguments == {"sd": 2.0}
    assert noise.Normal(2.0).names == ()
    assert noise.LogNormal("s").positive
    assert not noise.Normal("s").counts


@pytest.mark.parametrize(
    "make", [lambda: noise.NegativeBinomial(-1.0), lambda: noise.Normal(0.0),
             lambda: noise.Binomial(1.5), lambda: noise.LogNormal(None)],
)  # fmt: skip
def test_noise_that_makes_no_sense(make):
    with pytest.raises(ParameterError, match="expected"):
        make()

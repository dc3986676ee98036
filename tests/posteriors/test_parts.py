"""What ways to sample a posterior are made of, against definitions and exact laws."""

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests.helpers import immigration_death, immigration_death_moments
from tumble._random import Stream
from tumble.posteriors import (
    AllData,
    Comparison,
    DataSets,
    GlobalNormal,
    JointPrior,
    LocalLinear,
    LocalNormal,
    Quantiles,
    ReplicateMoments,
    Summary,
)
from tumble.posteriors._kernels import Mixture
from tumble.posteriors._posterior import weighted_quantile

TIMES = [0.5, 1.0, 3.0]


def problem_of(values, **options):
    """Return a problem of immigration and death with these data [N, T]."""
    import xarray as xr

    data = xr.DataArray(
        np.asarray(values, dtype=float)[:, :, None],
        dims=("replicate", "time", "observable"),
        coords={"time": TIMES, "observable": ["X"]},
    )
    parameters = {
        "k": tb.Parameter(1, 100),
        "gamma": tb.Parameter(0.1, 10, prior=tb.priors.LogNormal(0, 0.5)),
        **options.pop("parameters", {}),
    }
    observables = options.pop("observables", None)
    return tb.Problem(
        immigration_death(), [tb.Experiment(data, {"X": 3}, **options)], parameters, observables
    )


# -- the prior ---------------------------------------------------------------


def test_the_prior_is_uniform_on_the_scale_where_none_is_given():
    prior = JointPrior(problem_of([[3, 4, 5]]).space)
    z = prior.sample(20_000, np.random.default_rng(0))
    logs = stats.kstest(z[:, 0], stats.uniform(0, np.log(100)).cdf)
    assert logs.pvalue > 1e-3
    assert stats.kstest(z[:, 1], stats.norm(0, 0.5).cdf).pvalue > 1e-3


def test_the_density_of_the_prior_is_that_of_its_draws():
    prior = JointPrior(problem_of([[3, 4, 5]]).space)
    z = np.array([[1.0, 0.3], [2.0, -0.4], [1.0, 3.0], [-0.1, 0.0]])
    found = prior.log_density(z)
    expected = stats.norm.logpdf([0.3, -0.4], 0, 0.5)
    np.testing.assert_allclose(found[1] - found[0], expected[1] - expected[0], rtol=1e-12)
    assert found[2] == found[3] == -np.inf  # beyond the bounds


def test_a_prior_is_cut_at_the_bounds():
    cut = {"gamma": tb.Parameter(1.0, 1.5, prior=tb.priors.LogNormal(0, 0.5))}
    prior = JointPrior(problem_of([[3, 4, 5]], parameters=cut).space)
    gamma = np.exp(prior.sample(5000, np.random.default_rng(0))[:, 1])
    law = stats.lognorm(0.5)
    below, above = law.cdf(1.0), law.cdf(1.5)
    assert stats.kstest(gamma, lambda x: (law.cdf(x) - below) / (above - below)).pvalue > 1e-3


def test_a_prior_far_from_its_bounds_is_refused():
    far = {"gamma": tb.Parameter(1e3, 2e3, prior=tb.priors.LogNormal(0, 0.1))}
    prior = JointPrior(problem_of([[3, 4, 5]], parameters=far).space)
    with pytest.raises(tb.TumbleError, match="hardly reaches its bounds"):
        prior.sample(10, np.random.default_rng(0))


# -- data sets -----------------------------------------------------------------


def simulated(problem, count=4000, theta=(20.0, 1.0)):
    sets = DataSets(problem, Stream.from_seed(0))
    z = np.tile(np.log(theta), (count, 1))
    (data,), well = sets.simulate(z, 0)
    assert well.all()
    return data


def test_series_have_the_law_of_the_model():
    data = simulated(problem_of([[3, 4, 5], [1, 2, 3]]))
    assert data.shape == (4000, 2, 3, 1)
    mean, variance = immigration_death_moments(20.0, 1.0, np.array(TIMES), 3)
    flat = data.reshape(8000, 3)
    errors = np.sqrt(variance / 8000)
    assert np.abs((flat.mean(0) - mean) / errors).max() < 4
    assert np.corrcoef(flat[:, 0], flat[:, 1])[0, 1] > 0.3


def test_snapshots_are_unpaired():
    data = simulated(problem_of([[3, 4, 5], [1, 2, 3]], kind="snapshots")).reshape(8000, 3)
    mean, variance = immigration_death_moments(20.0, 1.0, np.array(TIMES), 3)
    assert np.abs((data.mean(0) - mean) / np.sqrt(variance / 8000)).max() < 4
    assert abs(np.corrcoef(data[:, 0], data[:, 1])[0, 1]) < 4 / np.sqrt(8000)


def test_averages_are_over_as_many_runs():
    data = simulated(problem_of([[3, 4, 5]], kind="mean", num_averaged=16))
    _, variance = immigration_death_moments(20.0, 1.0, np.array(TIMES), 3)
    ratio = data.var(0)[0, :, 0] / (variance / 16)
    assert np.abs(ratio - 1).max() < 4 * np.sqrt(2 / 4000)


def test_missing_data_are_missing_in_all():
    data = simulated(problem_of([[3, np.nan, 5]]), count=5)
    assert np.isnan(data[:, 0, 1]).all() and np.isfinite(data[:, 0, [0, 2]]).all()


def test_a_data_set_does_not_depend_on_the_others():
    sets = DataSets(problem_of([[3, 4, 5], [1, 2, 3]]), Stream.from_seed(1))
    z = np.log(np.random.default_rng(0).uniform(1, 9, (12, 2)))
    (together,), _ = sets.simulate(z, 0)
    (alone,), _ = sets.simulate(z[7:9], 7)
    np.testing.assert_array_equal(alone, together[7:9])


def test_measurement_noise_has_the_parameters_of_its_row():
    noisy = problem_of(
        [[3, 4, 5]],
        observables={"X": tb.Observable("2 * X", noise=tb.noise.Normal("sd"))},
        parameters={"sd": tb.Parameter(0.01, 100)},
    )
    sets = DataSets(noisy, Stream.from_seed(0))
    theta = np.repeat([[20.0, 1.0, 0.01], [20.0, 1.0, 50.0]], 3000, axis=0)
    (data,), _ = sets.simulate(np.log(theta), 0)
    _, variance = immigration_death_moments(20.0, 1.0, np.array(TIMES), 3)
    for part, sd in ((data[:3000], 0.01), (data[3000:], 50.0)):
        ratio = part.var(0)[0, :, 0] / (4 * variance + sd**2)
        assert np.abs(ratio - 1).max() < 4 * np.sqrt(2 / 3000)


def test_averages_over_very_many_runs_are_refused():
    with pytest.raises(tb.TumbleError, match="averages over 100000 runs"):
        DataSets(problem_of([[3, 4, 5]], kind="mean", num_averaged=100_000), Stream.from_seed(0))


# -- what is compared ------------------------------------------------------------


def test_summaries_are_what_they_say():
    rng = np.random.default_rng(0)
    data = [rng.normal(size=(5, 7, 3, 2))]
    np.testing.assert_array_equal(AllData().of(data), data[0].reshape(5, -1))
    moments = ReplicateMoments().of(data)
    np.testing.assert_allclose(moments[:, :6], data[0].mean(1).reshape(5, -1))
    np.testing.assert_allclose(moments[:, 6:], data[0].std(1, ddof=1).reshape(5, -1))
    found = Quantiles(2).of(data)
    np.testing.assert_allclose(found[:, :6], np.quantile(data[0], 0.25, axis=1).reshape(5, -1))
    own = Summary(lambda sets: sets[0].max()).of(data)
    np.testing.assert_allclose(own[:, 0], data[0].reshape(5, -1).max(1))


def test_a_missing_replicate_leaves_the_moments_of_the_others():
    data = np.arange(12.0).reshape(1, 4, 3, 1)
    data[0, 1, 2] = np.nan
    moments = ReplicateMoments().of([data])[0]
    np.testing.assert_allclose(moments[2], np.mean([2, 8, 11]))
    np.testing.assert_allclose(moments[5], np.std([2, 8, 11], ddof=1))


def test_a_summary_of_changing_length_is_refused():
    lengths = iter([1, 2])
    changing = Summary(lambda sets: np.ones(next(lengths)))
    with pytest.raises(tb.TumbleError, match="different shapes"):
        changing.of([np.ones((2, 1, 1, 1))])


def test_scales_are_robust_and_what_never_varies_does_not_count():
    comparison = Comparison.of(AllData(), [np.array([[[1.0], [5.0], [0.0], [0.0]]])])
    rng = np.random.default_rng(0)
    summaries = np.column_stack(
        [rng.normal(0, 2, 9999), rng.standard_cauchy(9999), np.zeros(9999), np.ones(9999)]
    )
    scale = comparison.scale(summaries)
    np.testing.assert_allclose(scale[:2], [2.0, 1.4826], rtol=0.05)
    assert scale[2] == np.inf and scale[3] == 1.0
    away = comparison.distances(np.array([[1 + 2 * scale[0], 5.0, 3.0, 0.0]]), scale)
    np.testing.assert_allclose(away, np.sqrt(4 / 4))
    assert comparison.distances(np.full((1, 4), np.nan), scale)[0] == np.inf


# -- kernels and adjustment --------------------------------------------------------


def test_local_covariances_are_second_moments_about_each_particle():
    rng = np.random.default_rng(0)
    z, weights = rng.normal(size=(30, 2)), rng.dirichlet(np.ones(30))
    near = rng.random(30) < 0.5
    found = LocalNormal().covariances(z, weights, near)
    share = weights * near / (weights * near).sum()
    for i in range(30):
        away = z - z[i]
        np.testing.assert_allclose(found[i], (share[:, None] * away).T @ away, atol=1e-9)
    shared = GlobalNormal().covariances(z, weights, near)
    np.testing.assert_allclose(shared[3], 2 * np.cov(z.T, aweights=weights, bias=True), atol=1e-9)


def test_the_density_of_proposals_is_that_of_their_draws():
    rng = np.random.default_rng(0)
    z, weights = rng.normal(size=(6, 2)), rng.dirichlet(np.ones(6))
    covariances = LocalNormal().covariances(z, weights, np.ones(6, bool))
    mixture = Mixture(z, weights, covariances)
    points = rng.normal(size=(5, 2))
    exact = sum(
        w * stats.multivariate_normal(m, c).pdf(points)
        for w, m, c in zip(weights, z, covariances, strict=True)
    )
    found = mixture.log_density(points)
    np.testing.assert_allclose(found - found[0], np.log(exact) - np.log(exact[0]), atol=1e-9)
    draws = mixture.sample(40_000, rng)
    error = draws.std(0) / np.sqrt(40_000)
    assert np.abs((draws.mean(0) - weights @ z) / error).max() < 4


def test_adjustment_is_exact_where_parameters_are_linear_in_summaries():
    rng = np.random.default_rng(0)
    z = rng.uniform(4, 6, (2000, 1))
    comparison = Comparison.of(AllData(), [np.array([[[0.0]]])])
    summaries = 10 * (z - 5.1) + rng.normal(0, 0.1, z.shape)
    distances = np.abs(summaries[:, 0])
    near = distances < 2
    moved, weights = LocalLinear().adjusted(
        z[near], np.full(near.sum(), 1 / near.sum()), summaries[near], distances[near], comparison,
        np.ones(1), (np.array([0.0]), np.array([10.0])),
    )  # fmt: skip
    mean = weights @ moved[:, 0]
    sd = np.sqrt(weights @ (moved[:, 0] - mean) ** 2)
    assert abs(mean - 5.1) < 0.002
    assert abs(sd / 0.01 - 1) < 0.15
    assert z[near].std() > 5 * sd  # before


def test_adjustment_stays_within_the_bounds():
    rng = np.random.default_rng(0)
    z = rng.uniform(0, 1, (500, 1))
    summaries = 5 * (z - 1) + rng.normal(0, 1, z.shape)
    comparison = Comparison.of(AllData(), [np.array([[[2.0]]])])
    distances = np.abs(summaries[:, 0] - 2)
    moved, _ = LocalLinear().adjusted(
        z, np.full(500, 1 / 500), summaries, distances, comparison, np.ones(1),
        (np.zeros(1), np.ones(1)),
    )  # fmt: skip
    assert moved.min() > 0 and moved.max() < 1


def test_weighted_quantiles_are_those_of_repeated_values():
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=50), rng.integers(1, 9, 50)
    repeated = np.sort(np.repeat(values, counts))
    found = weighted_quantile(values, counts / counts.sum(), 0.3)
    assert abs(np.mean(repeated <= found) - 0.3) < 9 / counts.sum()

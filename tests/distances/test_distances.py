"""Distances against their definitions by pairs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm, wasserstein_distance

from tests import helpers
from tumble._errors import CapabilityError, ParameterError
from tumble.distances import EnergyDistance, MaximumMeanDiscrepancy, WassersteinDistance
from tumble.distances._thresholds import cells
from tumble.noise import DatumLaw, Normal, Poisson

RNG = np.random.default_rng(0)
COUNTS = RNG.negative_binomial(3, 0.2, (200, 1, 1)).astype(float)
OTHERS = np.minimum(RNG.poisson(9.0, (300, 1, 1)), COUNTS.max())  # within the range of the data
REALS, MORE = RNG.gamma(3.0, 2.0, (400, 1, 1)), RNG.normal(6.0, 2.0, (500, 1, 1))


def distance(member, data, simulated, whole, joint=False):
    """Return the distance between two samples [N, 1, O]."""
    size = data.shape[-1]
    grid = member.grid(data, np.full(size, whole), np.full(size, whole), joint)
    means = [
        np.nanmean(member.features(DatumLaw.known(s), grid.points, np), axis=0).ravel()
        for s in (data, simulated)
    ]
    return float(member.loss(means[0], grid.weight.ravel()).value(means[1]))


def by_pairs(kernel, a, b):
    """Return E k(a, a') + E k(b, b') − 2 E k(a, b) of samples [N, O]."""

    def mean(x, y):
        return kernel(np.linalg.norm(x[:, None] - y, axis=-1)).mean()

    return mean(a, a) + mean(b, b) - 2 * mean(a, b)


def test_energy_distance_of_counts_is_exact():
    found = distance(EnergyDistance(), COUNTS, OTHERS, True)
    assert found == pytest.approx(by_pairs(np.negative, COUNTS[:, 0], OTHERS[:, 0]), rel=1e-12)
    assert distance(EnergyDistance(), COUNTS, COUNTS, True) == 0


def test_energy_distance_of_real_numbers_is_that_of_cells():
    exact = by_pairs(np.negative, REALS[:, 0], MORE[:, 0])
    errors = [
        abs(distance(EnergyDistance(n), REALS, MORE, False) / exact - 1) for n in (16, 64, 512)
    ]
    assert errors[1] < 0.05 and errors[2] < 0.01 and errors[2] < errors[0]


def test_outside_the_data_the_distance_goes_on_growing():
    near, far, farther = (
        distance(EnergyDistance(), REALS, REALS + shift, False) for shift in (100.0, 200.0, 350.0)
    )
    assert near < far < farther


def test_wasserstein_distance():
    exact = wasserstein_distance(COUNTS.ravel(), OTHERS.ravel())
    found = distance(WassersteinDistance(smoothing=0), COUNTS, OTHERS, True)
    assert found == pytest.approx(exact, rel=1e-12)
    smooth = distance(WassersteinDistance(smoothing=1e-3), COUNTS, OTHERS, True)
    assert smooth == pytest.approx(exact, abs=1e-3 * 31 * COUNTS.max())
    assert smooth < found
    with pytest.raises(CapabilityError, match="one observable at a time"):
        distance(WassersteinDistance(), COUNTS, OTHERS, True, joint=True)


@pytest.mark.parametrize("bandwidth", [None, 2.0, 5.0])
def test_maximum_mean_discrepancy_is_that_of_a_gaussian_kernel(bandwidth):
    member = MaximumMeanDiscrepancy(bandwidth)
    if bandwidth is None:
        gaps = np.abs(REALS[:, 0] - REALS[:, 0].T)[np.triu_indices(400, 1)]
        bandwidth = np.median(gaps)
    inside = np.clip(MORE, REALS.min(), REALS.max())
    exact = by_pairs(lambda r: np.exp(-((r / bandwidth) ** 2) / 2), REALS[:, 0], inside[:, 0])
    assert distance(member, REALS, inside, False) == pytest.approx(exact, rel=1e-5)


def test_joint_distances_see_what_margins_do_not():
    """The same margins, opposite correlation."""
    x, e = RNG.normal(size=(2, 4000, 1))
    data = np.stack([x, 0.8 * x + 0.6 * e], axis=-1)
    turned = data * [1.0, -1.0]
    for member in (EnergyDistance(num_projections=32), MaximumMeanDiscrepancy()):
        apart = distance(member, data, turned, False)
        together = distance(member, data, turned, False, joint=True)
        assert together > 20 * apart
    gaussian = by_pairs(lambda r: np.exp(-(r**2) / 2), data[:1500, 0], turned[:1500, 0])
    member = MaximumMeanDiscrepancy(bandwidth=1.0, num_frequencies=512)
    assert distance(member, data, turned, False, joint=True) == pytest.approx(gaussian, rel=0.1)


def test_noise_enters_by_its_distribution():
    """Features of a noisy law are the mean features of draws from it, and differentiable."""
    states = np.array([[[4.0]], [[9.0]]])
    rng = np.random.default_rng(1)
    for member in (EnergyDistance(), MaximumMeanDiscrepancy()):
        grid = member.grid(REALS, np.array([False]), np.array([False]), False)
        features = member.features(DatumLaw([(Normal("s"), {"s": 1.5, "sd": 1.5})], states),
                                   grid.points, np)  # fmt: skip
        draws = states + rng.normal(0, 1.5, (40_000, 1, 1))[:, None]
        sampled = member.features(DatumLaw.known(draws.reshape(-1, 1, 1)), grid.points, np)
        sampled = sampled.reshape(40_000, 2, -1).mean(0)
        np.testing.assert_allclose(features.reshape(2, -1), sampled, atol=4 / np.sqrt(40_000))

        def of_sd(sd, member=member, grid=grid):
            law = DatumLaw([(Normal("sd"), {"sd": sd})], jnp.asarray(states), jnp)
            return member.features(law, grid.points, jnp)

        with jax.enable_x64(True):
            slope = jax.jacfwd(of_sd)(1.5)
            central = (of_sd(1.5 + 1e-5) - of_sd(1.5 - 1e-5)) / 2e-5
        np.testing.assert_allclose(slope, central, atol=1e-8)


@pytest.mark.parametrize(
    ("joint", "member"),
    helpers.mostly_slow([False, True], [EnergyDistance(), MaximumMeanDiscrepancy()]),
    ids=str,
)
def test_features_of_normal_data(member, joint):
    data = RNG.normal(size=(300, 2, 2)) * [1.0, 3.0]
    real = np.zeros(2, bool)
    grid = member.grid(data, real, real, joint)
    covariance = np.array([[1.0, 0.5], [0.5, 2.0]])
    mean = np.array([[0.3, -1.0], [0.0, 2.0]])
    draws = np.random.default_rng(2).multivariate_normal([0, 0], covariance, 40_000)
    sampled = member.features(DatumLaw.known(mean + draws[:, None]), grid.points, np).mean(0)
    with jax.enable_x64(True):
        found = member.gaussian_features(mean, np.stack([covariance] * 2), grid.points, jnp)
    np.testing.assert_allclose(found, sampled, atol=4.5 / np.sqrt(40_000))


def test_cells_cover_the_data_and_beyond():
    at, width = cells(np.array([2.0, 3.0, 7.0]), True, True, 64)
    assert at[: 2 + 6].tolist()[-6:] == [2.5, 3.5, 4.5, 5.5, 6.5, 7.5]
    assert width[2:8].tolist() == [1] * 6
    assert at[0] >= 0 and at[-1] > 100
    at, width = cells(REALS.ravel(), False, False, 64)
    assert np.all(np.diff(at) > 0) and np.all(width > 0)
    assert at[0] < -10 * np.ptp(REALS) and at[-1] > 10 * np.ptp(REALS)
    for lone in (0.0, 5.0):
        for whole in (True, False):
            at, width = cells(np.full(3, lone), whole, whole, 64)
            assert np.all(np.diff(at) > 0) and np.all(width > 0) and at[-1] > lone


def test_missing_data_are_missing_features():
    data = np.concatenate([COUNTS, COUNTS[::-1]], axis=-1)
    data[3, 0, 1] = np.nan
    both = np.ones(2, bool)
    for member in (EnergyDistance(), MaximumMeanDiscrepancy()):
        grid = member.grid(data, both, both, False)
        features = member.features(DatumLaw.known(data), grid.points, np)
        assert np.all(np.isnan(features[3, 0, 1])) and np.all(np.isfinite(features[3, 0, 0]))
        grid = member.grid(data, both, both, True)
        features = member.features(DatumLaw.known(data), grid.points, np)
        assert np.all(np.isnan(features[3])) and np.all(np.isfinite(features[4]))


def test_settings_that_make_no_sense():
    with pytest.raises(
        ParameterError, match="`num_cells` is 1, expected a whole number of at least 2"
    ):
        EnergyDistance(num_cells=1)
    with pytest.raises(ParameterError, match="`num_projections` is 0"):
        EnergyDistance(num_projections=0)
    with pytest.raises(ParameterError, match="expected a probability"):
        WassersteinDistance(smoothing=1.5)
    with pytest.raises(ParameterError, match="`bandwidth` is -1"):
        MaximumMeanDiscrepancy(bandwidth=-1.0)
    with pytest.raises(ParameterError, match="`num_frequencies` is 0"):
        MaximumMeanDiscrepancy(num_frequencies=0)
    counted = DatumLaw([(Poisson(), {})] * 2, np.ones((1, 1, 2)))
    data = np.concatenate([COUNTS, COUNTS], axis=-1)
    grid = EnergyDistance().grid(data, np.ones(2, bool), np.ones(2, bool), True)
    with pytest.raises(CapabilityError, match="Poisson noise"):
        EnergyDistance().features(counted, grid.points, np)


def test_the_energy_of_a_known_law():
    """Data at 0 and 1 against N(½, 1), by quadrature of 2 ∫ (F − G)²."""
    data = np.array([0.0, 1.0])[:, None, None]
    member = EnergyDistance(num_cells=4096)
    real = np.zeros(1, bool)
    grid = member.grid(data, real, real, False)
    with jax.enable_x64(True):
        m = member.gaussian_features(np.array([[0.5]]), np.ones((1, 1, 1)), grid.points, jnp)
    y = member.features(DatumLaw.known(data), grid.points, np).mean(0)
    inside = (grid.points.at > 0) & (grid.points.at < 1)
    found = (grid.weight * (np.asarray(m) - y) ** 2)[inside].sum()
    exact = 2 * quad(lambda x: (norm.cdf(x - 0.5) - 0.5) ** 2, 0, 1)[0]
    assert found == pytest.approx(exact, rel=1e-3)

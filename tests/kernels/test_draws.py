"""Poisson and normal draws against their laws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tumble._random import Stream, run_ids
from tumble.kernels._draws import fill_normals, fill_poisson, log_poisson

KEY = np.uint64(Stream.from_seed(5).key)


def poissons(mean, num_runs=2000, per_run=100):
    out = np.empty((num_runs, per_run))
    fill_poisson(mean, KEY, run_ids(num_runs), out)
    return out


@pytest.mark.parametrize("mean", [1e-3, 0.3, 4.0, 9.999, 10.0, 13.7, 100.0, 2500.0])
def test_poisson_numbers_have_their_law(mean):
    """200,000 draws, whole distribution: inversion below 10, rejection above."""
    x = poissons(mean)
    assert np.all(x == np.floor(x)) and x.min() >= 0
    at = np.arange(int(stats.poisson.ppf(1e-9, mean)), int(stats.poisson.isf(1e-9, mean)) + 2)
    expected = x.size * stats.poisson.pmf(at, mean)
    got = np.bincount(x.astype(int).ravel(), minlength=at[-1] + 1)[at]
    common = expected > 10
    rest = x.size - got[common].sum(), x.size - expected[common].sum()
    statistic = ((got - expected)[common] ** 2 / expected[common]).sum()
    statistic += (rest[0] - rest[1]) ** 2 / max(rest[1], 1.0)
    assert 1e-4 < stats.chi2.sf(statistic, common.sum()) < 1 - 1e-4


@pytest.mark.parametrize("mean", [1e6, 1e12, 1e17])
def test_large_poisson_numbers_are_nearly_normal(mean):
    z = (poissons(mean) - mean) / np.sqrt(mean)
    assert stats.kstest(z.ravel(), "norm").pvalue > 1e-4
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / z.size)


def test_draws_in_a_row_are_uncorrelated():
    for mean in (3.0, 30.0):
        x = poissons(mean)
        pairs = np.corrcoef(x[:, :-1].ravel(), x[:, 1:].ravel())[0, 1]
        assert abs(pairs) < 4 / np.sqrt(x.size)


def test_the_log_probability_is_accurate():
    for mean in (10.0, 50.0, 1e4):
        for count in np.unique(np.round(mean + np.sqrt(mean) * np.linspace(-3, 8, 23))):
            exact = stats.poisson.logpmf(count, mean)
            np.testing.assert_allclose(log_poisson(count, mean), exact, rtol=0, atol=1e-9)
    # Far out in large numbers, where a plain formula loses all digits: d = 1e-8, mean 1e16
    exact = -0.5 - 0.5 * np.log(2 * np.pi * 1e16)
    np.testing.assert_allclose(log_poisson(1e16 + 1e8, 1e16), exact, atol=1e-6)


def test_normal_numbers_have_their_law():
    out = np.empty((1000, 100, 2))
    fill_normals(KEY, run_ids(1000), out)
    assert stats.kstest(out.ravel(), "norm").pvalue > 1e-4
    assert abs(np.corrcoef(out[..., 0].ravel(), out[..., 1].ravel())[0, 1]) < 4 / np.sqrt(1e5)
    squares = np.corrcoef((out[..., 0] ** 2).ravel(), (out[..., 1] ** 2).ravel())[0, 1]
    assert abs(squares) < 4 / np.sqrt(1e5)
    assert stats.kstest((out**2).sum(axis=-1).ravel(), "chi2", args=(2,)).pvalue > 1e-4

"""How far chains have mixed, against exact answers."""

import numpy as np
import pytest

from tumble.posteriors import Chains


def autoregressive(rng, rho, count=4, length=4000):
    """Return chains [C, n, 1] of variance 1 whose draws have correlation rho with the next."""
    steps = rng.standard_normal((count, length)) * np.sqrt(1 - rho**2)
    z = np.empty((count, length))
    z[:, 0] = rng.standard_normal(count)
    for i in range(1, length):
        z[:, i] = rho * z[:, i - 1] + steps[:, i]
    return z[:, :, None]


@pytest.mark.parametrize("rho", [0.0, 0.7, 0.95])
def test_effective_draws_are_those_of_an_autoregression(rho):
    z = autoregressive(np.random.default_rng(1), rho)
    exact = z.size * (1 - rho) / (1 + rho)
    assert Chains(z).effective_sample_sizes[0] == pytest.approx(exact, rel=0.15)
    assert Chains(z).r_hats[0] < 1.02


def test_draws_that_turn_back_are_worth_more_than_independent_ones():
    z = autoregressive(np.random.default_rng(1), -0.5)
    assert Chains(z).effective_sample_sizes[0] == pytest.approx(3 * z.size, rel=0.15)


def test_r_hat_is_large_where_chains_disagree():
    z = np.random.default_rng(2).standard_normal((4, 500, 3))
    z[0, :, 1] += 1.0  # a place of its own
    z[0, :, 2] *= 5.0  # a spread of its own
    r_hats = Chains(z).r_hats
    assert r_hats[0] < 1.01 and r_hats[1] > 1.05 and r_hats[2] > 1.05


def test_r_hat_is_large_where_chains_drift():
    z = np.random.default_rng(2).standard_normal((4, 500, 1)) + np.linspace(0, 3, 500)[:, None]
    # Means of halves are 1.5 apart; within each the drift adds 1.5² / 12 to the variance of 1.
    between, within = 8 / 7 * 0.75**2, 1 + 1.5**2 / 12
    assert Chains(z).r_hats[0] == pytest.approx(np.sqrt(1 + between / within), rel=0.02)


def test_many_short_chains_are_judged_as_few_long_ones():
    z = np.random.default_rng(3).standard_normal((100, 40, 1))
    assert Chains(z).r_hats[0] < 1.01
    z[::2] += 4.0  # half of them in another mode, evenly among the groups
    # What no comparison of groups sees, the effective number of draws does.
    assert Chains(z).effective_sample_sizes[0] < 250


def test_chains_that_stand_still_have_not_mixed():
    z = np.repeat(np.arange(4.0)[:, None], 100, axis=1)[:, :, None]
    assert Chains(z).r_hats[0] == np.inf
    assert Chains(z).effective_sample_sizes[0] < 20


def test_numbers_do_not_depend_on_a_monotone_scale():
    z = autoregressive(np.random.default_rng(4), 0.5, length=500)
    np.testing.assert_allclose(
        Chains(z).effective_sample_sizes, Chains(np.exp(z)).effective_sample_sizes
    )

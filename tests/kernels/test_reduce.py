import numpy as np
import pytest

from tumble.kernels._reduce import add_bins, add_covariances, add_moments, add_values

RNG = np.random.default_rng(5)
STATES = RNG.integers(-3, 30, (60, 4, 3)) + 10**12 * np.arange(3)
CODES = np.where(RNG.random(60) < 0.2, 1, 0)
GROUP = np.sort(RNG.integers(0, 3, 60))


def of_group(g):
    return STATES[(g == GROUP) & (CODES == 0)]


@pytest.mark.parametrize("covariance", [False, True])
def test_sums_of_whole_numbers_are_exact(covariance):
    shape = (3, 4, 3)
    count, reference = np.zeros(3, np.int64), np.zeros(shape, np.int64)
    first, second = np.zeros(shape), np.zeros((*shape, 3) if covariance else shape)
    add = add_covariances if covariance else add_moments
    for here in (slice(0, 25), slice(25, 60)):  # in two goes
        add(STATES[here], CODES[here], GROUP[here], count, reference, first, second)
    for g in range(3):
        runs = of_group(g)
        assert count[g] == len(runs)
        np.testing.assert_array_equal(reference[g], runs[0])
        deviations = runs - runs[0]
        np.testing.assert_array_equal(first[g], deviations.sum(axis=0))
        products = np.einsum("bti,btj->tij", deviations, deviations)
        expected = products if covariance else np.diagonal(products, axis1=1, axis2=2)
        np.testing.assert_array_equal(second[g], expected)


def test_values_below_within_and_above():
    states = STATES % 10**12
    states[states > 10**9] -= 10**12  # the negative ones again
    counts = np.zeros((3, 4, 3, 12), np.int64)
    add_values(states, CODES, GROUP, counts)
    for g in range(3):
        runs = states[(g == GROUP) & (CODES == 0)]
        np.testing.assert_array_equal(counts[g, ..., 0], (runs < 0).sum(axis=0))
        for k in range(10):
            np.testing.assert_array_equal(counts[g, ..., k + 1], (runs == k).sum(axis=0))
        np.testing.assert_array_equal(counts[g, ..., 11], (runs > 9).sum(axis=0))


def test_fractions_fall_into_bins():
    """States that are no whole numbers are binned as they are."""
    states = STATES[..., :1] / 4
    edges = np.array([0.25, 1.0, 7.25])
    counts = np.zeros((3, 4, 1, 4), np.int64)
    add_bins(states, CODES, GROUP, edges, counts)
    for g in range(3):
        runs = states[(g == GROUP) & (CODES == 0)]
        np.testing.assert_array_equal(counts[g, ..., 0], (runs < 0.25).sum(axis=0))
        np.testing.assert_array_equal(counts[g, ..., 1], ((runs >= 0.25) & (runs < 1)).sum(axis=0))
        np.testing.assert_array_equal(counts[g, ..., 2], ((runs >= 1) & (runs <= 7.25)).sum(axis=0))
        np.testing.assert_array_equal(counts[g, ..., 3], (runs > 7.25).sum(axis=0))

"""Independence of the streams that one fit mixes: of draws, of runs, of seeds, and of their bits.

Every test is one comparison of a statistic with its law under independence, and asks for a p-value
above 1e-4 on both sides. Larger samples go through a battery of tests in benchmarks/.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.kernels.test_philox import uniforms
from tumble._philox import halves, philox_words
from tumble._random import Stream, run_ids
from tumble.kernels._philox import fill_uniforms

LEVEL = 1e-4


def by_seed(num_seeds, num_draws):
    """Return the uniforms [seeds, draws, 2] of run 0 of streams that differ in their seed alone."""
    out = np.empty((num_seeds, num_draws, 2))
    for seed in range(num_seeds):
        key = np.uint64(Stream.from_seed(seed).child("simulate", "events").key)
        fill_uniforms(key, run_ids(1), np.uint64(0), out[seed : seed + 1])
    return out


def assert_likely(p):
    assert LEVEL < p < 1 - LEVEL


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(lambda: uniforms(1_000_000, 1)[:, 0], id="runs"),
        pytest.param(lambda: by_seed(50_000, 1)[:, 0], id="seeds"),
    ],
)
def test_the_first_draws_of_neighbors_are_uniform_and_independent(first):
    """Over runs of a stream and over seeds: the law, the joint law of neighbors, and fine cells.

    Among a million runs the law is told from one that is off by 0.003 somewhere.
    """
    u = first()
    for x in u.T:
        assert_likely(stats.kstest(x, "uniform").pvalue)
        triples = (8 * x[: len(x) // 3 * 3]).astype(int).reshape(-1, 3) @ [64, 8, 1]
        assert_likely(stats.chisquare(np.bincount(triples, minlength=512)).pvalue)
    fine = np.bincount((1000 * u).astype(int).ravel(), minlength=1000)
    assert_likely(stats.chisquare(fine).pvalue)


def correlated_pairs(u):
    """Return the p-value that all rows of ``u`` [N, n] of uniforms are uncorrelated.

    Under independence n Σ_{i<j} r_ij² has mean m = N(N − 1)/2 and variance close to 2 m, and is
    close to normal for as many pairs as here. r has variance 1/n, as mean and variance are known.
    """
    num_rows, num_columns = u.shape
    z = (u - 0.5) * np.sqrt(12)
    r = (z @ z.T)[np.triu_indices(num_rows, 1)] / num_columns
    m = len(r)
    return stats.norm.sf((num_columns * np.sum(r**2) - m) / np.sqrt(2 * m))


@pytest.mark.parametrize(
    "many",
    [
        pytest.param(lambda: uniforms(300, 3000)[..., 0], id="waits of runs"),
        pytest.param(lambda: uniforms(300, 3000)[..., 1], id="choices of runs"),
        pytest.param(lambda: by_seed(300, 3000)[..., 0], id="waits of seeds"),
        pytest.param(lambda: by_seed(300, 3000)[..., 1], id="choices of seeds"),
        pytest.param(lambda: uniforms(3000, 300)[..., 0].T, id="draws"),
    ],
)
def test_no_two_of_many_are_correlated(many):
    """45,000 pairs at once: found would be one correlation of 0.7, or 0.004 in every pair."""
    assert_likely(correlated_pairs(many()))


def test_a_common_part_of_all_runs_would_be_found():
    """A correlation of 0.004 in every pair, by a part that all share."""
    z = uniforms(301, 3000)[..., 0] - 0.5
    mixed = np.sqrt(0.996) * z[1:] + np.sqrt(0.004) * z[0]
    assert correlated_pairs(mixed + 0.5) < LEVEL


def test_a_run_is_not_correlated_with_its_past():
    """Σ n r_k² over the lags k = 1 … 200 of 400,000 successive uniforms is χ² (Box and Pierce)."""
    z = uniforms(1, 200_000).ravel() - 0.5
    power = np.abs(np.fft.rfft(z, 2 * len(z))) ** 2
    r = np.fft.irfft(power)[1:201] * 12 / len(z)
    assert_likely(stats.chi2.sf(len(z) * np.sum(r**2), len(r)))


@pytest.mark.parametrize("word", ["key", "run", "draw"])
def test_one_bit_changes_half_of_the_bits(word):
    """Avalanche: each of the 64 bits flips each of the 128 output bits with probability 1/2.

    The 8192 shares of 2000 flips are compared with 1/2 in one χ²; the number of flipped bits in a
    block with the binomial distribution.
    """
    n = 2000
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 2**64, (3, 1, n), dtype=np.uint64)
    base = dict(zip(("key", "run", "draw"), numbers, strict=True))
    flipped = base | {word: base[word] ^ (np.uint64(1) << np.arange(64, dtype=np.uint64))[:, None]}

    def bits(numbers):
        found = philox_words(**{name: halves(value) for name, value in numbers.items()})
        return np.unpackbits(np.stack(found, axis=-1).view(np.uint8), axis=-1)

    changed = bits(base) ^ bits(flipped)  # [64, n, 128]
    z = (changed.mean(axis=1) - 0.5) * 2 * np.sqrt(n)
    assert_likely(stats.chi2.sf(np.sum(z**2), z.size))
    assert np.abs(z).max() < stats.norm.isf(LEVEL / 2 / z.size)
    counts = np.bincount(changed.sum(axis=-1, dtype=int).ravel(), minlength=129)
    inner = slice(45, 84)  # beyond it the expected counts are small
    expected = stats.binom.pmf(np.arange(129), 128, 0.5) * counts.sum()
    observed = [counts[:45].sum(), *counts[inner], counts[84:].sum()]
    assert_likely(
        stats.chisquare(
            observed, [expected[:45].sum(), *expected[inner], expected[84:].sum()]
        ).pvalue
    )

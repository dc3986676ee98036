from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tumble.kernels._philox import fill_uniforms, philox_block

# Known answers of Random123 (kat_vectors, "philox4x32 10"): counter, key, output.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip

KEY = 0x9E3779B97F4A7C15


def words(text):
    return np.array([int(word, 16) for word in text.split()], dtype=np.uint64)


def uniforms(num_runs, num_draws, key=KEY, first_run=0, first_draw=0):
    runs = np.arange(first_run, first_run + num_runs, dtype=np.uint64)
    out = np.empty((num_runs, num_draws, 2))
    fill_uniforms(np.uint64(key), runs, np.uint64(first_draw), out)
    return out


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_known_answers(counter, key, output):
    assert [f"{word:08x}" for word in philox_block(words(counter), words(key))] == output.split()


def test_uniforms_are_the_high_bits_of_the_block_of_key_run_and_draw():
    key, run, draw = 0xFEDCBA9876543210, 0x123456789ABCDEF0, 0x0F1E2D3C4B5A6978
    low = 0xFFFFFFFF
    counter = [draw & low, draw >> 32, run & low, run >> 32]
    a, b, c, d = philox_block(
        np.array(counter, dtype=np.uint64), np.array([key & low, key >> 32], dtype=np.uint64)
    )
    expected = [
        (((int(x) << 32) | int(y)) >> 12) * 2.0**-52 + 2.0**-53 for x, y in ((a, b), (c, d))
    ]
    np.testing.assert_array_equal(uniforms(1, 1, key, run, draw)[0, 0], expected)


def test_zero_and_one_are_never_drawn():
    """Every uniform is an odd multiple of 2⁻⁵³: the smallest is 2⁻⁵³, the largest 1 − 2⁻⁵³."""
    multiples = uniforms(1000, 500).ravel() * 2.0**53
    assert np.all(multiples % 2 == 1)
    assert multiples.min() >= 1
    assert multiples.max() <= 2.0**53 - 1


def test_uniform_moments():
    u = uniforms(1000, 500).ravel()
    for power in (1, 2, 3, 4):
        exact = 1 / (power + 1)
        error = np.sqrt((1 / (2 * power + 1) - exact**2) / len(u))
        assert abs((u**power).mean() - exact) < 4 * error
    # the logarithm, which makes waiting times, has mean −1 and variance 1
    assert abs(np.log(u).mean() + 1) < 4 / np.sqrt(len(u))


def assert_uniform_counts(cells, num_cells):
    observed = np.bincount(cells, minlength=num_cells)
    p = stats.chisquare(observed).pvalue
    assert 1e-4 < p < 1 - 1e-4


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("shift", [1, 20, 45])  # the last, middle and first eight bits
def test_bits_are_uniform(column, shift):
    bits = (uniforms(500, 500)[:, :, column].ravel() * 2.0**53).astype(np.int64) >> shift
    assert_uniform_counts(bits & 255, 256)


def pair(kind):
    """Two arrays of uniforms that have to be independent of each other."""
    u = uniforms(500, 500)
    return {
        "within a draw": (u[..., 0], u[..., 1]),
        "successive draws": (u[:, :-1, 0], u[:, 1:, 0]),
        "second to next first": (u[:, :-1, 1], u[:, 1:, 0]),
        "neighboring runs": (u[:-1, :, 0], u[1:, :, 0]),
        "neighboring keys": (u[..., 0], uniforms(500, 500, KEY + 1)[..., 0]),
        "distant runs": (u[..., 0], uniforms(500, 500, first_run=2**32)[..., 0]),
        "distant draws": (u[..., 0], uniforms(500, 500, first_draw=2**32)[..., 0]),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "within a draw",
        "successive draws",
        "second to next first",
        "neighboring runs",
        "neighboring keys",
        "distant runs",
        "distant draws",
    ],
)
def test_pairs_are_independent(kind):
    x, y = (array.ravel() for array in pair(kind))
    assert_uniform_counts((16 * x).astype(int) * 16 + (16 * y).astype(int), 256)
    assert abs(np.corrcoef(x, y)[0, 1]) < 4.5 / np.sqrt(len(x))


def test_a_draw_depends_on_its_own_run_and_place_only():
    u = uniforms(20, 30)
    np.testing.assert_array_equal(u[7:9, 11:15], uniforms(2, 4, first_run=7, first_draw=11))
    backwards = np.empty((20, 30, 2))
    fill_uniforms(np.uint64(KEY), np.arange(20, dtype=np.uint64)[::-1], np.uint64(0), backwards)
    np.testing.assert_array_equal(u, backwards[::-1])

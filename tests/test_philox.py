"""The definition of the random words for JAX, against published answers and the kernels."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from tests.kernels.test_philox import KNOWN, uniforms, words
from tumble._philox import halves, philox_words
from tumble.kernels._philox import philox_block


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_known_answers(counter, key, output, x64):
    c, k = words(counter), words(key)
    with jax.enable_x64(x64):
        found = philox_words(key=(k[0], k[1]), run=(c[2], c[3]), draw=(c[0], c[1]))
    assert [f"{word:08x}" for word in np.array(found)] == output.split()


@pytest.mark.parametrize(
    "transform", [lambda f: f, jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(f))]
)
def test_the_words_are_those_of_the_kernel(transform):
    """Among 10,000 random counters and keys every carry between the halves occurs."""
    key, run, draw = np.random.default_rng(0).integers(0, 2**64, (3, 10_000), dtype=np.uint64)
    found = transform(philox_words)(halves(key), halves(run), halves(draw))
    assert all(word.dtype == np.uint32 for word in found)
    expected = [
        philox_block(np.array([*halves(d), *halves(r)], np.uint64), np.array(halves(k), np.uint64))
        for k, r, d in zip(key, run, draw, strict=True)
    ]
    np.testing.assert_array_equal(np.stack(found, axis=-1), np.array(expected))


def test_runs_and_draws_broadcast_to_the_uniforms_of_the_kernel():
    """Two words make a uniform: their high 52 bits, and a half of the last."""
    key, first_run, first_draw = 2**64 - 3, 2**32 - 10, 2**32 - 15
    run = np.arange(first_run, first_run + 20, dtype=np.uint64)[:, None]
    draw = np.arange(first_draw, first_draw + 30, dtype=np.uint64)
    found = philox_words(halves(key), halves(run), halves(draw))
    a, b, c, d = (np.asarray(word, dtype=np.uint64) for word in found)
    made = np.stack([(a << 32 | b) >> 12, (c << 32 | d) >> 12], axis=-1) * 2.0**-52 + 2.0**-53
    np.testing.assert_array_equal(made, uniforms(20, 30, key, first_run, first_draw))


def test_halves():
    low, high = halves(np.array([0, 1, 2**32, 2**64 - 2], dtype=np.uint64))
    assert low.tolist() == [0, 1, 0, 2**32 - 2]
    assert high.tolist() == [0, 0, 1, 2**32 - 1]
    assert low.dtype == high.dtype == np.uint32
    assert [int(half) for half in halves(2**63 + 5)] == [5, 2**31]

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tumble._errors import ParameterError
from tumble._random import Stream, run_ids

ROOT = Stream.from_seed(0)


def test_a_path_may_be_walked_in_one_step_or_many():
    assert ROOT.child("simulate", 2, "initial") == ROOT.child("simulate").child(2).child("initial")
    assert ROOT.child() == ROOT


def test_streams_are_the_same_in_another_process():
    """Python's own hash of a text changes from process to process; the tree's must not."""
    code = "from tumble._random import Stream; print(Stream.from_seed(7).child('fit', 3).key)"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert int(other) == Stream.from_seed(7).child("fit", 3).key


def test_names_numbers_and_nesting_are_told_apart():
    paths = [
        ("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), ("a/b",), ("a/str:b",), ("a", ""),
        (1,), ("1",), (1, 2), (12,), (0,), (-1,), ("",),
    ]  # fmt: skip
    keys = {ROOT.child(*path).key for path in paths}
    keys.add(ROOT.key)
    assert len(keys) == len(paths) + 1


def test_keys_are_distinct_and_their_bits_are_fair():
    children = [Stream.from_seed(s).child("run", i).key for s in range(20) for i in range(1000)]
    assert len(set(children)) == len(children)
    bits = np.unpackbits(np.array(children, dtype=np.uint64).view(np.uint8)).reshape(-1, 64)
    error = 0.5 / np.sqrt(len(children))
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 4.5 * error
    # Neighboring seeds and neighboring paths share no bits either.
    for step in (1, 1000):
        same = (bits[step:] == bits[:-step]).mean(axis=0)
        assert np.abs(same - 0.5).max() < 4.5 * error * np.sqrt(len(bits) / (len(bits) - step))


def test_a_million_paths_have_a_million_keys():
    """By chance alone two of them share a key in 3 of 10⁸ seed trees."""
    steps = [Stream.from_seed(seed).child("fit", "step") for seed in range(1000)]
    keys = {stream.child(k).key for stream in steps for k in range(1000)}
    assert len(keys) == 1_000_000


def test_one_bit_of_a_seed_changes_half_of_the_bits_of_the_key():
    """All 64 × 64 shares of 300 flips at once: Σ z² has mean 4096 and variance 2 · 4096."""
    n = 300
    seeds = [int(s) for s in np.random.default_rng(0).integers(0, 2**64, n, dtype=np.uint64)]
    keys = np.array([Stream.from_seed(s).key for s in seeds], dtype=np.uint64)
    flipped = [[Stream.from_seed(s ^ 1 << b).key for s in seeds] for b in range(64)]
    changed = np.array(flipped, dtype=np.uint64) ^ keys
    bits = np.unpackbits(changed[..., None].view(np.uint8), axis=-1)
    z = (bits.mean(axis=1) - 0.5) * 2 * np.sqrt(n)
    assert abs(np.sum(z**2) - z.size) < 4 * np.sqrt(2 * z.size)
    assert np.abs(z).max() < 5


def test_numbers_of_siblings_are_independent():
    n = 40_000
    draws = np.stack(
        [ROOT.child("a", i).numpy().uniform(size=n) for i in range(4)]
        + [ROOT.child("b").numpy().uniform(size=n), ROOT.numpy().uniform(size=n)]
        + [Stream.from_seed(1).child("a", 0).numpy().uniform(size=n)]
    )
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 4.5 / np.sqrt(n)


def test_a_stream_gives_the_same_numbers_each_time():
    first = ROOT.child("x").numpy().normal(size=5)
    np.testing.assert_array_equal(first, ROOT.child("x").numpy().normal(size=5))
    assert not np.any(first == ROOT.child("y").numpy().normal(size=5))


@pytest.mark.parametrize("seed", [np.int64(5), np.uint8(5), 5])
def test_any_integer_is_a_seed(seed):
    assert Stream.from_seed(seed) == Stream.from_seed(5)


def test_seeds_to_the_last_bit_differ():
    seeds = [0, 1, 2**32, 2**63, 2**64 - 1]
    assert len({Stream.from_seed(s).key for s in seeds}) == len(seeds)
    assert all(0 <= Stream.from_seed(s).key < 2**64 for s in seeds)


@pytest.mark.parametrize("seed", ["7", 1.0, None, [1]])
def test_a_seed_that_is_not_an_integer(seed):
    with pytest.raises(ParameterError, match=r"`seed` is .*, expected an integer such as seed=0\."):
        Stream.from_seed(seed)


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_out_of_range(seed):
    with pytest.raises(ParameterError, match=rf"`seed` is {seed}, expected 0 <= seed < 2\*\*64\."):
        Stream.from_seed(seed)


def test_run_ids():
    ids = run_ids(3, start=10)
    assert ids.dtype == np.uint64
    assert ids.tolist() == [10, 11, 12]
    assert run_ids(0).shape == (0,)

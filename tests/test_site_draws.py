"""Draws of sites: their laws, their streams, and that a batch changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tumble._philox import halves
from tumble._random import Stream, run_ids
from tumble._site_draws import ForcedDraw, SiteDraws
from tumble.kernels._philox import fill_uniforms

NUM = 200_000


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def draws(seed=0, run=0, step=0, **options):
    key = Stream.from_seed(seed).key
    return SiteDraws(halves(key), halves(run), jnp.uint32(step), **options)


def test_flips_have_their_probabilities():
    p = jnp.repeat(jnp.array([0.0, 1e-4, 0.3, 0.999, 1.0]), NUM)
    found = np.asarray(draws().flip(p)).reshape(5, NUM).sum(1)
    assert found[0] == 0
    assert found[-1] == NUM
    for k, q in zip(found[1:4], (1e-4, 0.3, 0.999), strict=True):
        assert stats.binomtest(int(k), NUM, q).pvalue > 1e-4


@pytest.mark.parametrize("weights", [[1.0, 2.0, 3.0], [0.0, 5.0, 0.0, 1.0], 4])
def test_choices_have_their_weights(weights):
    found = np.asarray(draws(1).choose(weights, NUM))
    p = np.ones(weights) if isinstance(weights, int) else np.array(weights)
    counts = np.bincount(found.astype(int), minlength=len(p))
    assert np.all(counts[p == 0] == 0)
    assert stats.chisquare(counts[p > 0], NUM * p[p > 0] / p.sum()).pvalue > 1e-4


def test_picks_are_values_of_choices():
    steps = [[1, 0], [-1, 0], [0, 1], [0, -1]]
    label = np.asarray(draws(2).choose([1.0, 1.0, 2.0, 0.5], 1_000))
    value = np.asarray(draws(2).pick(steps, [1.0, 1.0, 2.0, 0.5], 1_000))
    assert np.array_equal(value, np.array(steps)[label])


@pytest.mark.parametrize("rate", [0.0, 0.02, 1.7, 40.0, 480.0])
def test_counts_have_their_law(rate):
    found = np.asarray(draws(3).count(rate, NUM))
    if rate == 0:
        assert not found.any()
        return
    edges = np.unique(stats.poisson.ppf(np.linspace(0.02, 0.98, 20), rate))
    cells = np.concatenate([[-np.inf], edges, [np.inf]])
    expected = NUM * np.diff(stats.poisson.cdf(cells, rate))
    observed = np.histogram(found, np.concatenate([[-1], edges + 0.5, [np.inf]]))[0]
    kept = expected > 5
    assert stats.chisquare(observed[kept], expected[kept] * observed[kept].sum()
                           / expected[kept].sum()).pvalue > 1e-4  # fmt: skip


def test_normal_numbers_have_their_law():
    found = np.asarray(draws(4).normal(2.0, 0.5, NUM))
    assert stats.kstest((found - 2.0) / 0.5, "norm").pvalue > 1e-4


def test_the_generator_is_that_of_the_kernels():
    key, run = Stream.from_seed(5).key, 7
    blocks = np.empty((1, 100, 2))
    first = 3 * 64 << 32  # step 3, call 0
    fill_uniforms(np.uint64(key), np.array([run], np.uint64), np.uint64(first), blocks)
    found = np.asarray(draws(5, run, 3).uniforms((4, 25)))
    assert np.array_equal(found.ravel(), blocks[0, :, 0])


def test_steps_calls_runs_and_seeds_are_independent():
    one = draws(0)
    columns = [one.uniforms((NUM,)), one.uniforms((NUM,)), one.extra_uniforms(0, (NUM,))]
    columns += [d.uniforms((NUM,)) for d in (draws(1), draws(0, 1), draws(0, 0, 1))]
    table = np.asarray(jnp.stack(columns))
    off = np.corrcoef(table)[~np.eye(len(table), dtype=bool)]
    assert np.abs(off).max() < 4.5 / np.sqrt(NUM)
    assert all(stats.kstest(row, "uniform").pvalue > 1e-4 for row in table)


def test_a_forced_outcome_leaves_all_others():
    p = jnp.full((4, 5), 0.5)
    plain = draws(6)
    both = np.asarray(plain.flip(p)), np.asarray(plain.flip(p))
    forced = ForcedDraw(jnp.int32(0), jnp.int32(1), jnp.int32(13), 1 - both[1].ravel()[13])
    other = draws(6, forced=forced)
    first, second = np.asarray(other.flip(p)), np.asarray(other.flip(p))
    assert np.array_equal(first, both[0])
    assert np.flatnonzero(second != both[1]).tolist() == [13]
    elsewhere = draws(6, step=1, forced=forced)
    assert np.array_equal(elsewhere.flip(p), draws(6, step=1).flip(p))


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.flip(jnp.array([0.5, 1.2])),
        lambda d: d.flip(jnp.array([-0.1])),
        lambda d: d.flip(jnp.array([jnp.nan])),
        lambda d: d.choose([1.0, -1.0]),
        lambda d: d.choose([0.0, 0.0]),
        lambda d: d.count(-1.0),
        lambda d: d.count(501.0),
        lambda d: d.normal(0.0, 0.0),
        lambda d: d.normal(jnp.inf, 1.0),
    ],
)
def test_arguments_that_make_no_sense_are_noted(call):
    draw = draws()
    call(draw)
    assert not bool(draw.valid)


def test_too_many_calls_are_an_error():
    draw = draws()
    for _ in range(32):
        draw.flip(0.5)
    with pytest.raises(ValueError, match="32 calls"):
        draw.flip(0.5)


def test_streams_of_runs():
    found = jax.vmap(lambda low, high: SiteDraws(halves(9), (low, high), jnp.uint32(0)).flip(
        jnp.full(50, 0.5)))(*halves(run_ids(20)))  # fmt: skip
    assert np.array_equal(found[13], SiteDraws(halves(9), halves(13), jnp.uint32(0)).flip(
        jnp.full(50, 0.5)))  # fmt: skip

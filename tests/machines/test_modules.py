"""Networks of machines: their densities are densities, and their draws follow them."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tumble.densities import SplineFlow, StandardNormal
from tumble.machines._learnt import numbers_of, with_numbers
from tumble.machines._modules import POINTS, located, started


def network(size: int, density: Any) -> Any:
    """Return a network with numbers of no particular choice, and tables that are curved."""
    net = located(size, 3, ((6, 2),), 8, 4, density.build(size, 4, 0), 0)
    w = np.linspace(-3.3, 3.3, POINTS)
    rng = np.random.default_rng(0)
    net = started(
        net, np.tile(np.sinh(w / 2), (size, 1)).astype(np.float32),
        np.tile(w, (size, 1)).astype(np.float32), rng.standard_normal((size, 3)).astype(np.float32),
        np.zeros(size, np.float32), np.full(size, -0.5, np.float32),
        rng.standard_normal((50, 15)).astype(np.float32),
    )  # fmt: skip
    own, rest = eqx.partition(net, eqx.is_inexact_array)
    numbers, shape = jax.tree.flatten(own)
    rng = np.random.default_rng(1)
    moved = [
        n if n.shape == (size, POINTS) else n + 0.1 * rng.standard_normal(n.shape).astype("f4")
        for n in numbers
    ]
    return eqx.combine(jax.tree.unflatten(shape, moved), rest)


@eqx.filter_jit
def logs(net: Any, w: Any) -> Any:
    return net.log_prob(w, jnp.tile(GIVEN, (len(w), 1)))


@eqx.filter_jit
def drawn(net: Any) -> Any:
    return net.sample(jax.random.key(0), (20_000,), GIVEN)


@eqx.filter_jit
def told(net: Any, given: Any) -> Any:
    place, *others = net.told(given)
    return place, *others, *net._to_normal(place)


GIVEN = jnp.asarray(np.random.default_rng(3).standard_normal(15), jnp.float32)


@pytest.mark.parametrize("density", [StandardNormal(), SplineFlow(num_layers=1, width=4)])
def test_densities_integrate_to_one(density: Any) -> None:
    net = network(1, density)
    grid = jnp.linspace(-12, 12, 8001)
    heights = jnp.exp(logs(net, grid[:, None]))
    assert float(jnp.trapezoid(heights, grid)) == pytest.approx(1, abs=1e-3)


def test_draws_follow_the_density() -> None:
    net = network(2, StandardNormal())
    draws = np.asarray(drawn(net), dtype=float)
    # The law is normal in w: mean and covariance say all.
    _, width, mix, _, at, slope = (np.asarray(a, dtype=float) for a in told(net, GIVEN))
    stretch = mix / (slope * np.exp(width))
    covariance = np.linalg.inv(stretch.T @ stretch)
    error = np.sqrt(np.diag(covariance) / len(draws))
    assert np.all(np.abs(draws.mean(0) - at) < 4 * error)
    assert np.cov(draws.T) == pytest.approx(covariance, rel=0.06, abs=0.03)
    found = np.asarray(logs(net, jnp.asarray(draws)))
    exact = -1 - np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(covariance)[1]
    assert found.mean() == pytest.approx(exact, abs=4 * found.std() / np.sqrt(len(found)))


def test_an_order_of_replicates_does_not_matter() -> None:
    net = network(2, StandardNormal())
    elements = GIVEN[3:].reshape(6, 2)[::-1].ravel()
    other = jnp.concatenate([GIVEN[:3], elements])
    for one, two in zip(told(net, GIVEN), told(net, other), strict=True):
        assert np.asarray(one) == pytest.approx(np.asarray(two), abs=1e-5)


def test_what_is_kept_is_all_of_a_network() -> None:
    # Flows permute parameters at random: that is part of what was learnt, too.
    flow = SplineFlow(num_layers=3, width=8)

    def of(seed: int) -> Any:
        return located(4, 3, ((6, 2),), 8, 4, flow.build(4, 4, seed), seed)

    net = of(0)
    again = with_numbers(of(1), numbers_of(net))
    w = jnp.asarray(np.random.default_rng(0).standard_normal((5, 4)), jnp.float32)
    assert np.array_equal(np.asarray(logs(net, w)), np.asarray(logs(again, w)))
    assert not np.allclose(np.asarray(logs(of(1), w)), np.asarray(logs(net, w)))

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tumble.simulators._integrate import integrate


def solve(field, y, span, rtol=1e-8, start=0.0):
    with jax.enable_x64(True):
        after = integrate(field, jax.tree.map(jnp.asarray, y), start, jnp.asarray(span), rtol)
        return jax.tree.map(np.asarray, after)


def decay(t, y):
    return -2.0 * y


def test_a_pytree_and_a_span_of_nothing():
    """An oscillator, whose solution is known."""

    def turn(t, y):
        return {"x": y["v"], "v": -y["x"]}

    start = {"x": 1.0, "v": 0.0}
    after = solve(turn, start, 20.0, rtol=1e-10)
    np.testing.assert_allclose([after["x"], after["v"]], [np.cos(20), -np.sin(20)], atol=1e-8)
    assert solve(turn, start, 0.0) == start


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9])
def test_errors_follow_the_tolerance(rtol):
    after = solve(decay, np.array([1.0, 1e6]), 3.0, rtol)
    np.testing.assert_allclose(
        after, np.array([1.0, 1e6]) * np.exp(-6), rtol=0, atol=30 * rtol * 1e6
    )
    assert (
        abs(after[1] / (1e6 * np.exp(-6)) - 1) > 1e-6 * rtol
    )  # it does not do more than asked for


def test_time_enters_from_its_start():
    after = solve(lambda t, y: jnp.where(t < 3.0, 1.0, -1.0) + 0 * y, np.zeros(1), 4.0, start=1.0)
    np.testing.assert_allclose(after, 2.0 - 2.0, atol=1e-6)
    after = solve(lambda t, y: 2 * t + 0 * y, np.zeros(1), 4.0, start=1.0)
    np.testing.assert_allclose(after, 24.0, rtol=1e-12)


def test_slopes_are_those_of_the_solution():
    def solution(k):
        y = {"x": jnp.array([3.0 * k]), "z": jnp.zeros(())}
        after = integrate(
            lambda t, y: {"x": -k * y["x"], "z": jnp.sin(k * t)}, y, k / 7, 2.0 * k, 1e-10
        )
        return jnp.append(after["x"], after["z"])

    def exact(k):
        end = k / 7 + 2 * k
        return jnp.array([3 * k * jnp.exp(-2 * k**2), (jnp.cos(k * k / 7) - jnp.cos(k * end)) / k])

    points = np.array([0.4, 0.9, 1.3])
    with jax.enable_x64(True):
        got = jax.vmap(jax.jacfwd(solution))(points)
        np.testing.assert_allclose(got, jax.vmap(jax.jacfwd(exact))(points), rtol=1e-8)
        one_by_one = [jax.jacfwd(solution)(k) for k in points]
    np.testing.assert_allclose(got, one_by_one, rtol=1e-12)


def test_what_has_no_solution_is_not_a_number():
    assert np.isnan(solve(lambda t, y: y**2, np.array([1.0]), 2.0)).all()  # infinite at 1
    assert np.isnan(solve(lambda t, y: -1e9 * (y - jnp.cos(t)), np.array([1.0]), 10.0)).all()
    assert np.isnan(solve(lambda t, y: jnp.sqrt(y - 2.0), np.array([1.0]), 1.0)).all()

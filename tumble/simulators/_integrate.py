"""Differential equations in JAX, as the deterministic approximations need them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tumble._typing import JaxArray
from tumble.kernels import _tableau as tableau

_MAX_STEPS = 4096
_SAFETY = 0.9
_SLOWEST, _FASTEST = 0.2, 10.0  # a step is at most this many times the one before


class _Walk(NamedTuple):
    """A solution on its way: time since the start, y [N], its slope [N], the next step."""

    t: JaxArray
    y: JaxArray
    slope: JaxArray
    step: JaxArray
    count: JaxArray


def integrate(
    field: Callable[[JaxArray, Any], Any], y: Any, start: JaxArray, span: JaxArray, rtol: float
) -> Any:
    """Return y a time ``span`` ≥ 0 later, where dy/dt = ``field``(t, y); NaN if that fails.

    Method: the pair of Dormand and Prince of orders 5 and 4, at most 4096 steps. Slopes with
    respect to anything that enters are those of the scheme at the steps taken, which are as exact
    as the solution.

    Arguments: ``y``, a pytree of arrays, at time ``start``; ``rtol``, the relative and absolute
    tolerance of a step, root mean square over the components. Differentiable forward; for a 64-bit
    scope.
    """
    import jax
    import jax.numpy as jnp
    from jax.flatten_util import ravel_pytree

    flat, restored = ravel_pytree(y)
    span = jnp.asarray(span, dtype=flat.dtype)

    def slope_at(t: JaxArray, point: JaxArray) -> JaxArray:
        return ravel_pytree(field(start + t, restored(point)))[0]

    def unfinished(walk: _Walk) -> JaxArray:
        return (walk.t < span) & (walk.count < _MAX_STEPS) & (walk.t + walk.step > walk.t)

    first = slope_at(jnp.zeros_like(span), flat)
    walk = _Walk(jnp.zeros_like(span), flat, first, _first_step(flat, first, rtol), jnp.asarray(0))
    walk = jax.lax.while_loop(unfinished, lambda walk: _step(slope_at, walk, span, rtol), walk)
    return restored(jnp.where(walk.t >= span, walk.y, jnp.nan))


def _step(slope_at: Any, walk: _Walk, span: JaxArray, rtol: float) -> _Walk:
    """Return the walk after one attempted step."""
    import jax
    import jax.numpy as jnp

    weights = jnp.asarray(tableau.WEIGHTS)
    last = walk.t + walk.step >= span
    step = jnp.where(last, span - walk.t, walk.step)

    def fill(slopes: JaxArray, stage: tuple[JaxArray, ...]) -> tuple[JaxArray, None]:
        index, node, row = stage
        slope = slope_at(walk.t + node * step, walk.y + step * (row @ slopes[:-1]))
        return slopes.at[index].set(slope), None

    # A loop over the stages, so that the field is traced and compiled once and not six times.
    slopes = jnp.zeros((tableau.NUM_STAGES, len(walk.y))).at[0].set(walk.slope)
    stages = (np.arange(1, tableau.NUM_STAGES), tableau.NODES[1:], weights[1:])
    slopes, _ = jax.lax.scan(fill, slopes, stages)
    after = walk.y + step * (weights[-1] @ slopes[:-1])
    error = step * (jnp.asarray(tableau.ERROR) @ slopes)
    scale = rtol * (1.0 + jnp.maximum(jnp.abs(walk.y), jnp.abs(after)))
    size = _norm(error / scale)
    factor = jnp.clip(_SAFETY * jnp.maximum(size, 1e-10) ** -0.2, _SLOWEST, _FASTEST)
    factor = jnp.where(jnp.isfinite(size), factor, _SLOWEST)
    accepted = size <= 1.0
    reached = jnp.where(last, span, walk.t + step)
    return _Walk(
        jnp.where(accepted, reached, walk.t),
        jnp.where(accepted, after, walk.y),
        jnp.where(accepted, slopes[-1], walk.slope),
        step * factor,
        walk.count + 1,
    )


def _first_step(y: JaxArray, slope: JaxArray, rtol: float) -> JaxArray:
    """Return a step over which y changes by a hundredth of itself.

    Reference: Hairer, Nørsett, Wanner, *Solving Ordinary Differential Equations I*, section II.4.
    """
    import jax.numpy as jnp

    scale = rtol * (1.0 + jnp.abs(y))
    size, speed = _norm(y / scale), _norm(slope / scale)
    return jnp.where((size > 1e-5) & (speed > 1e-5), 0.01 * size / speed, 1e-6)


def _norm(values: JaxArray) -> JaxArray:
    """Return the root mean square, of which no derivative is taken."""
    import jax
    import jax.numpy as jnp

    return jax.lax.stop_gradient(jnp.sqrt(jnp.mean(values**2)))

"""The equations of the local means of the lattice gas."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit
from tumble.models.lattices._lattice_gas import DIAGONAL, FitzHughNagumoLatticeGas
from tumble.models.lattices._lattice_gas_drift import spread

_FASTEST = 1 + 4 * DIAGONAL  # how fast a wave decays at most, in units of D / N
_STEP = 1.0  # times of the fastest decay that a step of the equations takes


def carried(
    model: FitzHughNagumoLatticeGas, interval: int, z: FloatArray, frames: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return what becomes of the local means of frames after an interval, and its slopes.

    Mean increments are linear in the counts but for the cubic reaction, which takes the variance of
    A, for which there is an equation of its own: neighbors are taken for independent, and third
    moments for zero. Steps of the classical method of Runge and Kutta, as long as the fastest wave
    allows.

    Arguments: ``interval``, in steps of the lattice; ``z`` [P], logarithms of the parameters;
    ``frames`` [2, T, *shape] of A and B. Returns means [2, T, *shape] and their slopes
    [P, 2, T, *shape] with respect to z.
    """
    import jax

    values = np.exp(z)
    moves, rates = values[3:].max() / model.capacity, model.rate / 6 * values[:3].sum()
    count = max(4, int(np.ceil(interval * (_FASTEST * moves + rates) / _STEP)))
    # Frame by frame: what a frame needs fits into a cache, and any number shares one program.
    means, slopes = np.empty(frames.shape), np.empty((len(z), *frames.shape))
    with jax.enable_x64(True):
        for t in range(frames.shape[1]):
            found = _program(model)(z, frames[:, t], count, interval / count)
            means[:, t], slopes[:, :, t] = found
    return means, slopes


@lru_cache(maxsize=8)
def _program(model: FitzHughNagumoLatticeGas) -> Any:
    """Return the program of z [P], a frame, the number of steps and their length."""
    import jax
    import jax.numpy as jnp

    def means(z: JaxArray, frame: JaxArray, count: JaxArray, span: JaxArray) -> Any:
        params = dict(zip(model.parameters, jnp.exp(z), strict=True))

        def slope_at(state: Any, slope: Any, share: float) -> Any:
            there = (s + share * span * k for s, k in zip(state, slope, strict=True))
            return _increments(model, tuple(there), params)

        def advance(_: Any, state: Any) -> Any:
            first = _increments(model, state, params)
            second = slope_at(state, first, 0.5)
            third = slope_at(state, second, 0.5)
            last = slope_at(state, third, 1.0)
            slopes = zip(state, first, second, third, last, strict=True)
            return tuple(s + span / 6 * (k + 2 * l + 2 * m + n) for s, k, l, m, n in slopes)

        state = frame[0], frame[1], jnp.zeros_like(frame[0])
        found = jnp.stack(jax.lax.fori_loop(0, count, advance, state)[:2])
        return found, found

    def both(z: JaxArray, frame: JaxArray, count: JaxArray, span: JaxArray) -> Any:
        slopes, value = jax.jacfwd(means, has_aux=True)(z, frame, count, span)
        return value, jnp.moveaxis(slopes, -1, 0)

    return jit(both)


def _increments(model: FitzHughNagumoLatticeGas, state: Any, params: Mapping[str, JaxArray]) -> Any:
    """Return the mean increments of a step of a, b and the variance v of a."""
    import jax.numpy as jnp

    a, b, v = state
    top, sixth = float(model.capacity), model.rate / 6
    scale = (top - 1) * (top - 2)
    k1, k2, k3 = params["k1"], params["k2"], params["k3"]
    # n (N − n)(2 n − N) and its derivatives; its mean has half the second one times v.
    cubic = a * (top - a) * (2 * a - top) + (3 * top - 6 * a) * v
    slope = (-6 * a * a + 6 * top * a - top * top) / scale
    shares = params["D_A"] / top, params["D_B"] / top
    share = a / top
    excited = share * (1 - share)
    spread_a, spread_b, spread_excited = spread(model, jnp.stack([a, b, excited]))
    drift_a = shares[0] * spread_a + sixth * (k1 * cubic / scale + k2 * (b - a))
    drift_b = shares[1] * spread_b + sixth * k3 * (top - a - b)
    noise = params["D_A"] * (2 * excited + spread_excited)
    noise += sixth * sum(model.channels(a, b, params)[:4])
    drift_v = noise + 2 * v * (sixth * (k1 * slope - k2) - shares[0])
    return drift_a, drift_b, drift_v

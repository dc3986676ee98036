"""Runs of the lattice gas from frames that were seen."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tumble._philox import halves, philox_words
from tumble._random import Stream
from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit
from tumble.models.lattices._lattice_gas import AXIS, DIAGONAL, OFFSETS, FitzHughNagumoLatticeGas

_UNIT = 2.0**-32
_EDGES = np.cumsum([DIAGONAL if i and j else AXIS for i, j in OFFSETS])


def runs_from(
    model: FitzHughNagumoLatticeGas,
    values: FloatArray,
    frames: FloatArray,
    interval: int,
    stream: Stream,
) -> FloatArray:
    """Return the frames [2, T, *shape] that follow on ``frames`` [2, T, *shape], a run each.

    The steps are those of the model, in law. A site takes one block of random words a step where
    the model's declared draws take four: chances are known to 2⁻³², and nothing is differentiated.

    Arguments: ``values`` [P] of the parameters; ``interval``, the steps of a run; ``stream``, of
    which run t has the number t.
    """
    import jax

    frames, key = np.asarray(frames, dtype=float), halves(stream.key)
    with jax.enable_x64(True):
        found = [
            np.stack(_program(model)(values, frames[:, t], interval, key, halves(t)))
            for t in range(frames.shape[1])
        ]
    return np.stack(found, axis=1)


@lru_cache(maxsize=8)
def _program(model: FitzHughNagumoLatticeGas) -> Any:
    import jax
    import jax.numpy as jnp

    shape = model.grid.shape
    sites = jnp.arange(int(np.prod(shape)), dtype=jnp.uint32).reshape(shape)
    # The blocks after those of the sites decide on the common moves.
    common = jnp.uint32(np.prod(shape))

    def run(values: JaxArray, frame: JaxArray, interval: JaxArray, key: Any, number: Any) -> Any:
        params = {name: values[p] for p, name in enumerate(model.parameters)}

        def uniforms(block: JaxArray, step: JaxArray) -> list[JaxArray]:
            words = philox_words(key, number, (block, step))
            return [(word.astype(float) + 0.5) * _UNIT for word in words]

        def advance(step: JaxArray, state: Any) -> Any:
            step = step.astype(jnp.uint32)
            here, moves = uniforms(sites, step), uniforms(common, step)
            kinds = zip(state, here[:2], (params["D_A"], params["D_B"]), strict=True)
            a, b = (
                _diffused(model, x, u, moves[2 * k] < chance, moves[2 * k + 1])
                for k, (x, u, chance) in enumerate(kinds)
            )
            channel = jnp.floor(6 * here[2])
            chances = model.channels(a, b, params)
            chance = sum(jnp.where(channel == c, p, 0.0) for c, p in enumerate(chances))
            change = (here[3] < model.rate * chance) * (1 - 2 * (channel % 2))
            return a + jnp.where(channel < 4, change, 0.0), b + jnp.where(channel < 4, 0.0, change)

        return jax.lax.fori_loop(1, interval + 1, advance, (frame[0], frame[1]))

    return jit(run)


def _diffused(
    model: FitzHughNagumoLatticeGas, counts: JaxArray, u: JaxArray, moves: JaxArray, way: JaxArray
) -> JaxArray:
    """Return the counts after the excited particles have moved, to where ``way`` leads, or not."""
    import jax
    import jax.numpy as jnp

    excited = (u * model.capacity < counts).astype(counts.dtype)
    # A particle that moves by an offset comes from the site at minus that offset.
    sides = [lambda x, o=o: model.grid.seen_from(x, (-o[0], -o[1])) for o in OFFSETS]
    k = jnp.minimum(jnp.searchsorted(jnp.asarray(_EDGES), way, side="right"), len(OFFSETS) - 1)
    arrived = jax.lax.switch(k, sides, excited)
    return jnp.where(moves, counts + arrived - excited, counts)

"""Runs of the lattice gas from frames that were seen."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tumble._philox import halves
from tumble._random import Stream
from tumble._site_draws import SiteDraws
from tumble._typing import FloatArray, JaxArray
from tumble.models.lattices._lattice_gas import FitzHughNagumoLatticeGas


def runs_from(
    model: FitzHughNagumoLatticeGas,
    values: FloatArray,
    frames: FloatArray,
    interval: int,
    stream: Stream,
) -> FloatArray:
    """Return the frames [2, T, *shape] that follow on ``frames`` [2, T, *shape], a run each.

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

    def run(values: JaxArray, frame: JaxArray, interval: JaxArray, key: Any, number: Any) -> Any:
        params = {name: values[p] for p, name in enumerate(model.parameters)}

        def advance(step: JaxArray, state: Any) -> Any:
            draw = SiteDraws(key, number, step.astype(jnp.uint32))
            return model.step(state, params, draw)

        state = {"A": frame[0], "B": frame[1]}
        last = jax.lax.fori_loop(1, interval + 1, advance, state)
        return last["A"], last["B"]

    return jax.jit(run)

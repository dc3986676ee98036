"""What a machine has learnt: networks that tell a density given a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.special import logsumexp

from tumble._random import Stream
from tumble._typing import FloatArray
from tumble._xla import keep_programs
from tumble.machines._base import AbstractInference
from tumble.machines._encoding import Encoding

_BLOCK = 1000


@dataclass(frozen=True)
class AmortizedWeights:
    """How data sets are encoded, and the ``numbers`` of each network. Final."""

    encoding: Encoding
    numbers: tuple[tuple[FloatArray, ...], ...]


@dataclass(frozen=True)
class LearntPosterior(AbstractInference):
    """What an `AmortizedPosterior` has learnt. Final."""

    weights: AmortizedWeights
    networks: tuple[Any, ...]

    def log_density(self, w: FloatArray, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractInference.log_density`."""
        given = self.weights.encoding.given(data)
        y: Any = np.asarray(w, np.float32)
        logs = [_in_blocks(_compiled()[0], net, y, given) for net in self.networks]
        return np.asarray(logsumexp(logs, axis=0) - np.log(len(logs)))

    def sample(self, data: Sequence[FloatArray], count: int, stream: Stream) -> FloatArray:
        """See `AbstractInference.sample`."""
        given = self.weights.encoding.given(data)
        rng = stream.numpy()
        each = -(-count // len(self.networks))
        drawn = []
        for row in given:
            seeds = rng.integers(2**31, size=len(self.networks))
            parts = [
                np.asarray(_compiled()[1](net, np.uint32(seed), row, each), dtype=float)
                for net, seed in zip(self.networks, seeds, strict=True)
            ]
            drawn.append(rng.permutation(np.concatenate(parts))[:count])
        return np.stack(drawn)

    def features(self, data: Sequence[FloatArray]) -> FloatArray:
        """See `AbstractInference.features`: the moments."""
        return self.weights.encoding.moments(data)


def numbers_of(net: Any) -> tuple[FloatArray, ...]:
    """Return the numbers of a network."""
    import equinox as eqx
    import jax

    return tuple(np.asarray(n) for n in jax.tree.leaves(eqx.filter(net, eqx.is_array)))


def with_numbers(net: Any, numbers: Sequence[Any]) -> Any:
    """Return a network with numbers of its own."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    own, rest = eqx.partition(net, eqx.is_array)
    filled = jax.tree.unflatten(jax.tree.structure(own), [jnp.asarray(n) for n in numbers])
    return eqx.combine(filled, rest)


def _in_blocks(function: Any, net: Any, y: FloatArray, given: FloatArray) -> FloatArray:
    """Return log densities [B], in blocks of one size: JAX compiles anew for every other."""
    blocks = -(-len(y) // _BLOCK)
    rows = np.resize(np.arange(len(y)), blocks * _BLOCK).reshape(blocks, _BLOCK)
    found = [np.asarray(function(net, y[r], given[r]), dtype=float) for r in rows]
    return np.concatenate(found)[: len(y)]


@cache
def _compiled() -> tuple[Any, Any]:
    """Return what JAX compiles: log densities of a block, and draws given a data set."""
    import equinox as eqx
    import jax

    keep_programs()

    @eqx.filter_jit
    def log_prob(net: Any, y: Any, given: Any) -> Any:
        return net.log_prob(y, given)

    @eqx.filter_jit
    def sample(net: Any, seed: Any, given: Any, count: int) -> Any:
        return net.sample(jax.random.key(seed), (count,), given)

    return log_prob, sample

"""The linear-noise approximation of a simulated loss, to start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._typing import FloatArray, JaxArray
from tumble.objectives._base import BoundOutputs, Evaluation
from tumble.simulators import LinearNoise

_WIDTH = 8


@dataclass(frozen=True)
class Surrogate:
    """ℓ(m) with the expected features m of the linear-noise approximation.

    Guarantee: deterministic and smooth; off by the error of the approximation, so a place to start
    from and nothing else.
    """

    method: LinearNoise
    bound: BoundOutputs

    def evaluate(self, z: FloatArray) -> Evaluation:
        """Return values, gradients and Gauss–Newton curvatures (quadratic losses) at z [M, P]."""
        import jax

        pieces = []
        with jax.enable_x64(True):
            for first in range(0, len(z), _WIDTH):
                rows = np.arange(first, min(first + _WIDTH, len(z)))
                batch = self._function(np.asarray(z[np.resize(rows, _WIDTH)], dtype=float))
                pieces.append([np.asarray(part)[: len(rows)] for part in batch])
        moments, slopes = (np.concatenate(p) for p in zip(*pieces, strict=True))
        values = np.array([self.bound.value(m) for m in moments])
        gradients = np.stack(
            [self.bound.slope(m) @ j for m, j in zip(moments, slopes, strict=True)]
        )
        values[~(np.isfinite(values) & np.isfinite(gradients).all(1))] = np.inf
        if not self.bound.quadratic:
            return Evaluation(values, gradients, None)
        second = self.bound.second[:, None]
        curvatures = np.stack([j.T @ (second * j) for j in slopes])
        return Evaluation(values, gradients, curvatures)

    @cached_property
    def _function(self) -> Any:
        import jax

        def moments(z: JaxArray) -> tuple[JaxArray, JaxArray]:
            features = self.bound.surrogate(z, self.method)
            return features, features

        def both(z: JaxArray) -> tuple[JaxArray, JaxArray]:
            slopes, features = jax.jacfwd(moments, has_aux=True)(z)
            return features, slopes

        return jax.jit(jax.vmap(both))

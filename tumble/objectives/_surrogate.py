"""The linear-noise approximation of a simulated loss, to start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tumble._typing import FloatArray, JaxArray
from tumble._xla import jit_equations
from tumble.losses import times
from tumble.objectives._base import BoundOutputs, Evaluation, FeatureData, laws_of_data
from tumble.objectives._structure import Structure
from tumble.simulators import LinearNoise

# Points are evaluated in batches of this many, so that one compiled function serves them all.
_WIDTH = 8
_DIFFERENCE = 1e-3


@dataclass(frozen=True)
class Surrogate:
    """ℓ(m) with the expected features m of the linear-noise approximation.

    Guarantee: deterministic and smooth; off by the error of the approximation, so a place to start
    from and nothing else.
    """

    method: LinearNoise
    bound: BoundOutputs

    def evaluate(self, z: FloatArray) -> Evaluation:
        """Return values, gradients and curvatures (Gauss–Newton; None if linear) at z [M, P]."""
        moments, slopes = self._moments(z)
        with np.errstate(over="ignore", invalid="ignore"):  # explosions are marked below
            values = np.array([self.bound.value(m) for m in moments])
            gradients = np.stack(
                [self.bound.slope(m) @ j for m, j in zip(moments, slopes, strict=True)]
            )
            curvatures = np.stack(
                [j.T @ times(self._stiffness(m), j) for m, j in zip(moments, slopes, strict=True)]
            )
        values[~(np.isfinite(values) & np.isfinite(gradients).all(1))] = np.inf
        if not self.bound.loss.compares:
            return Evaluation(values, gradients, None)
        return Evaluation(values, gradients, curvatures)

    def moments(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return m [F] and ∂m/∂z [F, P] at z [P]; not numbers where there are none."""
        moments, slopes = self._moments(z[None])
        return moments[0], slopes[0]

    def slopes(self, z: FloatArray) -> FloatArray:
        """Return ∂m/∂z [F, P] at z [P]."""
        return self._moments(z[None])[1][0]

    def curvature(self, z: FloatArray) -> FloatArray:
        """Return the Hessian [P, P] at z [P] with its eigenvalues made positive.

        Central differences of the exact gradient; the identity where that is not finite.
        """
        size = len(z)
        shifts = _DIFFERENCE * np.concatenate([np.eye(size), -np.eye(size)])
        gradients = self.evaluate(z + shifts).gradients
        hessian = (gradients[:size] - gradients[size:]) / (2 * _DIFFERENCE)
        if not np.all(np.isfinite(hessian)):
            return np.eye(size)
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        return (vectors * np.abs(values)) @ vectors.T

    def _stiffness(self, moments: FloatArray) -> FloatArray:
        if np.all(np.isfinite(moments)):
            return self.bound.loss.stiffness(moments)
        return np.full(len(moments), np.nan)

    def _moments(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return m [M, F] and ∂m/∂z [M, F, P] at z [M, P]."""
        import jax

        laws = _laws(self.method, Structure(self.bound.problem))
        features = _features(self.bound.objective)
        data = list(self.bound.data)
        pieces = []
        with jax.enable_x64(True):
            for first in range(0, len(z), _WIDTH):
                rows = np.arange(first, min(first + _WIDTH, len(z)))
                batch = features(*laws(np.asarray(z[np.resize(rows, _WIDTH)], dtype=float)), data)
                pieces.append([np.asarray(part)[: len(rows)] for part in batch])
        moments, slopes = (np.concatenate(p) for p in zip(*pieces, strict=True))
        return moments, slopes


# The solution of the linear-noise equations depends on the problem up to its data, and is compiled
# once; features depend on the data too, and compile fast.


@lru_cache(maxsize=16)
def _laws(method: LinearNoise, structure: Structure) -> Any:
    """Return the jitted z [M, P] -> means and covariances of the data, and their slopes."""
    import jax

    def both(z: JaxArray) -> tuple[Any, Any]:
        slopes, laws = jax.jacfwd(_twice(gaussian_laws), has_aux=True)(z)
        return laws, slopes

    def gaussian_laws(z: JaxArray) -> Any:
        return laws_of_data(structure.problem, z, method)

    return jit_equations(jax.vmap(both))


@lru_cache(maxsize=16)
def _features(objective: Any) -> Any:
    """Return the jitted (laws, their slopes, data) -> features [M, F], their slopes [M, F, P]."""
    import jax
    import jax.numpy as jnp

    def features(laws: Any, data: list[FeatureData]) -> JaxArray:
        parts = [
            objective.gaussian_features(mean, covariance, d, jnp).ravel()
            for (mean, covariance), d in zip(laws, data, strict=True)
        ]
        return jnp.concatenate(parts)

    def both(laws: Any, slopes: Any, data: list[FeatureData]) -> tuple[JaxArray, JaxArray]:
        size = jax.tree.leaves(slopes)[0].shape[-1]

        def along(shift: JaxArray) -> tuple[JaxArray, JaxArray]:
            moved = jax.tree.map(lambda law, slope: law + slope @ shift, laws, slopes)
            found = features(moved, data)
            return found, found

        in_z, values = jax.jacfwd(along, has_aux=True)(jnp.zeros(size))
        return values, in_z

    return jit_equations(jax.vmap(both, in_axes=(0, 0, None)))


def _twice(function: Any) -> Any:
    """Return what gives the value of ``function`` a second time, to be kept beside its slopes."""

    def both(z: JaxArray) -> tuple[Any, Any]:
        value = function(z)
        return value, value

    return both

"""How probable a datum is in each of many states, and how that depends on the parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._typing import FloatArray, IntArray, JaxArray
from tumble._xla import jit_equations

_SMALLEST_BATCH = 256


@dataclass(frozen=True)
class DatumDensity:
    """What a filter needs of a binding, with derivatives in the U entries of θ that it uses.

    Without ``slopes`` there are none: U is 0.
    """

    binding: Any
    slopes: bool = True

    @cached_property
    def used(self) -> IntArray:
        """The entries of θ that the binding depends on, [U]."""
        if not self.slopes:
            return np.zeros(0, np.int64)
        names = self.binding.space.names
        return np.flatnonzero([name.split("[")[0] in self.binding.used for name in names])

    def model_params(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the model's parameters [Q] and their Jacobian [Q, U]."""
        return self._with_jacobian(0, theta)

    def initial_mean(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean of the initial state [S] and its Jacobian [S, U]."""
        return self._with_jacobian(1, theta)

    def log_prob(
        self, theta: FloatArray, states: IntArray, data: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return log p(data | states) [B] and its Jacobian [B, U].

        Arguments: ``states`` [B, S]; ``data`` [B, O], NaN where missing, which contributes 0.
        """
        import jax

        # Padding to powers of two keeps the number of shapes, hence of compilations, small.
        count = len(states)
        missing = max(_SMALLEST_BATCH, 1 << max(count - 1, 0).bit_length()) - count
        padded = np.pad(np.asarray(states, dtype=float), ((0, missing), (0, 0)), mode="edge")
        given = np.pad(data, ((0, missing), (0, 0)), constant_values=np.nan)
        with jax.enable_x64(True):
            value, jacobian = self._compiled[2](theta, padded, given)
            return np.asarray(value)[:count], np.asarray(jacobian)[:count]

    def _with_jacobian(self, which: int, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        import jax

        with jax.enable_x64(True):
            value, jacobian = self._compiled[which](theta)
            return np.asarray(value), np.asarray(jacobian)

    @cached_property
    def _compiled(self) -> tuple[Any, Any, Any]:
        import jax
        import jax.numpy as jnp

        binding, used = self.binding, self.used

        def log_prob(theta: JaxArray, states: JaxArray, data: JaxArray) -> JaxArray:
            present = jnp.isfinite(data)
            observed = binding.observe(states, theta, jnp)
            densities = binding.log_prob(jnp.where(present, data, 0.0), observed, theta)
            return jnp.where(present, densities, 0.0).sum(axis=-1)

        def with_jacobian(function: Any) -> Any:
            def both(theta: JaxArray, *rest: Any) -> tuple[JaxArray, JaxArray]:
                if not len(used):
                    value = function(theta, *rest)
                    return value, jnp.zeros((*value.shape, 0))

                def twice(part: JaxArray) -> tuple[JaxArray, JaxArray]:
                    value = function(theta.at[used].set(part), *rest)
                    return value, value

                jacobian, value = jax.jacfwd(twice, has_aux=True)(theta[used])
                return value, jacobian

            return jit_equations(both)

        return (
            with_jacobian(binding.model_params),
            with_jacobian(binding.initial_mean),
            with_jacobian(log_prob),
        )

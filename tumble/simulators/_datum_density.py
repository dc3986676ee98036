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

    def model_params(self, theta: FloatArray, effects: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the model's parameters [Q] and their Jacobian [Q, U], ``effects`` [E] as drawn."""
        return self._with_jacobian(0, theta, effects)

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

        count = len(states)
        padded, given = _padded(np.asarray(states, dtype=float)), _padded(data)
        with jax.enable_x64(True):
            value, jacobian = self._compiled[2](theta, padded, given)
            return np.asarray(value)[:count], np.asarray(jacobian)[:count]

    def log_prob_of_rows(self, theta: FloatArray, states: IntArray, data: FloatArray) -> FloatArray:
        """Return log p(data | states) [B] at θ [B, P], states [B, S], data [B, O]."""
        import jax

        rows = [np.asarray(a, dtype=float) for a in (theta, states, data)]
        with jax.enable_x64(True):
            value = self._compiled_rows(*(_padded(a) for a in rows))
            return np.asarray(value)[: len(data)]

    def _with_jacobian(
        self, which: int, theta: FloatArray, *rest: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        import jax

        with jax.enable_x64(True):
            value, jacobian = self._compiled[which](theta, *rest)
            return np.asarray(value), np.asarray(jacobian)

    @cached_property
    def _compiled(self) -> tuple[Any, Any, Any]:
        import jax
        import jax.numpy as jnp

        binding, used = self.binding, self.used

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
            with_jacobian(binding.params_given),
            with_jacobian(binding.initial_mean),
            with_jacobian(self._log_prob),
        )

    @cached_property
    def _compiled_rows(self) -> Any:
        def rows(theta: JaxArray, states: JaxArray, data: JaxArray) -> JaxArray:
            return self._log_prob(theta, states[:, None], data[:, None])[:, 0]

        return jit_equations(rows)

    def _log_prob(self, theta: JaxArray, states: JaxArray, data: JaxArray) -> JaxArray:
        """Return log p(data | states) [...], at θ [P] or [B, P], in JAX."""
        import jax.numpy as jnp

        present = jnp.isfinite(data)
        observed = self.binding.observe(states, theta, jnp)
        densities = self.binding.log_prob(jnp.where(present, data, 0.0), observed, theta)
        return jnp.where(present, densities, 0.0).sum(axis=-1)


def _padded(rows: FloatArray) -> FloatArray:
    """Return rows [B, ...] with the last one repeated until there are a power of two of them.

    That keeps the number of shapes, hence of compilations, small.
    """
    missing = max(_SMALLEST_BATCH, 1 << max(len(rows) - 1, 0).bit_length()) - len(rows)
    return np.pad(rows, ((0, missing), (0, 0)), mode="edge")

"""Densities as modules of Equinox. Imported where they are built: JAX takes its time."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp


class Normal(eqx.Module):
    """The standard normal law of ``size`` numbers."""

    size: int = eqx.field(static=True)

    def log_prob(self, y: Any, given: Any = None) -> Any:
        """Return log densities [...] at y [..., size]."""
        return jax.scipy.stats.norm.logpdf(y).sum(-1)

    def sample(self, key: Any, shape: tuple[int, ...] = (), condition: Any = None) -> Any:
        """Return draws [*shape, size]."""
        return jax.random.normal(key, (*shape, self.size), jnp.float32)

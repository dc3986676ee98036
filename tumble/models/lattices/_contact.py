"""The chance that at least one of several contacts is passed on."""

from __future__ import annotations

from typing import Any

from tumble._typing import JaxArray

_NEARLY_ONE = 1 - 2.0**-53


def passed_on(chance: Any, contacts: JaxArray) -> JaxArray:
    """Return 1 − (1 − p)^N for N ≥ 0 contacts, right also where p is tiny."""
    import jax.numpy as jnp

    # As exp(N log(1 − p)), which is several times faster than a power; at p = 1 the logarithm is
    # finite, so that N = 0 is no contact.
    return -jnp.expm1(contacts * jnp.log1p(-jnp.minimum(chance, _NEARLY_ONE)))

"""The words of the random streams on whatever device JAX computes on.

The same pure function as in `tumble.kernels._philox`, bit by bit: block ``d`` of run ``i`` under
key ``k`` is Philox4x32-10 of the counter (d, i) and the key k. Where JAX has 64-bit numbers they
hold its products, which is four times as fast on a CPU; else 32-bit integers do, so that it needs
neither a global switch of JAX nor 64-bit arithmetic of a device.

Reference: Salmon et al., SC11 (2011), doi:10.1145/2063384.2063405.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from tumble._typing import IdArray, JaxArray

Halves: TypeAlias = tuple[JaxArray, JaxArray]  # low and high 32 bits of a 64-bit number, uint32

_M0 = np.uint32(0xD2511F53)
_M1 = np.uint32(0xCD9E8D57)
_W0 = np.uint32(0x9E3779B9)
_W1 = np.uint32(0xBB67AE85)
_LOW = np.uint32(0xFFFF)
_16 = np.uint32(16)


def halves(numbers: int | IdArray) -> Halves:
    """Return the low and the high 32 bits of numbers in [0, 2**64), as NumPy arrays of uint32."""
    wide = np.asarray(numbers, dtype=np.uint64)
    return wide.astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)


def philox_words(
    key: Halves, run: Halves, draw: Halves
) -> tuple[JaxArray, JaxArray, JaxArray, JaxArray]:
    """Return the four 32-bit words of block ``draw`` of ``run`` under ``key``.

    Ten rounds of Philox4x32 of the counter words (low draw, high draw, low run, high run).

    Guarantee: bitwise the words of the Numba kernels, on every device, under ``jit`` and ``vmap``,
    with and without 64-bit JAX.

    Arguments: ``key``, ``run`` and ``draw``, each the low and the high 32 bits of 64-bit numbers as
    unsigned integers (`halves` makes them), in shapes that broadcast against each other.

    Returns four arrays of uint32 in the common shape.

    When: inside programs that JAX compiles. Kernels have their own, which is faster on a CPU.
    """
    import jax
    import jax.numpy as jnp

    def word(number: JaxArray) -> JaxArray:
        return jnp.asarray(number, dtype=jnp.uint32)

    has_wide = jax.dtypes.canonicalize_dtype(np.uint64) == np.uint64
    times = _wide_product if has_wide else _product
    k0, k1 = map(word, key)
    c0, c1, c2, c3 = jnp.broadcast_arrays(*map(word, (*draw, *run)))
    for _ in range(10):
        even_high, even_low = times(c0, _M0)
        odd_high, odd_low = times(c2, _M1)
        c0, c1, c2, c3 = odd_high ^ c1 ^ k0, odd_low, even_high ^ c3 ^ k1, even_low
        k0 = k0 + _W0
        k1 = k1 + _W1
    return c0, c1, c2, c3


def _wide_product(a: JaxArray, b: np.uint32) -> tuple[JaxArray, JaxArray]:
    """Return the high and the low 32 bits of a·b, from one product of 64 bits."""
    import jax.numpy as jnp

    whole = a.astype(jnp.uint64) * np.uint64(b)
    return (whole >> np.uint64(32)).astype(jnp.uint32), whole.astype(jnp.uint32)


def _product(a: JaxArray, b: np.uint32) -> tuple[JaxArray, JaxArray]:
    """Return the high and the low 32 bits of a·b, from the products of halves of 16 bits."""
    a_low, a_high = a & _LOW, a >> _16
    b_low, b_high = b & _LOW, b >> _16
    low = a_low * b_low
    middle = a_high * b_low + (low >> _16)  # < 2³², as (2¹⁶ − 1)² + 2¹⁶ − 1 is
    other = a_low * b_high + (middle & _LOW)
    return a_high * b_high + (middle >> _16) + (other >> _16), a * b

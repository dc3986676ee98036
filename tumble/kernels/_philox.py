"""Philox4x32-10, the counter-based generator of every stream, for Numba.

Block ``d`` of run ``i`` under key ``k`` is Philox4x32-10 of the counter words (d mod 2**32,
d >> 32, i mod 2**32, i >> 32) and the key words (k mod 2**32, k >> 32). A block holds 128 random
bits: two uniforms of 52 bits, strictly inside (0, 1).

Reference: Salmon et al., SC11 (2011), doi:10.1145/2063384.2063405; the tests hold its published
known answers.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._uniforms import uniform

_M0 = np.uint64(0xD2511F53)
_M1 = np.uint64(0xCD9E8D57)
_W0 = np.uint64(0x9E3779B9)
_W1 = np.uint64(0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Return the four 32-bit words (held in uint64) of ten rounds of Philox4x32."""
    # Words carry garbage above their 32 bits between rounds: cutting it off once, where a word is
    # multiplied, is what a vector unit does for free.
    for _ in range(10):
        p0 = _M0 * (c0 & _LOW)
        p1 = _M1 * (c2 & _LOW)
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1, (p0 >> _32) ^ c3 ^ k1, p0
        k0 = (k0 + _W0) & _LOW
        k1 = (k1 + _W1) & _LOW
    return c0 & _LOW, c1 & _LOW, c2 & _LOW, c3 & _LOW


@part
def two_uniforms(key, run, draw):
    """Return two independent uniforms in (0, 1) of key, run and draw, all uint64."""
    a, b, c, d = philox(draw & _LOW, draw >> _32, run & _LOW, run >> _32, key & _LOW, key >> _32)
    return uniform(a, b), uniform(c, d)


@kernel
def philox_block(counter, key):
    """Return the four output words for counter words [4] and key words [2], both uint64."""
    return philox(counter[0], counter[1], counter[2], counter[3], key[0], key[1])


@kernel
def fill_uniforms(key, runs, first_draw, out):
    """Fill ``out`` [B, D, 2] with the uniforms of draws first_draw … of each run [B]."""
    for b in range(out.shape[0]):
        for d in range(out.shape[1]):
            u, v = two_uniforms(key, runs[b], first_draw + np.uint64(d))
            out[b, d, 0] = u
            out[b, d, 1] = v

"""From random words to uniforms and exponentials, in operations that vectorize and round alike.

Scalar and vectorized kernels give bitwise the same paths because they share these functions: no
operation is left to the compiler to fuse or reorder, and the logarithm is our own.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from tumble.kernels._jit import inlined, kernel

_LOW = np.uint64(0xFFFFFFFF)
_ONE = np.uint64(0x3FF0000000000000)  # the bits of 1.0
_FRACTION = np.uint64(0x000FFFFFFFFFFFFF)
_ROOT_HALF = np.uint64(0x3FE6A09E667F3BCD)  # the bits of √½
_12, _20, _52 = np.uint64(12), np.uint64(20), np.uint64(52)
_LESS_ONE = 1.0 - 2.0**-53
_LN2 = math.log(2.0)


@intrinsic
def _as_float(context, bits):
    """Read 64 bits as a float."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.DoubleType())

    return types.float64(types.uint64), generate


@intrinsic
def _as_bits(context, value):
    """Read a float as 64 bits."""

    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@intrinsic
def _fma(context, a, b, c):
    """Return a b + c, rounded once."""

    def generate(context, builder, signature, args):
        return builder.fma(*args)

    return types.float64(types.float64, types.float64, types.float64), generate


@intrinsic
def trailing_zeros(context, bits):
    """Return the number of zero bits below the lowest one of ``bits`` (uint64, not 0)."""

    def generate(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@inlined
def uniform(high, low):
    """Return (n + ½) 2⁻⁵² with n the upper 52 bits of the words ``high`` and ``low`` (uint64)."""
    bits = ((high << _20) & _FRACTION) | ((low & _LOW) >> _12)
    return _as_float(bits | _ONE) - _LESS_ONE


@inlined
def exponential(u):
    """Return −log u for u in (0, 1), to two units in the last place.

    With u = 2ᵏ m, m in [√½, √2) and s = (m − 1)/(m + 1): log u = k log 2 + 2 artanh s, whose series
    has converged at s¹⁹ since |s| < 0.172.
    """
    bits = _as_bits(u)
    k = np.int64(bits - _ROOT_HALF) >> np.int64(52)
    m = _as_float(bits - (np.uint64(k) << _52))
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    z2 = z * z
    z4 = z2 * z2
    # Pairs are summed as a tree, which shortens the chain of operations that wait for each other.
    low = _fma(z2, _fma(z, 1 / 9, 1 / 7), _fma(z, 1 / 5, 1 / 3))
    high = _fma(z2, _fma(z, 1 / 17, 1 / 15), _fma(z, 1 / 13, 1 / 11))
    tail = _fma(z4 * z4, 1 / 19, _fma(z4, high, low))
    twice = s + s
    return -_fma(np.float64(k), _LN2, _fma(twice * z, tail, twice))


@kernel
def fill_exponentials(u, out):
    """Fill ``out`` [n] with −log u [n]."""
    for i in range(u.shape[0]):
        out[i] = exponential(u[i])

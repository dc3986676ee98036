"""Poisson and normal draws from counter-based streams, for Numba.

Each takes whole Philox blocks of a run, one after another, and returns the number of the next: what
a run draws is a function of its stream and id alone.
"""

from __future__ import annotations

import math

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._philox import two_uniforms
from tumble.kernels._uniforms import exponential

_ONE = np.uint64(1)
# Below this mean summing up probabilities is the faster way.
_SMALL_MEAN = 10.0


@part
def poisson(mean, key, run, draw):
    """Return a Poisson number of ``mean`` > 0, as a float, and the number of the next block.

    Exact but for rounding: inversion of the distribution function for small means, else the
    transformed rejection of Hörmann, Insur. Math. Econ. 12 (1993),
    doi:10.1016/0167-6687(93)90997-4 (PTRS).
    """
    if mean < _SMALL_MEAN:
        u, _ = two_uniforms(key, run, draw)
        chance = math.exp(-mean)
        below = chance
        count = 0.0
        # Where the sum has stopped growing, rounding may leave it just below the largest u.
        while below <= u and chance > 1e-18:
            count += 1.0
            chance *= mean / count
            below += chance
        return count, draw + _ONE
    root = math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    sure = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = two_uniforms(key, run, draw)
        draw += _ONE
        u -= 0.5
        side = 0.5 - abs(u)
        count = math.floor((2.0 * a / side + b) * u + mean + 0.43)
        if side >= 0.07 and v <= sure:
            return count, draw
        if count < 0.0 or (side < 0.013 and v > side):
            continue
        hat = math.log(v * inverse_alpha / (a / (side * side) + b))
        if hat <= log_poisson(count, mean):
            return count, draw


@kernel
def log_poisson(count, mean):
    """Return log(e^{−mean} mean^count / count!), without the cancellation of large terms.

    With d = (count − mean) / mean the leading terms are −mean ((1 + d) log(1 + d) − d), and the
    rest of log count! is Stirling's series.
    """
    if count < 16.0:
        return count * math.log(mean) - mean - math.lgamma(count + 1.0)
    d = (count - mean) / mean
    square = count * count
    series = (1 / 12 - (1 / 360 - (1 / 1260) / square) / square) / count
    return -mean * ((1.0 + d) * math.log1p(d) - d) - 0.5 * math.log(2.0 * math.pi * count) - series


@inlined
def two_normals(key, run, draw):
    """Return two independent standard normal numbers of one block (Box and Muller)."""
    u, v = two_uniforms(key, run, draw)
    radius = math.sqrt(2.0 * exponential(u))
    angle = 2.0 * math.pi * v
    return radius * math.cos(angle), radius * math.sin(angle)


@kernel
def fill_poisson(mean, key, runs, out):
    """Fill ``out`` [B, D] with Poisson numbers, D in a row for each run [B]."""
    for b in range(out.shape[0]):
        draw = np.uint64(0)
        for d in range(out.shape[1]):
            out[b, d], draw = poisson(mean, key, runs[b], draw)


@kernel
def fill_normals(key, runs, out):
    """Fill ``out`` [B, D, 2] with normal numbers."""
    for b in range(out.shape[0]):
        for d in range(out.shape[1]):
            out[b, d, 0], out[b, d, 1] = two_normals(key, runs[b], np.uint64(d))

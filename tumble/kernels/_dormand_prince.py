"""One step of the Runge-Kutta pair of Dormand and Prince, with its continuous extension."""

from __future__ import annotations

from tumble.kernels._jit import part
from tumble.kernels._tableau import DENSE, ERROR, NUM_STAGES, WEIGHTS


@part
def stage(y, slopes, s, h, out):
    """Fill ``out`` [N] with the point at which stage ``s`` takes its slope."""
    for i in range(y.shape[0]):
        total = 0.0
        for j in range(s):
            total += WEIGHTS[s, j] * slopes[j, i]
        out[i] = y[i] + h * total


@part
def error_of(slopes, i, h):
    """Return the estimated error of component ``i`` in a step ``h``."""
    total = 0.0
    for s in range(NUM_STAGES):
        total += ERROR[s] * slopes[s, i]
    return h * total


@part
def extend(y, y_new, slopes, h, dense):
    """Fill ``dense`` [5, N] with the polynomials that give the solution inside the step."""
    for i in range(y.shape[0]):
        rise = y_new[i] - y[i]
        bend = h * slopes[0, i] - rise
        dense[0, i] = y[i]
        dense[1, i] = rise
        dense[2, i] = bend
        dense[3, i] = rise - h * slopes[6, i] - bend
        total = 0.0
        for s in range(NUM_STAGES):
            total += DENSE[s] * slopes[s, i]
        dense[4, i] = h * total


@part
def inside(dense, i, part):
    """Return component ``i`` at a ``part`` of the step, from 0 to 1."""
    rest = 1.0 - part
    inner = dense[2, i] + part * (dense[3, i] + rest * dense[4, i])
    return dense[0, i] + part * (dense[1, i] + rest * inner)

"""The mean change of the lattice gas in one step, and waves on its sites."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._typing import FloatArray
from tumble.models.lattices._lattice_gas import AXIS, DIAGONAL, FitzHughNagumoLatticeGas


def drift_terms(model: FitzHughNagumoLatticeGas, frames: FloatArray) -> tuple[Any, Any]:
    """Return what multiplies parameters in the mean increments of a step, which are linear in them.

    That is up to terms of the order of g D, since reactions see what diffusion leaves.

    Arguments: ``frames`` [..., 2, *shape] of A and B. Returns arrays [3, ..., *shape] for k1, k2
    and D_A, of the increment of A, and [2, ..., *shape] for k3 and D_B, of that of B.
    """
    import jax

    n, m = frames[..., 0, :, :], frames[..., 1, :, :]
    top, sixth = float(model.capacity), model.rate / 6
    cubic = n * (top - n) * (2 * n - top) / ((top - 1) * (top - 2))
    with jax.enable_x64(True):
        spread_a, spread_b = (np.asarray(spread(model, x)) / top for x in (n, m))
    of_a = np.stack([sixth * cubic, sixth * (m - n), spread_a])
    return of_a, np.stack([sixth * (top - n - m), spread_b])


def spread(model: FitzHughNagumoLatticeGas, values: Any) -> Any:
    """Return the mean over where a move leads, less the value itself."""
    widths = [(0, 0)] * (values.ndim - 2) + [(1, 1), (1, 1)]
    wide = model.grid.boundary.padded(values, widths)  # once: each time costs a copy
    rows, columns = values.shape[-2:]

    def at(i: int, j: int) -> Any:
        return wide[..., 1 + i : 1 + i + rows, 1 + j : 1 + j + columns]

    axes = at(0, 1) + at(0, -1) + at(1, 0) + at(-1, 0)
    corners = at(1, 1) + at(1, -1) + at(-1, 1) + at(-1, -1)
    return AXIS * axes + DIAGONAL * corners - values


def wave_radius(model: FitzHughNagumoLatticeGas) -> FloatArray:
    """Return how many periods a site each wave has, in the order of `numpy.fft.fft2`."""
    axes = np.meshgrid(*(np.fft.fftfreq(n) for n in model.grid.shape), indexing="ij")
    return np.sqrt(sum(axis**2 for axis in axes))

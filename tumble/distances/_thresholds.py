"""Cells of the real line over which distribution functions are compared."""

from __future__ import annotations

import numpy as np

from tumble._typing import FloatArray

# Cells that double in width carry on outside the data, to some 30 times their range, so that the
# loss has a slope wherever the simulation starts.
_OUTSIDE = 8
_PART_OF_RANGE = 8


def cells(
    values: FloatArray, whole: bool, positive: bool, num_cells: int
) -> tuple[FloatArray, FloatArray]:
    """Return thresholds and widths [K] of cells for a sample ``values`` [N].

    Inside the range of the data, whole numbers get a cell each where ``num_cells`` of them are
    enough; otherwise cells lie between quantiles, each with about the same number of data, and not
    wider than an eighth of the range. ∫ (F − G)² dx is then Σ_k width_k (F − G)²(threshold_k), up
    to the change of F − G within a cell.
    """
    edges = _inside(values, whole, num_cells)
    span = edges[-1] - edges[0]
    step = max(span / _PART_OF_RANGE, 1.0) if whole else span / _PART_OF_RANGE
    reach = step * (2.0 ** np.arange(1, _OUTSIDE + 1) - 1)
    reach = np.ceil(reach) if whole else reach
    edges = np.concatenate([edges[0] - reach[::-1], edges, edges[-1] + reach])
    if positive:
        edges = np.unique(np.maximum(edges, 0.0))
    low, high = edges[:-1], edges[1:]
    middle = np.floor((low + high - 1) / 2) + 0.5 if whole else (low + high) / 2
    return middle, high - low


def _inside(values: FloatArray, whole: bool, num_cells: int) -> FloatArray:
    """Return the edges of the cells within the range of the data."""
    low, high = values.min(), values.max()
    if whole:
        low, high = np.floor(low), np.floor(high) + 1
        if high - low <= num_cells:
            return np.arange(low, high + 1)
    if high == low:
        half = 0.05 * max(abs(low), 1.0)
        return np.array([low - half, low + half])
    coarse = np.linspace(low, high, _PART_OF_RANGE + 1)
    shares = np.linspace(0, 1, max(num_cells - _PART_OF_RANGE, 1) + 1)
    edges = np.concatenate([coarse, np.quantile(values, shares)])
    edges = np.unique(np.rint(edges) if whole else edges)
    return edges[(edges >= low) & (edges <= high)]

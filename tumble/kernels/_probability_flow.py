"""Distributions over states, carried on in time."""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import kernel, part


@kernel
def add_jumps(first, columns, values, weights, table):
    """Return Σ_k w_k Tᵏ x [m, N] for a sparse matrix T [m, m], ``weights`` w and ``table`` x.

    Row i of T has ``values`` at ``columns``, from ``first[i]`` to ``first[i + 1]``.
    """
    total = weights[0] * table
    if table.shape[1] == 1:
        _add_to_one(first, columns, values, weights, table[:, 0].copy(), total[:, 0])
    else:
        _add_to_several(first, columns, values, weights, table.copy(), total)
    return total


@part
def _add_to_one(first, columns, values, weights, term, total):
    """Add the terms of one column [m]."""
    after = np.empty_like(term)
    for k in range(1, weights.shape[0]):
        weight = weights[k]
        for i in range(term.shape[0]):
            found = 0.0
            for place in range(first[i], first[i + 1]):
                found += values[place] * term[columns[place]]
            after[i] = found
            total[i] += weight * found
        term, after = after, term


@part
def _add_to_several(first, columns, values, weights, term, total):
    """Add the terms of N columns [m, N]."""
    after = np.empty_like(term)
    for k in range(1, weights.shape[0]):
        weight = weights[k]
        for i in range(term.shape[0]):
            after[i] = 0.0
            for place in range(first[i], first[i + 1]):
                column, value = columns[place], values[place]
                for n in range(term.shape[1]):
                    after[i, n] += value * term[column, n]
            for n in range(term.shape[1]):
                total[i, n] += weight * after[i, n]
        term, after = after, term

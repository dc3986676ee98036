"""The chemical Langevin equation by Euler–Maruyama, table-driven.

Reference: Gillespie, J. Chem. Phys. 113 (2000), doi:10.1063/1.481811.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from tumble.kernels._draws import two_normals
from tumble.kernels._mass_action import (
    INVALID_RATE,
    LARGEST_COUNT,
    OK,
    OVERFLOW,
    rates_are_valid,
)
from tumble.kernels._propensity import propensity_of_reals

_BLOCK = np.uint64(1)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def langevin(tables, rates, initial, start, times, key, runs, step, states, codes):
    """Simulate every row of ``rates`` and fill the outputs.

    Inputs: ``rates`` [B, R], ``initial`` [B, S], ``start``, ``times`` [T], ``key`` uint64,
    ``runs`` [B] uint64, ``step``. Outputs: real ``states`` [B, T, S], NaN in failed runs; ``codes``
    [B].
    """
    num_species, num_reactions = initial.shape[1], rates.shape[1]
    state = np.empty(num_species)
    inside = np.empty(num_species)
    fired = np.empty(num_reactions)
    for b in range(rates.shape[0]):
        for i in range(num_species):
            state[i] = float(initial[b, i])
        codes[b] = OK if rates_are_valid(rates[b]) else INVALID_RATE
        draw = np.uint64(0)
        last = start
        for k in range(times.shape[0]):
            # Equal steps from output to output, none longer than `step`.
            num_steps = math.ceil((times[k] - last) / step)
            span = (times[k] - last) / num_steps
            for _ in range(num_steps):
                if codes[b] != OK:
                    break
                codes[b], draw = _advance(
                    tables, rates[b], state, inside, fired, span, key, runs[b], draw
                )
            last = times[k]
            states[b, k] = state
        if codes[b] != OK:
            states[b, :, :] = np.nan


@numba.njit(inline="always", error_model="numpy")
def _advance(tables, rates, state, inside, fired, span, key, run, draw):
    """Make one step in place; return a code and the number of the next block."""
    for i in range(state.shape[0]):
        inside[i] = max(state[i], 0.0)
    for r in range(0, rates.shape[0], 2):
        first, second = two_normals(key, run, draw)
        draw += _BLOCK
        mean = propensity_of_reals(tables, rates, r, inside) * span
        fired[r] = mean + math.sqrt(mean) * first
        if r + 1 < rates.shape[0]:
            mean = propensity_of_reals(tables, rates, r + 1, inside) * span
            fired[r + 1] = mean + math.sqrt(mean) * second
    code = OK
    for r in range(rates.shape[0]):
        if not abs(fired[r]) < 1e300:
            code = INVALID_RATE
        for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
            state[tables.change_species[j]] += tables.change_amount[j] * fired[r]
    for i in range(state.shape[0]):
        if code == OK and not abs(state[i]) < LARGEST_COUNT:
            code = OVERFLOW
    return code, draw

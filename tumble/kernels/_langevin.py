"""The chemical Langevin equation by Euler–Maruyama, table-driven.

Reference: Gillespie, J. Chem. Phys. 113 (2000), doi:10.1063/1.481811.
"""

from __future__ import annotations

import math

import numpy as np

from tumble.kernels._draws import two_normals
from tumble.kernels._jit import inlined, kernel
from tumble.kernels._laws import is_valid, opened, real_factor_of
from tumble.kernels._mass_action import INVALID_RATE, LARGEST_COUNT, OK, OVERFLOW

_BLOCK = np.uint64(1)


@kernel
def langevin(
    tables,
    laws,
    rates,
    params,
    initial,
    start,
    times,
    key,
    runs,
    step,
    states,
    codes,
    culprits,
):
    """Simulate every row of ``rates`` and fill the outputs.

    Inputs and outputs are those of `tumble.kernels._direct.direct_method`, but for real ``states``
    [B, T, S], NaN in failed runs.
    """
    ptr, program, constants, stack = opened(laws)
    num_species, num_reactions = initial.shape[1], rates.shape[1]
    state = np.empty(num_species)
    inside = np.empty(num_species)
    fired = np.empty(num_reactions)
    for b in range(rates.shape[0]):
        for i in range(num_species):
            state[i] = float(initial[b, i])
        codes[b], culprits[b] = OK, -1
        draw = np.uint64(0)
        last = start
        for k in range(times.shape[0]):
            # Equal steps from output to output, none longer than `step`.
            num_steps = math.ceil((times[k] - last) / step)
            span = (times[k] - last) / num_steps
            for _ in range(num_steps):
                if codes[b] != OK:
                    break
                for i in range(num_species):
                    inside[i] = max(state[i], 0.0)
                for r in range(num_reactions):
                    fired[r] = (
                        span
                        * rates[b, r]
                        * real_factor_of(
                            tables, laws, ptr, program, constants, stack, r, inside, params[b]
                        )
                    )
                    if not (is_valid(rates[b, r]) and is_valid(fired[r])):
                        codes[b], culprits[b] = INVALID_RATE, r
                if codes[b] == OK:
                    draw = _add_noise(fired, key, runs[b], draw)
                    codes[b] = _move(tables, fired, state)
            last = times[k]
            states[b, k] = state
        if codes[b] != OK:
            states[b, :, :] = np.nan


@inlined
def _add_noise(fired, key, run, draw):
    """Add to each mean number of firings its normal noise; return the number of the next block."""
    for r in range(0, fired.shape[0], 2):
        first, second = two_normals(key, run, draw)
        draw += _BLOCK
        fired[r] += math.sqrt(fired[r]) * first
        if r + 1 < fired.shape[0]:
            fired[r + 1] += math.sqrt(fired[r + 1]) * second
    return draw


@inlined
def _move(tables, fired, state):
    """Let reactions fire so many times; return a code."""
    for r in range(fired.shape[0]):
        for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
            state[tables.change_species[j]] += tables.change_amount[j] * fired[r]
    for i in range(state.shape[0]):
        if not abs(state[i]) < LARGEST_COUNT:
            return OVERFLOW
    return OK

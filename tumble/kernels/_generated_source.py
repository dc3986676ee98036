"""The source of a vectorized direct method written out for one network.

The loop over lanes of `tumble.kernels._table_lanes`, with every reaction spelled out, so that a
step keeps its numbers in registers. The operations and their order are the same, hence the paths.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._lanes import FIRST_STATE
from tumble.kernels._tables import NetworkTables

# Bytes of the nearest cache that a workspace may take.
_CACHE = 40_000
_MOST_LANES, _FEWEST_LANES = 128, 16

_HEAD = '''"""Written by tumble for one network; it is safe to delete this file."""

import numba
import numpy as np

from tumble.kernels._lanes import (
    CHOICE, FEW, LEFT, OVER, WAIT, draw, finish, overdue, refill, settle,
)

LANES = {lanes}
A, B, NUM_SPECIES = {a}, {b}, {num_species}

'''

_RUN = """
@numba.njit(cache=True, nogil=True, error_model="numpy")
def run(job):
    w = np.zeros(({rows}, LANES))
    ids = np.zeros((3, LANES), np.uint64)
    flags = np.zeros(LANES, np.uint8)
    row = np.full(LANES, OVER)
    output = np.zeros(LANES, np.int64)
    times, states, codes, events = job.times, job.states, job.codes, job.events
    max_events, until_check = job.max_events, job.max_events
    todo, idle = refill(w, ids, row, output, job, 0, A)
    active = LANES - idle
    while active > FEW or todo < job.rates.shape[0]:
        draw(w, ids, job.key, LANES)
        flagged = forth(w, flags)
        if until_check == 0:
            until_check = overdue(ids, flags, row, max_events)
            flagged = 1
        until_check -= 1
        if flagged:
            num_over = settle(
                w, ids, flags, row, output, A, NUM_SPECIES, times, max_events, states, codes,
                events,
            )
            if num_over > 0:
                todo, idle = refill(w, ids, row, output, job, todo, B)
                active -= idle
        draw(w, ids, job.key, LANES)
        flagged = back(w, flags)
        if until_check == 0:
            until_check = overdue(ids, flags, row, max_events)
            flagged = 1
        until_check -= 1
        if flagged:
            num_over = settle(
                w, ids, flags, row, output, B, NUM_SPECIES, times, max_events, states, codes,
                events,
            )
            if num_over > 0:
                todo, idle = refill(w, ids, row, output, job, todo, A)
                active -= idle
    finish(w, ids, row, output, job, A)
"""


def source(tables: NetworkTables, num_species: int) -> str:
    """Return the source of a module whose ``run`` takes a `tumble.kernels._lanes.Job`."""
    num_reactions = len(tables.reactant_ptr) - 1
    rows = FIRST_STATE + 2 * num_species + num_reactions
    first, second = FIRST_STATE, FIRST_STATE + num_species
    lanes = _MOST_LANES
    while lanes > _FEWEST_LANES and 8 * rows * lanes > _CACHE:
        lanes //= 2
    parts = [
        _HEAD.format(lanes=lanes, a=first, b=second, num_species=num_species),
        _step("forth", tables, num_species, first, second),
        _step("back", tables, num_species, second, first),
        _RUN.format(rows=rows),
    ]
    return "\n".join(parts)


def _step(name: str, tables: NetworkTables, num_species: int, before: int, after: int) -> str:
    """Return a function that takes each lane one event further; it returns whether any is flagged.

    With g_r = [a_0 + … + a_r ≤ target], reaction r + 1 or a later one was chosen, so that a count
    changes by ν_0 + Σ_r (ν_{r+1} − ν_r) g_r.
    """
    num_reactions = len(tables.reactant_ptr) - 1
    lines = [
        "@numba.njit(inline='always', error_model='numpy')",
        f"def {name}(w, flags):",
        "    flagged = 0",
        "    for i in range(LANES):",
    ]
    body = [f"n{s} = w[{before + s}, i]" for s in range(num_species)]
    first_rate = FIRST_STATE + 2 * num_species
    for r in range(num_reactions):
        weight = f"w[{first_rate + r}, i]{_combinations(tables, r)}"
        body.append(f"c{r} = {f'c{r - 1} + ' if r else ''}{weight}")
    total = f"c{num_reactions - 1}"
    body += [
        f"left = w[LEFT, i] - w[WAIT, i] / {total}",
        f"target = w[CHOICE, i] * {total}",
        f"stays = (left > 0.0) & ({total} < 1e300)",
        "w[LEFT, i] = left",
        "flags[i] = np.uint8(not stays)",
        "flagged |= np.int64(not stays)",
    ]
    body += [f"g{r} = c{r} <= target" for r in range(num_reactions - 1)]
    changes = _changes(tables, num_species)
    for s in range(num_species):
        steps = np.diff(changes[s])
        terms = [f"n{s}"] + ([f"{float(changes[s, 0])!r}"] if changes[s, 0] else [])
        terms += [f"({float(steps[r])!r} if g{r} else 0.0)" for r in np.flatnonzero(steps)]
        body.append(f"w[{after + s}, i] = {' + '.join(terms)}")
    lines += ["        " + line for line in body]
    return "\n".join([*lines, "    return flagged", ""])


def _combinations(tables: NetworkTables, reaction: int) -> str:
    """Return `` * (…)`` with the combinations of the reactants, multiplied in the usual order."""
    text = ""
    for j in range(tables.reactant_ptr[reaction], tables.reactant_ptr[reaction + 1]):
        name = f"n{tables.reactant_species[j]}"
        for k in range(tables.reactant_order[j]):
            factor = name if k == 0 else f"(({name} - {float(k)}) / {float(k + 1)})"
            text = factor if not text else f"({text} * {factor})"
    return f" * {text}" if text else ""


def _changes(tables: NetworkTables, num_species: int) -> np.ndarray:
    """Return the stoichiometry [S, R]."""
    num_reactions = len(tables.change_ptr) - 1
    changes = np.zeros((num_species, num_reactions), np.int64)
    for r in range(num_reactions):
        for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
            changes[tables.change_species[j], r] = tables.change_amount[j]
    return changes

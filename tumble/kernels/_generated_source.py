"""The source of a vectorized direct method written out for one network.

The loop over lanes of `tumble.kernels._table_lanes`, with every reaction spelled out, so that a
step keeps its numbers in registers. The operations and their order are the same, hence the paths.
"""

from __future__ import annotations

import numpy as np

from tumble._typing import IntArray
from tumble.kernels._lanes import FIRST_STATE
from tumble.kernels._written_law import written
from tumble.models import ReactionNetwork

# Bytes of the nearest cache that a workspace may take.
_CACHE = 40_000
_MOST_LANES, _FEWEST_LANES = 128, 16

_HEAD = '''"""Written by tumble for one network; it is safe to delete this file."""

import numpy as np

from tumble.kernels._interpreter import binary, unary
from tumble.kernels._jit import inlined, kernel
from tumble.kernels._lanes import (
    CHOICE, FEW, LEFT, OVER, WAIT, draw, finish, overdue, refill, settle,
)

LANES = {lanes}
A, B, NUM_SPECIES = {a}, {b}, {num_species}
HAS_LAWS = {has_laws}

'''

_RUN = """
@kernel
def run(job):
    # Made here, so that the compiler knows how far rows are apart, and that they do not overlap:
    # the loops of large networks would be no vector code else.
    w = np.zeros(({rows}, LANES))
    ids = np.zeros((3, LANES), np.uint64)
    row = np.full(LANES, OVER)
    output = np.zeros(LANES, np.int64)
    times, states, codes, events = job.times, job.states, job.codes, job.events
    max_events, until_check = job.max_events, job.max_events
    todo, idle = refill(w, ids, row, output, job, np.int64(0), np.int64(A))
    active = LANES - idle
    while active > FEW or todo < job.rates.shape[0]:
        draw(w, ids, job.key, LANES)
        flagged = forth(w)
        if until_check == 0:
            until_check = overdue(w, ids, row, max_events)
            flagged = 1
        until_check -= 1
        if flagged:
            num_over = settle(
                w, ids, row, output, A, LANES, NUM_SPECIES, times, max_events, states, codes,
                events,
            )
            if num_over > 0:
                todo, idle = refill(w, ids, row, output, job, todo, np.int64(B))
                active -= idle
        draw(w, ids, job.key, LANES)
        flagged = back(w)
        if until_check == 0:
            until_check = overdue(w, ids, row, max_events)
            flagged = 1
        until_check -= 1
        if flagged:
            num_over = settle(
                w, ids, row, output, B, LANES, NUM_SPECIES, times, max_events, states, codes,
                events,
            )
            if num_over > 0:
                todo, idle = refill(w, ids, row, output, job, todo, np.int64(A))
                active -= idle
    finish(w, ids, row, output, job, np.int64(A))
"""


def source(network: ReactionNetwork) -> str:
    """Return the source of a module whose ``run`` takes a `tumble.kernels._lanes.Job`.

    The network's rates must not depend on time.
    """
    num_species, num_reactions = len(network.species), len(network.reactions)
    has_laws = not all(network.is_mass_action)
    rows = FIRST_STATE + 2 * num_species + num_reactions
    rows += len(network.parameters) if has_laws else 0
    first, second = FIRST_STATE, FIRST_STATE + num_species
    lanes = _MOST_LANES
    while lanes > _FEWEST_LANES and 8 * rows * lanes > _CACHE:
        lanes //= 2
    head = _HEAD.format(
        lanes=lanes, a=first, b=second, num_species=num_species, has_laws=has_laws
    )  # fmt: skip
    steps = [_step("forth", network, first, second), _step("back", network, second, first)]
    return "\n".join([head, *steps, _RUN.format(rows=rows)])


def _step(name: str, network: ReactionNetwork, before: int, after: int) -> str:
    """Return a function that takes each lane one event further; it returns whether any is flagged.

    With g_r = [a_0 + … + a_r ≤ target], reaction r + 1 or a later one was chosen, so that a count
    changes by ν_0 + Σ_r (ν_{r+1} − ν_r) g_r. Where a law gives no rate, the time left is none.
    """
    num_reactions = len(network.reactions)
    total = f"c{num_reactions - 1}"
    body = [f"n{s} = w[{before + s}, i]" for s in range(len(network.species))]
    body += _propensities(network)
    body += [f"left = w[LEFT, i] - w[WAIT, i] / {total}", f"target = w[CHOICE, i] * {total}"]
    checks = [f"({total} < 1e300)", *_checks(network)]
    body.append(f"left = left if {' & '.join(checks)} else np.nan")
    body += [
        "w[LEFT, i] = left",
        "flagged |= np.int64(not left > 0.0)",
    ]
    body += [f"g{r} = c{r} <= target" for r in range(num_reactions - 1)]
    body += _changes(network, after)
    return "\n".join(
        [
            "@inlined",
            f"def {name}(w):",
            "    flagged = 0",
            "    for i in range(LANES):",
            *(f"        {line}" for line in body),
            "    return flagged",
            "",
        ]
    )


def _propensities(network: ReactionNetwork) -> list[str]:
    """Return lines that compute the running sums c_r of the propensities."""
    first_rate = FIRST_STATE + 2 * len(network.species)
    first_param = first_rate + len(network.reactions)
    names = {name: f"n{s}" for s, name in enumerate(network.species)}
    names |= {name: f"p{q}" for q, name in enumerate(network.parameters)}
    lines = []
    if not all(network.is_mass_action):
        lines += [f"p{q} = w[{first_param + q}, i]" for q in range(len(network.parameters))]
    for r, rate in enumerate(network.rate_expressions):
        before = f"c{r - 1} + " if r else ""
        if network.is_mass_action[r]:
            weight = f"w[{first_rate + r}, i]{_combinations(network.reactant_orders[:, r])}"
            lines.append(f"c{r} = {before}{weight}")
        else:
            lines += [f"a{r} = {written(rate.tree, names)}", f"c{r} = {before}a{r}"]
    return lines


def _combinations(orders: IntArray) -> str:
    """Return `` * (…)`` with the combinations of the reactants, multiplied in the usual order."""
    text = ""
    for s in np.flatnonzero(orders):
        for k in range(orders[s]):
            factor = f"n{s}" if k == 0 else f"((n{s} - {float(k)}) / {float(k + 1)})"
            text = factor if not text else f"({text} * {factor})"
    return f" * {text}" if text else ""


def _checks(network: ReactionNetwork) -> list[str]:
    """Return what has to hold before an event: rate laws are rates, and counts are not negative."""
    laws = np.flatnonzero(~network.is_mass_action)
    taken = np.flatnonzero((network.stoichiometry[:, laws] < 0).any(axis=1))
    rates = [f"(a{r} >= 0.0) & (a{r} < 1e300)" for r in laws]
    return rates + [f"(n{s} >= 0.0)" for s in taken]


def _changes(network: ReactionNetwork, after: int) -> list[str]:
    """Return lines that write the counts after the event."""
    lines = []
    for s, changes in enumerate(network.stoichiometry):
        steps = np.diff(changes)
        terms = [f"n{s}"] + ([f"{float(changes[0])!r}"] if changes[0] else [])
        terms += [f"({float(steps[r])!r} if g{r} else 0.0)" for r in np.flatnonzero(steps)]
        lines.append(f"w[{after + s}, i] = {' + '.join(terms)}")
    return lines

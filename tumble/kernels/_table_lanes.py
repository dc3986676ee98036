"""The vectorized direct method for any network, read from tables: nothing is compiled for it."""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import kernel, part
from tumble.kernels._lanes import (
    CHOICE,
    FEW,
    FIRST_STATE,
    LEFT,
    WAIT,
    Job,
    bookkeeping,
    draw,
    finish,
    overdue,
    refill,
    settle,
)
from tumble.kernels._law_lanes import has_law, rate_in_lanes, stack_for

LANES = 128
# Up to this many changes of a count, all reactions together, masked additions beat single ones.
_FEW_CHANGES = 12


def direct_method_in_lanes(job: Job) -> None:
    """Run a job of any network."""
    num_species, num_reactions = job.initial.shape[1], job.rates.shape[1]
    num_params = 0 if job.laws is None else job.params.shape[1]
    _run(
        job,
        FIRST_STATE + 2 * num_species + num_reactions + num_params,
        bookkeeping(LANES),
        stack_for(job.laws, LANES),
        np.zeros((num_reactions + 1, LANES)),
        np.zeros(LANES),
    )


@kernel
def _run(job, num_rows, books, stack, running, chosen):
    w = np.zeros((num_rows, LANES))
    ids, row, output = books
    num_species = job.initial.shape[1]
    # Not literal numbers, for which Numba would compile every function a second time.
    nobody, before = np.int64(0), np.int64(FIRST_STATE)
    after = before + num_species
    times, states, codes, events = job.times, job.states, job.codes, job.events
    max_events, until_check = job.max_events, job.max_events
    todo, idle = refill(w, ids, row, output, job, nobody, before)
    active = LANES - idle
    while active > FEW or todo < job.rates.shape[0]:
        draw(w, ids, job.key, LANES)
        flagged = _choose(w, running, chosen, stack, job.tables, job.laws, before, num_species)
        fire_in_lanes(w, chosen, job.tables, before, after, num_species)
        if until_check == 0:
            until_check = overdue(w, ids, row, max_events)
            flagged = True
        until_check -= 1
        if flagged:
            num_over = settle(
                w, ids, row, output, before, LANES, num_species, times, max_events, states, codes,
                events,
            )  # fmt: skip
            if num_over > 0:
                todo, idle = refill(w, ids, row, output, job, todo, after)
                active -= idle
        before, after = after, before
    finish(w, ids, row, output, job, before)


@part
def _choose(w, running, chosen, stack, tables, laws, before, num_species):
    """Choose the reaction of each lane and let its time pass; return whether any was flagged."""
    num_reactions = running.shape[0] - 1
    first_rate = FIRST_STATE + 2 * num_species
    for r in range(num_reactions):
        first, last = tables.reactant_ptr[r], tables.reactant_ptr[r + 1]
        rate, below, here = w[first_rate + r], running[r], running[r + 1]
        if laws is not None and has_law(laws, r):
            rate_in_lanes(tables, laws, stack, r, w, before, first_rate + num_reactions, here)
            for i in range(LANES):
                here[i] = below[i] + here[i]
            continue
        if first == last:
            for i in range(LANES):
                here[i] = below[i] + rate[i]
            continue
        x = w[before + tables.reactant_species[first]]
        order = tables.reactant_order[first]
        if last - first == 1 and order == 1:
            for i in range(LANES):
                here[i] = below[i] + rate[i] * x[i]
        elif last - first == 1 and order == 2:
            for i in range(LANES):
                here[i] = below[i] + rate[i] * (x[i] * ((x[i] - 1.0) / 2.0))
        elif last - first == 2 and order == 1 and tables.reactant_order[first + 1] == 1:
            y = w[before + tables.reactant_species[first + 1]]
            for i in range(LANES):
                here[i] = below[i] + rate[i] * (x[i] * y[i])
        else:
            any_order(w, here, tables, before, first, last)
            for i in range(LANES):
                here[i] = below[i] + rate[i] * here[i]
    flagged = 0
    total = running[num_reactions]
    for i in range(LANES):
        left = w[LEFT, i] - w[WAIT, i] / total[i]
        left = left if total[i] < 1e300 else np.nan
        w[LEFT, i] = left
        w[CHOICE, i] *= total[i]
        flagged |= np.int64(not left > 0.0)
        chosen[i] = 0.0
    for r in range(1, num_reactions):
        here = running[r]
        for i in range(LANES):
            chosen[i] += 1.0 if here[i] <= w[CHOICE, i] else 0.0
    return flagged != 0


@part
def any_order(w, factor, tables, before, first, last):
    """Fill ``factor`` [L] with the combinations of reactants of any order."""
    factor[:] = 1.0
    for j in range(first, last):
        x = w[before + tables.reactant_species[j]]
        for k in range(tables.reactant_order[j]):
            for i in range(factor.shape[0]):
                factor[i] *= (x[i] - k) / (k + 1)


@part
def fire_in_lanes(w, chosen, tables, before, after, num_species):
    """Write the counts after the chosen reactions."""
    for s in range(num_species):
        old, new = w[before + s], w[after + s]
        for i in range(chosen.shape[0]):
            new[i] = old[i]
    if tables.change_species.shape[0] > _FEW_CHANGES:
        for i in range(chosen.shape[0]):
            r = np.int64(chosen[i])
            for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
                w[after + tables.change_species[j], i] += tables.change_amount[j]
        return
    for r in range(tables.change_ptr.shape[0] - 1):
        for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
            amount = np.float64(tables.change_amount[j])
            count = w[after + tables.change_species[j]]
            for i in range(chosen.shape[0]):
                count[i] += amount if chosen[i] == r else 0.0

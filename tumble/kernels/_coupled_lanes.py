"""Pairs under the split coupling, vectorized: a pair a lane.

As `tumble.kernels._coupled`, in the lanes of `tumble.kernels._lanes`, which see both copies as one
network of twice the species and reactions. A pair is never handed over to another kernel, so that
its times are rounded alike whatever runs beside it.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._lanes import (
    CHOICE,
    FIRST_STATE,
    LEFT,
    OVER,
    WAIT,
    Job,
    blank,
    bookkeeping,
    draw,
    late_lanes,
    overdue,
    refill,
)
from tumble.kernels._law_lanes import has_law, rate_in_lanes, stack_for
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK
from tumble.kernels._table_lanes import any_order
from tumble.kernels._uniforms import trailing_zeros

_MOST_LANES, _GROUP = 128, 8
# Bytes of the second nearest cache that a workspace may take.
_CACHE = 400_000
_ZERO, _ONE = np.uint64(0), np.uint64(1)


def coupled_pairs_in_lanes(job: Job) -> None:
    """Run pairs of a network.

    ``job`` has ``tables`` of the network and two copies side by side in its arrays:
    ``rates`` [B, 2 R], ``params`` [B, 2 Q], ``initial`` [B, 2 S], ``states`` [B, 2 T, S].
    """
    num_pairs = job.rates.shape[0]
    num_reactions, num_species = job.rates.shape[1] // 2, job.initial.shape[1] // 2
    num_params = 0 if job.laws is None else job.params.shape[1]
    rows = FIRST_STATE + 4 * num_species + 2 * num_reactions + num_params
    num_lanes = min(_MOST_LANES, (num_pairs + _GROUP - 1) // _GROUP * _GROUP)
    while num_lanes > _GROUP and 8 * num_lanes * (rows + 3 * num_reactions) > _CACHE:
        num_lanes = num_lanes // (2 * _GROUP) * _GROUP
    _run(
        job,
        rows,
        bookkeeping(num_lanes),
        stack_for(job.laws, num_lanes),
        np.zeros((num_reactions + 1, num_lanes)),
        np.zeros((2, num_reactions, num_lanes)),
        np.zeros((2, num_lanes)),
    )


@kernel
def _run(job, num_rows, books, stack, running, propensity, firing):
    ids, row, output = books
    fires, other_fires = firing[0], firing[1]
    num_species, num_lanes = job.initial.shape[1] // 2, len(row)
    w = np.zeros((num_rows, num_lanes))
    # Not literal numbers, for which Numba would compile every function a second time.
    nobody, first_state = np.int64(0), np.int64(FIRST_STATE)
    until_check = job.max_events
    todo, idle = refill(w, ids, row, output, job, nobody, first_state)
    active = num_lanes - idle
    while active > 0:
        draw(w, ids, job.key, num_lanes)
        _let_time_pass(w, running, propensity, stack, job.tables, job.laws, num_species)
        if until_check == 0:
            until_check = overdue(w, ids, row, job.max_events)
        until_check -= 1
        num_over = _settle(w, ids, row, output, num_species, job)
        _fire(w, running, propensity, fires, other_fires, job.tables, num_species)
        if num_over > 0:
            todo, idle = refill(w, ids, row, output, job, todo, first_state)
            active -= idle


@part
def _let_time_pass(w, running, propensity, stack, tables, laws, num_species):
    """Fill the propensities of both copies and the running sums of the larger ones."""
    num_reactions, num_lanes = running.shape[0] - 1, w.shape[1]
    for side in range(2):
        first_state = FIRST_STATE + side * num_species
        first_rate = FIRST_STATE + 4 * num_species + side * num_reactions
        first_param = FIRST_STATE + 4 * num_species + 2 * num_reactions
        first_param += side * ((w.shape[0] - first_param) // 2)
        for r in range(num_reactions):
            if laws is not None and has_law(laws, r):
                here = propensity[side, r]
                rate_in_lanes(tables, laws, stack, r, w, first_state, first_param, here)
                # What is wrong with the first copy must show in the larger of both.
                one = propensity[0, r]
                for i in range(num_lanes):
                    here[i] = here[i] if one[i] == one[i] else np.nan
                continue
            first, last = tables.reactant_ptr[r], tables.reactant_ptr[r + 1]
            rate, here = w[first_rate + r], propensity[side, r]
            order = tables.reactant_order[first] if first < last else 0
            if last - first == 1 and order == 1:
                x = w[first_state + tables.reactant_species[first]]
                for i in range(num_lanes):
                    here[i] = rate[i] * x[i]
            elif last - first == 2 and order == 1 and tables.reactant_order[first + 1] == 1:
                x = w[first_state + tables.reactant_species[first]]
                y = w[first_state + tables.reactant_species[first + 1]]
                for i in range(num_lanes):
                    here[i] = rate[i] * (x[i] * y[i])
            else:
                any_order(w, here, tables, first_state, first, last)
                for i in range(num_lanes):
                    here[i] = rate[i] * here[i]
    for r in range(num_reactions):
        one, other, below, above = propensity[0, r], propensity[1, r], running[r], running[r + 1]
        for i in range(num_lanes):
            above[i] = below[i] + (one[i] if one[i] > other[i] else other[i])
    total = running[num_reactions]
    for i in range(num_lanes):
        left = w[LEFT, i] - w[WAIT, i] / total[i]
        w[LEFT, i] = left if total[i] < 1e300 else np.nan
        w[CHOICE, i] *= total[i]


@part
def _fire(w, running, propensity, fires, other_fires, tables, num_species):
    """Let the chosen reaction fire in each copy whose propensity reaches the target.

    Reaction r is chosen where the target lies between two running sums; what it exceeds the lower
    one by is compared with the propensities of the copies, the larger of which always fires.
    """
    num_reactions, num_lanes = running.shape[0] - 1, w.shape[1]
    target = w[CHOICE]
    for r in range(num_reactions):
        below, above, one, other = running[r], running[r + 1], propensity[0, r], propensity[1, r]
        # Rounding at the upper end of the sum must not leave a step without an event.
        for i in range(num_lanes):
            inside = target[i] - below[i]
            hit = (inside >= 0.0) & (above[i] > target[i])
            largest = above[i] - below[i]
            fires[i] = 1.0 if hit & ((inside < one[i]) | (one[i] >= largest)) else 0.0
            other_fires[i] = 1.0 if hit & ((inside < other[i]) | (other[i] >= largest)) else 0.0
        for j in range(tables.change_ptr[r], tables.change_ptr[r + 1]):
            amount = np.float64(tables.change_amount[j])
            x = w[FIRST_STATE + tables.change_species[j]]
            y = w[FIRST_STATE + num_species + tables.change_species[j]]
            for i in range(num_lanes):
                x[i] += amount * fires[i]
                y[i] += amount * other_fires[i]


@inlined
def _settle(w, ids, row, output, num_species, job):
    """As `tumble.kernels._lanes.settle`, for both copies."""
    times, states, num_lanes = job.times, job.states, w.shape[1]
    num_times = times.shape[0]
    num_over = 0
    for first in range(0, num_lanes, 64):
        word = late_lanes(w, first, num_lanes)
        while word != _ZERO:
            lane = first + trailing_zeros(word)
            word &= word - _ONE
            b = row[lane]
            if b < 0:
                continue
            left, k = w[LEFT, lane], output[lane]
            num_events = np.int64(ids[0, lane]) - 1
            crossing = left <= 0.0
            while left <= 0.0:
                for s in range(num_species):
                    states[b, k, s] = np.int64(w[FIRST_STATE + s, lane])
                    states[b, num_times + k, s] = np.int64(w[FIRST_STATE + num_species + s, lane])
                k += 1
                if k == num_times:
                    break
                left += times[k] - times[k - 1]
            output[lane], w[LEFT, lane] = k, left
            if crossing and k < num_times and num_events < job.max_events and left > 0.0:
                continue
            job.codes[b] = OK
            if k < num_times:
                at_last = crossing or num_events >= job.max_events
                job.codes[b] = MAX_EVENTS if at_last else INVALID_RATE
                blank(states, b)
            job.events[b] = num_events
            row[lane] = OVER
            num_over += 1
    return num_over

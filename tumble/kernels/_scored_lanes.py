"""The vectorized direct method that counts firings and integrates propensities on its way.

The loop over lanes of `tumble.kernels._table_lanes`, with the same paths. A run is never handed
over to another kernel, so that its integrals are rounded alike whatever runs beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import FloatArray, IntArray
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
from tumble.kernels._law_lanes import has_law, rate_in_lanes, slopes_for, slopes_in_lanes, stack_for
from tumble.kernels._mass_action import INVALID_RATE, MAX_EVENTS, OK
from tumble.kernels._table_lanes import any_order, fire_in_lanes
from tumble.kernels._uniforms import trailing_zeros

LANES, _GROUP = 128, 8
_ZERO, _ONE = np.uint64(0), np.uint64(1)


def direct_method_with_exposure(
    job: Job, fired: IntArray, exposure: FloatArray, scores: FloatArray
) -> None:
    """Run a job, and fill what the score needs.

    From ``start`` to each time: firings ``fired`` [B, T, R]; ``exposure`` [B, T, R] = ∫ h_r ds,
    with h_r the combinations of reactants, or the rate of a law; and ``scores`` [B, T, Q], the
    score of the rate laws, without columns where there are none. 0 and NaN where a run failed.
    """
    num_runs, num_reactions = job.rates.shape
    num_species, num_params = job.initial.shape[1], scores.shape[2]
    num_lanes = min(LANES, (num_runs + _GROUP - 1) // _GROUP * _GROUP)
    work = _Work(
        stack_for(job.laws, num_lanes),
        slopes_for(job.laws, num_lanes),
        np.zeros((num_params, num_lanes)),
        np.zeros((num_reactions + 1, num_lanes)),
        np.zeros((num_reactions, num_lanes)),
        np.zeros((num_reactions, num_lanes)),
        np.zeros((num_reactions, num_lanes), np.int64),
        np.zeros(num_lanes),
        np.zeros(num_lanes),
    )
    rows = FIRST_STATE + 2 * num_species + num_reactions + num_params
    _run(job, rows, bookkeeping(num_lanes), work, fired, exposure, scores)
    failed = job.codes != OK
    fired[failed], exposure[failed], scores[failed] = 0, np.nan, np.nan


class _Work(NamedTuple):
    """What belongs to the lanes of scored runs."""

    stack: FloatArray
    slope: FloatArray
    score: FloatArray
    running: FloatArray
    factor: FloatArray
    integral: FloatArray
    firings: IntArray
    chosen: FloatArray
    span: FloatArray


@kernel
def _run(job, num_rows, books, work, fired, exposure, scores):
    ids, row, output = books
    stack, slope, score, running, factor, integral, count, chosen, span = work
    num_species, num_lanes = job.initial.shape[1], len(row)
    w = np.zeros((num_rows, num_lanes))
    # Not literal numbers, for which Numba would compile every function a second time.
    nobody, before = np.int64(0), np.int64(FIRST_STATE)
    after = before + num_species
    until_check = job.max_events
    todo, idle = refill(w, ids, row, output, job, nobody, before)
    active = num_lanes - idle
    while active > 0:
        draw(w, ids, job.key, num_lanes)
        _find_factors(w, factor, running, stack, slope, job.tables, job.laws, before, num_species)
        _pass_time(w, running, factor, integral, span)
        _pass_time_of_laws(job.laws, slope, score, span)
        _choose(w, running, chosen)
        fire_in_lanes(w, chosen, job.tables, before, after, num_species)
        if until_check == 0:
            until_check = overdue(w, ids, row, job.max_events)
        until_check -= 1
        num_over = _settle(
            w, ids, row, output, before, num_species, factor, integral, count, slope, score, job,
            fired, exposure, scores,
        )  # fmt: skip
        for i in range(num_lanes):
            count[np.int64(chosen[i]), i] += 1
        _fire_laws(job.laws, chosen, factor, slope, score)
        if num_over > 0:
            _start_anew(row, integral, count, score)
            todo, idle = refill(w, ids, row, output, job, todo, after)
            active -= idle
        before, after = after, before


@part
def _find_factors(w, factor, running, stack, slope, tables, laws, before, num_species):
    """Fill the combinations of reactants h_r of each lane, and the running sums of a_r.

    For rate laws, their rates and the derivatives of these.
    """
    num_lanes = w.shape[1]
    first_rate = FIRST_STATE + 2 * num_species
    first_param = first_rate + factor.shape[0]
    for r in range(factor.shape[0]):
        first, last = tables.reactant_ptr[r], tables.reactant_ptr[r + 1]
        h, rate, below, here = factor[r], w[first_rate + r], running[r], running[r + 1]
        if laws is not None and has_law(laws, r):
            rate_in_lanes(tables, laws, stack, r, w, before, first_param, h)
            slopes_in_lanes(laws, stack, r, w, before, first_param, h, slope)
            for i in range(num_lanes):
                here[i] = below[i] + h[i]
            continue
        order = tables.reactant_order[first] if first < last else 0
        if last - first == 1 and order == 1:
            x = w[before + tables.reactant_species[first]]
            for i in range(num_lanes):
                h[i] = x[i]
                here[i] = below[i] + rate[i] * x[i]
        elif last - first == 2 and order == 1 and tables.reactant_order[first + 1] == 1:
            x = w[before + tables.reactant_species[first]]
            y = w[before + tables.reactant_species[first + 1]]
            for i in range(num_lanes):
                h[i] = x[i] * y[i]
                here[i] = below[i] + rate[i] * (x[i] * y[i])
        else:
            any_order(w, h, tables, before, first, last)
            for i in range(num_lanes):
                here[i] = below[i] + rate[i] * h[i]


@part
def _choose(w, running, chosen):
    """Choose the reaction of each lane: the first whose running sum exceeds the target."""
    for i in range(chosen.shape[0]):
        chosen[i] = 0.0
    for r in range(1, running.shape[0] - 1):
        here = running[r]
        for i in range(chosen.shape[0]):
            chosen[i] += 1.0 if here[i] <= w[CHOICE, i] else 0.0


@part
def _pass_time(w, running, factor, integral, span):
    """Let the waiting time pass, and integrate up to the event or the next output."""
    num_reactions, num_lanes = factor.shape
    total = running[num_reactions]
    for i in range(num_lanes):
        wait, left = w[WAIT, i] / total[i], w[LEFT, i]
        span[i] = min(wait, left)
        left = left - wait
        w[LEFT, i] = left if total[i] < 1e300 else np.nan
        w[CHOICE, i] *= total[i]
    for r in range(num_reactions):
        h, sum_ = factor[r], integral[r]
        for i in range(num_lanes):
            sum_[i] += h[i] * span[i]


@part
def _pass_time_of_laws(laws, slope, score, span):
    """Take the expected score of the laws off, up to the event or the next output."""
    if laws is None:
        return
    for p in range(slope.shape[0]):
        change, total = slope[p], score[laws.slope_parameter[p]]
        for i in range(span.shape[0]):
            total[i] -= change[i] * span[i]


@part
def _pass_time_in_lane(laws, slope, score, lane, passed):
    """Do the same for one lane and a time ``passed``."""
    if laws is None:
        return
    for p in range(slope.shape[0]):
        score[laws.slope_parameter[p], lane] -= slope[p, lane] * passed


@part
def _fire_laws(laws, chosen, factor, slope, score):
    """Add ∂ log a_r of the reaction that fires in each lane."""
    if laws is None:
        return
    for i in range(chosen.shape[0]):
        r = np.int64(chosen[i])
        for p in range(laws.slope_ptr[r], laws.slope_ptr[r + 1]):
            score[laws.slope_parameter[p], i] += slope[p, i] / factor[r, i]


@inlined
def _settle(
    w, ids, row, output, before, num_species, factor, integral, count, slope, score, job, fired,
    exposure, scores,
):  # fmt: skip
    """As `tumble.kernels._lanes.settle`; the pending event is not yet counted."""
    times, states, num_lanes = job.times, job.states, w.shape[1]
    num_times, num_reactions = times.shape[0], factor.shape[0]
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
                    states[b, k, s] = np.int64(w[before + s, lane])
                for r in range(num_reactions):
                    fired[b, k, r] = count[r, lane]
                    exposure[b, k, r] = integral[r, lane]
                for q in range(score.shape[0]):
                    scores[b, k, q] = score[q, lane]
                k += 1
                if k == num_times:
                    break
                gap = times[k] - times[k - 1]
                left += gap
                passed = gap - max(left, 0.0)
                for r in range(num_reactions):
                    integral[r, lane] += factor[r, lane] * passed
                _pass_time_in_lane(job.laws, slope, score, lane, passed)
            output[lane], w[LEFT, lane] = k, left
            if crossing and k < num_times and num_events < job.max_events and left > 0.0:
                continue
            job.codes[b] = OK
            if k < num_times:
                at_last = crossing or num_events >= job.max_events
                job.codes[b] = MAX_EVENTS if at_last else INVALID_RATE
                blank(job.states, b)
            job.events[b] = num_events
            row[lane] = OVER
            num_over += 1
    return num_over


@part
def _start_anew(row, integral, count, score):
    for lane in range(row.shape[0]):
        if row[lane] == OVER:
            for r in range(integral.shape[0]):
                integral[r, lane] = 0.0
                count[r, lane] = 0
            for q in range(score.shape[0]):
                score[q, lane] = 0.0

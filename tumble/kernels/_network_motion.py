"""How a linear-noise approximation of a mass-action network moves, with its slopes by rates.

The state is a column y [P]: the mean of the S species, and their covariance, whose place (s, u),
s ≤ u, ``place`` tells.
"""

from __future__ import annotations

import numpy as np

from tumble.kernels._jit import part

# Steps of Runge and Kutta are so long that the fastest mode decays by this much in one.
_REACH = 0.25
_MOST_STEPS = 400  # an interval; what is faster cannot be followed


@part
def advance(reactants, change, rates, active, wanted, span, place, work):
    """Carry the state and its slopes over a span of time; False where rates are too fast."""
    state, slopes = work.state, work.slopes
    fastest = _speed(reactants, change, rates, active, state, work.flow[0])
    if not fastest * span <= _REACH * _MOST_STEPS:
        return False
    num = max(int(np.ceil(fastest * span / _REACH)), 1)
    h = span / num
    begin, point, rate = work.points
    begins, point_slopes, adds, rate_slopes = work.tables
    for _ in range(num):
        begin[:] = state
        point[:] = state
        begins[:] = slopes
        point_slopes[:] = slopes
        for stage in range(4):
            _field(reactants, change, rates, active, place, point, rate, work.matrix, work.flow)
            _add_rates(reactants, change, wanted, place, point, adds)
            multiply_add(work.matrix, point_slopes, adds, rate_slopes)
            share = h / 6 if stage == 0 or stage == 3 else h / 3
            ahead = h if stage == 2 else h / 2
            for a in range(state.shape[0]):
                state[a] += share * rate[a]
                point[a] = begin[a] + ahead * rate[a]
                for q in range(slopes.shape[1]):
                    slopes[a, q] += share * rate_slopes[a, q]
                    point_slopes[a, q] = begins[a, q] + ahead * rate_slopes[a, q]
    return True


@part
def _speed(reactants, change, rates, active, state, columns):
    """Return about how fast the mean relaxes: what a copy of a species changes, at most.

    ``columns`` [S] is working memory.
    """
    columns[:] = 0.0
    for r in active:
        i, j = reactants[r]
        if i < 0:
            continue
        _, by_first, by_second, _ = _combinations(reactants, r, state)
        most = 0.0
        for s in range(change.shape[1]):
            most = max(most, abs(change[r, s]))
        columns[i] += rates[r] * by_first * most
        if j >= 0:
            columns[j] += rates[r] * by_second * most
    return columns.max()


@part
def _combinations(reactants, r, state):
    """Return h of reaction r, its derivatives by its first and second reactant, and the mixed one.

    The second derivative by one species of which two copies are taken counts as mixed.
    """
    i, j = reactants[r]
    if i < 0:
        return 1.0, 0.0, 0.0, 0.0
    x = max(state[i], 0.0)
    if j < 0:
        return x, 1.0, 0.0, 0.0
    if i == j:
        return (x * (x - 1) / 2, x - 0.5, 0.0, 1.0) if x > 1 else (0.0, 0.0, 0.0, 0.0)
    y = max(state[j], 0.0)
    return x * y, y, x, 1.0


@part
def _field(reactants, change, rates, active, place, state, out, matrix, flow):
    """Fill f(y) [P] and A = ∂f/∂y [P, P], by means of the Jacobian ``flow`` [S, S]."""
    n = change.shape[1]
    out[:] = 0.0
    matrix[:] = 0.0
    flow[:] = 0.0
    for r in active:
        h, by_first, by_second, mixed = _combinations(reactants, r, state)
        i, j = reactants[r]
        k = rates[r]
        for s in range(n):
            step = k * change[r, s]
            if step == 0:
                continue
            out[s] += step * h
            if i >= 0:
                flow[s, i] += step * by_first
            if j >= 0:
                flow[s, j] += step * by_second
            for u in range(n):
                row = place[s, u]
                if s <= u:  # of the noise that reactions make
                    square = step * change[r, u]
                    out[row] += square * h
                    if i >= 0:
                        matrix[row, i] += square * by_first
                    if j >= 0:
                        matrix[row, j] += square * by_second
                if mixed > 0:  # of J V + V Jᵀ, by what the mean does to J
                    twice = 2 * step if s == u else step
                    matrix[row, i] += twice * state[place[j, u]]
                    if i != j:
                        matrix[row, j] += twice * state[place[i, u]]
    for s in range(n):
        for v in range(n):
            moved = flow[s, v]
            if moved == 0:
                continue
            matrix[s, v] += moved
            for u in range(n):
                twice = 2 * moved if s == u else moved
                matrix[place[s, u], place[v, u]] += twice
                out[place[s, u]] += twice * state[place[v, u]]


@part
def _add_rates(reactants, change, wanted, place, state, adds):
    """Fill what the rates of reactions add to their own slopes [P, Q]."""
    n = change.shape[1]
    adds[:] = 0.0
    for q in range(wanted.shape[0]):
        r = wanted[q]
        h, by_first, by_second, _ = _combinations(reactants, r, state)
        i, j = reactants[r]
        for s in range(n):
            step = change[r, s]
            if step == 0:
                continue
            adds[s, q] = step * h
            for u in range(n):
                along = 0.0
                if i >= 0:
                    along += by_first * state[place[i, u]]
                if j >= 0:
                    along += by_second * state[place[j, u]]
                row = place[s, u]
                adds[row, q] += 2 * step * along if s == u else step * along
                if s <= u:
                    adds[row, q] += step * change[r, u] * h


@part
def multiply_add(matrix, table, adds, out):
    """Fill ``matrix`` [A, P] times ``table`` [P, Q] plus ``adds`` [A, Q]."""
    for a in range(matrix.shape[0]):
        for q in range(table.shape[1]):
            out[a, q] = adds[a, q]
        for b in range(matrix.shape[1]):
            x = matrix[a, b]
            if x != 0:
                for q in range(table.shape[1]):
                    out[a, q] += x * table[b, q]

"""The linear-noise Kalman filter of mass action, with its slopes by rates, for many networks.

One library of candidates serves all networks: those that are not in one have rate 0. So a search
over thousands of networks compiles nothing. Slopes are taken by any of the candidates, also by
those with rate 0, which tells what taking them in would gain.
"""

from __future__ import annotations

import numba
import numpy as np

# Steps of Runge and Kutta are so long that the fastest mode decays by this much in one.
_REACH = 0.5
_MOST_STEPS = 200  # an interval; what is faster cannot be followed
_TINY = 1e-300


@numba.njit(cache=True, nogil=True, error_model="numpy")
def filter_series(
    reactants, change, rates, wanted, mean, spans, data, scatter, counts, look, rounding, noise,
    value, slope, information,
):  # fmt: skip
    """Add up the log likelihood of one series [T, O], with its slopes and Fisher information.

    ``reactants`` [R, 2], species or -1; ``change`` [R, S]; ``rates`` [R]; ``wanted`` [Q], the
    reactions by whose rates slopes are taken; ``mean`` [2, S], the initial mean and variance;
    ``spans`` [T], since the last time; ``look`` [O, 1 + S], what is observed of a state, constants
    first; ``rounding`` [O], variances to be added; ``noise`` [O, 5]: of an observable x the
    datum has mean a + b x and variance c + d x + e x².

    ``counts`` [T]: 0 where the datum is of a series, on which the state is conditioned; else the
    number of cells of a snapshot, of which the datum is the mean and ``scatter`` [T, O, O] the
    covariance (divided by that number).

    Fills ``value`` [1], ``slope`` [Q] and ``information`` [Q, Q], adding to them. A likelihood that
    is not finite makes the value -∞.
    """
    num_species, num_wanted = change.shape[1], wanted.shape[0]
    square = num_species * num_species
    size = num_species + square
    state = np.zeros((1 + num_wanted, size))
    for s in range(num_species):
        state[0, s] = mean[0, s]
        state[0, num_species + s * num_species + s] = mean[1, s]
    work = np.zeros((5, 1 + num_wanted, size))
    flow = np.zeros((2, num_species, num_species))
    active = np.flatnonzero(rates)
    for t in range(spans.shape[0]):
        followed = True
        if spans[t] > 0:
            followed = _advance(
                reactants, change, rates, active, wanted, spans[t], state, work, flow
            )
        if not followed or not _condition(
            data[t], scatter[t], counts[t], look, rounding, noise, state, num_species, value,
            slope, information,
        ):  # fmt: skip
            value[0] = -np.inf
            return


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _advance(reactants, change, rates, active, wanted, span, state, work, flow):
    """Carry the moments and their slopes over a span of time; False where rates are too fast."""
    num_species = change.shape[1]
    begin, point = work[0], work[1]
    fastest = _speed(reactants, change, rates, active, state[0], num_species)
    if not fastest * span <= _REACH * _MOST_STEPS:
        return False
    steps = max(int(np.ceil(fastest * span / _REACH)), 1)
    h = span / steps
    for _ in range(steps):
        begin[:] = state
        _field(reactants, change, rates, active, wanted, state, work[2], flow)
        state += h / 6 * work[2]
        point[:] = begin + h / 2 * work[2]
        _field(reactants, change, rates, active, wanted, point, work[3], flow)
        state += h / 3 * work[3]
        point[:] = begin + h / 2 * work[3]
        _field(reactants, change, rates, active, wanted, point, work[2], flow)
        state += h / 3 * work[2]
        point[:] = begin + h * work[2]
        _field(reactants, change, rates, active, wanted, point, work[3], flow)
        state += h / 6 * work[3]
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _speed(reactants, change, rates, active, state, num_species):
    """Return a bound on how fast the mean relaxes, Σ over reactions of rate · |∇h| · |ν|."""
    total = 0.0
    for r in active:
        i, j = reactants[r]
        steep = 0.0
        if i >= 0 and j < 0:
            steep = 1.0
        elif i >= 0:
            steep = max(state[i], 0.0) + max(state[j], 0.0)
        most = 0.0
        for s in range(num_species):
            most = max(most, abs(change[r, s]))
        total += rates[r] * steep * most
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _combinations(reactants, r, state):
    """Return h of reaction r and its derivatives by its first and second reactant."""
    i, j = reactants[r]
    if i < 0:
        return 1.0, 0.0, 0.0
    x = max(state[i], 0.0)
    if j < 0:
        return x, 1.0, 0.0
    if i == j:
        return max(x * (x - 1) / 2, 0.0), (x - 0.5) if x > 1 else 0.0, 0.0
    y = max(state[j], 0.0)
    return x * y, y, x


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _field(reactants, change, rates, active, wanted, state, out, flow):
    """Fill the time derivatives of mean, covariance and of their slopes."""
    n = change.shape[1]
    out[:] = 0.0
    jacobian, bend = flow[0], flow[1]
    jacobian[:] = 0.0
    mean = state[0]
    for r in active:
        h, by_first, by_second = _combinations(reactants, r, mean)
        i, j = reactants[r]
        k = rates[r]
        for s in range(n):
            if change[r, s] == 0:
                continue
            out[0, s] += change[r, s] * k * h
            if i >= 0:
                jacobian[s, i] += change[r, s] * k * by_first
            if j >= 0:
                jacobian[s, j] += change[r, s] * k * by_second
            for u in range(n):
                out[0, n + s * n + u] += change[r, s] * change[r, u] * k * h
    _add_flow(jacobian, state[0], out[0], n)
    for q in range(wanted.shape[0]):
        along, moved = out[1 + q], state[1 + q]
        bend[:] = 0.0
        # What the rate itself adds.
        w = wanted[q]
        h, by_first, by_second = _combinations(reactants, w, mean)
        i, j = reactants[w]
        for s in range(n):
            if change[w, s] == 0:
                continue
            along[s] += change[w, s] * h
            if i >= 0:
                bend[s, i] += change[w, s] * by_first
            if j >= 0:
                bend[s, j] += change[w, s] * by_second
            for u in range(n):
                along[n + s * n + u] += change[w, s] * change[w, u] * h
        # What the mean adds, which it has moved.
        for r in active:
            i, j = reactants[r]
            if i < 0:
                continue
            _, by_first, by_second = _combinations(reactants, r, mean)
            k = rates[r]
            slope = by_first * moved[i] + (by_second * moved[j] if j >= 0 else 0.0)
            for s in range(n):
                if change[r, s] == 0:
                    continue
                along[s] += change[r, s] * k * slope
                if j >= 0 and i == j:
                    if mean[i] > 1:
                        bend[s, i] += change[r, s] * k * moved[i]
                elif j >= 0:
                    bend[s, i] += change[r, s] * k * moved[j]
                    bend[s, j] += change[r, s] * k * moved[i]
                for u in range(n):
                    along[n + s * n + u] += change[r, s] * change[r, u] * k * slope
        _add_flow(jacobian, moved, along, n)
        _add_flow(bend, state[0], along, n)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_flow(jacobian, state, out, n):
    """Add J V + V Jᵀ, V being the covariance of ``state``, to that of ``out``."""
    for s in range(n):
        for u in range(n):
            total = 0.0
            for v in range(n):
                total += jacobian[s, v] * state[n + v * n + u]
            out[n + s * n + u] += total
            out[n + u * n + s] += total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _condition(
    datum, scatter, count, look, rounding, noise, state, n, value, slope, information,
):  # fmt: skip
    """Add what a datum [O] says, and condition the state on it. False where it cannot be."""
    seen = np.flatnonzero(np.isfinite(datum))
    m, num = seen.shape[0], state.shape[0]
    if m == 0:
        return True
    rows = np.zeros((m, n))  # what is expected of the data, by the state
    residual = np.zeros(m)
    error = np.zeros(m)  # variances of noise, and how these depend on the observable
    steep = np.zeros(m)
    for a in range(m):
        o = seen[a]
        x = look[o, 0]
        for s in range(n):
            x += look[o, 1 + s] * state[0, s]
        shift, scale, c, d, e = noise[o]
        for s in range(n):
            rows[a, s] = scale * look[o, 1 + s]
        residual[a] = datum[o] - shift - scale * x
        inside = max(x, 0.0)
        error[a] = c + d * inside + e * inside * inside + rounding[o]
        steep[a] = d + 2 * e * inside if x > 0 else 0.0
    cross = np.zeros((num, n, m))  # V Cᵀ, and its slopes
    spread = np.zeros((num, m, m))
    shift_of = np.zeros((num, m))  # slopes of what is expected
    for q in range(num):
        for s in range(n):
            for a in range(m):
                total = 0.0
                for u in range(n):
                    total += state[q, n + s * n + u] * rows[a, u]
                cross[q, s, a] = total
        for a in range(m):
            for s in range(n):
                shift_of[q, a] += rows[a, s] * state[q, s]
            for b in range(m):
                for s in range(n):
                    spread[q, a, b] += rows[a, s] * cross[q, s, b]
    for a in range(m):
        spread[0, a, a] += error[a]
        scale = noise[seen[a], 1]
        for q in range(1, num):
            spread[q, a, a] += steep[a] * shift_of[q, a] / scale
    if not np.isfinite(spread[0]).all() or not np.isfinite(residual).all():
        return False
    inverse = np.zeros((m, m))
    log_det = _inverted(spread[0], inverse)
    if not np.isfinite(log_det):
        return False
    weight = max(count, 1)
    white = np.zeros(m)
    # S⁻¹ M S⁻¹, with M the mean square of what is left.
    heavy = np.zeros((m, m))
    _multiply(inverse, residual, white)
    around = 0.0
    for a in range(m):
        for b in range(m):
            around += inverse[a, b] * scatter[seen[a], seen[b]]
            heavy[a, b] = white[a] * white[b]
            if count > 0:
                for c in range(m):
                    for d in range(m):
                        heavy[a, b] += inverse[a, c] * scatter[seen[c], seen[d]] * inverse[d, b]
        around += residual[a] * white[a]
    value[0] -= 0.5 * weight * (around + log_det + m * np.log(2 * np.pi))
    solved = np.zeros((num, m, m))
    lean = np.zeros((num, m))
    for q in range(1, num):
        _multiply(inverse, shift_of[q], lean[q])
        total = 0.0
        for a in range(m):
            total += lean[q, a] * residual[a]
            for b in range(m):
                for c in range(m):
                    solved[q, a, b] += inverse[a, c] * spread[q, c, b]
                total += 0.5 * heavy[a, b] * spread[q, a, b]
            total -= 0.5 * solved[q, a, a]
        slope[q - 1] += weight * total
    _add_information(weight, shift_of, lean, solved, information)
    if count == 0:
        _update(state, n, cross, spread, shift_of, inverse, residual)
    return True


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add_information(weight, shift_of, lean, solved, information):
    """Add the Fisher information of a normal law, m'ᵀ S⁻¹ m' + tr(S⁻¹ S' S⁻¹ S') / 2."""
    num, m = lean.shape
    for q in range(1, num):
        for p in range(q, num):
            total = 0.0
            for a in range(m):
                total += shift_of[q, a] * lean[p, a]
                for b in range(m):
                    total += 0.5 * solved[q, a, b] * solved[p, b, a]
            information[q - 1, p - 1] += weight * total
            if p > q:
                information[p - 1, q - 1] += weight * total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply(matrix, vector, out):
    for a in range(matrix.shape[0]):
        total = 0.0
        for b in range(matrix.shape[1]):
            total += matrix[a, b] * vector[b]
        out[a] = total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _update(state, n, cross, spread, shift_of, inverse, residual):
    """Condition mean and covariance, and their slopes: m + K e, V − K X for K = X S⁻¹."""
    num, m = state.shape[0], inverse.shape[0]
    gain = np.zeros((n, m))
    turned = np.zeros((n, m))
    for s in range(n):
        for a in range(m):
            for b in range(m):
                gain[s, a] += cross[0, s, b] * inverse[b, a]
    for q in range(num):
        turned[:] = gain
        if q > 0:
            # K moves by (X' − K S') S⁻¹, the residual by −C m'.
            for s in range(n):
                for a in range(m):
                    total = 0.0
                    for b in range(m):
                        left = cross[q, s, b]
                        for c in range(m):
                            left -= gain[s, c] * spread[q, c, b]
                        total += left * inverse[b, a]
                    turned[s, a] = total
        for s in range(n):
            for a in range(m):
                state[q, s] += turned[s, a] * residual[a]
                if q > 0:
                    state[q, s] -= gain[s, a] * shift_of[q, a]
        for s in range(n):
            for u in range(s, n):
                fall = 0.0
                for a in range(m):
                    fall += turned[s, a] * cross[0, u, a]
                    if q > 0:
                        fall += gain[s, a] * cross[q, u, a]
                state[q, n + s * n + u] -= fall
                if u > s:
                    state[q, n + u * n + s] = state[q, n + s * n + u]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _inverted(matrix, inverse):
    """Fill the inverse of a positive matrix [m, m]; return log |matrix|, NaN if it is none."""
    m = matrix.shape[0]
    factor = np.zeros((m, m))
    log_det = 0.0
    for a in range(m):
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= factor[a, c] * factor[b, c]
            if a == b:
                if not total > _TINY:
                    return np.nan
                factor[a, a] = np.sqrt(total)
                log_det += 2 * np.log(factor[a, a])
            else:
                factor[a, b] = total / factor[b, b]
    lower = np.zeros((m, m))
    for a in range(m):
        lower[a, a] = 1 / factor[a, a]
        for b in range(a):
            total = 0.0
            for c in range(b, a):
                total -= factor[a, c] * lower[c, b]
            lower[a, b] = total / factor[a, a]
    for a in range(m):
        for b in range(m):
            total = 0.0
            for c in range(max(a, b), m):
                total += lower[c, a] * lower[c, b]
            inverse[a, b] = total
    return log_det

"""The linear-noise Kalman filter of mass action, with its slopes by rates, for many networks.

One library of candidates serves all networks: those that are not in one have rate 0. So a search
over thousands of networks compiles nothing. Slopes are taken by any of the candidates, also by
those with rate 0, which tells what taking them in would gain.

The state of the filter is a column y [P]: the mean of the S species, and their covariance, whose
place (s, u), s ≤ u, ``place`` tells. Its derivatives by rates are the columns of a table
[P, Q], and whatever happens to the state happens to them by a matrix: y' = f(y) makes each column
follow A = ∂f/∂y, with what the rate itself adds; conditioning makes each another linear
combination. So the matrices are made once, and each further slope costs a few products.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble._typing import FloatArray
from tumble.kernels._jit import kernel, part
from tumble.kernels._network_motion import advance, multiply_add

_TINY = 1e-300


class Work(NamedTuple):
    """Memory of the filter, for S species, P numbers of state, O observables, Q slopes."""

    state: FloatArray  # [P]
    slopes: FloatArray  # [P, Q]
    points: FloatArray  # [3, P], of a step
    tables: FloatArray  # [4, P, Q], their slopes
    matrix: FloatArray  # [P, P]
    flow: FloatArray  # [S, S], the Jacobian
    rows: FloatArray  # [O, S], C, what is expected of a datum by the state
    residual: FloatArray  # [O], e
    steep: FloatArray  # [O], what the expected datum adds to the variance of its noise
    white: FloatArray  # [O], S⁻¹ e
    squares: FloatArray  # [5, O, O]: S, its root, L⁻¹, S⁻¹, and what S is to change by
    cross: FloatArray  # [S, O], V Cᵀ
    gain: FloatArray  # [S, O], K = V Cᵀ S⁻¹
    turned: FloatArray  # [O, S], L⁻¹ C
    keep: FloatArray  # [S, S], 1 − K C
    pull: FloatArray  # [S], Cᵀ S⁻¹ e
    forms: FloatArray  # [O + O (O + 1) / 2 + 1, P], what the likelihood wants to know of slopes
    found: FloatArray  # the same of each [..., Q]
    zeros: FloatArray  # [that or P, Q]


def workspace(num_species: int, num_observed: int, num_slopes: int) -> Work:
    """Return memory for `filter_series`, which may be used again."""
    s, o, q = num_species, num_observed, num_slopes
    p, f = s + s * (s + 1) // 2, o + o * (o + 1) // 2 + 1
    shapes = (
        p, (p, q), (3, p), (4, p, q), (p, p), (s, s), (o, s), o, o, o, (5, o, o), (s, o), (s, o),
        (o, s), (s, s), s, (f, p), (f, q), (max(f, p), q),
    )  # fmt: skip
    return Work(*(np.zeros(shape) for shape in shapes))


@kernel
def filter_series(
    reactants, change, rates, wanted, first, spans, data, scatter, counts, look, rounding, noise,
    place, work, value, slope, information, curvature,
):  # fmt: skip
    """Add up the log likelihood of one series [T, O], with its slopes and Fisher information.

    ``reactants`` [R, 2], species or -1; ``change`` [R, S]; ``rates`` [R]; ``wanted`` [Q], the
    reactions by whose rates slopes are taken; ``first`` [2, S], the initial mean and variance;
    ``spans`` [T], since the last time; ``look`` [O, 1 + S], what is observed of a state, constants
    first; ``rounding`` [O], variances to be added; ``noise`` [O, 5]: of an observable x the
    datum has mean a + b x and variance c + d x + e x²; ``place`` [S, S]; ``work``, see `workspace`.

    ``counts`` [T]: 0 where the datum is of a series, on which the state is conditioned; else the
    number of cells of a snapshot, of which the datum is the mean and ``scatter`` [T, O, O] the
    covariance (divided by that number).

    Adds to ``value`` [1], ``slope`` [Q], of the Fisher ``information`` [K, Q] the rows of the first
    K reactions wanted, and its diagonal ``curvature`` [Q]. A likelihood that is not finite makes
    the value -∞.
    """
    work.state[:] = 0.0
    work.slopes[:] = 0.0
    for s in range(change.shape[1]):
        work.state[s] = first[0, s]
        work.state[place[s, s]] = first[1, s]
    active = np.flatnonzero(rates)
    for t in range(spans.shape[0]):
        followed = True
        if spans[t] > 0:
            followed = advance(reactants, change, rates, active, wanted, spans[t], place, work)
        if followed:
            _expect(data[t], look, rounding, noise, work)
            followed = _condition(
                scatter[t], counts[t], place, work, value, slope, information, curvature
            )
        if not followed:
            value[0] = -np.inf
            return


@part
def _expect(datum, look, rounding, noise, work):
    """Fill what is expected of a datum [O] by the state, what is left, and the noise of it.

    What is missing counts as a datum that hangs together with nothing and is as expected.
    """
    rows, spread = work.rows, work.squares[0]
    spread[:] = 0.0
    for o in range(datum.shape[0]):
        seen = np.isfinite(datum[o])
        x = look[o, 0]
        for s in range(rows.shape[1]):
            x += look[o, 1 + s] * work.state[s]
        shift, scale, c, d, e = noise[o]
        for s in range(rows.shape[1]):
            rows[o, s] = scale * look[o, 1 + s] if seen else 0.0
        inside = max(x, 0.0)
        work.residual[o] = datum[o] - shift - scale * x if seen else 0.0
        work.steep[o] = (d + 2 * e * inside) / scale if seen and x > 0 else 0.0
        if seen:
            spread[o, o] = c + d * inside + e * inside * inside + rounding[o]
        else:
            # Its logarithm of a density is to be 0.
            spread[o, o] = 1 / (2 * np.pi)


@part
def fill_cross(place, work):
    """Fill V Cᵀ [S, O], the covariance of the state with what is expected of a datum."""
    rows, cross = work.rows, work.cross
    m, n = rows.shape
    for s in range(n):
        for a in range(m):
            cross[s, a] = 0.0
            for u in range(n):
                cross[s, a] += work.state[place[s, u]] * rows[a, u]


@part
def _condition(scatter, count, place, work, value, slope, information, curvature):
    """Add what a datum says, and condition the state on it. False where it cannot be."""
    rows, residual, white, cross = work.rows, work.residual, work.white, work.cross
    spread, factor, root, inverse, heavy = work.squares
    m, n = rows.shape
    fill_cross(place, work)
    log_det = 0.0
    for a in range(m):
        for b in range(m):
            for s in range(n):
                spread[a, b] += rows[a, s] * cross[s, b]
            log_det += spread[a, b]
        log_det += residual[a]
    if not np.isfinite(log_det):
        return False
    log_det = inverted(spread, factor, root, inverse)
    if not np.isfinite(log_det):
        return False
    weight = max(count, 1)
    around = 0.0
    for a in range(m):
        white[a] = 0.0
        for b in range(m):
            white[a] += inverse[a, b] * residual[b]
            around += inverse[a, b] * residual[b] * residual[a]
    for a in range(m):
        for b in range(m):
            # S⁻¹ M S⁻¹ − S⁻¹, with M the mean square of what is left.
            heavy[a, b] = white[a] * white[b] - inverse[a, b]
            if count > 0:
                around += inverse[a, b] * scatter[a, b]
                for c in range(m):
                    for d in range(m):
                        heavy[a, b] += inverse[a, c] * scatter[c, d] * inverse[d, b]
    value[0] -= 0.5 * weight * (around + log_det + m * np.log(2 * np.pi))
    if slope.shape[0] > 0:
        add_slopes(weight, root, heavy, place, work, slope, information, curvature)
    if count == 0:
        _update(inverse, place, work)
    return True


@part
def add_slopes(weight, root, heavy, place, work, slope, information, curvature):
    """Add the slopes of a normal law's logarithm, and its Fisher information.

    Of mean m and covariance S, with slopes m' and S': m'ᵀ S⁻¹ e + tr((S⁻¹ e eᵀ S⁻¹ − S⁻¹) S') / 2,
    and m'ᵀ S⁻¹ m' + tr(S⁻¹ S' S⁻¹ S') / 2. The latter are the squares of L⁻¹ m' and of
    L⁻¹ S' L⁻ᵀ, for S = L Lᵀ and ``root`` = L⁻¹.
    """
    rows, steep, turned, forms, found = work.rows, work.steep, work.turned, work.forms, work.found
    m, n = rows.shape
    last = forms.shape[0] - 1
    forms[:] = 0.0
    for s in range(n):
        for a in range(m):
            turned[a, s] = 0.0
            for b in range(a + 1):
                turned[a, s] += root[a, b] * rows[b, s]
            forms[a, s] = np.sqrt(weight) * turned[a, s]
            forms[last, s] += weight * rows[a, s] * (work.white[a] + 0.5 * heavy[a, a] * steep[a])
            for b in range(m):
                for u in range(n):
                    forms[last, place[s, u]] += 0.5 * weight * heavy[a, b] * rows[a, s] * rows[b, u]
    row = m
    for a in range(m):
        for b in range(a, m):
            share = np.sqrt(weight / 2) if a == b else np.sqrt(weight)
            for s in range(n):
                for u in range(n):
                    forms[row, place[s, u]] += share * turned[a, s] * turned[b, u]
                for c in range(a + 1):
                    forms[row, s] += share * root[a, c] * root[b, c] * steep[c] * rows[c, s]
            row += 1
    multiply_add(forms, work.slopes, work.zeros, found)
    for q in range(slope.shape[0]):
        slope[q] += found[last, q]
    for a in range(last):
        for q in range(slope.shape[0]):
            curvature[q] += found[a, q] * found[a, q]
        for k in range(information.shape[0]):
            x = found[a, k]
            for q in range(slope.shape[0]):
                information[k, q] += x * found[a, q]


@part
def _update(inverse, place, work):
    """Condition mean and covariance on a datum, m + K e and V − K X, and their slopes."""
    rows, steep, white, cross = work.rows, work.steep, work.white, work.cross
    gain, keep, pull, matrix = work.gain, work.keep, work.pull, work.matrix
    m, n = rows.shape
    for s in range(n):
        pull[s] = 0.0
        for a in range(m):
            pull[s] += white[a] * rows[a, s]
            gain[s, a] = 0.0
            for b in range(m):
                gain[s, a] += cross[s, b] * inverse[b, a]
    for s in range(n):
        for u in range(n):
            keep[s, u] = 1.0 if s == u else 0.0
            for a in range(m):
                keep[s, u] -= gain[s, a] * rows[a, u]
    matrix[:] = 0.0
    for s in range(n):
        for v in range(n):
            matrix[s, v] += keep[s, v]
            for u in range(n):
                matrix[s, place[v, u]] += keep[s, v] * pull[u]
        for u in range(s, n):
            for v in range(n):
                for w in range(n):
                    matrix[place[s, u], place[v, w]] += keep[s, v] * keep[u, w]
        for a in range(m):  # of the noise, which the mean has moved
            if steep[a] == 0:
                continue
            for v in range(n):
                moved = gain[s, a] * steep[a] * rows[a, v]
                matrix[s, v] -= moved * white[a]
                for u in range(s, n):
                    matrix[place[s, u], v] += moved * gain[u, a]
    before = work.tables[0]
    before[:] = work.slopes
    multiply_add(matrix, before, work.zeros, work.slopes)
    for s in range(n):
        for a in range(m):
            work.state[s] += gain[s, a] * work.residual[a]
            for u in range(s, n):
                work.state[place[s, u]] -= gain[s, a] * cross[u, a]


@part
def inverted(matrix, factor, root, inverse):
    """Fill L and L⁻¹ for a positive ``matrix`` L Lᵀ [m, m], and its inverse.

    Returns log |matrix|, NaN if it is not positive.
    """
    m = matrix.shape[0]
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
    for a in range(m):
        root[a, a] = 1 / factor[a, a]
        for b in range(a):
            total = 0.0
            for c in range(b, a):
                total -= factor[a, c] * root[c, b]
            root[a, b] = total / factor[a, a]
    for a in range(m):
        for b in range(m):
            total = 0.0
            for c in range(max(a, b), m):
                total += root[c, a] * root[c, b]
            inverse[a, b] = total
    return log_det

"""The likelihood of steps between known states, in which some reactions fire but a few times.

Each number of firings of those, n, is taken into account by itself, with its probability, about
that of Poisson's law; what the others do given n is normal, with mean and covariance by the linear
noise approximation. Their changes span a lattice, and the normal law is one of its coordinates: a
step which they cannot make, whatever the numbers of their firings, has probability 0.
"""

from __future__ import annotations

import math

import numpy as np

from tumble.kernels._jit import kernel, part
from tumble.kernels._network_filter import add_slopes, fill_cross, inverted
from tumble.kernels._network_motion import advance

_SLACK = 1e-6  # of whole numbers
_NEGLIGIBLE = 25.0  # nats
# Variance that the normal law of a whole number gets besides: where nothing else varies, its
# density is 1, that of a certain number.
_LEAST_VARIANCE = 1 / (2 * np.pi)
_LOG_FACTORIALS = np.array([math.lgamma(n + 1) for n in range(64)])


@kernel
def add_steps(
    reactants, change, rates, active, wanted, before, after, spans, coordinates, few, firings,
    ready, first, numbers, shifts, place, work, value, slope, information, curvature,
):  # fmt: skip
    """Add up the log probability of steps [M] between states, with slopes and information.

    ``reactants`` [R, 2], ``change`` [R, S], ``rates`` [R], ``wanted`` [Q], ``place``, ``work``,
    and what is added to: see `filter_series`. ``active``, the reactions with many firings;
    ``before``, ``after`` [M, S], ``spans`` [M]; ``coordinates`` [G, S], how a change that these
    make is written in their lattice. ``few`` [F], places in ``wanted`` of the reactions with few
    firings, ``firings`` [M, F], how often those fire on average, and ``ready`` [M, F], the same by
    the states before firings; ``numbers`` [N, F], of which step m looks at those from ``first``
    [M + 1] on; ``shifts`` [M, F, S], the mean displacement that one firing leaves at the end of a
    step.
    """
    num_few, num_lattice = few.shape[0], coordinates.shape[0]
    mean, square = np.empty(num_few), np.empty((num_few, num_few))
    steps, falls = np.empty((num_few, num_lattice)), np.empty((num_few, num_lattice))
    y, logs = np.empty(num_lattice), np.empty(num_few)
    work.rows[:] = coordinates
    work.steep[:] = 0.0
    for t in range(spans.shape[0]):
        log_det = _law_of_many(
            reactants, change, rates, active, wanted, before[t], after[t], spans[t], few, place,
            work,
        )  # fmt: skip
        if not np.isfinite(log_det):
            value[0] = -np.inf
            return
        _whiten(shifts[t], work, falls, steps, y)
        for f in range(num_few):
            logs[f] = np.log(ready[t, f])
        log_sum = _sum_over_few(
            firings[t], logs, numbers[first[t] : first[t + 1]], steps, y, mean, square
        )
        value[0] += log_sum - 0.5 * (log_det + num_lattice * np.log(2 * np.pi))
        if not np.isfinite(value[0]):
            value[0] = -np.inf
            return
        if slope.shape[0] > 0:
            heavy = _weigh_many(falls, mean, square, work)
            add_slopes(1, work.squares[2], heavy, place, work, slope, information, curvature)
            _add_slopes_of_few(
                rates, wanted, few, firings[t], falls, mean, square, work, slope, information,
                curvature,
            )  # fmt: skip


@kernel
def list_numbers(
    reactants, change, rates, active, wanted, before, after, spans, coordinates, rest, few,
    ready, most, shifts, place, work, first, numbers,
):  # fmt: skip
    """Fill the numbers of firings [N, F] that matter in each step, and ``first`` [M + 1] of them.

    Of all up to ``most`` [F] those that leave a change which the others can make, and that are not
    far less probable than the best. ``rest`` [S, S], what of a change the others cannot make. If
    there is no room for so many ``numbers``, ``first`` tells how much is needed.
    """
    num_few, num_lattice = few.shape[0], coordinates.shape[0]
    steps, falls = np.empty((num_few, num_lattice)), np.empty((num_few, num_lattice))
    y = np.empty(num_lattice)
    size = 1
    for f in range(num_few):
        size *= most[f] + 1
    possible, weights = np.empty((size, num_few), np.int64), np.empty(size)
    work.rows[:] = coordinates
    first[0] = 0
    for t in range(spans.shape[0]):
        first[t + 1] = first[t]
        log_det = _law_of_many(
            reactants, change, rates, active, wanted, before[t], after[t], spans[t], few, place,
            work,
        )  # fmt: skip
        if not np.isfinite(log_det):
            continue
        _whiten(shifts[t], work, falls, steps, y)
        count = _possible_numbers(
            before[t], after[t], change, wanted, coordinates, rest, few, ready[t], most, steps,
            y, possible, weights,
        )  # fmt: skip
        top = -np.inf
        for k in range(count):
            top = max(top, weights[k])
        for k in range(count):
            if weights[k] > top - _NEGLIGIBLE:
                if first[t + 1] < numbers.shape[0]:
                    for f in range(num_few):
                        numbers[first[t + 1], f] = possible[k, f]
                first[t + 1] += 1


@part
def _possible_numbers(
    before, after, change, wanted, coordinates, rest, few, ready, most, steps, y, possible,
    weights,
):  # fmt: skip
    """Fill numbers of firings after which the others can make the step, and logs of weights.

    Returns how many there are. ``y`` is lost.
    """
    num_few, num_lattice, n = few.shape[0], coordinates.shape[0], change.shape[1]
    left, number, logs = np.empty(n), np.zeros(num_few, np.int64), np.zeros(num_few)
    for s in range(n):
        left[s] = after[s] - before[s]
    count = 0
    while True:
        if _is_whole(left, coordinates, rest):
            weights[count] = 0.0
            for f in range(num_few):
                possible[count, f] = number[f]
                weights[count] += logs[f]
            for a in range(num_lattice):
                weights[count] -= 0.5 * y[a] * y[a]
            count += 1
        f = 0
        while f < num_few:
            up = 1 if number[f] < most[f] else -number[f]
            number[f] += up
            for s in range(n):
                left[s] -= up * change[wanted[few[f]], s]
            for a in range(num_lattice):
                y[a] -= up * steps[f, a]
            if up == 1:
                logs[f] += np.log(ready[f] / number[f])
                break
            logs[f] = 0.0
            f += 1
        if f == num_few:
            return count


@part
def _law_of_many(reactants, change, rates, active, wanted, before, after, span, few, place, work):
    """Fill the residual, L⁻¹ and S⁻¹ of the coordinates of a step; return log |S|, or NaN."""
    work.state[:] = 0.0
    work.slopes[:] = 0.0
    for s in range(change.shape[1]):
        work.state[s] = before[s]
    possible = True
    if active.shape[0] > 0:
        possible = advance(reactants, change, rates, active, wanted, span, place, work)
    if not possible:
        return np.nan
    for f in range(few.shape[0]):
        for a in range(work.slopes.shape[0]):
            work.slopes[a, few[f]] = 0.0
    rows, cross = work.rows, work.cross
    spread, factor, root, inverse, _ = work.squares
    m, n = rows.shape
    fill_cross(place, work)
    for a in range(m):
        work.residual[a] = 0.0
        for s in range(n):
            work.residual[a] += rows[a, s] * (after[s] - work.state[s])
        for b in range(m):
            spread[a, b] = 0.0
            for s in range(n):
                spread[a, b] += rows[a, s] * cross[s, b]
        spread[a, a] += _LEAST_VARIANCE
    return inverted(spread, factor, root, inverse)


@part
def _whiten(shifts, work, falls, steps, y):
    """Fill the coordinates of what firings leave [F, G], and those and the residual times L⁻¹."""
    rows, root = work.rows, work.squares[2]
    m, n = rows.shape
    for f in range(falls.shape[0]):
        for a in range(m):
            falls[f, a] = 0.0
            for s in range(n):
                falls[f, a] += rows[a, s] * shifts[f, s]
        for a in range(m):
            steps[f, a] = 0.0
            for b in range(a + 1):
                steps[f, a] += root[a, b] * falls[f, b]
    for a in range(m):
        y[a] = 0.0
        for b in range(a + 1):
            y[a] += root[a, b] * work.residual[b]


@part
def _sum_over_few(firings, logs, numbers, steps, y, mean, square):
    """Return log Σ_n p(n) exp(−|y − Σ n steps|² / 2), and fill E n [F] and Cov n [F, F]."""
    num_few, num_lattice = steps.shape
    mean[:] = 0.0
    square[:] = 0.0
    top, total = -np.inf, 0.0
    for k in range(numbers.shape[0]):
        log_weight = 0.0
        for f in range(num_few):
            n = numbers[k, f]
            if n > 0:
                log_weight += n * logs[f] - _LOG_FACTORIALS[n]
        for a in range(num_lattice):
            away = y[a]
            for f in range(num_few):
                away -= numbers[k, f] * steps[f, a]
            log_weight -= 0.5 * away * away
        if log_weight > top:
            shrink = np.exp(top - log_weight)
            total *= shrink
            mean *= shrink
            square *= shrink
            top = log_weight
        if log_weight > top - _NEGLIGIBLE:
            weight = np.exp(log_weight - top)
            total += weight
            for f in range(num_few):
                if numbers[k, f] > 0:
                    mean[f] += weight * numbers[k, f]
                    for g in range(num_few):
                        square[f, g] += weight * numbers[k, f] * numbers[k, g]
    if not total > 0:
        return -np.inf
    for f in range(num_few):
        mean[f] /= total
        top -= firings[f]
    for f in range(num_few):
        for g in range(num_few):
            square[f, g] = square[f, g] / total - mean[f] * mean[g]
    return top + np.log(total)


@part
def _is_whole(left, coordinates, rest):
    """Return whether a change [S] is one that the reactions with many firings can make."""
    n = left.shape[0]
    for s in range(n):
        off = 0.0
        for u in range(n):
            off += rest[s, u] * left[u]
        if abs(off) > _SLACK:
            return False
    for a in range(coordinates.shape[0]):
        c = 0.0
        for u in range(n):
            c += coordinates[a, u] * left[u]
        if abs(c - np.rint(c)) > _SLACK:
            return False
    return True


@part
def _weigh_many(falls, mean, square, work):
    """Fill the mean of S⁻¹ e over n, and return that of S⁻¹ e eᵀ S⁻¹ − S⁻¹ [G, G]."""
    white, inverse, heavy = work.white, work.squares[3], work.squares[4]
    m, num_few = white.shape[0], mean.shape[0]
    pulls = np.empty((num_few, m))
    for a in range(m):
        white[a] = 0.0
        for b in range(m):
            white[a] += inverse[a, b] * work.residual[b]
        for f in range(num_few):
            pulls[f, a] = 0.0
            for b in range(m):
                pulls[f, a] += inverse[a, b] * falls[f, b]
            white[a] -= pulls[f, a] * mean[f]
    for a in range(m):
        for b in range(m):
            heavy[a, b] = white[a] * white[b] - inverse[a, b]
            for f in range(num_few):
                for g in range(num_few):
                    heavy[a, b] += pulls[f, a] * square[f, g] * pulls[g, b]
    return heavy


@part
def _add_slopes_of_few(
    rates, wanted, few, firings, falls, mean, square, work, slope, information, curvature
):
    """Add slopes by the rates of reactions with few firings, and what not knowing n takes away.

    Louis: information is that of data with n, less the covariance, given the data, of their score.
    """
    num_few, m, n = few.shape[0], work.rows.shape[0], work.rows.shape[1]
    inverse = work.squares[3]
    if num_few == 0:
        return
    size = slope.shape[0]
    scores = np.zeros((size, num_few))  # a unit of n in the score
    for q in range(size):
        for a in range(m):
            along = 0.0
            for s in range(n):
                along += work.rows[a, s] * work.slopes[s, q]
            if along == 0:
                continue
            for f in range(num_few):
                for b in range(m):
                    scores[q, f] -= along * inverse[a, b] * falls[f, b]
    for f in range(num_few):
        q = few[f]
        rate = rates[wanted[q]]
        slope[q] += (mean[f] - firings[f]) / rate
        curvature[q] += firings[f] / rate**2
        if q < information.shape[0]:
            information[q, q] += firings[f] / rate**2
        scores[q, f] = 1 / rate
    for q in range(size):
        for f in range(num_few):
            along = 0.0
            for g in range(num_few):
                along += square[f, g] * scores[q, g]
            curvature[q] -= scores[q, f] * along
            for k in range(information.shape[0]):
                information[k, q] -= scores[k, f] * along

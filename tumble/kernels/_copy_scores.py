"""Derivatives of the Cellular Potts model: the score of a run, and what two frames tell.

``slots`` say which parameter an entry of `Couplings` is, -1 for none: ``adhesion`` [T, T], and
``volume`` and ``perimeter`` [2, T].
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from tumble.kernels._cellular_potts import (
    _BITS,
    _BUFFER,
    _HOPELESS,
    _TYPES,
    NOT_FINITE,
    OK,
    _copy_images,
    _draw,
    _energy_change,
)


class Slots(NamedTuple):
    """The parameter of each entry of the tables; see above."""

    adhesion: np.ndarray
    volume: np.ndarray
    perimeter: np.ndarray


@numba.njit(cache=True, nogil=True)
def _add_square(slots, kind, size, change, strength, target, out, weight):
    """Add weight times the slopes of λ ((size + change − target)² − (size − target)²)."""
    if kind == 0 or slots[0, kind] < 0:
        return
    out[slots[0, kind]] += weight * change * (2.0 * (size - target) + change)
    out[slots[1, kind]] -= weight * 2.0 * strength * change


@numba.njit(cache=True, nogil=True)
def add_slopes(p, old, new, grows, shrinks, geometry, couplings, slots, tissue, weight, out):
    """Add weight · ∂ΔH / ∂params to ``out`` [Q], for giving site p to ``new``."""
    old_type, new_type = np.int64(old & _TYPES), np.int64(new & _TYPES)
    for k in range(geometry.contacts.shape[0]):
        other = np.uint64(tissue.codes[p + geometry.contacts[k]])
        kind = other & _TYPES
        if other != new:
            out[slots.adhesion[new_type, kind]] += weight
        if other != old:
            out[slots.adhesion[old_type, kind]] -= weight
    more, fewer = new >> _BITS, old >> _BITS
    v, s = couplings.volume, slots.volume
    _add_square(s, new_type, tissue.volumes[more], 1, v[0, new_type], v[1, new_type], out, weight)
    _add_square(s, old_type, tissue.volumes[fewer], -1, v[0, old_type], v[1, old_type], out, weight)
    v, s = couplings.perimeter, slots.perimeter
    _add_square(
        s, new_type, tissue.perimeters[more], grows, v[0, new_type], v[1, new_type], out, weight
    )
    _add_square(
        s, old_type, tissue.perimeters[fewer], shrinks, v[0, old_type], v[1, old_type], out, weight
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def scored_attempts(geometry, couplings, slots, tissue, key, run, first, count, score):
    """As `copy_attempts`, and add ∂ log p of what happened to ``score`` [Q]."""
    place, source = np.empty(_BUFFER, np.uint64), np.empty(_BUFFER, np.uint64)
    left, words = np.empty(_BUFFER), np.empty((2, _BUFFER), np.uint64)
    codes, volumes, perimeters = tissue.codes, tissue.volumes, tissue.perimeters
    copied = 0
    t, end = first, first + count
    while t < end:
        begin = t - t % _BUFFER
        _draw(key, run, np.uint64(begin // 2), geometry, words, place, source, left)
        last = min(begin + _BUFFER, end)
        for i in range(t - begin, last - begin):
            p = place[i]
            old, new = np.uint64(codes[p]), np.uint64(codes[source[i]])
            if old == new:
                continue
            change, grows, shrinks = _energy_change(p, old, new, geometry, couplings, tissue)
            weight, accepted = 0.0, True
            if change > 0.0:
                chance = np.exp(-change)
                accepted = change <= _HOPELESS and left[i] < chance
                weight = -1.0 if accepted else chance / -np.expm1(-change)
            if not np.isfinite(change):
                return NOT_FINITE, copied
            if weight != 0.0:
                add_slopes(
                    p, old, new, grows, shrinks, geometry, couplings, slots, tissue, weight, score
                )
            if not accepted:
                continue
            copied += 1
            codes[p] = new
            volumes[new >> _BITS] += 1
            volumes[old >> _BITS] -= 1
            perimeters[new >> _BITS] += grows
            perimeters[old >> _BITS] += shrinks
            if geometry.edges[p]:
                _copy_images(p, new, geometry, codes)
        t = last
    return OK, copied


@numba.njit(cache=True, nogil=True, error_model="numpy")
def site_likelihood(geometry, couplings, slots, tissue, after, steps, slope, information):
    """Return Σ log p of the sites of a frame, each on its own, given the frame before.

    ``tissue`` is the frame before, ``after`` the codes after ``steps`` Monte Carlo steps. A site
    goes over to each of the cells around at the rate that it has in the frame before, once at most.
    Adds the derivative to ``slope`` [Q], and what is expected of its square to ``information``
    [Q, Q], if that is not empty.
    """
    shape, margin = geometry.shape, geometry.margin
    height, width = shape[1] + 2 * margin[1], shape[2] + 2 * margin[2]
    codes = tissue.codes
    num, num_params = geometry.copies.shape[0], slope.shape[0]
    found = np.empty(num, np.uint64)
    rate = np.empty(num)
    slopes, total_slope = np.empty((num, num_params)), np.empty(num_params)
    value = 0.0
    for z in range(shape[0]):
        for y in range(shape[1]):
            p = np.uint64(((z + margin[0]) * height + y + margin[1]) * width + margin[2])
            for _ in range(shape[2]):
                old = np.uint64(codes[p])
                size = 0
                for k in range(num):
                    new = np.uint64(codes[p + geometry.copies[k]])
                    if new == old:
                        continue
                    c = 0
                    while c < size and found[c] != new:
                        c += 1
                    if c == size:
                        found[c], rate[c] = new, 0.0
                        size += 1
                    rate[c] += steps / num
                if size > 0:
                    value += _of_site(
                        p, old, np.uint64(after[p]), size, found, rate, slopes, total_slope,
                        geometry, couplings, slots, tissue, slope, information,
                    )  # fmt: skip
                p += np.uint64(1)
    return value


@numba.njit(cache=True, nogil=True)
def _add_square_of(slope, weight, information):
    for q in range(slope.shape[0]):
        for r in range(slope.shape[0]):
            information[q, r] += weight * slope[q] * slope[r]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _of_site(
    p, old, now, size, found, rate, slopes, total_slope, geometry, couplings, slots, tissue, slope,
    information,
):  # fmt: skip
    """Return log p of one site; ``rate`` [size] are those of attempts for each cell ``found``."""
    num_params = slope.shape[0]
    total = 0.0
    slopes[:size] = 0.0
    total_slope[:] = 0.0
    for c in range(size):
        change, grows, shrinks = _energy_change(p, old, found[c], geometry, couplings, tissue)
        if change > 0.0:
            rate[c] *= np.exp(-change)
            add_slopes(
                p, old, found[c], grows, shrinks, geometry, couplings, slots, tissue, -rate[c],
                slopes[c],
            )  # fmt: skip
        total += rate[c]
        total_slope += slopes[c]
    gone = -np.expm1(-total)
    stay = 1.0 - gone
    if not gone > 0.0:
        return 0.0
    value = -total
    if now == old:
        slope -= total_slope
    else:
        value = np.log(gone)
        slope += total_slope * (stay / gone)
    wanted = information.shape[0] > 0
    if wanted:
        _add_square_of(total_slope, stay, information)
    for c in range(size):
        if not rate[c] > 0.0 or not (wanted or now == found[c]):
            continue
        chance = rate[c] / total * gone
        for q in range(num_params):
            slopes[c, q] = slopes[c, q] / rate[c] + total_slope[q] * (stay / gone - 1.0 / total)
        if wanted:
            _add_square_of(slopes[c], chance, information)
        if now == found[c]:
            value += np.log(rate[c] / total)
            for q in range(num_params):
                slope[q] += slopes[c, q] - total_slope[q] * (stay / gone)
    return value

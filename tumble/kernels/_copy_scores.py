"""Derivatives of the Cellular Potts model: the score of a run, and what two frames tell.

``slots`` say which parameter an entry of `Couplings` is, -1 for none: ``adhesion`` [T, T],
``volume`` and ``perimeter`` [2, T], ``taxis`` and ``drive`` [T].
"""

from __future__ import annotations

from typing import NamedTuple

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
    pulls,
)
from tumble.kernels._jit import kernel, part

_OTHER = np.uint32(0xFFFFFFFF)  # no cell


class Slots(NamedTuple):
    """The parameter of each entry of the tables; see above."""

    adhesion: np.ndarray
    volume: np.ndarray
    perimeter: np.ndarray
    taxis: np.ndarray
    drive: np.ndarray


@part
def _add_slopes_of_square(slots, kind, size, change, strength, target, out, weight):
    """Add weight times the slopes of λ ((size + change − target)² − (size − target)²)."""
    if kind == 0 or slots[0, kind] < 0:
        return
    out[slots[0, kind]] += weight * change * (2.0 * (size - target) + change)
    out[slots[1, kind]] -= weight * 2.0 * strength * change


@part
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
    _add_slopes_of_square(
        s, new_type, tissue.volumes[more], 1, v[0, new_type], v[1, new_type], out, weight
    )
    _add_slopes_of_square(
        s, old_type, tissue.volumes[fewer], -1, v[0, old_type], v[1, old_type], out, weight
    )
    v, s = couplings.perimeter, slots.perimeter
    _add_slopes_of_square(
        s, new_type, tissue.perimeters[more], grows, v[0, new_type], v[1, new_type], out, weight
    )
    _add_slopes_of_square(
        s, old_type, tissue.perimeters[fewer], shrinks, v[0, old_type], v[1, old_type], out, weight
    )


@part
def add_slopes_of_work(kind, rise, push, slots, weight, out):
    """Add weight · ∂work / ∂params to ``out`` [Q]; see `pulls`."""
    if slots.taxis[kind] >= 0:
        out[slots.taxis[kind]] -= weight * rise
    if slots.drive[kind] >= 0:
        out[slots.drive[kind]] -= weight * push


@kernel
def scored_attempts(geometry, couplings, slots, tissue, key, run, first, count, score):
    """As `copy_attempts`, and add ∂ log p of what happened to ``score`` [Q]."""
    place, source = np.empty(_BUFFER, np.uint64), np.empty(_BUFFER, np.uint64)
    left, words = np.empty(_BUFFER), np.empty((2, _BUFFER), np.uint64)
    codes, volumes, perimeters = tissue.codes, tissue.volumes, tissue.perimeters
    contacts, outlines, edges = geometry.contacts, geometry.outlines, geometry.edges
    adhesion, volume, perimeter = couplings.adhesion, couplings.volume, couplings.perimeter
    num_sites = geometry.shape[0] * geometry.shape[1] * geometry.shape[2]
    ages = geometry.active.shape[0] > 0
    works = ages or geometry.field.shape[0] > 0
    copied, step, kind, rise, push = 0, 0, 0, 0.0, 0.0
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
            change, grows, shrinks = _energy_change(
                p, old, new, contacts, outlines, adhesion, volume, perimeter, codes, volumes,
                perimeters,
            )  # fmt: skip
            if works:
                step = (begin + i) // num_sites
                kind, rise, push = pulls(p, source[i], old, new, step, geometry, tissue)
                change -= couplings.taxis[kind] * rise + couplings.drive[kind] * push
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
                if works:
                    add_slopes_of_work(kind, rise, push, slots, weight, score)
            if not accepted:
                continue
            copied += 1
            codes[p] = new
            volumes[new >> _BITS] += 1
            volumes[old >> _BITS] -= 1
            perimeters[new >> _BITS] += grows
            perimeters[old >> _BITS] += shrinks
            if edges[p]:
                _copy_images(p, new, geometry, codes)
            if ages:
                tissue.stamps[p] = step
                if edges[p]:
                    _copy_images(p, step, geometry, tissue.stamps)
        t = last
    return OK, copied


class Sites(NamedTuple):
    """What each site of a frame may become, and what that tells; see `tabulate_sites`.

    ``first`` [flat], the first row of a site, -1 where it can become nothing. Of each row:
    ``codes``, what the site becomes, the last row of a site being for anything else;
    ``log_odds``, log p of that less log p of staying; and ``slopes`` [rows, Q] of these.
    ``log_stay`` [1], log p of a frame in which all sites stay, and ``slope_stay`` [Q].
    """

    first: np.ndarray
    codes: np.ndarray
    log_odds: np.ndarray
    slopes: np.ndarray
    log_stay: np.ndarray
    slope_stay: np.ndarray


@kernel
def count_rows(geometry, codes):
    """Return how many rows `tabulate_sites` needs at most."""
    rows = 0
    shape, margin = geometry.shape, geometry.margin
    height, width = shape[1] + 2 * margin[1], shape[2] + 2 * margin[2]
    for z in range(shape[0]):
        for y in range(shape[1]):
            p = np.uint64(((z + margin[0]) * height + y + margin[1]) * width + margin[2])
            for _ in range(shape[2]):
                unlike = 0
                for k in range(geometry.copies.shape[0]):
                    unlike += codes[p + geometry.copies[k]] != codes[p]
                rows += unlike + (unlike > 0)
                p += np.uint64(1)
    return rows


@kernel
def tabulate_sites(geometry, couplings, slots, tissue, steps, sites, information):
    """Fill ``sites``, and add the information [Q, Q] that is expected of them, if not empty.

    Each site is taken for itself: in ``steps`` Monte Carlo steps it goes over, once at most, to
    each of the cells around at the rate that it has in this frame.
    """
    shape, margin = geometry.shape, geometry.margin
    height, width = shape[1] + 2 * margin[1], shape[2] + 2 * margin[2]
    codes, num = tissue.codes, geometry.copies.shape[0]
    total_slope, share = np.empty(sites.slope_stay.shape[0]), steps / num
    rates = np.empty(num)
    sites.first[:] = -1
    sites.log_stay[0] = 0.0
    sites.slope_stay[:] = 0.0
    sites.slopes[:] = 0.0
    row = 0
    for z in range(shape[0]):
        for y in range(shape[1]):
            p = np.uint64(((z + margin[0]) * height + y + margin[1]) * width + margin[2])
            for _ in range(shape[2]):
                old, begin = np.uint64(codes[p]), row
                for k in range(num):
                    new = np.uint64(codes[p + geometry.copies[k]])
                    if new == old:
                        continue
                    c = begin
                    while c < row and sites.codes[c] != new:
                        c += 1
                    if c == row:
                        sites.codes[c], rates[c - begin] = new, 0.0
                        row += 1
                    rates[c - begin] += share
                if row > begin:
                    sites.first[p] = begin
                    _of_site(
                        p, old, begin, row, share, rates, total_slope, geometry, couplings, slots,
                        tissue, sites, information,
                    )  # fmt: skip
                    row += 1
                p += np.uint64(1)


@part
def _rate_uphill(
    p, old, new, change, grows, shrinks, share, geometry, couplings, slots, tissue, slope
):
    """Return the rate at which site p goes over to ``new`` where it matters from which neighbor.

    Adds its derivative to ``slope`` [Q]. ``change`` of the energy, without work.
    """
    rate = 0.0
    for k in range(geometry.copies.shape[0]):
        source = p + geometry.copies[k]
        if np.uint64(tissue.codes[source]) != new:
            continue
        kind, rise, push = pulls(p, source, old, new, 0, geometry, tissue)
        uphill = change - couplings.taxis[kind] * rise
        own = share * min(1.0, np.exp(-uphill))
        if uphill > 0.0:
            add_slopes(p, old, new, grows, shrinks, geometry, couplings, slots, tissue, -own, slope)
            add_slopes_of_work(kind, rise, push, slots, -own, slope)
        rate += own
    return rate


@part
def _of_site(
    p, old, begin, end, share, rates, total_slope, geometry, couplings, slots, tissue, sites,
    information,
):  # fmt: skip
    """Fill the rows of one site, begin to end, the latter for anything else."""
    total = 0.0
    total_slope[:] = 0.0
    for c in range(begin, end):
        new = np.uint64(sites.codes[c])
        change, grows, shrinks = _energy_change(
            p, old, new, geometry.contacts, geometry.outlines, couplings.adhesion,
            couplings.volume, couplings.perimeter, tissue.codes, tissue.volumes, tissue.perimeters,
        )  # fmt: skip
        if geometry.field.shape[0] > 0:
            rates[c - begin] = _rate_uphill(
                p, old, new, change, grows, shrinks, share, geometry, couplings, slots, tissue,
                sites.slopes[c],
            )  # fmt: skip
        elif change > 0.0:
            rates[c - begin] *= np.exp(-change)
            add_slopes(
                p, old, new, grows, shrinks, geometry, couplings, slots, tissue,
                -rates[c - begin], sites.slopes[c],
            )  # fmt: skip
        total += rates[c - begin]
        total_slope += sites.slopes[c]
    gone = max(-np.expm1(-total), 1e-300)
    stay = np.exp(-total)
    sites.log_stay[0] -= total
    sites.slope_stay[:] -= total_slope
    wanted = information.shape[0] > 0
    if wanted:
        _add_square(total_slope, stay, information)
    for c in range(begin, end):
        rate = max(rates[c - begin], 1e-300)
        sites.slopes[c] = sites.slopes[c] / rate + total_slope * (stay / gone - 1.0 / total)
        if wanted:
            _add_square(sites.slopes[c], rate / total * gone, information)
        sites.log_odds[c] = np.log(rate / total) + np.log(gone) + total
        sites.slopes[c] += total_slope
    sites.codes[end] = _OTHER
    sites.log_odds[end] = np.log(gone) + total
    sites.slopes[end] = total_slope * (1.0 + stay / gone)


@part
def _add_square(slope, weight, information):
    for q in range(slope.shape[0]):
        for r in range(slope.shape[0]):
            information[q, r] += weight * slope[q] * slope[r]


@kernel
def tell(before, after, sites, slope):
    """Return Σ log p of the sites of the frame ``after``; set ``slope`` [Q] to its derivative.

    Sites that became what they could not are left out, as those in the inside of cells.
    """
    value = sites.log_stay[0]
    slope[:] = sites.slope_stay
    for p in range(before.shape[0]):
        row = sites.first[p]
        if before[p] == after[p] or row < 0:
            continue
        while sites.codes[row] != after[p] and sites.codes[row] != _OTHER:
            row += 1
        value += sites.log_odds[row]
        slope += sites.slopes[row]
    return value

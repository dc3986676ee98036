"""Copy attempts of the Cellular Potts model, one after another.

A lattice is a flat array of codes, 64 · cell + type, with a margin on all sides, so that neighbors
lie at fixed distances and nothing wraps around: on a torus the margin holds images of the sites
across, elsewhere medium. Attempt t of a run takes 64 random bits, half of block t // 2 of its
stream. They are a number in [0, 1) that tells, digit by digit, the site, the neighbor and, by what
is left, whether a copy is accepted: with n sites and k neighbors 64 − log₂(n k) bits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tumble.kernels._jit import inlined, kernel, part
from tumble.kernels._philox import philox

OK, NOT_FINITE = 0, 11  # as in SampleCode
_TYPES, _BITS = np.uint64(63), np.uint64(6)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_BUFFER = 512  # attempts that are drawn together; even
_TINY = 2.0**-64
_HOPELESS = 45.0  # exp(−45) is less than any number that can be left


class Geometry(NamedTuple):
    """Where things are: ``shape`` and ``margin`` [3], and whether ``periodic``.

    ``edges``, flat: whether a site has images in the margin. ``copies``, ``contacts`` and
    ``outlines`` are the distances to the neighbors of copy attempts, adhesion and perimeters in the
    flat array; those of a term that is not there are empty. They are unsigned: adding them wraps
    around, and Numba has no signs to look at. For the work of copies: ``field``, flat, the
    concentration at each site, and ``active``, the distances to the neighbors that activities are
    averaged over, with the site itself, both empty without; ``memory`` of activities in steps.
    """

    shape: np.ndarray
    margin: np.ndarray
    periodic: bool
    edges: np.ndarray
    copies: np.ndarray
    contacts: np.ndarray
    outlines: np.ndarray
    field: np.ndarray
    active: np.ndarray
    memory: int


class Couplings(NamedTuple):
    """Values of the parameters: ``adhesion`` [T, T], ``volume`` and ``perimeter`` [2, T].

    The latter two are strengths and targets, 0 for the medium. ``taxis`` and ``drive`` [T], the
    strengths of chemotaxis and activity.
    """

    adhesion: np.ndarray
    volume: np.ndarray
    perimeter: np.ndarray
    taxis: np.ndarray
    drive: np.ndarray


class Tissue(NamedTuple):
    """The state: ``codes``, flat, and ``volumes`` and ``perimeters`` [C + 1] of cells.

    ``stamps``, flat, the Monte Carlo step in which a site was copied to; empty without activities.
    """

    codes: np.ndarray
    volumes: np.ndarray
    perimeters: np.ndarray
    stamps: np.ndarray


@kernel
def fill_codes(ids, types, geometry, codes):
    """Write cells ``ids`` [*shape3] with ``types`` [C + 1] into flat ``codes``, margins and all."""
    shape, margin = geometry.shape, geometry.margin
    p = 0
    for z in range(-margin[0], shape[0] + margin[0]):
        for y in range(-margin[1], shape[1] + margin[1]):
            for x in range(-margin[2], shape[2] + margin[2]):
                inside = min(z, y, x) >= 0 and z < shape[0] and y < shape[1] and x < shape[2]
                codes[p] = 0
                if inside or geometry.periodic:
                    cell = ids[z % shape[0], y % shape[1], x % shape[2]]
                    codes[p] = 64 * np.int64(cell) + types[cell]
                p += 1


@kernel
def read_ids(geometry, codes, ids):
    """Write the cells of flat ``codes`` to ``ids`` [*shape3]."""
    shape, margin = geometry.shape, geometry.margin
    height, width = shape[1] + 2 * margin[1], shape[2] + 2 * margin[2]
    for z in range(shape[0]):
        for y in range(shape[1]):
            p = ((z + margin[0]) * height + y + margin[1]) * width + margin[2]
            for x in range(shape[2]):
                ids[z, y, x] = codes[p + x] >> _BITS


@kernel
def count_sizes(geometry, tissue):
    """Count volumes and perimeters afresh."""
    shape, margin = geometry.shape, geometry.margin
    codes, volumes, perimeters = tissue.codes, tissue.volumes, tissue.perimeters
    height, width = shape[1] + 2 * margin[1], shape[2] + 2 * margin[2]
    volumes[:] = 0
    perimeters[:] = 0
    for z in range(shape[0]):
        for y in range(shape[1]):
            p = np.uint64(((z + margin[0]) * height + y + margin[1]) * width + margin[2])
            for _ in range(shape[2]):
                code = np.uint64(codes[p])
                volumes[code >> _BITS] += 1
                for k in range(geometry.outlines.shape[0]):
                    if np.uint64(codes[p + geometry.outlines[k]]) != code:
                        perimeters[code >> _BITS] += 1
                p += np.uint64(1)


@inlined
def _digit(high, low, base):
    """Split (high 2³² + low) / 2⁶⁴ · base into its whole part and the two words of its rest."""
    small = low * base
    large = high * base + (small >> _32)
    return large >> _32, large & _LOW, small & _LOW


@kernel
def _draw(key, run, block, geometry, words, place, source, left):
    """Fill the buffers with _BUFFER attempts, from half as many blocks of the stream.

    The loops are apart, and what they read lies in local variables, so that they run in vectors.
    """
    run_low, run_high, key_low, key_high = run & _LOW, run >> _32, key & _LOW, key >> _32
    half = _BUFFER // 2
    for i in range(half):
        d = block + np.uint64(i)
        a, b, c, e = philox(d & _LOW, d >> _32, run_low, run_high, key_low, key_high)
        words[0, i], words[1, i] = a, b
        words[0, half + i], words[1, half + i] = c, e
    deep, high, wide = geometry.shape[0], geometry.shape[1], geometry.shape[2]
    m0, m1, m2 = geometry.margin[0], geometry.margin[1], geometry.margin[2]
    num = np.uint64(geometry.copies.shape[0])
    u0, u1, u2 = np.uint64(deep), np.uint64(high), np.uint64(wide)
    up, down = wide + 2 * m2, (wide + 2 * m2) * (high + 2 * m1)
    origin = np.uint64(m0 * down + m1 * up + m2)
    rows, planes = np.uint64(up), np.uint64(down)
    for i in range(_BUFFER):
        z, f, g = _digit(words[0, i], words[1, i], u0)
        y, f, g = _digit(f, g, u1)
        x, f, g = _digit(f, g, u2)
        k, f, g = _digit(f, g, num)
        place[i] = origin + z * planes + y * rows + x
        source[i] = k
        left[i] = (np.float64(np.int64(f)) * 2.0**32 + np.float64(np.int64(g)) + 0.5) * _TINY
    for i in range(_BUFFER):
        source[i] = place[i] + geometry.copies[source[i]]


@inlined
def _energy_change(
    p, old, new, contacts, outlines, adhesion, volume, perimeter, codes, volumes, perimeters
):
    """Return ΔH of giving site p to ``new``, and the changes of both perimeters.

    Arrays come one by one: for each tuple of them that is handed on, Numba counts references to all
    that it holds, in every attempt.
    """
    old_type, new_type = old & _TYPES, new & _TYPES
    change = 0.0
    for k in range(contacts.shape[0]):
        other = np.uint64(codes[p + contacts[k]])
        kind = other & _TYPES
        if other != new:
            change += adhesion[new_type, kind]
        if other != old:
            change -= adhesion[old_type, kind]
    more, fewer = new >> _BITS, old >> _BITS
    change += volume[0, new_type] * (2.0 * (volumes[more] - volume[1, new_type]) + 1.0)
    change -= volume[0, old_type] * (2.0 * (volumes[fewer] - volume[1, old_type]) - 1.0)
    num = outlines.shape[0]
    grows, shrinks = 0, 0
    if num > 0:
        like_new, like_old = 0, 0
        for k in range(num):
            other = np.uint64(codes[p + outlines[k]])
            like_new += other == new
            like_old += other == old
        grows, shrinks = num - 2 * like_new, 2 * like_old - num
        off = perimeters[more] - perimeter[1, new_type]
        change += perimeter[0, new_type] * grows * (2.0 * off + grows)
        off = perimeters[fewer] - perimeter[1, old_type]
        change += perimeter[0, old_type] * shrinks * (2.0 * off + shrinks)
    return change, grows, shrinks


@part
def _mean_activity(p, step, geometry, tissue):
    """Return the geometric mean of the activities of site p and its neighbors of the same cell."""
    code = np.uint64(tissue.codes[p])
    if code >> _BITS == 0:
        return 0.0
    product, count = 1.0, 0
    for k in range(geometry.active.shape[0]):
        there = p + geometry.active[k]
        if np.uint64(tissue.codes[there]) == code:
            product *= max(geometry.memory - (step - tissue.stamps[there]), 0)
            count += 1
    return product ** (1.0 / count)


@part
def pulls(p, source, old, new, step, geometry, tissue):
    """Return the type whose work a copy from ``source`` to site p is, and what it is made of.

    These are the differences that chemotaxis and activity multiply: work is −taxis · rise − drive ·
    push. ``step`` is the present Monte Carlo step.
    """
    kind = new & _TYPES
    if kind == 0:
        kind = old & _TYPES
    rise, push = 0.0, 0.0
    if geometry.field.shape[0] > 0:
        rise = geometry.field[p] - geometry.field[source]
    if geometry.active.shape[0] > 0:
        push = _mean_activity(source, step, geometry, tissue)
        push = (push - _mean_activity(p, step, geometry, tissue)) / geometry.memory
    return np.int64(kind), rise, push


@part
def _copy_images(p, new, geometry, codes):
    """Give the images of site p in the margin to ``new`` as well."""
    shape, margin = geometry.shape, geometry.margin
    height, width = shape[1] + 2 * margin[1], shape[2] + 2 * margin[2]
    q = np.int64(p)
    z, y, x = q // (height * width), q // width % height, q % width
    for i in range(-1, 2):
        w = z + i * shape[0]
        if w < 0 or w >= shape[0] + 2 * margin[0]:
            continue
        for j in range(-1, 2):
            v = y + j * shape[1]
            if v < 0 or v >= height:
                continue
            for k in range(-1, 2):
                u = x + k * shape[2]
                if u >= 0 and u < width:
                    codes[(w * height + v) * width + u] = new


@kernel
def mark_edges(shape, margin, edges):
    """Set flat ``edges`` to whether sites of a torus have images in the margin."""
    p = 0
    for z in range(shape[0] + 2 * margin[0]):
        far = z < 2 * margin[0] or z >= shape[0]
        for y in range(shape[1] + 2 * margin[1]):
            high = y < 2 * margin[1] or y >= shape[1]
            for x in range(shape[2] + 2 * margin[2]):
                wide = x < 2 * margin[2] or x >= shape[2]
                near = (far and margin[0] > 0) or (high and margin[1] > 0)
                edges[p] = near or (wide and margin[2] > 0)
                p += 1


@kernel
def copy_attempts(geometry, couplings, tissue, key, run, first, count):
    """Make attempts first … first + count − 1 of a run; return how it ended, and copies made.

    A run is the same however it is cut into calls.
    """
    place, source = np.empty(_BUFFER, np.uint64), np.empty(_BUFFER, np.uint64)
    left, words = np.empty(_BUFFER), np.empty((2, _BUFFER), np.uint64)
    codes, volumes, perimeters = tissue.codes, tissue.volumes, tissue.perimeters
    contacts, outlines, edges = geometry.contacts, geometry.outlines, geometry.edges
    adhesion, volume, perimeter = couplings.adhesion, couplings.volume, couplings.perimeter
    num_sites = geometry.shape[0] * geometry.shape[1] * geometry.shape[2]
    ages = geometry.active.shape[0] > 0
    works = ages or geometry.field.shape[0] > 0
    copied, step = 0, 0
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
            if change > 0.0 and (change > _HOPELESS or left[i] >= np.exp(-change)):
                continue
            if not np.isfinite(change):
                return NOT_FINITE, copied
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

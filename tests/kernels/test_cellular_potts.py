"""The digits of copy attempts, against exact integers."""

from __future__ import annotations

import numpy as np

from tests.helpers import z_of_counts
from tumble.kernels._cellular_potts import _BUFFER, _draw
from tumble.kernels._philox import philox_block
from tumble.models import Cells, CellularPotts, Grid, Moore
from tumble.simulators._tissue import copy_tables


def drawn(geometry, key, run, block):
    words = np.empty((2, _BUFFER), np.uint64)
    place, source = np.empty(_BUFFER, np.uint64), np.empty(_BUFFER, np.uint64)
    left = np.empty(_BUFFER)
    _draw(np.uint64(key), np.uint64(run), np.uint64(block), geometry, words, place, source, left)
    return place.astype(np.int64), source.astype(np.int64), left


def test_attempts_are_the_digits_of_their_words():
    model = CellularPotts(Cells(np.zeros((3, 5, 7), int), [1]), grid=Grid((3, 5, 7), Moore()))
    geometry = copy_tables(model).geometry
    key, run, block = 12345678901234567, 98765432109876, 2**33 + 5
    place, source, left = drawn(geometry, key, run, block)
    half = _BUFFER // 2
    low = 2**32 - 1
    for i in range(_BUFFER):
        d = block + i % half
        counter = np.array([d & low, d >> 32, run & low, run >> 32], np.uint64)
        words = philox_block(counter, np.array([key & low, key >> 32], np.uint64))
        high, rest = (words[0], words[1]) if i < half else (words[2], words[3])
        number = (int(high) << 32) + int(rest)
        digits = []
        for base in (3, 5, 7, 26):
            number *= base
            digits.append(number >> 64)
            number &= 2**64 - 1
        z, y, x, k = digits
        p = ((z + 1) * 7 + y + 1) * 9 + x + 1
        assert place[i] == p
        assert source[i] == p + int(geometry.copies.view(np.int64)[k])
        assert abs(left[i] - number / 2**64) < 1e-15


def test_sites_and_neighbors_are_drawn_alike():
    model = CellularPotts(Cells(np.zeros((6, 5), int), [1]))
    geometry = copy_tables(model).geometry
    found = [drawn(geometry, 7, run, 256 * b) for run in range(2) for b in range(200)]
    place, source, left = (np.concatenate(part) for part in zip(*found, strict=True))
    pairs, counts = np.unique(np.stack([place, source]), axis=1, return_counts=True)
    assert pairs.shape[1] == 6 * 5 * 8
    assert abs(z_of_counts(counts, np.full(240, len(place) / 240))) < 4
    tenths = np.bincount((left * 10).astype(int), minlength=10)
    assert abs(z_of_counts(tenths, np.full(10, len(place) / 10))) < 4

"""Grids: neighbors against a search by hand, for every neighborhood, boundary and dimension."""

import itertools

import numpy as np
import pytest

from tumble._errors import ModelError
from tumble.models import (
    Fixed,
    Grid,
    Hexagonal,
    Moore,
    Periodic,
    Reflective,
    VonNeumann,
    WithinRadius,
)

NEIGHBORHOODS = [VonNeumann(), Moore(), WithinRadius(1.5), WithinRadius(2), WithinRadius(2.3)]
SHAPES = [(7,), (5, 4), (3, 4, 5)]


def value_at(values, site, boundary):
    """Return the value of a site that may lie outside."""
    shape = values.shape
    if isinstance(boundary, Periodic):
        return values[tuple(i % n for i, n in zip(site, shape, strict=True))]
    if isinstance(boundary, Reflective):
        inside = []
        for i, n in zip(site, shape, strict=True):
            i = i % (2 * n)
            inside.append(i if i < n else 2 * n - 1 - i)
        return values[tuple(inside)]
    if all(0 <= i < n for i, n in zip(site, shape, strict=True)):
        return values[site]
    return boundary.value


@pytest.mark.parametrize("boundary", [Periodic(), Reflective(), Fixed(), Fixed(2.5)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("neighborhood", NEIGHBORHOODS, ids=str)
def test_neighbors_are_those_found_by_hand(shape, neighborhood, boundary):
    grid = Grid(shape, neighborhood, boundary)
    values = np.random.default_rng(0).random((2, *shape))
    found = np.asarray(grid.neighbors(values))
    total = np.asarray(grid.sum_neighbors(values))
    assert found.shape == (len(grid.offsets), 2, *shape)
    for b, site in itertools.product(range(2), np.ndindex(shape)):
        expected = [
            value_at(values[b], tuple(np.add(site, offset)), boundary) for offset in grid.offsets
        ]
        assert np.allclose(found[(slice(None), b, *site)], expected)
        assert np.isclose(total[(b, *site)], sum(expected))


def test_numbers_of_neighbors():
    for num_axes, (few, many) in {1: (2, 2), 2: (4, 8), 3: (6, 26)}.items():
        assert len(VonNeumann().offsets(num_axes)) == few
        assert len(Moore().offsets(num_axes)) == many
    assert len(WithinRadius(2).offsets(2)) == 12
    assert len(Hexagonal().offsets(2)) == 6


def test_hexagons_are_all_one_apart():
    axes = np.array([[1.0, 0.0], [0.5, np.sqrt(3) / 2]])
    for offset in Hexagonal().offsets(2):
        assert np.isclose(np.linalg.norm(np.array(offset) @ axes), 1.0)
    grid = Grid((4, 5), Hexagonal())
    spot = np.zeros((4, 5))
    spot[0, 0] = 1
    assert np.asarray(grid.sum_neighbors(spot)).sum() == 6


@pytest.mark.parametrize("offset", [(0, 0), (1, 0), (-2, 3), (0, -1)])
def test_what_is_seen_from_a_site(offset):
    grid = Grid((4, 6))
    values = np.arange(24.0).reshape(4, 6)
    seen = np.asarray(grid.seen_from(values, offset))
    assert np.array_equal(seen, np.roll(values, [-o for o in offset], (0, 1)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Grid(()), "one to three"),
        (lambda: Grid((2, 2, 2, 2)), "one to three"),
        (lambda: Grid((0, 4)), "≥ 1"),
        (lambda: Grid((2.5, 4)), "whole numbers"),
        (lambda: Grid(8), "whole numbers"),
        (lambda: Grid((3, 3), WithinRadius(5)), "only 3 wide"),
        (lambda: Grid((4,), Hexagonal()), "1 axes"),
        (lambda: WithinRadius(0.5), "radius"),
        (lambda: Fixed(np.inf), "value"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ModelError, match=message):
        make()


def test_arrays_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="expected"):
        Grid((4, 4)).sum_neighbors(np.zeros((4, 5)))

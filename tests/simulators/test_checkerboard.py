"""Copy attempts in parallel: books are exact, the law is near that of the definition."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tumble._philox import halves
from tumble._random import run_ids
from tumble.models import (
    Adhesion,
    Cells,
    CellularPotts,
    Fixed,
    Grid,
    Perimeter,
    Periodic,
    Volume,
)
from tumble.simulators._checkerboard import _board, _program, _sizes
from tumble.simulators._tissue import copy_tables, tissue_of

TRUTH = {"J_0_1": 0.63, "J_1_1": 0.31, "lambda_volume": 0.11, "target_volume": 25.0}
MODEL = CellularPotts(Cells.blocks((16, 16), (2, 2), 5))
SORTING = {"J_0_1": 0.5, "J_1_1": 0.5, "lambda_volume": 0.05, "target_volume": 36.0,
           "lambda_perimeter": 0.002, "target_perimeter": 70.0}  # fmt: skip


@pytest.mark.parametrize("apart", [2, 5])
@pytest.mark.parametrize("boundary", [Periodic(), Fixed()])
def test_books_of_the_checkerboard_are_kept(boundary, apart):
    import jax
    import jax.numpy as jnp

    start = Cells.blocks((24, 20), (3, 3), 6)
    model = CellularPotts(
        start, (Adhesion(), Volume(), Perimeter()), grid=Grid((24, 20), boundary=boundary)
    )
    tables = copy_tables(model)
    with jax.enable_x64(True):
        levels = tuple(jnp.asarray(t)[None] for t in tables.couplings(model.params_vector(SORTING)))
        ids = np.append(start.ids.ravel(), 0).astype(np.int32)
        state = tuple(jnp.asarray(part)[None] for part in (ids, *_sizes(tables, model)))
        keys = [halves(1), halves(2)]
        run = halves(run_ids(1))
        later = _program(model, apart)(state, levels, keys, run, 0, 400)
        parted = _program(model, apart)(state, levels, keys, run, 0, 150)
        parted = _program(model, apart)(parted, levels, keys, run, 150, 250)
    ids, volumes, perimeters = (np.asarray(part)[0] for part in later)
    tissue = tissue_of(tables, ids[:-1].reshape(24, 20))
    np.testing.assert_array_equal(volumes, tissue.volumes)
    np.testing.assert_array_equal(perimeters[1:], tissue.perimeters[1:])
    assert np.sum(ids[:-1] != start.ids.ravel()) > 50 and ids[-1] == 0
    for one, other in zip(later, parted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_checkerboard_is_near_the_definition():
    """Not the same: mean contacts of 200 runs agree within 5 %, errors of both being 1 %."""
    model = CellularPotts(Cells.blocks((24, 24), (2, 2), 8))
    params = {**TRUTH, "target_volume": 60.0}
    means = [
        tb.simulate(model, params, times=[10], num_samples=200, seed=1, simulator=simulator)
        .mean()
        .values[0]
        for simulator in (tb.simulators.Metropolis(), tb.simulators.Checkerboard())
    ]
    np.testing.assert_allclose(means[0], means[1], rtol=0.05)
    assert not np.allclose(means[0], model.observe(model.start.ids[None])[0], rtol=0.05)


@pytest.mark.parametrize("boundary", [Periodic(), Fixed()])
@pytest.mark.parametrize(
    ("shape", "apart"), [((12, 16), 4), ((13, 11), 4), ((7, 9), 8), ((9, 8), 1)]
)
def test_sites_of_a_color_are_apart(shape, apart, boundary):
    cells = Cells(np.zeros(shape, int), types=[1])
    colors = _board(CellularPotts(cells, grid=Grid(shape, boundary=boundary)), apart).colors
    sites = [color[color < np.prod(shape)] for color in colors]
    assert sorted(np.concatenate(sites)) == list(range(np.prod(shape)))
    for some in sites:
        x = np.transpose(np.unravel_index(some, shape))
        gap = np.abs(x[:, None] - x[None])
        if boundary == Periodic():
            gap = np.minimum(gap, np.array(shape) - gap)
        assert np.all(gap.max(-1)[~np.eye(len(some), dtype=bool)] >= max(apart, 2))


def test_the_checkerboard_says_what_it_needs():
    with pytest.raises(tb.TumbleError, match="`apart` is 0, expected"):
        tb.simulators.Checkerboard(apart=0)
    with pytest.raises(tb.TumbleError, match="makes whole Monte Carlo steps"):
        tb.simulate(MODEL, TRUTH, times=[0.5], simulator=tb.simulators.Checkerboard())

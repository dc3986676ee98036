"""Pictures of cells."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tumble.models import Cells


def test_colors_are_those_of_types_and_borders_are_dark():
    cells = Cells.blocks((12, 12), (2, 2), 4, types=[1, 2, 1, 2])
    picture = tb.plot.render(cells, scale=3)
    assert picture.shape == (36, 36, 3) and picture.dtype == np.uint8
    assert np.all(picture[0, 0] == 255)  # medium
    brightness = picture.astype(int).sum(2)
    assert brightness[6, 8] < brightness[8, 8]  # the edge of a cell, and its inside
    insides = [tuple(picture[r, c]) for r in (9, 21) for c in (9, 21)]
    assert len(set(insides)) == 4  # each cell has a shade of its own


def test_axes_are_taken_and_returned():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ax = plt.figure().subplots()
    assert tb.plot.cells(Cells.blocks((6, 6), (1, 1), 3), ax=ax) is ax and ax.images
    plt.close("all")


def test_only_planes_have_pictures():
    with pytest.raises(tb.TumbleError, match="expected a plane; take a slice"):
        tb.plot.render(Cells(np.zeros((2, 2, 2), int), [1]))

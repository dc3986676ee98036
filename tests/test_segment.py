import numpy as np
import pytest

import tumble as tb
from tumble._errors import DataError, ParameterError
from tumble.diagnostics import dice, jaccard
from tumble.models import LocalOtsu, Periodic, SegmentationLattice
from tumble.objectives import StateMatching


def discs(noise, light=0.0, seed=0, size=128):
    """Return an image of bright discs, and where they are."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    truth = np.zeros((size, size), bool)
    for _ in range(8):
        center, radius = rng.uniform(0, size, 2), rng.uniform(6, 13)
        truth |= (rows - center[0]) ** 2 + (columns - center[1]) ** 2 < radius**2
    image = np.where(truth, 0.7, 0.3) + light * (columns / size - 0.5)
    return image + rng.normal(0, noise, truth.shape), truth


@pytest.mark.parametrize("noise", [0.05, 0.2])
@pytest.mark.parametrize("seed", range(3))
def test_noisy_discs_are_found(noise, seed):
    image, truth = discs(noise, seed=seed)
    found = tb.segment(image)
    assert found.result.ok and dice(found.mask, truth) > 0.97


def test_published_weights_call_everything_foreground():
    image, truth = discs(0.1)
    published = tb.segment(
        SegmentationLattice(image, centered=False, boundary=Periodic()),
        objective=StateMatching(regularization=0.6), num_steps=100, step_size=0.01,
    )  # fmt: skip
    assert dice(published.mask, truth) < 0.5 < dice(tb.segment(image).mask, truth)
    assert tb.segment(image, num_steps=1, step_size=1.0).result.name == "MAX_STEPS"


def test_uneven_light_wants_local_levels():
    image, truth = discs(0.05, light=0.6)
    local = tb.segment(SegmentationLattice(image, LocalOtsu(48)))
    assert dice(local.mask, truth) > 0.9 > 0.8 > dice(tb.segment(image).mask, truth)
    assert local.level.shape == image.shape


def test_the_loss_falls_and_is_that_of_the_pixels():
    image, _ = discs(0.2)
    found = tb.segment(image)
    assert np.all(np.diff(found.losses) < 1e-6 * found.losses[0])
    regularization = found.objective.regularization_of(found.lattice)
    value, _ = found.objective.value_and_slope(found.pixels, found.lattice, regularization)
    assert found.losses[-1] == value and found.steps == len(found.losses) - 1
    np.testing.assert_array_equal(found.mask, found.pixels > 0.5)
    assert f"after {found.steps} steps" in repr(found)


def test_steps_are_those_of_the_slope():
    """Two steps by hand from the definition, on a torus."""
    image, _ = discs(0.1, size=16)
    lattice = SegmentationLattice(image, boundary=Periodic())
    found = tb.segment(
        lattice, objective=StateMatching(0.1, 0.2, 0.5, 0.7), num_steps=2, step_size=0.05
    )
    x = lattice.pixels
    for _ in range(2):
        block = sum(np.roll(x, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1))
        gap = ((x - lattice.pixels) ** 2).sum() + 1e-12
        slope = 0.3 * (9 - 2 * block) - 0.7 + (x - lattice.pixels) / gap
        x = np.clip(x - 0.05 * slope, 0, 1)
    np.testing.assert_allclose(found.pixels, x, atol=1e-12)


def test_stochastic_lattices_follow_the_seed():
    image, truth = discs(0.1)
    lattice = SegmentationLattice(image, resample=True)
    first, again, other = (tb.segment(lattice, seed=s, num_steps=5).pixels for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    found = tb.segment(lattice)
    assert dice(found.mask, truth) > 0.9  # at the level of the image, though states are darker
    assert found.level == pytest.approx(tb.segment(image).level)
    hard = tb.segment(SegmentationLattice(image, binarize=True))
    assert dice(hard.mask, truth) > 0.9


def test_planes():
    planes, rows, columns = np.indices((24, 28, 28))
    truth = (planes - 12) ** 2 + (rows - 14) ** 2 + (columns - 14) ** 2 < 64
    found = tb.segment(truth + np.random.default_rng(0).normal(0, 0.5, truth.shape))
    assert found.result.ok and dice(found.mask, truth) > 0.95


def test_more_steps_wear_off_what_is_small():
    rows, columns = np.indices((64, 64))
    truth = (rows - 32) ** 2 + (columns - 32) ** 2 <= 4
    assert dice(tb.segment(truth, num_steps=20).mask, truth) > 0.9
    assert not tb.segment(truth, num_steps=500).mask.any()


def test_arguments_are_checked():
    with pytest.raises(DataError, match="`image` is 1 everywhere"):
        tb.segment(np.ones((5, 5)))
    image, _ = discs(0.1, size=32)
    with pytest.raises(ParameterError, match="`step_size` is 0, expected a number > 0"):
        tb.segment(image, step_size=0)
    with pytest.raises(ParameterError, match=r"`num_steps` is 1.5, expected a whole number"):
        tb.segment(image, num_steps=1.5)
    with pytest.raises(ParameterError, match=r"Write StateMatching\(...\), with brackets"):
        tb.segment(image, objective=StateMatching)


def test_overlaps():
    one, other = np.array([1, 1, 1, 0, 0]), np.array([0, 1, 1, 1, 1])
    assert dice(one, other) == pytest.approx(4 / 7) and jaccard(one, other) == pytest.approx(2 / 5)
    assert dice([0, 0], [0, 0]) == jaccard([False], [False]) == 1.0
    assert jaccard([1, 0], [0, 1]) == 0.0
    for d, j in [(dice(one, other), jaccard(one, other))]:
        assert j == pytest.approx(d / (2 - d))
    with pytest.raises(DataError, match=r"`mask` has shape \(2,\), but `truth` has \(3,\)"):
        dice([1, 0], [1, 0, 1])
    with pytest.raises(DataError, match="`truth` holds other values than True and False"):
        jaccard([1, 0], [1, 2])

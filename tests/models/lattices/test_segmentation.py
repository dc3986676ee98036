import numpy as np
import pytest

from tumble._errors import DataError, ModelError
from tumble.models import Fixed, Periodic, Reflective, SegmentationLattice


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(size=(5, 6))


def neighbors_by_hand(values, wrap):
    """Σ over the 3 × 3 block of each site, one site after the other."""
    rows, columns = values.shape
    found = np.zeros_like(values)
    for i in range(rows):
        for j in range(columns):
            for a in (-1, 0, 1):
                for b in (-1, 0, 1):
                    k, m = i + a, j + b
                    if wrap:
                        k, m = k % rows, m % columns
                    else:
                        k, m = min(max(k, 0), rows - 1), min(max(m, 0), columns - 1)
                    found[i, j] += values[k, m]
    return found


@pytest.mark.parametrize("boundary", [Periodic(), Reflective()])
def test_block_sums(image, boundary):
    lattice = SegmentationLattice(image, boundary=boundary)
    expected = neighbors_by_hand(image, isinstance(boundary, Periodic))
    np.testing.assert_allclose(lattice.block_sums(image), expected, rtol=1e-14)


def test_blocks_in_space():
    image = np.zeros((4, 4, 4))
    image[2, 2, 2] = 1
    sums = SegmentationLattice(image, boundary=Periodic()).block_sums(image)
    assert sums.sum() == 27 and sums[1, 1, 1] == 1 and sums[0, 2, 2] == 0


def test_the_image_is_scaled(image):
    lattice = SegmentationLattice((255 * image).astype(np.uint8), centered=False)
    assert lattice.pixels.min() == 0 and lattice.pixels.max() == 1 and lattice.num_pixels == 30
    other = SegmentationLattice(7 + 3 * image, centered=False)
    np.testing.assert_allclose(lattice.pixels, other.pixels, atol=0.01)


def test_a_centered_image_has_its_level_at_one_half(image):
    lattice = SegmentationLattice(7 + 3 * image)
    level = lattice.gray_level
    np.testing.assert_array_equal(lattice.pixels > 0.5, 7 + 3 * image > level)
    assert max(lattice.pixels.max(), 1 - lattice.pixels.min()) == 1 and lattice.middle == 0.5
    steps = np.diff(lattice.pixels.ravel()) / np.diff(image.ravel())
    np.testing.assert_allclose(steps, steps[0])  # one scale for all


def test_straight_through_and_resampled_states(image):
    rng = np.random.default_rng(1)
    plain = SegmentationLattice(image)
    state, slope = plain.states(plain.pixels, rng)
    assert state is plain.pixels and slope == 1
    hard, slope = SegmentationLattice(image, binarize=True).states(plain.pixels, rng)
    np.testing.assert_array_equal(hard, plain.pixels > 0.5)
    assert slope == 1
    big = np.random.default_rng(2).uniform(size=(200, 200))
    lattice = SegmentationLattice(big, resample=True)
    state, factor = lattice.states(np.full(big.shape, 0.5), rng)
    np.testing.assert_allclose(state, 0.5 * factor)
    error = lattice.pixels.std() / np.sqrt(big.size)
    assert abs(factor.mean() - lattice.pixels.mean()) < 4 * error
    assert abs(factor.std() - lattice.pixels.std()) < 4 * error / np.sqrt(2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((5, 5)), "`image` is 0 everywhere, so there is nothing to tell apart."),
        (np.array([[1, np.nan, 1]] * 3), "`image` holds NaN or infinity; fill gaps"),
        (np.zeros((5, 5, 5, 3)), "`image` is of shape (5, 5, 5, 3), expected real numbers"),
        (np.zeros((9, 2)), "of shape (9, 2), expected real numbers [rows, columns]"),
        ([["a", "b"]], "`image` is [['a', 'b']], expected real numbers"),
        (np.zeros((5, 5), complex), "expected real numbers"),
        (np.array([[-1e308, 0, 1e308]] * 3), "`image` goes from -1e+308 to 1e+308; scale it"),
        (None, "`image` is None, expected real numbers"),
        ([[1, 2], [3]], "expected real numbers"),
    ],
)
def test_what_is_no_image(given, words):
    with pytest.raises(DataError) as error:
        SegmentationLattice(given)
    assert words in str(error.value)


def test_settings_are_checked(image):
    with pytest.raises(ModelError, match="expected Reflective"):
        SegmentationLattice(image, boundary=Fixed())
    with pytest.raises(ModelError, match=r"`level` is 0\.5, expected a level such as Otsu"):
        SegmentationLattice(image, 0.5)
    with pytest.raises(ModelError, match="`binarize` is 1, expected True or False"):
        SegmentationLattice(image, binarize=1)
    shown = repr(SegmentationLattice(image, binarize=True))
    assert shown == "SegmentationLattice: 5 x 6 pixels, binarize"

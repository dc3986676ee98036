import numpy as np
import pytest

from tumble._errors import ParameterError
from tumble.models import LocalOtsu, Otsu, Periodic, Reflective, SegmentationLattice
from tumble.objectives import StateMatching


def lattice_of(seed=0, shape=(6, 7), boundary=None):
    image = np.random.default_rng(seed).uniform(size=shape)
    return SegmentationLattice(image, centered=False, boundary=boundary or Periodic())


def terms(x, reference):
    """The four terms without their weights, one pair of pixels after the other, on a torus."""
    around = [np.roll(x, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)]
    background = sum((x * (1 - y)).sum() for y in around)
    foreground = sum((y * (1 - x)).sum() for y in around)
    return background, foreground, ((reference - x) ** 2).sum(), (1 - x).sum()


def test_value_is_as_defined():
    lattice = lattice_of()
    x = np.random.default_rng(1).uniform(size=lattice.image.shape)
    objective = StateMatching(0.3, 0.7, 0.5, regularization=0.6, epsilon=1e-3)
    background, foreground, gap, dark = terms(x, lattice.pixels)
    expected = 0.3 * background + 0.7 * foreground + 0.5 * np.log(gap + 1e-3) + 0.6 * dark
    value, _ = objective.value_and_slope(x, lattice, 0.6)
    assert value == pytest.approx(expected, rel=1e-13)


def test_background_and_foreground_are_the_same_number():
    lattice = lattice_of()
    x = np.random.default_rng(1).uniform(size=lattice.image.shape)
    background, foreground, *_ = terms(x, lattice.pixels)
    assert background == pytest.approx(foreground, rel=1e-13)


@pytest.mark.parametrize("boundary", [Periodic(), Reflective()])
@pytest.mark.parametrize("shape", [(6, 7), (4, 5, 3)])
def test_slope_is_that_of_the_value(boundary, shape):
    lattice = lattice_of(shape=shape, boundary=boundary)
    rng = np.random.default_rng(1)
    x, regularization = rng.uniform(size=shape), rng.uniform(size=shape)
    objective = StateMatching(0.3, 0.7, 5.0)
    _, slope = objective.value_and_slope(x, lattice, regularization)
    numbers = np.empty(shape)
    for place in np.ndindex(shape):
        step = np.zeros(shape)
        step[place] = 1e-5
        above, below = (
            objective.value_and_slope(x + side * step, lattice, regularization)[0]
            for side in (1, -1)
        )
        numbers[place] = (above - below) / 2e-5
    np.testing.assert_allclose(slope, numbers, rtol=1e-6, atol=1e-8)


def test_the_slope_is_finite_where_the_image_is_matched():
    lattice = lattice_of()
    value, slope = StateMatching().value_and_slope(lattice.pixels, lattice, 0.6)
    assert np.isfinite(value) and np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("weights", "level"),
    [
        ({"foreground": 0.15, "regularization": 0.6}, 0.285),
        ({"foreground": 0.3, "regularization": 0.8}, 0.354),
    ],
)
def test_the_published_weights_are_a_gray_level(weights, level):
    """A pixel goes up where the mean of its block is above the level, and down below it."""
    objective = StateMatching(**weights, reconstruction=0.0)
    lattice = lattice_of(shape=(40, 40))
    assert objective.level(lattice) == pytest.approx(level, abs=5e-4)
    _, slope = objective.value_and_slope(lattice.pixels, lattice, objective.regularization)
    mean = lattice.block_sums(lattice.pixels) / 9
    np.testing.assert_array_equal(slope < 0, mean > objective.level(lattice))


def test_reconstruction_hardly_matters():
    """Its slope is at most λ_rec / √(‖r − x‖²), that of a neighbor 2 (λ_bg + λ_fg)."""
    lattice = lattice_of(shape=(100, 100))
    x = np.random.default_rng(1).uniform(size=lattice.image.shape)
    whole, without = (
        StateMatching(reconstruction=weight).value_and_slope(x, lattice, 0.6)[1]
        for weight in (0.5, 0.0)
    )
    assert 0 < np.abs(whole - without).max() < 1e-3 * np.abs(without).mean()


@pytest.mark.parametrize("level", [Otsu(), Otsu(0), LocalOtsu(), LocalOtsu(16, 2)])
def test_the_image_sets_the_regularization(level):
    image = 100 + 50 * np.random.default_rng(0).uniform(size=(70, 90))
    objective = StateMatching(0.1, 0.2)
    raw, centered = (SegmentationLattice(image, level, c) for c in (False, True))
    for lattice in (raw, centered):
        assert lattice.pixels.min() >= 0 and lattice.pixels.max() <= 1
        found = lattice.gray(objective.level(lattice))
        np.testing.assert_allclose(found, level.of(image), rtol=1e-12)
        # The gray level of a pixel is what decides of it: the image at its level is at the middle.
        at_level = np.sign(image - level.of(image)) == np.sign(
            lattice.pixels - objective.level(lattice)
        )
        assert at_level.mean() > 0.999
    assert objective.regularization_of(centered) == 0
    assert np.all(objective.regularization_of(raw) != 0)


def best_by_trial(values):
    """The largest variance between two classes over all 255 places to cut the histogram."""
    edges = np.linspace(values.min(), values.max(), 257)
    middle = (edges[1:] + edges[:-1]) / 2
    place = np.clip(np.digitize(values.ravel(), edges) - 1, 0, 255)
    best = (0.0, 0.0)
    for cut in range(1, 256):
        low = place < cut
        share = low.mean()
        one, other = middle[place[low]].mean(), middle[place[~low]].mean()
        best = max(best, (share * (1 - share) * (one - other) ** 2, edges[cut]))
    return best[1]


@pytest.mark.parametrize("seed", range(5))
def test_otsu_is_the_best_of_all_cuts(seed):
    rng = np.random.default_rng(seed)
    image = np.where(rng.random((60, 50)) < 0.3, 0.7, 0.3) + rng.normal(0, 0.1, (60, 50))
    assert Otsu(0).of(image) == pytest.approx(best_by_trial(image), abs=1e-12)


def test_otsu_of_two_values_lies_between_them():
    image = np.zeros((10, 10))
    image[:2] = 1
    assert Otsu(0).of(image) == pytest.approx(0.5, abs=1 / 256)


def test_local_levels_follow_the_light():
    """A ramp of light: the right level is the ramp itself plus half the contrast."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    spots = (np.sin(rows / 8) * np.sin(columns / 8)) > 0.3
    ramp = 0.002 * columns
    image = ramp + 0.3 * spots + rng.normal(0, 0.02, spots.shape)
    found = LocalOtsu().of(image) - ramp
    assert np.all((found > 0.05) & (found < 0.25))  # whatever the place, between 0 and 0.3
    assert not np.all((Otsu().of(image) - ramp > 0) & (Otsu().of(image) - ramp < 0.3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: StateMatching(background=-1), "`background` is -1, expected a number ≥ 0."),
        (lambda: StateMatching(0, 0), "`background` and `foreground` are both 0"),
        (lambda: StateMatching(epsilon=0), "`epsilon` is 0, but the logarithm of 0"),
        (lambda: StateMatching(regularization="otsu"), "or None to set it from the image."),
        (lambda: Otsu(-1), "`smoothing` is -1, expected pixels ≥ 0."),
        (lambda: LocalOtsu(4), "`width` is 4, expected a whole number of at least 16."),
    ],
)
def test_settings_are_checked(make, words):
    with pytest.raises(ParameterError) as error:
        make()
    assert words in str(error.value)

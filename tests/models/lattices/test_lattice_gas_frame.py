"""Squared waves of the lattice gas against enumeration, and ratios from a frame."""

import itertools

import numpy as np
import pytest

from tumble import outputs, simulate
from tumble._errors import DataError, ParameterError
from tumble.models import FitzHughNagumoLatticeGas, Grid, LatticeGasFrame, LatticeGasMovie
from tumble.models.lattices._lattice_gas import AXIS, DIAGONAL, OFFSETS
from tumble.models.lattices._lattice_gas_frame import _growth

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}


def squared_waves(counts):
    return (np.abs(np.fft.fft2(counts, norm="ortho")) ** 2).ravel()


def small():
    model = FitzHughNagumoLatticeGas(Grid((3, 3)), capacity=5, stripe=(0, 0))
    frame = np.random.default_rng(0).integers(0, 6, (2, 3, 3)).astype(float)
    return model, frame


def test_diffusion_changes_squared_waves_as_enumerated():
    """All 2⁹ sets of excited particles and 8 moves on 3 × 3 sites, given that they move."""
    model, frame = small()
    growth = _growth(model, frame)
    for counts, found in zip(frame, (growth.of_a[-1], growth.of_b[-1]), strict=True):
        before, exact = squared_waves(counts - 2.5), np.zeros(9)
        for bits in itertools.product((0, 1), repeat=9):
            excited = np.reshape(bits, (3, 3))
            chance = np.where(excited, counts / 5, 1 - counts / 5).prod()
            if chance == 0:
                continue
            for offset in OFFSETS:
                after = counts - excited + np.roll(excited, offset, (0, 1))
                share = DIAGONAL if offset[0] and offset[1] else AXIS
                exact += chance * share * (squared_waves(after - 2.5) - before)
        assert np.allclose(found, exact, atol=1e-12)


def test_reactions_change_squared_waves_as_enumerated():
    """One event at a time: the generator is the sum over sites and channels."""
    model, frame = small()
    growth = _growth(model, frame)
    for p, (kind, term) in enumerate(
        [("k1", growth.of_a[0]), ("k2", growth.of_a[1]), ("k3", growth.of_b[0])]
    ):
        species = 0 if p < 2 else 1
        rates = model.channels(*frame, {k: float(k == kind) for k in ("k1", "k2", "k3")})
        before, exact = squared_waves(frame[species] - 2.5), np.zeros(9)
        for channel, site in itertools.product(range(6), np.ndindex(3, 3)):
            after = frame[species].copy()
            after[site] += 1 - 2 * (channel % 2)
            if rates[channel][site]:
                gain = squared_waves(after - 2.5) - before
                exact += model.rate / 6 * rates[channel][site] * gain
        assert np.allclose(term, exact, atol=1e-12)


@pytest.mark.slow
def test_a_frame_tells_three_ratios():
    """A third of the published sites: an error of a factor 1.4 in any ratio would be seen."""
    model = FitzHughNagumoLatticeGas(Grid((48, 48)), stripe=(20, 25))
    kept = simulate(model, TRUTH, times=[30_000.0], seed=1, outputs=outputs.Frames())
    found = LatticeGasFrame(model, [kept.states[k][0, 0] for k in "AB"]).fit(repeats=6)
    truth = {"k2/k1": 0.1 / 0.98, "D_A/k1": 0.1 / 0.98, "D_B/k3": 2.0}
    for name, value in truth.items():
        assert abs(found.ratios[name] / value - 1) < 4 * found.standard_errors[name]
        assert 0 < found.standard_errors[name] < 0.2
        assert name in str(found)
    assert "k1, k2 and D_A times a common factor" in str(found)
    assert "k3 and D_B times a common factor" in str(found)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda model: LatticeGasFrame(model, np.zeros((1, 2, 3, 3))), DataError,
         "LatticeGasMovie"),
        (lambda model: LatticeGasFrame(model, np.ones((2, 3, 3))), DataError, "no pattern"),
        (lambda model: LatticeGasFrame(model, np.full((2, 3, 3), 6)), DataError, "0 to 5"),
        (lambda model: LatticeGasFrame(model, small()[1]).fit(repeats=1), ParameterError,
         "repeats"),
        (lambda model: LatticeGasMovie(model, np.zeros((1, 2, 3, 3)), 5), DataError,
         "LatticeGasFrame"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(make, kind, message):
    with pytest.raises(kind, match=message):
        make(small()[0])

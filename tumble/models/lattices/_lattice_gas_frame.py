"""A single frame of the lattice gas, by what does not change in a stationary state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tumble._errors import DataError, require_whole
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.models.lattices._lattice_gas import AXIS, DIAGONAL, FitzHughNagumoLatticeGas
from tumble.models.lattices._lattice_gas_drift import drift_terms, wave_radius
from tumble.models.lattices._lattice_gas_runs import runs_from

_BAND = np.arange(0.03, 0.2001, 0.02)  # periods a site: edges of rings with a pattern in them
_PATTERN = 0.25  # periods a site, below which waves are those of the pattern
_GROWTH = 0.02  # of its turnover a pattern may still gain, since it is never quite stationary
_ROUNDS = 6
_APART = 6000  # steps between frames that are simulated: waves have forgotten each other
_K3 = 0.2  # of k1: simulated frames need some ratio, and the choice hardly matters


@dataclass(frozen=True)
class LatticeGasRatios:
    """What a single frame says: three ``ratios`` by name, and their relative ``standard_errors``.

    ``unidentified`` says in words what no stationary frame can tell.
    """

    ratios: Mapping[str, float]
    standard_errors: Mapping[str, float]
    unidentified: ClassVar[tuple[str, ...]] = (
        "k1, k2 and D_A times a common factor: A goes through the same patterns faster or slower",
        "k3 and D_B times a common factor: B follows A faster or slower, to the same mean",
    )

    def __str__(self) -> str:
        rows = [
            f"{name} = {value:.4g} (± {100 * self.standard_errors[name]:.1f} %)"
            for name, value in self.ratios.items()
        ]
        return "\n".join([*rows, *(f"not identified: {line}" for line in self.unidentified)])


@dataclass(frozen=True)
class LatticeGasFrame:
    """One frame of a `FitzHughNagumoLatticeGas` whose pattern has formed.

    Definition: in a stationary state no mean changes, E[L f] = 0 for every function f of the state
    and its generator L. Taken for f = |A_k|² and |B_k|², the squared waves, that holds frame by
    frame but for noise, is linear in the parameters, and counts exactly what noise adds to waves.
    Rings of waves of 5 to 33 sites, each weighted by the inverse variance of its waves, and for A
    the sum over all waves of 4 sites or more, give k2/k1, D_A/k1 and D_B/k3 by least squares.

    Three numbers is all that there is: times factors common to (k1, k2, D_A), or to (k3, D_B), the
    parameters have the same stationary patterns (to first order in g and D). For all five it takes
    two frames or more: `LatticeGasMovie`.

    Guarantee: consistent for a stationary state on a large lattice, up to terms of order g D. A
    frame late in a run is not quite stationary: its domains still grow, which is why the longest
    waves are left out; measured on simulated frames (benchmarks).

    Arguments: ``model``, on a periodic grid; ``frame`` [2, *shape] of A and B. Raises `DataError`.

    Reference: Barbour, Probab. Theory Relat. Fields 84 (1990), doi:10.1007/BF01197887 (E[L f] = 0
    characterizes a stationary law).
    """

    model: FitzHughNagumoLatticeGas
    frame: Any

    def __post_init__(self) -> None:
        frame = np.asarray(self.frame)
        if frame.ndim != 3:
            raise DataError(
                f"`frame` has shape {frame.shape}, expected [2, rows, columns]; for movies there "
                "is LatticeGasMovie(model, frames, interval)."
            )
        self.model.from_frames(frame[None])
        if frame[0].min() == frame[0].max() or frame[1].min() == frame[1].max():
            raise DataError("`frame` is the same everywhere: it shows no pattern to learn from.")
        object.__setattr__(self, "frame", frame.astype(float))

    def fit(self, *, repeats: int = 8, seed: int = 0) -> LatticeGasRatios:
        """Return the three ratios, with errors from runs that go on from the frame.

        Arguments: ``repeats``, default 8, the frames that are simulated, 6000 steps apart, at the
        ratios found: their own ratios vary as those of other frames would; ``seed`` of that run.
        Raises `ParameterError`.
        """
        require_whole("repeats", repeats, 2)
        found = _ratios(self.model, self.frame)
        stream = Stream.from_seed(seed).child("repeats of a lattice gas frame")
        k2, move_a, move_b = found
        values = np.array([1.0, k2, _K3, move_a, move_b * _K3])
        # Slower by a common factor is the same law, and chances must not pass 1.
        values /= max(1.0, 2 * values[3:].max())
        frame, others = self.frame, []
        for r in range(repeats):
            frame = runs_from(self.model, values, frame[:, None], _APART, stream.child(r))[:, 0]
            others.append(_ratios(self.model, frame))
        errors = np.std(others, axis=0, ddof=1) / found
        names = ("k2/k1", "D_A/k1", "D_B/k3")
        return LatticeGasRatios(
            {n: float(v) for n, v in zip(names, found, strict=True)},
            {n: float(e) for n, e in zip(names, errors, strict=True)},
        )


class _Waves(NamedTuple):
    """How fast squared waves grow, a term for each parameter: of A [3, W] (k1, k2, D_A), of B
    [2, W] (k3, D_B); the waves in the order of `numpy.fft.fft2`.
    """

    of_a: FloatArray
    of_b: FloatArray


def _ratios(model: FitzHughNagumoLatticeGas, frame: FloatArray) -> FloatArray:
    """Return k2/k1, D_A/k1 and D_B/k3 of a frame [2, *shape]."""
    radius = wave_radius(model).ravel()
    growth = _growth(model, frame)
    rings = [(radius >= a) & (radius < b) for a, b in pairwise(_BAND)]
    rings = [ring for ring in rings if ring.sum() > 2]
    k2, move_a = _solved(growth.of_a, rings, radius < _PATTERN)
    (move_b,) = _solved(growth.of_b, rings)
    return np.array([k2, move_a, move_b])


def _growth(model: FitzHughNagumoLatticeGas, frame: FloatArray) -> _Waves:
    """Return L |A_k|² and L |B_k|², of counts about N / 2, about which the model is symmetric."""
    n, m = frame
    top, sixth = float(model.capacity), model.rate / 6
    of_a, of_b = drift_terms(model, frame)
    # What reactions add to the variance of a site: the sum of the chances of their channels.
    fires = model.channels(n, m, {"k1": 1.0, "k2": 1.0, "k3": 1.0})
    rates = [sixth * (fires[2 * i] + fires[2 * i + 1]).mean() for i in range(3)]
    found = []
    for counts, drift, noise in ((n, of_a, rates[:2]), (m, of_b, rates[2:])):
        waves = _waves(counts - top / 2)
        terms = 2 * (waves.conj() * _waves(drift)).real
        terms[:-1] += np.array(noise)[:, None]
        # All excited particles move at once: what moves has the waves of the counts, besides noise.
        share = counts / top
        moving = np.abs(_waves(share)) ** 2 + (share * (1 - share)).mean()
        terms[-1] += -2 * _of_move(model) * moving
        found.append(terms)
    return _Waves(*found)


def _waves(fields: FloatArray) -> Any:
    found = np.fft.fft2(fields, norm="ortho")
    return found.reshape(*found.shape[:-2], -1)


def _of_move(model: FitzHughNagumoLatticeGas) -> FloatArray:
    """Return by how much the mean over moves multiplies each wave, less 1 [W]."""
    angles = (2 * np.pi * np.fft.fftfreq(n) for n in model.grid.shape)
    x, y = (np.cos(angle) for angle in np.meshgrid(*angles, indexing="ij"))
    return (2 * AXIS * (x + y) + 4 * DIAGONAL * x * y - 1).ravel()


def _solved(terms: FloatArray, rings: list[Any], whole: Any = None) -> FloatArray:
    """Return x that makes terms[0] + Σ x_i terms[i] vanish best, in rings and on the ``whole``."""
    rows = np.array([terms[:, ring].sum(1) for ring in rings])
    weights = np.ones(len(rings))
    last = np.zeros((0, len(terms))) if whole is None else terms[:, whole].sum(1)[None]
    every = np.vstack([rows, last])
    slack = (_GROWTH * last[:, 0]) ** -2.0
    found = np.zeros(len(terms) - 1)
    for _ in range(_ROUNDS):
        root = np.sqrt(np.concatenate([weights, slack]))
        found = np.linalg.lstsq(every[:, 1:] * root[:, None], -every[:, 0] * root)[0]
        left = terms[0] + found @ terms[1:]
        # A wave and its opposite are one: their sum varies twice as much as that of two.
        weights = 1 / np.array([2 * left[ring].var() * ring.sum() for ring in rings])
    return found

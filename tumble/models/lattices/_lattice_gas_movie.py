"""Movies of the lattice gas, by the equations of its local means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import DataError, ParameterError, require_whole
from tumble._typing import FloatArray, JaxArray
from tumble.models.lattices._lattice_gas import AXIS, DIAGONAL, FitzHughNagumoLatticeGas

_ITERATIONS = 40
_LARGEST_STEP = 0.5  # of the logarithm of a parameter
_TOLERANCE = 1e-4
_FIRST_DAMPING = 1e-3
_SLACK = 1e-9  # rounding
_STRIDE = 25  # steps of the lattice in one of the equations
_RINGS = 16  # of wave numbers that share a spectrum


@dataclass(frozen=True)
class LatticeGasFit:
    """What a movie says: ``params`` by name; ``steps`` of the search, and whether it ``converged``.

    ``standard_errors`` by name, relative.
    """

    params: Mapping[str, float]
    standard_errors: Mapping[str, float]
    steps: int
    converged: bool


class _Look(NamedTuple):
    """Of a point: the ``loss``, its ``slope`` [P] and ``normal`` matrix [P, P]."""

    loss: float
    slope: FloatArray
    normal: FloatArray


@dataclass(frozen=True)
class LatticeGasMovie:
    """Frames of a `FitzHughNagumoLatticeGas` that lie ``interval`` steps apart.

    Definition: each frame is carried to the next by the equations of the mean counts a and b of a
    site, given the frame: mean increments are linear in the counts but for the cubic reaction,
    which takes the variance of a, for which there is an equation of its own, neighbors being
    independent and third moments zero. Residuals are compared as waves, divided by the spectrum
    that they have over all frames and all waves of about the same length; damped Gauss–Newton steps
    on the logarithms of the parameters.

    Guarantee: none for the closure, which is good while counts spread by less than the pattern; its
    error is measured on simulated movies (benchmarks). Standard errors are those of independent
    waves, and for D_A and D_B that of the number of common moves besides.

    Arguments: ``model``; ``frames`` [T, 2, *shape] of A and B, two or more; ``interval``, the steps
    between frames. Raises `DataError`.

    References: van Kampen, *Stochastic Processes in Physics and Chemistry* (2007), chapter X
    (expansion about the mean); Whittle, J. R. Stat. Soc. B 19 (1957),
    doi:10.1111/j.2517-6161.1957.tb00249.x (residuals as waves).
    """

    model: FitzHughNagumoLatticeGas
    frames: Any
    interval: int

    def __post_init__(self) -> None:
        require_whole("interval", self.interval)
        frames = np.asarray(self.frames)
        if frames.ndim != 4 or len(frames) < 2:
            raise DataError(
                f"`frames` has shape {frames.shape}, expected [frames, 2, rows, columns] with two "
                "frames or more."
            )
        self.model.from_frames(frames)
        object.__setattr__(self, "frames", frames.astype(float))

    def fit(self, start: Mapping[str, float]) -> LatticeGasFit:
        """Return the parameters at which frames are carried best to those that follow.

        Arguments: ``start``, positive values of all parameters. Raises `ParameterError`.
        """
        names = self.model.parameters
        if set(start) != set(names) or not all(start[n] > 0 for n in names):
            raise ParameterError(
                f"`start` is {start!r}, expected numbers > 0 for {', '.join(names)}."
            )
        z = np.log([float(start[n]) for n in names])
        here, at, move = z, self._looked_at(z), np.full(len(z), np.inf)
        damping, steps = _FIRST_DAMPING, 0
        while steps < _ITERATIONS and np.abs(move).max() > _TOLERANCE:
            steps += 1
            stiff = at.normal + damping * np.diag(np.diag(at.normal))
            move = -np.linalg.pinv(stiff, hermitian=True) @ at.slope
            move *= min(1.0, _LARGEST_STEP / max(np.abs(move).max(), 1e-300))
            there = self._looked_at(here + move)
            if there.loss < at.loss + _SLACK * abs(at.loss):
                here, at, damping = here + move, there, damping / 10
            else:
                damping *= 10
        z, spread = here, np.linalg.pinv(at.normal, hermitian=True)
        values = np.exp(z)
        errors = np.sqrt(np.maximum(np.diag(spread) + self._of_moves(values), 0.0))
        return LatticeGasFit(
            {n: float(v) for n, v in zip(names, values, strict=True)},
            {n: float(e) for n, e in zip(names, errors, strict=True)},
            steps,
            bool(np.abs(move).max() <= _TOLERANCE),
        )

    def carried(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return residuals [2, T − 1, *shape] at logarithms z [P], and their slopes [P, 2, ...]."""
        import jax

        frames = np.moveaxis(self.frames, 1, 0)
        with jax.enable_x64(True):
            found = _program(self.model, self.interval)(z, frames[:, :-1], frames[:, 1:])
        residual, slopes = (np.asarray(part) for part in found)
        return residual, slopes

    # -- private -----------------------------------------------------

    def _of_moves(self, values: FloatArray) -> FloatArray:
        """Return the relative variances [P] due to how often particles happened to move.

        All move at once, so that the number of moves is the same for every wave: a binomial number.
        """
        found = np.zeros(len(values))
        steps = self.interval * (len(self.frames) - 1)
        for k, name in enumerate(self.model.parameters):
            if name in ("D_A", "D_B"):
                found[k] = max(1 - values[k], 0.0) / (values[k] * steps)
        return found

    def _looked_at(self, z: FloatArray) -> _Look:
        """Return loss, slope and normal matrix at z [P].

        The loss is −log p of Gaussian waves, their spectra being those of the residuals at z.
        """
        residual, slopes = self.carried(z)
        waves = np.fft.fft2(np.concatenate([residual[None], slopes]), norm="ortho")
        loss, products = 0.0, np.zeros((len(waves), len(waves)))
        for r in range(_RINGS):
            some = waves[..., self._ring == r]  # [1 + P, 2, T − 1, W]
            if not some.size:
                continue
            flat = some.reshape(*some.shape[:2], -1)
            spectrum = (flat[0] @ flat[0].conj().T).real / flat.shape[2]
            spectrum += 1e-9 * np.trace(spectrum) * np.eye(2)
            loss += 0.5 * flat.shape[2] * float(np.linalg.slogdet(spectrum)[1])
            white = (np.linalg.inv(np.linalg.cholesky(spectrum)) @ flat).reshape(len(flat), -1)
            products += (white @ white.conj().T).real
        if not np.isfinite(products).all():
            return _Look(np.inf, products[0, 1:], products[1:, 1:])
        return _Look(loss, products[1:, 0], products[1:, 1:])

    @cached_property
    def _ring(self) -> FloatArray:
        """Which ring of wave numbers each wave belongs to; they get wider with their radius."""
        axes = np.meshgrid(*(np.fft.fftfreq(n) for n in self.model.grid.shape), indexing="ij")
        radius = np.sqrt(sum(axis**2 for axis in axes)) / np.sqrt(0.5)
        return np.minimum((np.sqrt(radius) * _RINGS).astype(int), _RINGS - 1)


@lru_cache(maxsize=8)
def _program(model: FitzHughNagumoLatticeGas, interval: int) -> Any:
    """Return the program from z [P] and frames before and after to residuals and their slopes."""
    import jax
    import jax.numpy as jnp

    count, rest = divmod(interval, _STRIDE)

    def residual(z: JaxArray, before: JaxArray, after: JaxArray) -> Any:
        params = dict(zip(model.parameters, jnp.exp(z), strict=True))

        def advance(state: Any, span: float) -> Any:
            """Make a step of Heun's method."""
            first = _increments(model, state, params)
            there = tuple(s + span * f for s, f in zip(state, first, strict=True))
            second = _increments(model, there, params)
            return tuple(
                s + span / 2 * (f + g) for s, f, g in zip(state, first, second, strict=True)
            )

        state = before[0], before[1], jnp.zeros_like(before[0])
        state = jax.lax.fori_loop(0, count, lambda _, s: advance(s, float(_STRIDE)), state)
        state = jax.lax.fori_loop(0, rest, lambda _, s: advance(s, 1.0), state)
        found = jnp.stack(state[:2]) - after
        return found, found

    def both(z: JaxArray, before: JaxArray, after: JaxArray) -> Any:
        slopes, value = jax.jacfwd(residual, has_aux=True)(z, before, after)
        return value, jnp.moveaxis(slopes, -1, 0)

    return jax.jit(both)


def _increments(model: FitzHughNagumoLatticeGas, state: Any, params: Mapping[str, JaxArray]) -> Any:
    """Return the mean increments of a step of a, b and the variance v of a."""
    a, b, v = state
    top, sixth = float(model.capacity), model.rate / 6
    scale = (top - 1) * (top - 2)
    k1, k2, k3 = params["k1"], params["k2"], params["k3"]
    # n (N − n)(2 n − N) and its derivatives; its mean has half the second one times v.
    cubic = a * (top - a) * (2 * a - top) + (3 * top - 6 * a) * v
    slope = (-6 * a * a + 6 * top * a - top * top) / scale
    shares = params["D_A"] / top, params["D_B"] / top
    drift_a = shares[0] * _spread(model, a) + sixth * (k1 * cubic / scale + k2 * (b - a))
    drift_b = shares[1] * _spread(model, b) + sixth * k3 * (top - a - b)
    share = a / top
    excited = share * (1 - share)
    noise = params["D_A"] * (2 * excited + _spread(model, excited))
    noise += sixth * sum(model.channels(a, b, params)[:4])
    drift_v = noise + 2 * v * (sixth * (k1 * slope - k2) - shares[0])
    return drift_a, drift_b, drift_v


def _spread(model: FitzHughNagumoLatticeGas, values: JaxArray) -> JaxArray:
    """Return the mean over where a move leads, less the value itself."""
    grid = model.grid
    beside = grid.seen_from(values, (0, 1)) + grid.seen_from(values, (0, -1))
    rows = AXIS * values + DIAGONAL * beside
    above = grid.seen_from(rows, (1, 0)) + grid.seen_from(rows, (-1, 0))
    return AXIS * beside + above - values

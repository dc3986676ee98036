"""Movies of the lattice gas, by the equations of its local means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import DataError, ParameterError, require_whole, shown
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.models.lattices._lattice_gas import FitzHughNagumoLatticeGas
from tumble.models.lattices._lattice_gas_closure import carried
from tumble.models.lattices._lattice_gas_drift import drift_terms, wave_radius
from tumble.models.lattices._lattice_gas_runs import runs_from

_ITERATIONS = 40
_LARGEST_STEP = 0.5  # of the logarithm of a parameter
_ENOUGH = 1e-4  # of −log p: less to be gained than that ends a search
_SLACK = 1e-2  # of −log p: what the number of steps of the equations makes of it
_FIRST_DAMPING = 1e-3
_RINGS = 16  # of wave numbers that share a spectrum
_LONG_WAVES = 0.12  # periods a site, of the waves of which the first start is made
_BOX = (0.02, 1.0)  # where starts are looked for
_PILOT = 4  # transitions that choose between starts
_ALIKE = 0.1  # of −log p: starts that end that close agree


@dataclass(frozen=True)
class LatticeGasFit:
    """What a movie says: ``params`` by name; ``steps`` of the search, and whether it ``converged``.

    ``standard_errors`` by name, relative. ``num_starts`` were tried, of which ``num_agreeing``
    ended with as good a fit of a part of the movie as the best, where the fit of the whole began.
    """

    params: Mapping[str, float]
    standard_errors: Mapping[str, float]
    steps: int
    converged: bool
    num_starts: int = 1
    num_agreeing: int = 1


class _Look(NamedTuple):
    """Of a point: the ``loss``, its ``slope`` [P] and ``normal`` matrix [P, P].

    ``filters``, by which waves of a ring are made independent and of variance 1, and ``white``
    slopes [P, 2, T − 1, W], complex.
    """

    loss: float
    slope: FloatArray
    normal: FloatArray
    filters: FloatArray
    white: Any

    @property
    def gain(self) -> float:
        """How much lower the loss would be if it were quadratic."""
        newton = np.linalg.pinv(self.normal, hermitian=True) @ self.slope
        return float(self.slope @ newton) / 2 if np.isfinite(self.loss) else np.inf


class _Found(NamedTuple):
    """The end of a search."""

    z: FloatArray
    at: _Look
    steps: int
    converged: bool


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
    error is measured on simulated movies (benchmarks).

    Arguments: ``model``; ``frames`` [T, 2, *shape] of A and B, two or more; ``interval``, the steps
    between frames. Raises `DataError`.

    When: frames hundreds of steps apart. For a single frame there is `LatticeGasFrame`.

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
                "frames or more; for a single one there is LatticeGasFrame(model, frame)."
            )
        self.model.from_frames(frames)
        object.__setattr__(self, "frames", frames.astype(float))

    def fit(
        self,
        start: Mapping[str, float] | None = None,
        *,
        num_starts: int = 4,
        repeats: int = 3,
        seed: int = 0,
    ) -> LatticeGasFit:
        """Return the parameters at which frames are carried best to those that follow.

        The first start is a linear regression of the changes of long waves on what drives them;
        others are spread over 0.02 to 1. A few transitions decide from which the search of all
        goes on.

        Standard errors are those of a sandwich: every transition is simulated ``repeats`` times at
        the parameters found, and the variance of the slopes of the loss between repeats says how
        far the estimate moves from movie to movie. So they hold what the equations of means do not
        know of: that all particles of a kind move at once, and that noise differs between sites.

        Arguments: ``start``, positive values of all parameters, from which alone the search then
        goes; ``num_starts``, default 4; ``repeats``, default 3, or 0 for errors of independent
        waves, which take no simulation and are right but for a factor of about 2; their ``seed``.
        Raises `ParameterError`.
        """
        require_whole("num_starts", num_starts)
        if repeats != 0:
            require_whole("repeats", repeats, 2)
        stream = Stream.from_seed(seed).child("repeats of a lattice gas movie")
        agreeing = 1
        if start is not None:
            num_starts, first = 1, np.log(self._checked(start))
        else:
            first, agreeing = self._chosen_start(num_starts)
        found = self._search(first, self._transitions)
        values, names = np.exp(found.z), self.model.parameters
        if repeats:
            variances = self._simulated(found, repeats, stream)
        else:
            variances = np.diag(np.linalg.pinv(found.at.normal, hermitian=True))
            variances = variances + self._of_moves(values)
        errors = np.sqrt(np.maximum(variances, 0.0))
        return LatticeGasFit(
            {n: float(v) for n, v in zip(names, values, strict=True)},
            {n: float(e) for n, e in zip(names, errors, strict=True)},
            found.steps,
            found.converged,
            num_starts,
            agreeing,
        )

    def carried(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return residuals [2, T − 1, *shape] at logarithms z [P], and their slopes [P, 2, ...]."""
        means, slopes = carried(self.model, self.interval, z, self._before)
        return means - self._after, slopes

    # -- private -----------------------------------------------------

    @property
    def _before(self) -> FloatArray:
        return np.moveaxis(self.frames[:-1], 1, 0)

    @property
    def _after(self) -> FloatArray:
        return np.moveaxis(self.frames[1:], 1, 0)

    @property
    def _transitions(self) -> list[int]:
        return list(range(len(self.frames) - 1))

    def _checked(self, start: Mapping[str, float]) -> FloatArray:
        names = self.model.parameters
        if set(start) != set(names) or not all(start[n] > 0 for n in names):
            raise ParameterError(
                f"`start` is {shown(start)}, expected numbers > 0 for {', '.join(names)}."
            )
        return np.array([float(start[n]) for n in names])

    def _chosen_start(self, count: int) -> tuple[FloatArray, int]:
        """Return the best end of ``count`` searches of a part of the movie, and how many agree."""
        from scipy.stats import qmc

        low, high = np.log(_BOX)
        starts = [np.clip(self._by_regression(), low, high)]
        if count > 1:
            # The first point of the sequence is the corner of the box.
            points = qmc.Sobol(len(starts[0]), scramble=False).fast_forward(1).random(count - 1)
            starts += list(low + (high - low) * points)
        else:
            return starts[0], 1
        last = self._transitions[-1]
        some = sorted(set(np.linspace(0, last, min(_PILOT, last + 1)).astype(int).tolist()))
        ends = [self._search(z, some) for z in starts]
        best = min(ends, key=lambda end: end.at.loss)
        agree = sum(end.at.loss < best.at.loss + _ALIKE for end in ends)
        return best.z, agree

    def _by_regression(self) -> FloatArray:
        """Return logarithms [P] from changes of long waves, on the mean drift at both ends."""
        long = wave_radius(self.model) < _LONG_WAVES
        change = np.fft.fft2(np.diff(self.frames, axis=0) / self.interval)[..., long]
        found = []
        for kind, terms in enumerate(drift_terms(self.model, self.frames)):
            waves = np.fft.fft2((terms[:, 1:] + terms[:, :-1]) / 2)[..., long]
            flat = waves.reshape(len(terms), -1)
            normal = (flat @ flat.conj().T).real
            found.append(
                np.linalg.pinv(normal, hermitian=True)
                @ (flat.conj() @ change[:, kind].ravel()).real
            )
        (k1, k2, move_a), (k3, move_b) = found
        return np.log(np.maximum([k1, k2, k3, move_a, move_b], 1e-12))

    def _search(self, z: FloatArray, transitions: list[int]) -> _Found:
        """Return the end of damped Gauss–Newton steps from z [P] on some transitions."""
        here, at, damping, steps = z, self._looked_at(z, transitions), _FIRST_DAMPING, 0
        while steps < _ITERATIONS and at.gain > _ENOUGH:
            steps += 1
            stiff = at.normal + damping * np.diag(np.diag(at.normal))
            move = -np.linalg.pinv(stiff, hermitian=True) @ at.slope
            move *= min(1.0, _LARGEST_STEP / max(np.abs(move).max(), 1e-300))
            there = self._looked_at(here + move, transitions)
            if there.loss < at.loss + _SLACK:
                here, at, damping = here + move, there, damping / 10
            else:
                damping *= 10
        return _Found(here, at, steps, at.gain <= _ENOUGH)

    def _looked_at(self, z: FloatArray, transitions: list[int]) -> _Look:
        """Return loss, slope and normal matrix at z [P].

        The loss is −log p of Gaussian waves, their spectra being those of the residuals at z.
        """
        before, after = self._before[:, transitions], self._after[:, transitions]
        means, slopes = carried(self.model, self.interval, z, before)
        residual = self._in_rings(means - after)
        if not np.isfinite(residual).all():
            nowhere = np.zeros((len(z), len(z)))
            return _Look(np.inf, nowhere[0], nowhere, nowhere, nowhere)
        filters, loss = [], 0.0
        for ring in self._rings:
            some = residual[..., ring].reshape(2, -1)
            spectrum = (some @ some.conj().T).real / some.shape[1]
            spectrum += 1e-9 * np.trace(spectrum) * np.eye(2)
            loss += 0.5 * some.shape[1] * float(np.linalg.slogdet(spectrum)[1])
            filters.append(np.linalg.inv(np.linalg.cholesky(spectrum)))
        kept = np.stack(filters)
        white = self._filtered(self._in_rings(slopes), kept)
        flat = white.reshape(len(z), -1)
        slope = (flat.conj() @ self._filtered(residual[None], kept).ravel()).real
        return _Look(loss, slope, (flat @ flat.conj().T).real, kept, white)

    def _in_rings(self, fields: FloatArray) -> Any:
        """Return the waves [..., W] of fields [..., *shape], in the order of their rings."""
        waves = np.fft.fft2(fields, norm="ortho")
        return waves.reshape(*waves.shape[:-2], -1)[..., self._order]

    def _filtered(self, waves: Any, filters: FloatArray) -> Any:
        """Return waves [..., 2, T − 1, W] times the filter [2, 2] of their ring."""
        found = np.empty_like(waves)
        for ring, matrix in zip(self._rings, filters, strict=True):
            found[..., ring] = np.einsum("ij,...jtw->...itw", matrix, waves[..., ring])
        return found

    @cached_property
    def _ring_of_wave(self) -> Any:
        """Which ring of wave numbers each wave belongs to; they get wider with their radius."""
        share = np.sqrt(wave_radius(self.model).ravel() / np.sqrt(0.5))
        return np.minimum((share * _RINGS).astype(int), _RINGS - 1)

    @cached_property
    def _order(self) -> Any:
        return np.argsort(self._ring_of_wave, kind="stable")

    @cached_property
    def _rings(self) -> list[slice]:
        """Where each ring lies among the waves in their order."""
        counts = np.bincount(self._ring_of_wave)
        ends = np.cumsum(counts)
        return [slice(end - n, end) for end, n in zip(ends, counts, strict=True) if n]

    def _simulated(self, found: _Found, repeats: int, stream: Stream) -> FloatArray:
        """Return the relative variances [P] by transitions simulated at the parameters found."""
        values = np.exp(found.z)
        scores = []
        for r in range(repeats):
            after = runs_from(self.model, values, self._before, self.interval, stream.child(r))
            waves = self._filtered(self._in_rings(after)[None], found.at.filters)[0]
            scores.append(np.einsum("pstw,stw->tp", found.at.white.conj(), waves).real)
        # Transitions are independent given the frames, so that their variances add up.
        apart = np.stack(scores) - np.mean(scores, axis=0)  # [repeats, T − 1, P]
        meat = np.einsum("rtp,rtq->pq", apart, apart) / (repeats - 1)
        bread = np.linalg.pinv(found.at.normal, hermitian=True)
        return np.diag(bread @ meat @ bread)

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

"""Movies of a Cellular Potts model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import (
    CapabilityError,
    DataError,
    ParameterError,
    is_number,
    require_known,
    require_whole,
    shown,
)
from tumble._execution import num_workers, run_all, split
from tumble._random import Stream
from tumble._typing import FloatArray, IntArray
from tumble.models import Activity, CellularPotts
from tumble.simulators._tissue import CopyTables, copy_tables, tissue_of

_PILOT_STEPS, _PILOT_TOLERANCE = 100, 1e-7
_MOST_STEPS = 12
_LARGEST_MOVE = 0.5  # of a parameter, or of this where it is near 0
_NEAR_ZERO = 0.2
_SPAN = 2.0  # standard errors, of the differences that make slopes, and how long these hold
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class CellMovieFit:
    """What movies of cells say.

    Attributes: ``params`` and ``standard_errors`` by name; ``covariance`` [P, P] of the unknown
    ones, in the order of ``standard_errors``; ``pilot``, what the pseudo-likelihood alone says,
    biased; ``steps``, and whether they ``converged``.
    """

    params: Mapping[str, float]
    standard_errors: Mapping[str, float]
    covariance: FloatArray
    pilot: Mapping[str, float]
    steps: int
    converged: bool

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return 95 % intervals by name."""
        errors = self.standard_errors
        return {
            k: (self.params[k] - _Z95 * e, self.params[k] + _Z95 * e) for k, e in errors.items()
        }


class _Look(NamedTuple):
    """Runs at a point: the mean statistics [P] of all transitions, and their covariance [P, P]."""

    mean: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, eq=False)
class CellMovie:
    """Frames of a `CellularPotts` model that lie ``interval`` Monte Carlo steps apart.

    Definition: the statistics u of a transition are the derivatives, at a pilot, of its
    pseudo-likelihood Σ log p(site after | frame before), each site going over to a cell around it
    at the rate that it has in the frame before. The pilot is where those of the data vanish. The
    estimate is where the sum of u(data) is the mean of that of runs from the same frames:
    Σ_k u_k = Σ_k E[u_k | frame k], the model being restarted from each frame that was seen.

    Guarantee: consistent for whatever interval, since given a frame u − E[u | frame] has mean zero
    at the truth (a martingale estimating function). How much is lost against the likelihood is not
    known; little while few sites have changed more than once. Standard errors are those of the
    estimating function, runs included, by differences of runs in common random numbers.

    Arguments: ``model``; ``movies``, frames [frames, *shape] of whole numbers, the cell of each
    site, or a list of such arrays; ``interval``, default 1. Raises `DataError`.

    When: neighboring frames are alike, up to a few Monte Carlo steps apart. Where all cells have
    moved in between, compare outputs of runs instead.

    References: Besag, J. R. Stat. Soc. D 24 (1975), doi:10.2307/2987782 (pseudo-likelihood); Bibby,
    Sørensen, Bernoulli 1 (1995), doi:10.2307/3318679 (martingale estimating functions);
    Gouriéroux, Monfort, Renault, J. Appl. Econom. 8 (1993), doi:10.1002/jae.3950080507 (indirect
    inference).
    """

    model: CellularPotts
    movies: Any
    interval: float = 1.0

    def __post_init__(self) -> None:
        if self.model.term(Activity) is not None:
            raise CapabilityError(
                "frames do not tell how active sites are, which runs from them would need; fit "
                "outputs of whole runs of a model with Activity."
            )
        movies = self.movies if isinstance(self.movies, (list, tuple)) else [self.movies]
        checked = tuple(self.model.checked_frames(movie) for movie in movies)
        if not checked or any(len(movie) < 2 for movie in checked):
            raise DataError("a movie has fewer than two frames, so there is no transition in it.")
        attempts = self.interval * self.model.grid.num_sites if is_number(self.interval) else -1.0
        if not (math.isfinite(attempts) and attempts >= 1 and abs(attempts % 1) < 1e-6):
            raise DataError(
                f"`interval` is {shown(self.interval)}, expected Monte Carlo steps, a whole number "
                f"of the {self.model.grid.num_sites} attempts of each."
            )
        object.__setattr__(self, "movies", checked)

    @property
    def num_transitions(self) -> int:
        """K."""
        return sum(len(movie) - 1 for movie in self.movies)

    def pseudo_likelihood(self, params: Mapping[str, float]) -> float:
        """Return the log pseudo-likelihood of all transitions at parameters by name."""
        return self._looked_at(self.model.params_vector(params))[0]

    def fit(
        self,
        start: Mapping[str, float],
        known: Mapping[str, float] | None = None,
        *,
        num_replicates: int = 8,
        seed: int = 0,
    ) -> CellMovieFit:
        """Return the parameters at which frames go on as they did.

        Arguments: ``start``, values of the unknown parameters; ``known``, of the others;
        ``num_replicates`` R ≥ 2, runs from each frame: they add 1 / R to the variance;
        ``seed``. Raises `ParameterError`.
        """
        require_whole("num_replicates", num_replicates, 2)
        theta, free = self._begin(start, known or {})
        pilot, information = self._pilot(theta, free)
        data = self._looked_at(pilot)[1][free]
        runs = _Runs(self, pilot, free, num_replicates, Stream.from_seed(seed).child("cell movie"))
        covariance: Any = np.linalg.pinv(information, hermitian=True)
        here, steps, tolerance = pilot.copy(), 0, 1 / math.sqrt(num_replicates)
        move, spans = np.full(len(free), np.inf), _SPAN * _errors(covariance)
        while steps < _MOST_STEPS and np.any(np.abs(move) > tolerance * _errors(covariance)):
            steps += 1
            if np.any(np.abs(move) > _SPAN * _errors(covariance)):
                inverse = np.linalg.pinv(runs.slopes(here, spans))
            look = runs.look(here)
            covariance = (1 + 1 / num_replicates) * inverse @ look.covariance @ inverse.T
            sizes = np.maximum(np.abs(here[free]), _NEAR_ZERO)
            spans = np.minimum(_SPAN * _errors(covariance), _LARGEST_MOVE * sizes)
            move = inverse @ (data - look.mean)
            here[free] += move * min(1.0, _LARGEST_MOVE / np.max(np.abs(move) / sizes))
        return self._found(here, pilot, free, covariance, steps, move, tolerance)

    # -- private -----------------------------------------------------

    @cached_property
    def _tables(self) -> CopyTables:
        return copy_tables(self.model)

    @cached_property
    def _tissues(self) -> list[tuple[Any, Any]]:
        """The frames before and after each transition, as kernels see them."""
        found = []
        for movie in self.movies:
            states = [tissue_of(self._tables, frame) for frame in movie]
            found += list(pairwise(states))
        return found

    def _begin(
        self, start: Mapping[str, float], known: Mapping[str, float]
    ) -> tuple[FloatArray, IntArray]:
        """Return all parameters [Q] and which are unknown [P]."""
        names = self.model.parameters
        require_known([*start, *known], names, what="`start` or `known` has", owner="the model",
                      error=ParameterError)  # fmt: skip
        odd = next((n for n in names if (n in start) == (n in known)), None)
        if odd is not None or not start:
            raise ParameterError(
                f"{odd or names[0]!r} is in both or neither of `start` and `known`; give each "
                "parameter in one of them, and at least one in `start`."
            )
        free = np.array([q for q, name in enumerate(names) if name in start])
        return self.model.params_vector({**start, **known}), free

    def _looked_at(self, theta: FloatArray) -> tuple[float, FloatArray, FloatArray]:
        """Return the pseudo-likelihood, its slope [Q] and information [Q, Q]."""
        from tumble.kernels._copy_scores import tell

        size = len(theta)
        value, slope, own = 0.0, np.zeros(size), np.empty(size)
        information = np.zeros((size, size))
        for before, after in self._tissues:
            sites = _tabulated(self._tables, theta, before, self.interval, information)
            value += tell(before.codes, after.codes, sites, own)
            slope += own
        return value, slope, information

    def _pilot(self, theta: FloatArray, free: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return where the pseudo-likelihood is largest, by Fisher's scoring, and information."""
        square = np.ix_(free, free)
        value, slope, information = self._looked_at(theta)
        for _ in range(_PILOT_STEPS):
            move = np.zeros(len(theta))
            move[free] = np.linalg.pinv(information[square], hermitian=True) @ slope[free]
            share, there = 1.0, self._looked_at(theta + move)
            while not there[0] >= value and share > 1e-3:
                share /= 2
                there = self._looked_at(theta + share * move)
            if not there[0] > value:
                break
            theta = theta + share * move
            small = there[0] - value < _PILOT_TOLERANCE * max(1.0, abs(value))
            value, slope, information = there
            if small:
                break
        return theta, information[square]

    def _found(
        self, here: FloatArray, pilot: FloatArray, free: IntArray, covariance: FloatArray,
        steps: int, move: FloatArray, tolerance: float,
    ) -> CellMovieFit:  # fmt: skip
        names = self.model.parameters
        errors = _errors(covariance)
        return CellMovieFit(
            {n: float(v) for n, v in zip(names, here, strict=True)},
            {names[q]: float(e) for q, e in zip(free, errors, strict=True)},
            covariance,
            {n: float(v) for n, v in zip(names, pilot, strict=True)},
            steps,
            bool(np.all(np.abs(move) <= tolerance * errors)),
        )


@dataclass(frozen=True)
class _Runs:
    """Runs from the frames of a movie, R from each, always in the same random numbers."""

    movie: CellMovie
    pilot: FloatArray
    free: IntArray
    num_replicates: int
    stream: Stream

    def look(self, theta: FloatArray) -> _Look:
        """Return mean and covariance of Σ u at parameters [Q]."""
        found = self._statistics([theta])[:, 0]
        off = found - found.mean(1, keepdims=True)
        spread = np.einsum("krp,krq->pq", off, off) / (self.num_replicates - 1)
        return _Look(found.mean(1).sum(0), spread)

    def slopes(self, theta: FloatArray, spans: FloatArray) -> FloatArray:
        """Return ∂ E[Σ u] / ∂ the unknown parameters, [P, P], by central differences."""
        points = []
        for q, span in zip(self.free, spans, strict=True):
            for sign in (1, -1):
                points.append(theta.copy())
                points[-1][q] += sign * span
        sums = self._statistics(points).mean(2).sum(0)  # [2 P, P]
        return ((sums[::2] - sums[1::2]) / (2 * spans[:, None])).T

    def _statistics(self, points: list[FloatArray]) -> FloatArray:
        """Return u [K, points, R, P]."""
        movie = self.movie
        parts = split(movie.num_transitions, 4 * num_workers())
        tasks = [
            (movie._tables, movie._tissues[some], some.start, points, self.pilot,
             float(movie.interval), self.num_replicates, self.stream)
            for some in parts
        ]  # fmt: skip
        return np.concatenate(run_all(_go_on, tasks))[..., self.free]


def _go_on(
    tables: CopyTables,
    tissues: list[tuple[Any, Any]],
    first: int,
    points: list[FloatArray],
    pilot: FloatArray,
    interval: float,
    num_replicates: int,
    stream: Stream,
) -> FloatArray:
    """Return u [k, points, R, Q] of runs from some frames."""
    from tumble.kernels._cellular_potts import Tissue, copy_attempts
    from tumble.kernels._copy_scores import tell

    attempts = round(interval * int(np.prod(tables.geometry.shape)))
    found = np.empty((len(tissues), len(points), num_replicates, len(pilot)))
    key, nothing = np.uint64(stream.key), np.empty((0, 0))
    for k, (before, _) in enumerate(tissues):
        sites = _tabulated(tables, pilot, before, interval, nothing)
        for i, theta in enumerate(points):
            couplings = tables.couplings(theta)
            for r in range(num_replicates):
                state = Tissue(*(part.copy() for part in before))
                run = np.uint64((first + k) * num_replicates + r)
                copy_attempts(tables.geometry, couplings, state, key, run, 0, attempts)
                tell(before.codes, state.codes, sites, found[k, i, r])
    return found


def _tabulated(
    tables: CopyTables, theta: FloatArray, before: Any, interval: float, information: FloatArray
) -> Any:
    """Return what each site of a frame may become, at parameters [Q]; adds to ``information``."""
    from tumble.kernels._copy_scores import Sites, count_rows, tabulate_sites

    rows = count_rows(tables.geometry, before.codes)
    sites = Sites(
        np.empty(len(before.codes), np.int64), np.empty(rows, np.uint32), np.empty(rows),
        np.empty((rows, len(theta))), np.empty(1), np.empty(len(theta)),
    )  # fmt: skip
    tabulate_sites(
        tables.geometry, tables.couplings(theta), tables.slots, before, float(interval), sites,
        information,
    )  # fmt: skip
    return sites


def _errors(covariance: FloatArray) -> FloatArray:
    return np.sqrt(np.maximum(np.diag(covariance), 0.0))

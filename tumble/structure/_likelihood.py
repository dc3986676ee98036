"""The likelihood of data under any network of a library."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tumble._binding import Binding
from tumble._errors import CapabilityError, DataError
from tumble._execution import run_all
from tumble._problem import Problem
from tumble._typing import FloatArray, IntArray
from tumble.noise import Exact
from tumble.priors import AbstractPrior
from tumble.structure._library import ReactionLibrary

_SIDE_BY_SIDE = 400  # observations, from which on threads pay
_SLACK = 1e-6


class LogLikelihood(NamedTuple):
    """``value``, ``slope`` [Q] and Fisher ``information`` [K, Q], by the rates asked for.

    ``curvature`` [Q] is the information's whole diagonal.
    """

    value: float
    slope: FloatArray
    information: FloatArray
    curvature: FloatArray


class Seen(NamedTuple):
    """All species as measured in the replicates of one experiment, from the initial state on.

    ``states`` [N, 1 + T, S], NaN where missing, and the covariances [N, 1 + T, S, S] of their
    ``error`` by noise and rounding.
    """

    states: FloatArray
    error: FloatArray


class MeasuredSteps(NamedTuple):
    """Intervals: states [M, S] ``before`` and ``after``, ``spans`` [M], ``error`` [M, S, S].

    The latter is the covariance that noise and rounding give to the difference.
    """

    before: FloatArray
    after: FloatArray
    spans: FloatArray
    error: FloatArray


class Steps(NamedTuple):
    """Steps of one experiment between known states [M, S], ``before`` and ``after``.

    ``spans`` [M], how long they took; ``given``, the rates that the experiment has by its
    conditions.
    """

    before: FloatArray
    after: FloatArray
    spans: FloatArray
    given: dict[int, float]


class _Series(NamedTuple):
    """What the kernel wants to know of some series that begin alike."""

    first: FloatArray  # [2, S]
    spans: FloatArray
    data: FloatArray  # [N, T, O]
    scatter: FloatArray  # [T, O, O]
    counts: IntArray  # [T]
    look: FloatArray  # [O, 1 + S]
    rounding: FloatArray
    noise: FloatArray  # [O, 5]
    given: dict[int, float]  # rates that this experiment has by its conditions

    @property
    def is_exact(self) -> bool:
        """Whether data and initial states are counts without any noise."""
        certain = not np.any(self.noise[:, 2:]) and not np.any(self.first[1])
        return certain and bool(np.all(self.rounding > 0))


@dataclass(frozen=True)
class NetworkLikelihood:
    """log p(data | rates) under the linear-noise approximation, for rates of a whole library.

    Definition: as `tumble.simulators.LinearNoise`, a Kalman filter that starts afresh from the
    filtered state at every observation; for snapshots, the likelihood of their cells given the mean
    and the covariance at each time. A rate of 0 leaves a candidate out.

    Guarantee: that of `LinearNoise`. Its slopes are exact derivatives of it, by any candidates,
    also by those with rate 0.

    Arguments: ``problem``, of which the model tells species alone; series, or snapshots of cells;
    observables that are linear in the species, with noise whose mean is linear and variance
    quadratic in them and that has no unknown parameters; initial values that are known, or drawn
    from a distribution; ``library``; ``most_series``, of how many replicates of an experiment,
    default all. Raises `DataError`, `CapabilityError`.
    """

    problem: Problem
    library: ReactionLibrary
    most_series: int | None = None

    def __post_init__(self) -> None:
        if self.problem.kind not in ("series", "snapshots"):
            raise DataError(
                f"structure is learnt from series or snapshots, but the data are of kind "
                f"{self.problem.kind!r}; give the replicates that were averaged."
            )
        species = self.problem.model.species
        if tuple(species) != self.library.species:
            raise DataError(
                f"the problem has species {', '.join(species)}, but the library "
                f"{', '.join(self.library.species)}; name the same ones in the same order."
            )
        _ = self._series

    def evaluate(
        self, rates: FloatArray, wanted: Any, num_joint: int | None = None
    ) -> LogLikelihood:
        """Return the log likelihood at rates [R], with slopes by those of ``wanted`` [Q].

        Information is computed of the first ``num_joint`` of them with all, and else of each with
        itself; by default of all.
        """
        places = np.asarray(wanted, np.int64)
        joint = len(places) if num_joint is None else num_joint
        tasks = [
            (self, series, data, rates, places, joint)
            for series in self._series
            for data in series.data[: self.most_series]
        ]
        if len(tasks) * len(tasks[0][2]) < _SIDE_BY_SIDE:
            parts = [_of_series(*task) for task in tasks]
        else:
            parts = run_all(_of_series, tasks)
        value, slope, information, curvature = (sum(p) for p in zip(*parts, strict=True))
        found = LogLikelihood(float(value), slope, information, curvature)
        if np.isfinite(value) and all(np.isfinite(p).all() for p in found[1:]):
            return found
        return LogLikelihood(-np.inf, *(np.zeros_like(p) for p in found[1:]))

    # -- what the data look like -------------------------------------

    @property
    def num_series(self) -> int:
        """How many series, or snapshots, there are."""
        return sum(len(s.data[: self.most_series]) for s in self._series)

    @cached_property
    def duration(self) -> float:
        """The longest time that an experiment took."""
        return max(float(s.spans.sum()) for s in self._series)

    @cached_property
    def place(self) -> IntArray:
        """Where the filter keeps the covariance of two species [S, S], behind their means."""
        size = len(self.library.species)
        table = np.zeros((size, size), np.int64)
        upper = np.triu_indices(size)
        table[upper] = np.arange(size, size + len(upper[0]))
        return np.maximum(table, table.T)

    @cached_property
    def scale(self) -> float:
        """A typical large number of copies: the largest that was there at first, or seen."""
        first = [s.first[0].max() for s in self._series]
        seen = [np.nanmax(np.abs(s.data), initial=1.0) for s in self._series]
        return float(max(*first, *seen, 1.0))

    @property
    def typical_states(self) -> FloatArray:
        """States that were seen [M, S]; where none were, one with the typical count everywhere."""
        if self.steps is None:
            return np.full((1, len(self.library.species)), self.scale)
        return self.steps[0]

    @property
    def steps(self) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """States [M, S] before and after each interval and its length [M], if states are seen."""
        steps = self.measured_steps
        if steps is None or any(np.any(series.noise[:, 2:]) for series in self._series):
            return None
        return steps.before, steps.after, steps.spans

    @cached_property
    def measured_steps(self) -> MeasuredSteps | None:
        """The intervals between observations of all species, with noise or without."""
        seen = self.seen
        if seen is None:
            return None
        parts = [_steps(one, series.spans) for one, series in zip(seen, self._series, strict=True)]
        return MeasuredSteps(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @cached_property
    def known_steps(self) -> tuple[Steps, ...] | None:
        """The steps of each experiment, if all species are seen exactly at all times."""
        if self.seen is None or not all(series.is_exact for series in self._series):
            return None
        found = []
        for one, series in zip(self.seen, self._series, strict=True):
            states = np.rint(one.states[: self.most_series])
            if not np.isfinite(states).all():
                return None
            moving = np.broadcast_to(series.spans > 0, states.shape[:1] + series.spans.shape)
            spans = np.broadcast_to(series.spans, moving.shape)[moving]
            found.append(Steps(states[:, :-1][moving], states[:, 1:][moving], spans, series.given))
        return tuple(found)

    @cached_property
    def seen(self) -> tuple[Seen, ...] | None:
        """All species as each experiment measured them, None where it did not."""
        found = []
        for series in self._series:
            table = series.look[:, 1:]
            if np.any(series.counts) or np.linalg.matrix_rank(table) < table.shape[1]:
                return None
            found.append(_seen(series))
        return tuple(found)

    @cached_property
    def _series(self) -> tuple[_Series, ...]:
        return tuple(
            _series(binding, self.problem, self.library) for binding in self.problem.bindings
        )


def _of_series(
    likelihood: NetworkLikelihood,
    series: _Series,
    data: FloatArray,
    rates: FloatArray,
    places: IntArray,
    joint: int,
) -> tuple[float, FloatArray, FloatArray, FloatArray]:
    """Return the parts of a `LogLikelihood` that one series [T, O] makes."""
    from tumble.kernels._network_filter import filter_series, workspace

    library, size = likelihood.library, len(places)
    own, free = np.array(rates, dtype=float), np.ones(size)
    for r, rate in series.given.items():
        own[r] = rate
        free[places == r] = 0.0
    value, slope, curvature = np.zeros(1), np.zeros(size), np.zeros(size)
    information = np.zeros((joint, size))
    work = workspace(len(library.species), data.shape[1], size)
    filter_series(
        library.reactants, library.change, own, places, series.first, series.spans, data,
        series.scatter, series.counts, series.look, series.rounding, series.noise,
        likelihood.place, work, value, slope, information, curvature,
    )  # fmt: skip
    between = np.outer(free[:joint], free)
    return float(value[0]), slope * free, information * between, curvature * free


def _series(binding: Binding, problem: Problem, library: ReactionLibrary) -> _Series:
    middle = np.asarray(problem.space.from_fit((problem.space.lower + problem.space.upper) / 2))
    values = binding.observed.values
    look, noise = _looks(binding, middle)
    size = values.shape[2]
    scatter, counts = np.zeros((values.shape[1], size, size)), np.zeros(values.shape[1], np.int64)
    if problem.kind == "snapshots":
        scatter, counts, values = _summed_up(values)
    spans = np.diff(binding.times, prepend=binding.experiment.start)
    return _Series(
        _first(binding), spans, np.ascontiguousarray(values, dtype=float), scatter, counts, look,
        binding.rounding, noise, _known_rates(binding, library),
    )  # fmt: skip


def _seen(series: _Series) -> Seen:
    """Return states as they follow from observables that tell all of them."""
    offset, back = series.look[:, 0], np.linalg.pinv(series.look[:, 1:])
    shift, scale, c, d, e = series.noise.T
    observed = (series.data - shift) / scale
    inside = np.maximum(observed, 0.0)
    variance = (c + d * inside + e * inside**2 + series.rounding) / scale**2
    states = (observed - offset) @ back.T
    error = np.einsum("so,nto,uo->ntsu", back, variance, back)
    mean, spread = series.first
    first = np.broadcast_to(mean, (len(states), 1, len(mean)))
    certain = np.broadcast_to(np.diag(spread), (len(states), 1, len(mean), len(mean)))
    return Seen(np.concatenate([first, states], 1), np.concatenate([certain, error], 1))


def _steps(seen: Seen, spans: FloatArray) -> MeasuredSteps:
    """Return the intervals of positive length between states that are complete."""
    complete = np.asarray(np.isfinite(seen.states).all(-1))
    whole = complete[:, 1:] & complete[:, :-1] & (spans > 0)
    return MeasuredSteps(
        seen.states[:, :-1][whole],
        seen.states[:, 1:][whole],
        np.broadcast_to(spans, whole.shape)[whole],
        (seen.error[:, :-1] + seen.error[:, 1:])[whole],
    )


def _first(binding: Binding) -> FloatArray:
    """Return mean and variance of the initial state [2, S]. Raises `CapabilityError`."""
    rows = []
    for name in binding.model.initial_names:
        given = binding.experiment.initial[name]
        if isinstance(given, AbstractPrior):
            rows.append((given.mean, given.variance))
            continue
        if not isinstance(given, (int, float, np.number)):
            raise CapabilityError(
                f"the initial value of {name!r} is unknown, but structure is learnt with known "
                "ones; give a number, or its distribution such as priors.Poisson(20)."
            )
        rows.append((float(given), 0.0))
    return np.array(rows).T.copy()


def _looks(binding: Binding, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what is observed [O, 1 + S] and its noise [O, 5]. Raises `CapabilityError`."""
    if not binding.measurement_is_known:
        raise CapabilityError(
            "an observable or its noise has an unknown parameter, but structure is learnt with "
            "known ones; give their values, as `fit` finds them, or use compare_models."
        )
    size = len(binding.model.species)
    rng = np.random.default_rng(0)
    states = np.concatenate([np.zeros((1, size)), np.eye(size), rng.uniform(0, 50, (1, size))])
    seen = np.asarray(binding.observe(states, theta))
    look = np.concatenate([seen[:1], seen[1:-1] - seen[:1]]).T.copy()
    if not np.allclose(look[:, 0] + look[:, 1:] @ states[-1], seen[-1], rtol=_SLACK, atol=_SLACK):
        raise CapabilityError(
            "an observable is not linear in the species, but structure is learnt from linear ones."
        )
    x = np.array([0.0, 1.0, 2.0, 7.0])
    grid = np.repeat(x[:, None], len(look), axis=1)
    mean = np.asarray(binding.expected(grid, theta))
    variance = np.asarray(binding.noise_variance(grid, theta))
    square = (variance[2] - 2 * variance[1] + variance[0]) / 2
    noise = np.stack(
        [mean[0], mean[1] - mean[0], variance[0], variance[1] - variance[0] - square, square], 1
    )
    fits = np.allclose(noise[:, 0] + noise[:, 1] * 7, mean[3], rtol=_SLACK) and np.allclose(
        noise[:, 2] + noise[:, 3] * 7 + noise[:, 4] * 49, variance[3], rtol=_SLACK
    )
    if not (fits and np.isfinite(noise).all() and np.all(noise[:, 1] != 0)):
        names = {type(binding.observables[n].noise).__name__ for n in binding.observed.names}
        raise CapabilityError(
            f"the noise {', '.join(sorted(names - {Exact.__name__}))} has no linear mean and "
            "quadratic variance, which learning structure needs; use Normal, Poisson or "
            "NegativeBinomial."
        )
    return look, noise


def _summed_up(values: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Return covariances [T, O, O], numbers [T] and means [1, T, O] of snapshots [N, T, O]."""
    scatter, counts, means = [], [], []
    for t in range(values.shape[1]):
        cells = values[np.isfinite(values[:, t]).all(1), t]
        if len(cells) < 2:
            raise DataError(f"the snapshot at time {t} has fewer than two complete cells.")
        means.append(cells.mean(0))
        scatter.append(np.atleast_2d(np.cov(cells.T, bias=True)))
        counts.append(len(cells))
    return np.array(scatter), np.array(counts, np.int64), np.array(means)[None]


def _known_rates(binding: Binding, library: ReactionLibrary) -> dict[int, float]:
    """Return the rates of candidates that an experiment's conditions give."""
    names = library.network.parameters
    known: dict[int, float] = {}
    for name, value in binding.experiment.conditions.items():
        if name not in names or not isinstance(value, (int, float)):
            raise CapabilityError(
                f"`conditions[{name!r}]` is {value!r}, but structure is learnt from experiments "
                "that differ in initial values, or in rates of candidates that are known numbers."
            )
        index = library.network.rate_index
        known |= {int(r): float(value) for r in np.flatnonzero(index == names.index(name))}
    return known

"""What is wrong with a posterior that was sampled well: told from its draws and from data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from tumble._errors import CapabilityError
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.posteriors._abc import Simulated
from tumble.posteriors._base import PosteriorTask

_FEW = 100.0  # effective draws, with fewer of which shapes are not judged
_FREE = 0.64  # of the prior's variance, from which on a direction is free
_LIKE = 0.2  # the largest difference of distribution functions that are called alike
_EDGE, _AT_EDGE = 0.02, 0.05  # of the width of the bounds; the share of draws in it
_VALLEY = 0.5  # of the lower of two peaks, what lies between two modes
_LEAST_MODE = 0.05  # the share of draws in a mode
_SIMULATED = 200  # data sets to compare the observed one with
_FAR = 1.2  # times the distance of the farthest of these
_STILL = 0.75  # the share of times from which on nothing changes
_NOTED = 0.3  # of a direction of length 1, entries that are named


class Finding(NamedTuple):
    """What was found: a code, or None where it is but worth knowing, and in words."""

    code: ResultCode | None
    words: str


def findings(
    task: PosteriorTask, z: FloatArray, weights: FloatArray, *, simulates: bool
) -> list[Finding]:
    """Return what draws z [N, P] with weights [N] say about a posterior, the gravest first.

    Unless it ``simulates``, `MISSPECIFIED` is not looked for.

    - `EXTINCT`: the data do not change in the last three quarters of their times.
    - `MISSPECIFIED`: of 200 data sets simulated at draws none is nearly as far from their middle as
      the observed one (root mean square of standardized differences).
    - `AT_BOUND`: more than 5 % of the draws are within 2 % of a bound.
    - `NOT_IDENTIFIED`: a direction in which the posterior is as wide as the prior, about; no code
      where all its parameters were given priors, which then are what is known.
    - `MULTIMODAL`: two peaks, along a parameter or a principal axis, and between them less than
      half of the lower one.
    """
    found = _extinct(task)
    if simulates:
        found += _misspecified(task, z, weights)
    if 1 / (weights**2).sum() >= _FEW:
        w = task.prior.to_normal(z)
        found += [*_at_bound(task, z, weights), *_free(task, w, weights)]
        if not any(f.code is ResultCode.NOT_IDENTIFIED for f in found):
            found += _multimodal(task, w, weights)
    return found


def _extinct(task: PosteriorTask) -> list[Finding]:
    """Return whether the data stop changing early, all of them."""
    problem = task.problem
    if problem.kind != "series":
        return []
    since = []
    for binding in problem.bindings:
        seen = binding.observed.values  # [N, T, O]
        last = seen[:, -1:]
        moving = np.flatnonzero((~((seen == last) | np.isnan(seen))).any((0, 2)))
        first = int(moving[-1]) + 1 if len(moving) else 0
        if len(binding.times) < 2 or first > (1 - _STILL) * len(binding.times):
            return []
        since.append(float(binding.times[first]))
    return [
        Finding(
            ResultCode.EXTINCT,
            f"the data do not change from time {max(since):.4g} on, as where a population died out",
        )
    ]


def _misspecified(task: PosteriorTask, z: FloatArray, weights: FloatArray) -> list[Finding]:
    """Return whether the observed data set is unlike those that the model makes."""
    rng = task.stream.child("check").numpy()
    try:
        simulated = Simulated(task, None, "check")
        chosen = z[rng.choice(len(z), _SIMULATED, p=weights)]
        summaries = simulated.summaries(chosen, 0)
    except CapabilityError:  # a data set takes too many runs; see `DataSets`
        return []
    well = summaries[np.isfinite(summaries).all(1)]
    if len(well) < _SIMULATED / 2:
        return []
    scale = simulated.comparison.scale(well)
    middle = np.median(well, axis=0)
    away = np.sqrt(np.mean(((well - middle) / scale) ** 2, axis=1))
    own = float(np.sqrt(np.mean(((simulated.comparison.observed - middle) / scale) ** 2)))
    if own <= _FAR * away.max():
        return []
    return [
        Finding(
            ResultCode.MISSPECIFIED,
            f"the observed data are {own / np.median(away):.2g} times as far from the middle of "
            "what the model makes of the posterior as its data sets are",
        )
    ]


def _at_bound(task: PosteriorTask, z: FloatArray, weights: FloatArray) -> list[Finding]:
    space = task.problem.space
    share = (z - space.lower) / (space.upper - space.lower)
    found = []
    for p, name in enumerate(space.names):
        for side, near in (("lower", share[:, p] < _EDGE), ("upper", share[:, p] > 1 - _EDGE)):
            held = float(weights[near].sum())
            if held > _AT_EDGE:
                words = f"{100 * held:.0f} % of the draws of {name!r} are at its {side} bound"
                found.append(Finding(ResultCode.AT_BOUND, words))
    return found


def _free(task: PosteriorTask, w: FloatArray, weights: FloatArray) -> list[Finding]:
    """Return the directions in which the posterior is the prior, about."""
    found, known = [], task.prior.has_own
    for direction, values, variance in _axes(w, weights):
        if variance >= _FREE and _unlike_prior(values, weights) < _LIKE:
            words = f"the data say nothing about {_named(direction, task.problem.space.names)}"
            meant = known[np.abs(direction) > _NOTED].all()
            found.append(Finding(None if meant else ResultCode.NOT_IDENTIFIED, words))
    return found


def _multimodal(task: PosteriorTask, w: FloatArray, weights: FloatArray) -> list[Finding]:
    names = task.problem.space.names
    columns = [(np.eye(len(names))[p], w[:, p]) for p in range(len(names))]
    columns += [(direction, values) for direction, values, _ in _axes(w, weights)]
    for direction, values in columns:
        if _has_valley(values, weights):
            words = f"there are several modes, apart in {_named(direction, names)}"
            return [Finding(ResultCode.MULTIMODAL, words)]
    return []


def _axes(w: FloatArray, weights: FloatArray) -> list[tuple[FloatArray, FloatArray, float]]:
    """Return principal axes [P], the widest first, with w along them [N] and their variances."""
    covariance = np.atleast_2d(np.cov(w.T, aweights=weights))
    variances, axes = np.linalg.eigh(covariance)
    return [(axes[:, k], w @ axes[:, k], float(variances[k])) for k in np.argsort(-variances)]


def _unlike_prior(values: FloatArray, weights: FloatArray) -> float:
    """Return the largest difference from the distribution function of a standard normal law."""
    order = np.argsort(values)
    return float(np.abs(np.cumsum(weights[order]) - norm.cdf(values[order])).max())


def _has_valley(values: FloatArray, weights: FloatArray) -> bool:
    """Return whether the density of weighted values has two modes with a valley between."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    low, quarter, upper, high = np.interp([0.001, 0.25, 0.75, 0.999], total, values[order])
    mean = weights @ values
    spread = min(float(np.sqrt(weights @ (values - mean) ** 2)), float(upper - quarter) / 1.34)
    width = 0.9 * spread * (weights**2).sum() ** 0.2
    if not width > 0:
        return False
    grid = np.linspace(low - 3 * width, high + 3 * width, 200)
    kernel = np.exp(-0.5 * ((grid[:, None] - values) / width) ** 2)
    density = kernel @ weights
    held = np.interp(grid, values[order], total)
    left, right = np.maximum.accumulate(density), np.maximum.accumulate(density[::-1])[::-1]
    is_valley = density < _VALLEY * np.minimum(left, right)
    return bool(np.any(is_valley & (held > _LEAST_MODE) & (held < 1 - _LEAST_MODE)))


def _named(direction: FloatArray, names: tuple[str, ...]) -> str:
    """Return a direction in words."""
    order = [p for p in np.argsort(-np.abs(direction)) if abs(direction[p]) > _NOTED]
    if len(order) == 1:
        return repr(names[order[0]])
    sign = np.sign(direction[order[0]])
    ways = ["up" if sign * direction[p] > 0 else "down" for p in order]
    return "what takes " + ", ".join(
        f"{names[p]!r} {way}" for p, way in zip(order, ways, strict=True)
    )

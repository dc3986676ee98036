"""How far each parameter may go, the others following it: profile likelihood."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize, stats

from tumble._errors import CapabilityError, ParameterError, require_member, shown
from tumble._fit_result import FitResult
from tumble._typing import FloatArray
from tumble.objectives import BoundLikelihood, PathLikelihood

_STEPS = 60  # on each side, at most
_APART = 0.35  # nats between two points of a profile, about
_BEYOND = 1.3  # times what the interval needs, at which a profile ends
_GROW = (0.25, 2.0)  # of a step, by the last one
_TRIES, _CLOSE = 12, 2e-3  # to find an end, and how near the drop has to come
_FIRST = 0.02  # of the range of a parameter, the first step where no error is known


@dataclass(frozen=True)
class Profile:
    """The profile of one parameter. Final.

    ``values`` [n] in the natural scale, ascending; ``drop`` [n], by how much the log likelihood is
    lower there than at its best, the others at their best; the ``interval`` in which it drops by
    less than the level asks, -∞ or ∞ where it does not before the bound.
    """

    name: str
    values: FloatArray
    drop: FloatArray
    interval: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Identified, or not, in words."""
        low, high = np.isfinite(self.interval)
        if low and high:
            return "identified"
        if not low and not high:
            return "not identified"
        return "no upper limit within its bounds" if low else "no lower limit within its bounds"


@dataclass(frozen=True, repr=False)
class Profiles:
    """Profiles of all parameters of a fit, at a ``level``."""

    profiles: tuple[Profile, ...]
    level: float

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each parameter."""
        return {p.name: p.interval for p in self.profiles}

    def summary(self) -> str:
        """Return intervals and verdicts, one a line."""
        width = max(len(p.name) for p in self.profiles)
        lines = [f"Profile likelihood, {100 * self.level:g} % intervals"]
        for p in self.profiles:
            low, high = p.interval
            lines.append(f"  {p.name:<{width}}  [{low:.4g}, {high:.4g}]  {p.verdict}")
        return "\n".join(lines)

    __repr__ = summary


def profile_likelihood(fit: FitResult, *, level: float = 0.95) -> Profiles:
    """Return how far each parameter may go before the data disagree, the others following it.

    Definition: at each value of a parameter the likelihood is maximized over the others, within
    their bounds; where it drops by half the quantile ``level`` of χ² with one degree of freedom,
    the interval ends. With priors it is their product with the likelihood. Other than an interval
    by standard errors it need not be symmetric, and it says where data set no limit at all.

    Arguments: ``fit`` by a `PathLikelihood`; ``level``, default 0.95.

    Guarantee: asymptotically ``level`` where the likelihood is exact and parameters are inside
    their bounds.

    Raises `CapabilityError` for a fit by another objective, which has no likelihood.

    References: Venzon, Moolgavkar, Appl. Stat. 37 (1988), doi:10.2307/2347496; Raue et al.,
    Bioinformatics 25 (2009), doi:10.1093/bioinformatics/btp358 (identifiability).
    """
    require_member("fit", fit, FitResult, "the result of `fit`")
    if not (isinstance(level, (int, float)) and 0 < level < 1):
        raise ParameterError(f"`level` is {shown(level)}, expected a number in (0, 1).")
    if not isinstance(fit.objective, PathLikelihood):
        raise CapabilityError(
            f"a fit by {type(fit.objective).__name__} has no likelihood to profile; fit with "
            "objective=PathLikelihood(), or see `bootstrap`."
        )
    bound = fit.objective.bind(fit.problem)
    space = fit.problem.space
    errors = np.sqrt(np.diag(fit.covariance))
    best = _Best(bound, _refined(bound, fit.fit_scale))
    wanted = float(stats.chi2.ppf(level, 1)) / 2
    found = []
    for p, name in enumerate(space.names):
        width = space.upper[p] - space.lower[p]
        known = np.isfinite(errors[p]) and errors[p] > 0
        step = min(errors[p] / 2, width / 4) if known else _FIRST * width
        low, high = (_side(best, p, sign * step, wanted) for sign in (-1.0, 1.0))
        z = np.concatenate([low[0][::-1], best.z[None], high[0]])
        drop = np.concatenate([low[1][::-1], [0.0], high[1]])
        values = np.asarray(space.from_fit(z))[:, p]
        ends = [_end(best, p, *side, wanted) for side in (low, high)]
        interval = (-np.inf if ends[0] is None else ends[0], np.inf if ends[1] is None else ends[1])
        found.append(Profile(name, values, drop, interval))
    return Profiles(tuple(found), float(level))


@dataclass(frozen=True)
class _Best:
    """The most likely parameters z [P]. Final."""

    bound: BoundLikelihood
    z: FloatArray

    @cached_property
    def loss(self) -> float:
        """Minus the log likelihood there."""
        return float(self.bound.values(self.z[None])[0])


def _refined(bound: BoundLikelihood, z: FloatArray) -> FloatArray:
    return _maximized(bound, z, np.ones(len(z), bool))[0]


def _maximized(
    bound: BoundLikelihood, start: FloatArray, free: FloatArray
) -> tuple[FloatArray, float]:
    """Return z [P] with the free entries at their best, from ``start``, and the loss there."""
    space = bound.problem.space

    def loss(values: FloatArray) -> tuple[float, FloatArray]:
        z = start.copy()
        z[free] = values
        found = bound.evaluate(z[None])
        value = float(found.values[0])
        slope = np.nan_to_num(found.gradients[0][free])
        return (value if np.isfinite(value) else 1e300), slope

    if not free.any():
        return start, float(bound.values(start[None])[0])
    bounds = list(zip(space.lower[free], space.upper[free], strict=True))
    done = optimize.minimize(loss, start[free], jac=True, method="L-BFGS-B", bounds=bounds)
    z = start.copy()
    z[free] = done.x
    return z, float(done.fun)


def _side(best: _Best, p: int, step: float, wanted: float) -> tuple[FloatArray, FloatArray]:
    """Return points z [n, P] of the profile on one side, outward, and drops [n]."""
    space, loss = best.bound.problem.space, best.loss
    free = np.arange(space.size) != p
    path: list[FloatArray] = []
    drops: list[float] = []
    z, last = best.z, 0.0
    for _ in range(_STEPS):
        there = z.copy()
        if len(path) > 1:  # the others go on as they went
            there = z + (z - path[-2]) * step / (z[p] - path[-2][p])
        there[p] = z[p] + step
        there = space.clip(there)
        if there[p] == z[p]:
            break
        z, value = _maximized(best.bound, there, free)
        drop = max(value - loss, 0.0)
        path.append(z)
        drops.append(drop)
        if drop > _BEYOND * wanted:
            break
        low, high = _GROW
        step *= float(np.clip(_APART / max(drop - last, 1e-9), low, high))
        last = drop
    return np.array(path).reshape(-1, space.size), np.array(drops)


def _end(best: _Best, p: int, path: FloatArray, drops: FloatArray, wanted: float) -> float | None:
    """Return where a side of a profile drops by what is wanted, in the natural scale, or None."""
    over = np.flatnonzero(drops >= wanted)
    if not len(over):
        return None
    free = np.arange(len(best.z)) != p
    outer, drop = path[over[0]], drops[over[0]]
    inner, inner_drop = (
        (path[over[0] - 1], drops[over[0] - 1]) if over[0] else (best.z, 0.0)
    )  # fmt: skip
    for _ in range(_TRIES):
        # The root of a drop is about straight.
        a, b, c = np.sqrt([inner_drop, drop, wanted])
        share = np.clip((c - a) / (b - a), 0.05, 0.95)
        z, value = _maximized(best.bound, inner + share * (outer - inner), free)
        found = max(value - best.loss, 0.0)
        if found >= wanted:
            outer, drop = z, found
        else:
            inner, inner_drop = z, found
        if abs(found - wanted) < _CLOSE * wanted:
            break
    return float(np.asarray(best.bound.problem.space.from_fit(z))[p])

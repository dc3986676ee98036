"""Expected features as polynomials of the parameters, within the posterior."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import numpy as np

from tumble._errors import SimulationError, require_whole
from tumble._random import Stream
from tumble._typing import FloatArray, IntArray
from tumble.gradients import assemble
from tumble.gradients._base import MIN_SAMPLES
from tumble.losses import times
from tumble.posteriors._langevin import Slopes
from tumble.posteriors._loss_slopes import AbstractSlopes, AbstractSlopesState, Setting, Tried

_OFF = 0.2  # what would shift draws by one standard deviation, as errors of slopes at most
_NOISE = 0.1  # standard deviations that noise at the places may leave in the mean of draws
_SURE = 2.0  # standard errors
_LEAST_PLACES, _LEAST_ROUNDS, _ROUNDS = 8, 2, 8
_FEWEST, _MOST = 256, 2**16  # runs of a place
_LOWEST, _DEGREES = 2, (2, 3, 4)
_FAR_PART = 4  # one of so many places is as far out as chains have been
_BEYOND = 0.02  # the share of steps that may lead farther out
_EQUATIONS = 1.5  # for each coefficient
_LEAST_SPREAD, _TINY = 1e-12, 1e-300


@dataclass(frozen=True)
class ResponseSurface(AbstractSlopes):
    """Slopes of a loss whose expected features are polynomials of the parameters. Final.

    Definition: features and their Jacobian are simulated at places among the chains, a quarter of
    them as far out as chains have been. Polynomials
    are fitted to both by least squares, weighted by the errors of either; the loss and its slopes
    are those of the polynomials. Then slopes are simulated at further places, and compared: while
    they differ by more than a fifth of what would shift draws by their standard deviation, beyond
    their errors, the new places are added and the degree is raised from 2 to 4, as far as places
    are enough.

    Raises `SimulationError` where they still differ after eight rounds.

    Guarantee: no error that those places show. Draws cost no runs, so that the number of runs does
    not depend on theirs.

    Arguments: ``num_runs`` of the simulator a place, default 256 or as many as leave a tenth of a
    standard deviation in the mean of draws; ``num_places`` a round, default 8, or twice the
    parameters where these are more than 4.

    When: by default. For many parameters with features that bend, `FreshRuns`.

    Reference: Box, Wilson, J. R. Stat. Soc. B 13 (1951), doi:10.1111/j.2517-6161.1951.tb00067.x.
    """

    num_chains: ClassVar[int] = 32
    step: ClassVar[float] = 0.2
    num_runs: int | None = None
    num_places: int | None = None

    def __post_init__(self) -> None:
        if self.num_runs is not None:
            require_whole("num_runs", self.num_runs, MIN_SAMPLES)
        if self.num_places is not None:
            require_whole("num_places", self.num_places, 2)

    def init(self, setting: Setting, noise: FloatArray, most: float) -> SurfaceState:
        """See `AbstractSlopes.init`: at first the parabola of the optimum."""
        num_places = self.num_places or max(_LEAST_PLACES, 2 * len(noise))
        wanted = np.linalg.eigvalsh(noise)[-1] / _NOISE**2 / (_LEAST_ROUNDS * num_places)
        fewest = _FEWEST * setting.estimator.runs_in_all(setting.bound)
        num_runs = self.num_runs or int(np.clip(np.ceil(wanted), fewest, _MOST))
        return SurfaceState(num_runs, num_places)


class Place(NamedTuple):
    """What was simulated at u [P]: mean features [F] and Jacobian [F, P], and their errors.

    ``feature_noise``, the variance of the features as the loss weighs them, and ``jacobian_noise``
    [P, P], that of the Jacobian; the ``slope`` [P] of the loss, and ``noise`` [P, P], its
    covariance.
    """

    u: FloatArray
    features: FloatArray
    jacobian: FloatArray
    feature_noise: float
    jacobian_noise: FloatArray
    slope: FloatArray
    noise: FloatArray


@dataclass(frozen=True)
class Polynomials:
    """Polynomials of v = ``inverse`` (u − ``center``). Final.

    ``powers`` [Q, P] of each term, ``coefficients`` [Q, F]; ``reach``, the length of v up to which
    there are places.
    """

    center: FloatArray
    inverse: FloatArray
    powers: IntArray
    coefficients: FloatArray
    reach: float

    def within(self, u: FloatArray) -> FloatArray:
        """Return u [C, P], drawn towards the center to where there are places."""
        away = u - self.center
        far = np.linalg.norm(away @ self.inverse.T, axis=1, keepdims=True)
        drawn = self.center + away * (self.reach / np.maximum(far, self.reach))
        return np.asarray(np.where(far > self.reach, drawn, u))

    def features(self, u: FloatArray) -> FloatArray:
        """Return them [C, F] at u [C, P]."""
        return _terms((u - self.center) @ self.inverse.T, self.powers) @ self.coefficients

    def jacobians(self, u: FloatArray) -> FloatArray:
        """Return their derivatives [C, F, P] at u [C, P]."""
        slopes = _slopes((u - self.center) @ self.inverse.T, self.powers)
        return np.einsum("cqp,qf,pr->cfr", slopes, self.coefficients, self.inverse, optimize=True)


@dataclass(frozen=True)
class SurfaceState(AbstractSlopesState):
    """`ResponseSurface` of one loss, with the places that it was fitted to. Final.

    ``off``, the error of slopes that the last places showed, in units that shift draws by their
    standard deviation.
    """

    num_runs: int
    num_places: int
    places: tuple[Place, ...] = ()
    polynomials: Polynomials | None = None
    ready: bool = False
    off: float = np.inf
    num_rounds: int = 0

    @property
    def words(self) -> str:
        """See `AbstractSlopesState.words`."""
        count = len(self.places)
        return f"a surface of degree {self.degree} over {count} places, off by {self.off:.2f}"

    def at(self, setting: Setting, u: FloatArray, stream: Stream) -> Slopes:
        """See `AbstractSlopesState.at`: no runs.

        Farther out than all places, where polynomials turn, the slope goes on with the curvature
        that the loss has there.
        """
        nothing = np.zeros((*u.shape, u.shape[1]))
        if self.polynomials is None:
            optimum = setting.optimum
            return Slopes((u - optimum.z) @ optimum.curvature + optimum.slope, nothing)
        inside = self.polynomials.within(u)
        pull = setting.bound.slope(self.polynomials.features(inside))
        slope = np.einsum("cf,cfp->cp", pull, self.polynomials.jacobians(inside))
        for c in np.flatnonzero(np.any(u != inside, axis=1)):
            slope[c] += self._curvature(setting, inside[c]) @ (u[c] - inside[c])
        return Slopes(slope, nothing)

    def after(self, setting: Setting, tried: Tried, stream: Stream) -> SurfaceState:
        """See `AbstractSlopesState.after`: look at further places, and fit anew."""
        size = tried.u.shape[1]
        spread = np.cov(tried.u.T).reshape(size, size)
        root = np.linalg.cholesky(spread + np.eye(size) * (_LEAST_SPREAD * spread.max() + _TINY))
        chosen = self._chosen(tried.u, root, stream.child("places").numpy())
        inside = np.asarray(setting.task.problem.space.clip(chosen))
        found = [
            self._simulated(setting, u, stream.child("place", i)) for i, u in enumerate(inside)
        ]
        fresh = [place for place in found if place is not None]
        if len(fresh) < max(2, len(found) / 2):
            raise SimulationError(
                f"at {len(found) - len(fresh)} of {len(found)} places around the optimum the "
                "simulator fails; narrow the bounds or give priors."
            )
        off2, error = self._off(setting, fresh, root)
        is_right = self.polynomials is not None and off2 <= _OFF**2 + _SURE * error
        count = self.num_rounds + 1
        if not is_right and count >= _ROUNDS:
            raise SimulationError(
                f"slopes of the loss by {self.words} are still wrong by more than {_OFF} standard "
                "deviations of the posterior; use LossPosterior(slopes=FreshRuns()), or narrow the "
                "bounds."
            )
        degree = self.degree if is_right or self.degree < _LOWEST else self.degree + 1
        grown = replace(
            self, places=(*self.places, *fresh), off=float(np.sqrt(max(off2, 0.0))),
            ready=is_right and (count >= _ROUNDS or self._share_beyond(tried.u) <= _BEYOND),
            num_rounds=count,
        )  # fmt: skip
        return replace(grown, polynomials=grown._fitted(tried.u.mean(0), root, degree))

    # -- private -----------------------------------------------------

    def _curvature(self, setting: Setting, u: FloatArray) -> FloatArray:
        """Return that of the loss [P, P] at u [P], without second derivatives of features."""
        assert self.polynomials is not None
        slopes = self.polynomials.jacobians(u[None])[0]
        second = setting.bound.loss.stiffness(self.polynomials.features(u[None])[0])
        return np.asarray(slopes.T @ times(second, slopes))

    @property
    def degree(self) -> int:
        """Of the polynomials, 0 before there are any."""
        return 0 if self.polynomials is None else int(self.polynomials.powers.sum(1).max())

    def _chosen(self, u: FloatArray, root: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Return places to simulate at, among u [N, P]: the farthest ones, and others at random."""
        far = np.linalg.norm((u - u.mean(0)) @ np.linalg.inv(root).T, axis=1)
        order = np.argsort(-far)
        count = self.num_places // _FAR_PART
        return np.concatenate([u[order[:count]], u[rng.permutation(order[count:])]])[
            : self.num_places
        ]

    def _share_beyond(self, u: FloatArray) -> float:
        """Return the share of u [N, P] farther out than all places so far."""
        assert self.polynomials is not None
        return float(np.any(self.polynomials.within(u) != u, axis=1).mean())

    def _simulated(self, setting: Setting, u: FloatArray, stream: Stream) -> Place | None:
        """Return what runs at u [P] say; None where they fail."""
        task = setting.task
        each = setting.estimator.runs_in_all(setting.bound)
        count = max(MIN_SAMPLES, self.num_runs // each)
        try:
            sampled = setting.estimator.sample(setting.bound, u, count, stream, task.executor)
        except SimulationError:
            return None
        task.spending.simulations += sampled.num_runs
        found = assemble(setting.bound, sampled)
        assert found.curvature_noise is not None
        mean = sampled.features.mean(0)
        away = (sampled.features - mean).T
        squares = away * times(setting.bound.loss.stiffness(mean), away)
        return Place(
            u, mean, sampled.jacobians.mean(0), float(squares.sum() / count / (count - 1)),
            found.curvature_noise, found.gradient, found.covariance,
        )  # fmt: skip

    def _off(self, setting: Setting, places: list[Place], root: FloatArray) -> tuple[float, float]:
        """Return the mean square by which slopes are off at new places, and its error.

        In units that shift draws by their standard deviations, for each parameter; ``root`` [P, P]
        of the covariance of draws.
        """
        there = np.stack([place.u for place in places])
        known = self.at(setting, there, setting.task.stream).slope
        pull = setting.weight * root
        away = (np.stack([place.slope for place in places]) - known) @ pull
        noise = np.stack([pull.T @ place.noise @ pull for place in places])
        size = len(root) * len(places)
        excess = (away**2).sum() - np.trace(noise.sum(0))
        # Of normal errors, the squared length has variance 2 tr(N²).
        return float(excess / size), float(np.sqrt(2 * (noise**2).sum()) / size)

    def _fitted(self, center: FloatArray, root: FloatArray, wanted: int) -> Polynomials:
        """Return polynomials of a ``wanted`` degree, or of the highest that places allow."""
        size = len(center)
        equations = len(self.places) * (1 + size)
        able = [d for d in _DEGREES if _EQUATIONS * len(_powers(size, d)) <= equations]
        powers = _powers(size, min(max(wanted, _LOWEST), max(able, default=1)))
        inverse = np.asarray(np.linalg.inv(root))
        v = (np.stack([place.u for place in self.places]) - center) @ inverse.T
        rows = np.concatenate([_terms(v, powers)[:, :, None], _slopes(v, powers)], axis=2)
        sides = np.stack([np.column_stack([p.features, p.jacobian @ root]) for p in self.places])
        variances = np.stack(
            [[p.feature_noise, *np.diag(root.T @ p.jacobian_noise @ root)] for p in self.places]
        )
        # Where there is no noise all count alike.
        floor = _LEAST_SPREAD * variances.max() + _TINY
        weight = 1 / np.sqrt(np.maximum(variances, floor))[:, None]
        left = np.moveaxis(rows * weight, 2, 1).reshape(-1, len(powers))
        right = np.moveaxis(sides * weight, 2, 1).reshape(-1, sides.shape[1])
        coefficients = np.linalg.lstsq(left, right)[0]
        reach = float(np.linalg.norm(v, axis=1).max())
        return Polynomials(center, inverse, powers, np.asarray(coefficients), reach)


def _powers(size: int, degree: int) -> IntArray:
    """Return the powers [Q, P] of all terms up to a degree."""
    return np.array(
        [
            np.bincount(chosen, minlength=size)
            for total in range(degree + 1)
            for chosen in itertools.combinations_with_replacement(range(size), total)
        ],
        dtype=int,
    ).reshape(-1, size)


def _terms(v: FloatArray, powers: IntArray) -> FloatArray:
    """Return the terms [n, Q] at v [n, P]."""
    return np.asarray(np.prod(v[:, None, :] ** powers, axis=2))


def _slopes(v: FloatArray, powers: IntArray) -> FloatArray:
    """Return the derivatives [n, Q, P] of the terms at v [n, P]."""
    columns = []
    for p in range(v.shape[1]):
        lowered = powers.copy()
        lowered[:, p] = np.maximum(lowered[:, p] - 1, 0)
        columns.append(powers[:, p] * _terms(v, lowered))
    return np.stack(columns, axis=2)

"""A loss that is read as a −log likelihood, of the spread that the sandwich says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tumble._fit_result import FitResult
from tumble._results import ResultCode
from tumble._typing import FloatArray
from tumble.gradients import AbstractEstimator, without_noise
from tumble.objectives import BoundOutputs
from tumble.posteriors._base import PosteriorTask
from tumble.posteriors._langevin import Slopes

_NOTHING = 1e-10  # of the largest eigenvalue: a direction that the data leave free
_RUNS, _MOST_TIMES = 4096, 16  # for the curvature at the optimum
_LARGEST_NOISE = 0.03  # of it, in any direction
_MIDDLE = 3.0  # standard deviations of the prior, between which the search for the mode starts


@dataclass(frozen=True)
class Optimum:
    """What is known of a loss where a fit found it to be least. Final.

    ``z`` [P] on the fit scale, and the ``covariance`` [P, P] of its errors, with rows of 0 at
    bounds; how the fit ended, ``result``, and ``num_runs`` that it took. Of the loss there, its
    ``slope`` [P], with ``noise`` [P, P], the covariance that one run would leave in it, and its
    ``curvature`` [P, P], free of noise.
    """

    z: FloatArray
    covariance: FloatArray
    result: ResultCode
    num_runs: int
    slope: FloatArray
    noise: FloatArray
    curvature: FloatArray


def looked_at(
    task: PosteriorTask, bound: BoundOutputs, estimator: AbstractEstimator, found: FitResult
) -> Optimum:
    """Return what a fit has found, with slope and curvature from enough runs for the curvature."""
    wanted, z = _RUNS, found.fit_scale
    while True:
        stream = task.stream.child("optimum", wanted)
        here = estimator.estimate(bound, z, task.affordable(wanted, 1), stream, task.executor)
        task.spending.simulations += here.num_runs
        assert here.curvature is not None and here.curvature_noise is not None
        sharp = without_noise(here.curvature, here.curvature_noise)
        share = np.linalg.pinv(sharp, hermitian=True) @ here.curvature_noise
        wanted *= 4
        is_precise = np.linalg.eigvals(share).real.max() <= _LARGEST_NOISE
        if is_precise or wanted > _MOST_TIMES * _RUNS or task.spending.exhausted:
            return Optimum(
                z, found.covariance, found.result, int(found.stats["runs"]), here.gradient,
                here.covariance * here.num_runs, sharp,
            )  # fmt: skip


@dataclass(frozen=True)
class Adjustment:
    """How a loss L becomes a −log likelihood: w L(u) with u = a + C (z − a). Final.

    ``anchor`` a [P], ``weight`` w, ``map`` C [P, P]; ``precision`` [P, P], the curvature of w L(u)
    in z at the anchor.
    """

    anchor: FloatArray
    weight: float
    map: FloatArray
    precision: FloatArray

    def mapped(self, z: FloatArray) -> FloatArray:
        """Return u [n, P] of z [n, P]."""
        return np.asarray(self.anchor + (z - self.anchor) @ self.map.T)

    @classmethod
    def plain(cls, optimum: Optimum, weight: float) -> Adjustment:
        """Return none: the loss times ``weight`` as it is."""
        return cls(optimum.z, weight, np.eye(len(optimum.z)), weight * optimum.curvature)

    @classmethod
    def by_sandwich(cls, optimum: Optimum, covariance: FloatArray, at_bound: bool) -> Adjustment:
        """Return that after which the curvature is the inverse of a ``covariance`` V [P, P].

        With H the curvature of the loss, w is the inverse of the geometric mean of the eigenvalues
        of V H, so that C is the identity where the loss is a −log likelihood but for a factor. C is
        the positive matrix with C w H C = V⁻¹: of all maps that take the normal law of covariance V
        to that of (w H)⁻¹, the one that moves points the least. Where the optimum is ``at_bound``
        the anchor is where a parabola of slope and curvature as there has its minimum, beyond it.

        Reference: Olkin, Pukelsheim, Linear Algebra Appl. 48 (1982),
        doi:10.1016/0024-3795(82)90112-4.
        """
        curvature = optimum.curvature
        precision = np.asarray(np.linalg.pinv(covariance, rcond=_NOTHING, hermitian=True))
        ratios = np.linalg.eigvals(covariance @ curvature).real
        known = ratios > _NOTHING * max(float(ratios.max()), 1e-300)
        weight = float(np.exp(-np.log(ratios[known]).mean())) if known.any() else 1.0
        root, inverse = _roots(weight * curvature)
        middle = _roots(root @ precision @ root)[0]
        anchor = optimum.z
        if at_bound:
            steep = np.linalg.pinv(curvature, rcond=_NOTHING, hermitian=True)
            anchor = anchor - steep @ optimum.slope
        return cls(anchor, weight, inverse @ middle @ inverse, precision)


class AdjustedLoss:
    """−log density of the posterior by an adjusted loss and the prior, and its slopes. Final.

    In coordinates x where the prior is standard normal, which has no bounds.
    """

    def __init__(self, task: PosteriorTask, adjustment: Adjustment) -> None:
        self._task, self._adjustment = task, adjustment

    def mode(self) -> tuple[FloatArray, FloatArray]:
        """Return where the posterior is highest, x [P], and a root R [P, P] of its covariance.

        Of a loss that is a parabola as at its optimum: where chains start, and how they step.
        """
        from scipy.optimize import least_squares

        prior, adjustment = self._task.prior, self._adjustment
        values, vectors = np.linalg.eigh(adjustment.precision)
        rows = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T

        def residuals(x: FloatArray) -> FloatArray:
            away = prior.from_normal(x[None])[0] - adjustment.anchor
            return np.concatenate([x, rows @ away])

        def jacobian(x: FloatArray) -> FloatArray:
            _, slopes = prior.along_normal(x[None])
            return np.concatenate([np.eye(len(x)), rows * slopes[0]])

        inside = self._task.problem.space.clip(adjustment.anchor)
        start = np.clip(prior.to_normal(inside[None])[0], -_MIDDLE, _MIDDLE)
        found = least_squares(residuals, start, jac=jacobian)
        values, vectors = np.linalg.eigh(found.jac.T @ found.jac)
        return found.x, vectors / np.sqrt(values)

    def asked(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return at which u [C, P] slopes of the loss are wanted for x [C, P], and ∂u/∂x."""
        own = self._adjustment
        z, stretch = self._task.prior.along_normal(x)
        return own.mapped(z), own.map * stretch[:, None, :]

    def slopes(self, x: FloatArray, of_loss: Slopes, along: FloatArray) -> Slopes:
        """Return slopes at x from those of the loss at u, and ``along``, ∂u/∂x."""
        pull = self._adjustment.weight * along
        slope = np.einsum("cq,cqp->cp", of_loss.slope, pull) + x
        return Slopes(slope, np.swapaxes(pull, 1, 2) @ of_loss.noise @ pull)


def _roots(matrix: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return square root and its inverse of a positive matrix; 0 along what is none of it."""
    values, vectors = np.linalg.eigh(matrix)
    known = values > _NOTHING * max(float(values.max()), 1e-300)
    root = np.sqrt(np.where(known, values, 0.0))
    inverse = np.where(known, 1 / np.sqrt(np.where(known, values, 1.0)), 0.0)
    return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T

"""The joint density of data and parameters, on a scale without bounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tumble._parameters import Parameter, ParameterSpace
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.objectives import BoundLikelihood, Evaluation
from tumble.optimizers import DeterministicTask, GaussNewton

_EDGE = 12.0  # e⁻¹² of the width from a bound
_START_EDGE = 3.0
_TOLERANCE, _MOST_STEPS = 1e-3, 200
_DIFFERENCE = 1e-3
_LEAST_CURVATURE = 0.05  # of a coordinate whose prior has variance 3.3
_SAME_MODE = 0.1
_TAILS = np.array([1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.05])
_QUANTILES = np.concatenate([_TAILS, np.arange(0.1, 0.95, 0.1), 1 - _TAILS[::-1]])
_NODES = 20


class Mode(NamedTuple):
    """A maximum: where it is, x [P], the log density there, and its covariance [P, P]."""

    x: FloatArray
    log_density: float
    covariance: FloatArray

    @classmethod
    def of_prior(cls, size: int) -> Mode:
        """Return what stands for the prior of so many parameters, where nothing else is known."""
        return cls(np.zeros(size), 0.0, np.pi**2 / 3 * np.eye(size))  # of the logistic distribution

    @property
    def laplace(self) -> float:
        """The logarithm of the integral by Laplace's method."""
        volume = np.linalg.slogdet(2 * np.pi * self.covariance)[1]
        return float(self.log_density + 0.5 * volume)


@dataclass(frozen=True)
class Joint:
    """log p(data, parameters) of one problem, as a density of coordinates x [P] without bounds.

    Definition: on its fit scale a parameter is z = l + (u − l) σ(x), with bounds l, u and the
    logistic function σ. Its prior is the one it was given, cut at the bounds, or else uniform in z:
    log-uniform for a rate on the log scale. In x that is the logistic distribution. A posterior
    that piles up at a bound, or is flat up to it, is a hill in x like any other, with tails that
    fall exponentially.
    """

    problem: Problem
    likelihood: BoundLikelihood

    def z(self, x: FloatArray) -> FloatArray:
        """Return points [M, P] on the fit scale."""
        space = self.problem.space
        return np.asarray(space.clip(space.lower + self._width * _logistic(x)))

    def from_z(self, z: FloatArray) -> FloatArray:
        """Return x [M, P] of points on the fit scale; those near a bound are moved off it."""
        share = (z - self.problem.space.lower) / self._width
        share = np.clip(share, _logistic(-_START_EDGE), _logistic(_START_EDGE))
        return np.log(share / (1 - share))

    def log_prior(self, x: FloatArray) -> FloatArray:
        """Return what the prior adds to the log likelihood [M], the slope of the scale included.

        But for densities of priors that were given, which are part of path likelihoods.
        """
        space, given = self.problem.space, self._given
        total = (-np.abs(x) - 2 * np.log1p(np.exp(-np.abs(x)))).sum(1)
        if given.any():
            steep = np.log(np.maximum(space.slope(self.z(x)), 1e-300) * self._width)
            total = total + ((steep - self._log_mass) * given).sum(1)
        return total

    def log_density(self, x: FloatArray) -> FloatArray:
        """Return the log density [M] at x [M, P]; -inf where it cannot be computed."""
        return self.log_prior(x) - self.likelihood.values(self.z(x))

    def evaluate(self, x: FloatArray) -> Evaluation:
        """Return minus the log density at x [M, P], with gradient and curvature."""
        z, share = self.z(x), _logistic(x)
        found = self.likelihood.evaluate(z)
        steep = self._width * share * (1 - share)
        bend = np.where(self._given, self._bend(z), 0.0)
        gradients = (found.gradients - bend) * steep - (1 - 2 * share)
        curvatures = found.curvatures
        if curvatures is not None:
            curvatures = curvatures * steep[:, :, None] * steep[:, None, :]
            curvatures = curvatures + (2 * share * (1 - share))[:, :, None] * np.eye(x.shape[1])
        return Evaluation(found.values - self.log_prior(x), gradients, curvatures)

    def modes(self, count: int, stream: Stream) -> list[Mode]:
        """Return the distinct maxima that are found from so many starts, the highest first.

        Empty where the density is not finite at any start.
        """
        size = self.problem.space.size
        starts = self.from_z(self.problem.space.starts(count, stream))
        parameter = Parameter(-_EDGE, _EDGE, scale="linear", shape=(size,))
        space = ParameterSpace({"x": parameter})
        task = DeterministicTask(space, lambda x, rows: self.evaluate(x), _TOLERANCE)
        optimizer = GaussNewton()
        state = optimizer.init(task, starts)
        while state.stop is None and state.steps < _MOST_STEPS:
            state, _ = optimizer.step(task, state)
        distinct: list[int] = []
        for m in np.argsort(state.values):
            near = [np.abs(state.z[m] - state.z[k]).max() < _SAME_MODE for k in distinct]
            done = state.finished[m] or not distinct
            if np.isfinite(state.values[m]) and done and not any(near):
                distinct.append(int(m))
        return [Mode(state.z[m], -state.values[m], self._covariance(state.z[m])) for m in distinct]

    # -- private -----------------------------------------------------

    @cached_property
    def _width(self) -> FloatArray:
        return self.problem.space.upper - self.problem.space.lower

    @cached_property
    def _given(self) -> FloatArray:
        """Which entries have a prior of their own [P]."""
        parts = [
            np.full(int(np.prod(p.shape, dtype=int)), p.prior is not None)
            for p in self.problem.space.parameters.values()
        ]
        return np.concatenate(parts) if parts else np.zeros(0, bool)

    @cached_property
    def _log_mass(self) -> FloatArray:
        """Logarithms of what the bounds leave of each prior that was given [P], 0 for others."""
        parts = [
            np.full(int(np.prod(p.shape, dtype=int)), 0.0 if p.prior is None else _log_mass(p))
            for p in self.problem.space.parameters.values()
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _bend(self, z: FloatArray) -> FloatArray:
        """Return d log |dθ/dz| / dz [M, P]."""
        scales = np.array(self.problem.space.scales)
        theta = np.asarray(self.problem.space.from_fit(z))
        return np.where(scales == "log", 1.0, np.where(scales == "logit", 1 - 2 * theta, 0.0))

    def _covariance(self, x: FloatArray) -> FloatArray:
        """Return the inverse of the curvature at x, which is made positive where it is not."""
        size = len(x)
        shifts = np.concatenate([_DIFFERENCE * np.eye(size), -_DIFFERENCE * np.eye(size)])
        gradients = self.evaluate(x + shifts).gradients
        hessian = (gradients[:size] - gradients[size:]) / (2 * _DIFFERENCE)
        if not np.isfinite(hessian).all():
            return np.eye(size)
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        return np.asarray((vectors / np.maximum(values, _LEAST_CURVATURE)) @ vectors.T)


def prior_words(problem: Problem) -> tuple[str, ...]:
    """Return the prior of each parameter, as `Joint` takes it, in words."""
    kinds = {"log": "log-uniform", "linear": "uniform", "logit": "logit-uniform"}
    words = []
    for name, p in problem.space.parameters.items():
        within = f"{p.lower:g} … {p.upper:g}"
        words.append(f"{name} {kinds[p.scale] if p.prior is None else p.prior} in {within}")
    return tuple(words)


def _logistic(x: FloatArray | float) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(x))))


def _log_mass(parameter: Parameter) -> float:
    """Return the logarithm of a prior's mass within the bounds, by quadrature on the fit scale."""
    import jax

    space = ParameterSpace({"p": Parameter(parameter.lower, parameter.upper, parameter.scale)})
    prior = parameter.prior
    assert prior is not None
    inner = np.clip(prior.quantile(_QUANTILES), parameter.lower, parameter.upper)
    edges = np.concatenate([space.lower, space.to_fit(inner[:, None])[:, 0], space.upper])
    edges = np.unique(edges)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half, middle = np.diff(edges)[:, None] / 2, (edges[1:] + edges[:-1])[:, None] / 2
    z = (middle + half * nodes).reshape(-1, 1)
    with jax.enable_x64(True):
        theta = np.asarray(space.from_fit(z))
        density = np.exp(np.asarray(prior.log_prob(theta[:, 0])))
    mass = density * space.slope(z)[:, 0] @ (half * weights).ravel()
    return float(np.log(max(mass, 1e-300)))

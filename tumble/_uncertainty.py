"""Standard errors of a fit, on the fit scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.gradients import AbstractEstimator, gauss_newton, without_noise
from tumble.objectives import BoundLikelihood, BoundOutputs, Surrogate

_DIFFERENCE = 1e-3  # of the gradient, on the fit scale; the gradient itself is exact
_SANDWICH_RUNS = 4096
_LOOK_RUNS = 1024
_MOST_RUNS = 65_536
_LARGEST_NOISE = 0.1  # of the product of Jacobians
_LARGEST_BYTES = 2**30


def observed_information(
    bound: BoundLikelihood, z: FloatArray, free: BoolArray
) -> tuple[FloatArray, str]:
    """Return the covariance [P, P] from the curvature of −log p at z, and how it was found.

    The Hessian is the central difference of the exact gradient over the ``free`` coordinates; rows
    of the others are 0. Where it is not positive definite (no proper maximum) the Fisher
    information takes its place, and failing that NaN.
    """
    index = np.flatnonzero(free)
    size = len(z)
    if len(index) == 0:
        return np.zeros((size, size)), "every parameter is at a bound"
    shifts = np.zeros((2 * len(index), size))
    for k, j in enumerate(index):
        shifts[2 * k, j], shifts[2 * k + 1, j] = _DIFFERENCE, -_DIFFERENCE
    evaluation = bound.evaluate(np.concatenate([z + shifts, z[None]]))
    gradients = evaluation.gradients[:-1, index]
    hessian = (gradients[0::2] - gradients[1::2]) / (2 * _DIFFERENCE)
    hessian = (hessian + hessian.T) / 2
    covariance = np.zeros((size, size))
    words = "observed information"
    block = _inverse_if_positive(hessian)
    if block is None and evaluation.curvatures is not None:
        block = _inverse_if_positive(evaluation.curvatures[-1][np.ix_(index, index)])
        words = "expected information (the observed one is not positive definite)"
    if block is None:
        block = np.full((len(index), len(index)), np.nan)
        words = "unknown: the information is singular"
    covariance[np.ix_(index, index)] = block
    return covariance, words


def sandwich(
    bound: BoundOutputs,
    estimator: AbstractEstimator,
    z: FloatArray,
    free: BoolArray,
    noise: FloatArray,
    stream: Stream,
    executor: Any = None,
) -> tuple[FloatArray, str, int]:
    """Return the covariance [P, P] of a moment estimate, how it was found, and the runs it took.

    (JᵀWJ)⁻¹ JᵀW Σ W J (JᵀWJ)⁻¹ with Σ the covariance of the observed moments, simulated at z, plus
    ``noise`` [P, P], the part due to simulation.
    """
    index = np.flatnonzero(free)
    size = len(z)
    jacobians, runs = _precise_jacobians(bound, estimator, z, index, stream, executor)
    bread = np.linalg.pinv(without_noise(*gauss_newton(jacobians, bound.second)), hermitian=True)
    # The product of independent halves is free of the noise of the Jacobian.
    halves = [jacobians[k::2].mean(0) for k in range(2)]
    meat = _scores_of_data(bound, halves[0], halves[1], z, _SANDWICH_RUNS, stream, executor)
    covariance = np.zeros((size, size))
    covariance[np.ix_(index, index)] = bread @ meat @ bread
    known = np.isfinite(noise).all()
    words = "sandwich of simulated moments"
    if known:
        keep = np.outer(free, free)
        covariance += np.where(keep, noise, 0.0)
        words += ", simulation error included"
    runs += _SANDWICH_RUNS * len(bound.problem.experiments)
    return covariance, words, runs


def data_errors(
    bound: BoundOutputs, surrogate: Surrogate, z: FloatArray, stream: Stream, executor: Any = None
) -> tuple[FloatArray, int]:
    """Return the standard errors [P] that the data leave in a moment estimate, and the runs taken.

    A first look, before estimated Jacobians are precise: the sandwich at z with slopes from the
    linear-noise approximation. 0 where those are not finite, and for losses without a sandwich.
    """
    nothing = np.zeros(len(z)), 0
    if not bound.quadratic:
        return nothing
    slopes = surrogate.slopes(z)
    if not np.all(np.isfinite(slopes)):
        return nothing
    curvature = slopes.T @ (bound.second[:, None] * slopes)
    bread = np.linalg.pinv(curvature, hermitian=True)
    meat = _scores_of_data(bound, slopes, slopes, z, _LOOK_RUNS, stream, executor)
    errors = np.sqrt(np.maximum(np.diag(bread @ meat @ bread), 0.0))
    return errors, _LOOK_RUNS * len(bound.problem.experiments)


def _scores_of_data(
    bound: BoundOutputs,
    left: FloatArray,
    right: FloatArray,
    z: FloatArray,
    num_runs: int,
    stream: Stream,
    executor: Any,
) -> FloatArray:
    """Return LᵀWΣWR [P, P], made symmetric and positive, for slopes L and R [F, P].

    Σ is the covariance of the observed moments, from ``num_runs`` simulated data sets.
    """
    total = np.zeros((left.shape[1], right.shape[1]))
    offset = 0
    for e, experiment in enumerate(bound.problem.experiments):
        branch = stream.child("moments", e)
        features = _simulated_features(bound, e, z, num_runs, branch, executor)
        part = slice(offset, offset + features.shape[1])
        offset += features.shape[1]
        weighted = (features - features.mean(0)) * bound.second[part]
        one, other = weighted @ left[part], weighted @ right[part]
        product = (one.T @ other + other.T @ one) / 2
        total += product / (len(features) - 1) / _num_averaged(experiment)
    return _nearest_positive(total)


def _precise_jacobians(
    bound: BoundOutputs,
    estimator: AbstractEstimator,
    z: FloatArray,
    index: IntArray,
    stream: Stream,
    executor: Any,
) -> tuple[FloatArray, int]:
    """Return per-run Jacobians [n, F, P'], enough for noise to be a tenth of their product."""
    per_sample = estimator.runs_per_sample(bound) * len(bound.problem.bindings)
    wanted, runs = _SANDWICH_RUNS, 0
    parts: list[FloatArray] = []
    while True:
        count = max(64, (wanted - runs) // per_sample)
        sampled = estimator.sample(bound, z, count, stream.child("jacobian", len(parts)), executor)
        parts.append(sampled.jacobians[:, :, index])
        runs += sampled.num_runs
        jacobians = np.concatenate(parts)
        curvature, noise = gauss_newton(jacobians, bound.second)
        share = np.linalg.eigvals(np.linalg.pinv(curvature, hermitian=True) @ noise).real.max()
        wanted *= 2
        if share < _LARGEST_NOISE or wanted > _MOST_RUNS or 2 * jacobians.nbytes > _LARGEST_BYTES:
            return jacobians, runs


def _nearest_positive(matrix: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _simulated_features(
    bound: BoundOutputs,
    experiment: int,
    z: FloatArray,
    num_runs: int,
    stream: Stream,
    executor: Any,
) -> FloatArray:
    """Return the features [n, T K] of simulated data, measurement noise included."""
    problem = bound.problem
    theta = np.asarray(problem.space.from_fit(z))
    sample = problem.simulate_binding(experiment, theta, stream, num_runs, executor)
    data = problem.bindings[experiment].sample_data(
        sample.states, theta, stream.child("noise").numpy()
    )
    features = bound.objective.features(data, np.zeros_like(data), bound.data[experiment], np)
    return np.asarray(features).reshape(len(data), -1)


def _num_averaged(experiment: Any) -> int:
    if experiment.num_averaged is not None:
        return int(experiment.num_averaged) * experiment.data.num_replicates
    return int(experiment.data.num_replicates)


def _inverse_if_positive(matrix: FloatArray) -> FloatArray | None:
    if not np.all(np.isfinite(matrix)):
        return None
    values, vectors = np.linalg.eigh(matrix)
    if values.min() <= 1e-10 * max(values.max(), 1e-300):
        return None
    return (vectors / values) @ vectors.T

"""Standard errors of a fit, on the fit scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray
from tumble.gradients import AbstractEstimator
from tumble.objectives import BoundLikelihood, BoundOutputs

_DIFFERENCE = 1e-3  # of the gradient, on the fit scale; the gradient itself is exact
_SANDWICH_RUNS = 4096


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
    pieces = estimator.runs_per_sample(bound) * len(bound.problem.bindings)
    sampled = estimator.sample(
        bound, z, max(64, _SANDWICH_RUNS // pieces), stream.child("jacobian"), executor
    )
    jacobian = sampled.jacobians.mean(0)[:, index]
    second = bound.second
    bread = np.linalg.pinv(jacobian.T @ (second[:, None] * jacobian), hermitian=True)
    meat = np.zeros((len(index), len(index)))
    offset = 0
    for e, experiment in enumerate(bound.problem.experiments):
        features = _simulated_features(bound, e, z, stream.child("moments", e), executor)
        part = slice(offset, offset + features.shape[1])
        offset += features.shape[1]
        influence = ((features - features.mean(0)) * second[part]) @ jacobian[part]
        meat += influence.T @ influence / (len(features) - 1) / _num_averaged(experiment)
    covariance = np.zeros((size, size))
    covariance[np.ix_(index, index)] = bread @ meat @ bread
    known = np.isfinite(noise).all()
    words = "sandwich of simulated moments"
    if known:
        keep = np.outer(free, free)
        covariance += np.where(keep, noise, 0.0)
        words += ", simulation error included"
    runs = sampled.num_runs + _SANDWICH_RUNS * len(bound.problem.experiments)
    return covariance, words, runs


def _simulated_features(
    bound: BoundOutputs, experiment: int, z: FloatArray, stream: Stream, executor: Any
) -> FloatArray:
    """Return the features [n, T K] of simulated data, measurement noise included."""
    problem = bound.problem
    theta = np.asarray(problem.space.from_fit(z))
    sample = problem.simulate_binding(experiment, theta, stream, _SANDWICH_RUNS, executor)
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

"""Standard errors of a fit, on the fit scale."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tumble._random import Stream
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.gradients import AbstractEstimator, without_noise
from tumble.losses import AbstractKinkedLoss, times
from tumble.objectives import BoundLikelihood, BoundOutputs, Surrogate

_DIFFERENCE = 1e-3  # of the gradient, on the fit scale; the gradient itself is exact
SANDWICH_RUNS = 4096
"""Runs for the covariance of features, and at first for their Jacobian."""

LOOK_RUNS = 1024
"""Runs for a first look at these."""

_MOST_TIMES = 16  # as many runs for the Jacobian as at first
_LARGEST_NOISE = 0.1  # of the product of Jacobians
_GROUPS = 16  # of its runs, from which its noise in standard errors is seen
_LARGEST_ERROR = 0.1  # of a standard error: a coverage of 95 % then loses half a percent
_LARGEST_BYTES = 2**26
_ERROR_DRAWS = 1000  # of the errors of data: leaves 2 % in a standard error


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
    *,
    num_runs: int = SANDWICH_RUNS,
    worth: int = 0,
) -> tuple[FloatArray, str, int]:
    """Return the covariance [P, P] of an estimate by features, how it was found, and the runs.

    B⁻¹ Jᵀ M Σ Mᵀ J B⁻¹ with B = Jᵀ ∂²ℓ/∂m² J, M = ∂²ℓ/∂m∂y and Σ the covariance of the observed
    features, from ``num_runs`` runs at z, plus ``noise`` [P, P], the part due to simulation. For
    squared differences with weights W that is (JᵀWJ)⁻¹ JᵀWΣWJ (JᵀWJ)⁻¹.

    J takes ``num_runs`` or more, until its noise is a tenth of B; and until it leaves a tenth of a
    standard error, as far as that is ``worth`` so many runs.
    """
    index = np.flatnonzero(free)
    size = len(z)
    if len(index) == 0:
        return np.zeros((size, size)), "every parameter is at a bound", 0
    simulated = _simulated_features(bound, z, num_runs, stream, executor)
    moments = np.concatenate([f.mean(0).ravel() for f in simulated])
    second = bound.loss.stiffness(moments)
    kinked = isinstance(bound.loss, AbstractKinkedLoss)

    def filled(jacobian: _Jacobian) -> _Sandwich:
        pulled = np.stack([times(bound.loss.mixed(moments), part) for part in jacobian.means])
        return _Sandwich(jacobian, second, _scores_of_data(bound, pulled, simulated))

    def is_precise(jacobian: _Jacobian, runs: int) -> bool:
        if jacobian.share_of_noise(second) >= _LARGEST_NOISE:
            return False
        return kinked or runs >= worth or filled(jacobian).error() < _LARGEST_ERROR

    jacobian, runs = _precise_jacobian(
        bound, second, estimator, z, index, stream, executor, num_runs, is_precise
    )
    covariance = np.zeros((size, size))
    if isinstance(bound.loss, AbstractKinkedLoss):
        # Noise of the Jacobian makes the loss look sharper than it is.
        product, blur = jacobian.curvature(second)
        response = np.linalg.pinv(without_noise(product, blur), hermitian=True) @ product
        moved = _shifts_of_data(bound.loss, bound, jacobian.means.mean(0), simulated, stream)
        covariance[np.ix_(index, index)] = response @ moved @ response.T
        words = "minima for simulated errors of the data"
    else:
        covariance[np.ix_(index, index)] = filled(jacobian).covariance()
        words = "sandwich of simulated moments"
    known = np.isfinite(noise).all()
    if known:
        keep = np.outer(free, free)
        covariance += np.where(keep, noise, 0.0)
        words += ", simulation error included"
    runs += num_runs * len(bound.problem.experiments)
    return covariance, words, runs


def data_errors(
    bound: BoundOutputs, surrogate: Surrogate, z: FloatArray, stream: Stream, executor: Any = None
) -> tuple[FloatArray, int]:
    """Return the standard errors [P] that the data leave in an estimate, and the runs taken.

    A first look, before estimated Jacobians are precise: the sandwich at z with slopes from the
    linear-noise approximation. 0 where those are not finite, and for losses without a sandwich.
    """
    nothing = np.zeros(len(z)), 0
    if not bound.loss.compares:
        return nothing
    slopes = surrogate.slopes(z)
    if not np.all(np.isfinite(slopes)):
        return nothing
    simulated = _simulated_features(bound, z, LOOK_RUNS, stream, executor)
    moments = np.concatenate([f.mean(0).ravel() for f in simulated])
    if isinstance(bound.loss, AbstractKinkedLoss):
        covariance = _shifts_of_data(bound.loss, bound, slopes, simulated, stream)
    else:
        second, mixed = bound.loss.stiffness(moments), bound.loss.mixed(moments)
        bread = np.linalg.pinv(slopes.T @ times(second, slopes), hermitian=True)
        meat = _scores_of_data(bound, times(mixed, slopes)[None], simulated)[0, :, 0]
        covariance = bread @ _nearest_positive((meat + meat.T) / 2) @ bread
    errors = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    return errors, LOOK_RUNS * len(bound.problem.experiments)


def _scores_of_data(
    bound: BoundOutputs, slopes: FloatArray, simulated: list[FloatArray]
) -> FloatArray:
    """Return L_gᵀ Σ L_h [G, P, G, P] for slopes L_g [G, F, P].

    Σ is the covariance of the observed features y, from simulated data sets: features [n, T, K] of
    each experiment.
    """
    num_groups, num_features, size = slopes.shape
    flat = slopes.transpose(1, 0, 2).reshape(num_features, -1)
    total = np.zeros((flat.shape[1],) * 2)
    for part, features, shares in _blocks(bound, simulated):
        total += _of_block(features, shares, flat[part])
    return total.reshape(num_groups, size, num_groups, size)


def _shifts_of_data(
    loss: AbstractKinkedLoss,
    bound: BoundOutputs,
    jacobian: FloatArray,
    simulated: list[FloatArray],
    stream: Stream,
) -> FloatArray:
    """Return the covariance [P, P] of the minimum as the data vary, for a loss with a kink.

    Within the error of the observed features its curvature changes, so that the minimum does not
    move in proportion to them. Their errors are drawn instead, normal with covariance Σ, and the
    minimum is found for each draw, for features that are linear in the parameters: ``jacobian``
    [F, P].
    """
    rng = stream.child("errors").numpy()
    errors = np.zeros((_ERROR_DRAWS, len(jacobian)))
    for part, features, shares in _blocks(bound, simulated):
        centered = features - features.mean(0)
        # Cov(y_f, y_g) = Cov(f, g) Σ_r s_rf s_rg: replicates that share a pattern go together.
        patterns, counts = np.unique(shares, axis=0, return_counts=True)
        for pattern, count in zip(patterns, counts, strict=True):
            draws = rng.standard_normal((_ERROR_DRAWS, len(features))) @ centered
            errors[:, part] += draws * (pattern * np.sqrt(count / (len(features) - 1)))
    found = np.atleast_2d(np.cov(loss.shifts(jacobian, errors), rowvar=False))
    return np.asarray(found)


def _blocks(
    bound: BoundOutputs, simulated: list[FloatArray]
) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield where features are, themselves [n, L], and the shares of replicates [N, L] in them.

    Blocks are independent of each other.
    """
    offset = 0
    for e, features in enumerate(simulated):
        _, num_times, width = features.shape
        # Snapshots at different times are of different cells, so that those are independent.
        unpaired = bound.problem.kind == "snapshots"
        length = width if unpaired else num_times * width
        blocks = features.reshape(len(features), -1, length)
        shares = _shares(bound, e).reshape(-1, blocks.shape[1], length)
        for b in range(blocks.shape[1]):
            yield slice(offset, offset + length), blocks[:, b], shares[:, b]
            offset += length


def _of_block(features: FloatArray, shares: FloatArray, slopes: FloatArray) -> FloatArray:
    """Return LᵀΣL of features [n, F] that are observed as averages with ``shares`` [N, F].

    Replicate r enters the observed feature f with share s_rf (0 where missing), so that
    Cov(y_f, y_g) = Cov(f, g) Σ_r s_rf s_rg.
    """
    centered = features - features.mean(0)
    if np.all(shares == shares[:1]):
        scale = np.sqrt(len(shares)) * shares[0]
        along = centered @ (scale[:, None] * slopes)
        return along.T @ along / (len(features) - 1)
    covariance = centered.T @ centered / (len(features) - 1)
    return slopes.T @ (covariance * (shares.T @ shares)) @ slopes


def _shares(bound: BoundOutputs, experiment: int) -> FloatArray:
    """Return the share [N, T, K] that each replicate has in the observed features."""
    setting = bound.problem.experiments[experiment]
    present = np.isfinite(bound.features_of_data(experiment, setting.data.values))
    shares = present / np.maximum(present.sum(0), 1)
    return shares / np.sqrt(setting.num_averaged or 1)


class _Jacobian(NamedTuple):
    """Sums over runs of a Jacobian J [F, P]: of groups apart [G, F, P], and Σ Jᵀ S J [P, P]."""

    groups: FloatArray
    size: int
    squares: FloatArray

    @property
    def means(self) -> FloatArray:
        """The mean Jacobians of the groups [G, F, P]; groups are of equal size."""
        return self.groups / (self.size / len(self.groups))

    def curvature(self, second: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return J̄ᵀ S J̄ and the part of it that is due to noise (see `gauss_newton`)."""
        mean = self.groups.sum(0) / self.size
        product = mean.T @ times(second, mean)
        noise = (self.squares - self.size * product) / (self.size - 1) / self.size
        return product, noise

    def share_of_noise(self, second: FloatArray) -> float:
        """Return the largest part of J̄ᵀ S J̄, in any direction, that is due to noise."""
        product, noise = self.curvature(second)
        return float(np.linalg.eigvals(np.linalg.pinv(product, hermitian=True) @ noise).real.max())


class _Sandwich(NamedTuple):
    """B⁻¹ (LᵀΣL) B⁻¹ of a Jacobian, and ``scores`` [G, P, G, P], L_gᵀ Σ L_h of its groups.

    Products of different groups alone are free of the noise of the Jacobian.
    """

    jacobian: _Jacobian
    second: FloatArray
    scores: FloatArray

    def covariance(self, left_out: int | None = None) -> FloatArray:
        """Return it [P, P], of all groups or of all but one."""
        num_groups = len(self.scores)
        kept = np.delete(np.arange(num_groups), [] if left_out is None else left_out)
        scores, count = self.scores[kept][:, :, kept], len(kept)
        own = np.einsum("gpgq->pq", scores)
        meat = (scores.sum((0, 2)) - own) / (count * (count - 1))
        mean = self.jacobian.means[kept].mean(0)
        noise = self.jacobian.curvature(self.second)[1] * num_groups / count
        sharp = without_noise(mean.T @ times(self.second, mean), noise)
        bread = np.linalg.pinv(sharp, hermitian=True)
        return bread @ _nearest_positive((meat + meat.T) / 2) @ bread

    def error(self) -> float:
        """Return the largest relative error of a standard error: a jackknife over the groups."""
        num_groups = len(self.scores)
        variances = np.array([np.diag(self.covariance(g)) for g in range(num_groups)])
        logs = np.log(np.maximum(variances, 1e-300)) / 2
        return float(np.sqrt((num_groups - 1) * logs.var(0)).max())


def _precise_jacobian(
    bound: BoundOutputs,
    second: FloatArray,
    estimator: AbstractEstimator,
    z: FloatArray,
    index: IntArray,
    stream: Stream,
    executor: Any,
    num_runs: int,
    is_precise: Callable[[_Jacobian, int], bool],
) -> tuple[_Jacobian, int]:
    """Return the Jacobian in ``index`` from ``num_runs`` runs or more, and the runs."""
    per_sample = estimator.runs_in_all(bound)
    width = 8 * bound.num_features * bound.problem.space.size
    largest = _GROUPS * max(4, _LARGEST_BYTES // width // _GROUPS)
    nothing = np.zeros((_GROUPS, bound.num_features, len(index)))
    total = _Jacobian(nothing, 0, np.zeros(2 * index.shape))
    wanted, drawn, runs, piece = num_runs, 0, 0, 0
    while True:
        while drawn < wanted:
            missing = -(-(wanted - drawn) // per_sample)
            count = min(largest, _GROUPS * max(4, missing // _GROUPS))
            branch = stream.child("jacobian", piece)
            sampled = estimator.sample(bound, z, count, branch, executor)
            total = _added(total, sampled.jacobians[:, :, index], second)
            drawn, piece = drawn + count * per_sample, piece + 1
            runs += sampled.num_runs  # none for an estimator that computes
        wanted *= 2
        if is_precise(total, runs) or wanted > _MOST_TIMES * num_runs:
            return total, runs


def _added(total: _Jacobian, jacobians: FloatArray, second: FloatArray) -> _Jacobian:
    flat = jacobians.reshape(-1, jacobians.shape[-1])
    if second.ndim == 1:
        weighted = (second[:, None] * jacobians).reshape(flat.shape)
    else:
        weighted = (second @ jacobians).reshape(flat.shape)
    groups = np.stack([jacobians[g::_GROUPS].sum(0) for g in range(_GROUPS)])
    return _Jacobian(
        total.groups + groups, total.size + len(jacobians), total.squares + flat.T @ weighted
    )


def _nearest_positive(matrix: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _simulated_features(
    bound: BoundOutputs, z: FloatArray, num_runs: int, stream: Stream, executor: Any
) -> list[FloatArray]:
    """Return the features [n, T, K] of simulated data of each experiment, noise included."""
    problem = bound.problem
    theta = np.asarray(problem.space.from_fit(z))
    features = []
    for e, binding in enumerate(problem.bindings):
        branch = stream.child("moments", e)
        sample = problem.simulate_binding(e, theta, branch, num_runs, executor)
        data = binding.sample_data(sample.states, theta, branch.child("noise").numpy())
        features.append(bound.features_of_data(e, data))
    return features


def _inverse_if_positive(matrix: FloatArray) -> FloatArray | None:
    if not np.all(np.isfinite(matrix)):
        return None
    values, vectors = np.linalg.eigh(matrix)
    if values.min() <= 1e-10 * max(values.max(), 1e-300):
        return None
    return (vectors / values) @ vectors.T

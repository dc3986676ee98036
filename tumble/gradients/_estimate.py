"""Samples of a Jacobian, and the estimates of a loss and its gradient that they make."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tumble._typing import FloatArray
from tumble.losses import times
from tumble.objectives import BoundOutputs

_LEAST_SHARE = 0.2


@dataclass(frozen=True)
class GradientEstimate:
    """An estimate of a loss and its gradient on the fit scale.

    ``value`` and ``value_variance``; ``gradient`` [P] and ``covariance`` [P, P] of its error;
    ``curvature`` [P, P], the Gauss–Newton matrix of the batch means, or None, and
    ``curvature_noise`` [P, P], how much of it is due to noise on average; ``num_runs`` of the
    simulator, ``work`` (events fired, and one for each run) and ``seconds``; ``remaining_bias``,
    what is left of the bias of a loss that is not a polynomial of degree 2 (the estimator's own is
    in its ``guarantee``); ``majorant`` [P, P], the curvature for steps on the way to the minimum of
    a loss with kinks, else None.
    """

    value: float
    value_variance: float
    gradient: FloatArray
    covariance: FloatArray
    curvature: FloatArray | None
    curvature_noise: FloatArray | None
    num_runs: int
    work: float
    seconds: float
    remaining_bias: str = "none"
    majorant: FloatArray | None = None

    @property
    def standard_errors(self) -> FloatArray:
        """Standard errors of the gradient [P]."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def work_variance(self) -> float:
        """Summed variance of the gradient times the work spent: lower is better.

        It does not depend on how many runs were spent, so it compares estimators; and it counts
        events rather than seconds, so that a choice made by it can be repeated.
        """
        return float(np.trace(self.covariance)) * self.work

    def with_costs_of(self, *others: GradientEstimate) -> GradientEstimate:
        """Return this estimate, charged with what others cost besides."""
        return replace(
            self,
            num_runs=self.num_runs + sum(e.num_runs for e in others),
            work=self.work + sum(e.work for e in others),
            seconds=self.seconds + sum(e.seconds for e in others),
        )


@dataclass(frozen=True)
class SampledJacobian:
    """What an estimator gets from one batch of joint runs of all experiments.

    ``features`` [n, F] and ``jacobians`` [n, F, P] are independent over runs; their means estimate
    E[f] and ∂E[f]/∂z. ``num_runs`` counts runs of the simulator, ``num_events`` what they fired.
    """

    features: FloatArray
    jacobians: FloatArray
    num_runs: int
    num_events: int


def assemble(objective: BoundOutputs, sampled: SampledJacobian) -> GradientEstimate:
    """Turn a batch into estimates of the loss and its gradient, freed of the bias of the loss.

    With batch means f̄, J̄ over n runs, T = ℓ'(f̄) J̄ and T_i the same without run i, the estimate is
    the jackknife n T − (n − 1) mean T_i. For ℓ linear or quadratic it is a U-statistic, in which
    products of expectations are taken over distinct runs, and unbiased at every n. For other smooth
    ℓ the bias, 1/n for T, is of order 1/n². The covariance is that of the jackknife.

    References: Quenouille, Biometrika 43 (1956), doi:10.1093/biomet/43.3-4.353; Efron, Stein, Ann.
    Statist. 9 (1981), doi:10.1214/aos/1176345462.
    """
    loss = objective.loss
    f, jacobians = sampled.features, sampled.jacobians
    n = len(f)
    mean, jacobian = f.mean(0), jacobians.mean(0)
    without = (n * mean - f) / (n - 1)
    slopes = loss.slope(without)
    product = n * (slopes @ jacobian) - np.einsum("nfp,nf->np", jacobians, slopes)
    of_runs = n * (loss.slope(mean) @ jacobian) - product
    value_of_runs = n * loss.value(mean) - (n - 1) * loss.value(without)
    gradient = of_runs.mean(0)
    deviation = of_runs - gradient
    curvature, noise, majorant = None, None, None
    if loss.compares:
        curvature, noise = gauss_newton(jacobians, loss.stiffness(mean))
        bounds = loss.majorant(mean)
        majorant = None if bounds is None else jacobian.T @ times(bounds, jacobian)
    return GradientEstimate(
        float(value_of_runs.mean()),
        float(value_of_runs.var(ddof=1) / n),
        gradient,
        deviation.T @ deviation / (n - 1) / n,
        curvature,
        noise,
        sampled.num_runs,
        float(sampled.num_events + sampled.num_runs),
        0.0,
        loss.remaining_bias,
        majorant,
    )


def gauss_newton(jacobians: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return J̄ᵀ S J̄ [P, P] of per-run Jacobians [n, F, P] and its bias, for S [F] or [F, F].

    The noise of J̄ adds Σ_fg S_fg Cov(J_f, J_g) / n on average, which makes a minimum look sharper,
    and errors smaller, than they are.
    """
    mean = jacobians.mean(0)
    n, _, num_params = jacobians.shape
    deviation = (jacobians - mean).reshape(-1, num_params)
    if second.ndim == 1:
        weighted = np.tile(second, n)[:, None] * deviation
    else:
        weighted = (second @ (jacobians - mean)).reshape(-1, num_params)
    noise = deviation.T @ weighted / (n - 1) / n
    return mean.T @ times(second, mean), noise


def without_noise(curvature: FloatArray, noise: FloatArray) -> FloatArray:
    """Return ``curvature`` − ``noise``, kept positive: in no direction less than a fifth."""
    values, vectors = np.linalg.eigh(curvature)
    values = np.maximum(values, 1e-12 * max(float(values.max()), 1e-300))
    root, inverse = vectors * np.sqrt(values), vectors / np.sqrt(values)
    share, axes = np.linalg.eigh(np.eye(len(values)) - inverse.T @ noise @ inverse)
    kept = root @ axes
    return (kept * np.clip(share, _LEAST_SHARE, 1.0)) @ kept.T


def pool_estimates(
    estimates: Sequence[GradientEstimate], sizes: Sequence[float] | None = None
) -> GradientEstimate:
    """Average independent estimates of one loss, weighted by ``sizes``, default their runs.

    Weights that depend on the estimates themselves would bias the average.
    """
    weights = np.array([e.num_runs for e in estimates] if sizes is None else sizes, dtype=float)
    weights /= weights.sum()

    def average(pick: Callable[[GradientEstimate], Any], power: int = 1) -> Any:
        return sum(w**power * pick(e) for w, e in zip(weights, estimates, strict=True))

    has_curvature = all(e.curvature is not None for e in estimates)
    has_majorant = all(e.majorant is not None for e in estimates)
    return GradientEstimate(
        float(average(lambda e: e.value)),
        float(average(lambda e: e.value_variance, 2)),
        average(lambda e: e.gradient),
        average(lambda e: e.covariance, 2),
        average(lambda e: e.curvature) if has_curvature else None,
        average(lambda e: e.curvature_noise) if has_curvature else None,
        sum(e.num_runs for e in estimates),
        sum(e.work for e in estimates),
        sum(e.seconds for e in estimates),
        estimates[0].remaining_bias,
        average(lambda e: e.majorant) if has_majorant else None,
    )


def joined(few: list[SampledJacobian], more: list[SampledJacobian]) -> list[SampledJacobian]:
    """Return batches with those of ``few`` added, the first to the first and so on.

    What is shared by the runs of a batch, such as coefficients from another batch, then stays
    independent of its runs. There are not more of ``few`` than of ``more``.
    """
    if not few:
        return more
    one, other = few[0], more[0]
    together = concatenated([one, other])
    return [together, *joined(few[1:], more[1:])] if len(more) > 1 else [together]


def concatenated(batches: Sequence[SampledJacobian]) -> SampledJacobian:
    """Return the samples of several batches as those of one."""
    return SampledJacobian(
        np.concatenate([batch.features for batch in batches]),
        np.concatenate([batch.jacobians for batch in batches]),
        sum(batch.num_runs for batch in batches),
        sum(batch.num_events for batch in batches),
    )


def costs_of(batches: list[SampledJacobian]) -> SampledJacobian:
    """Return what batches cost, and none of their samples."""
    return SampledJacobian(
        batches[0].features[:0],
        batches[0].jacobians[:0],
        sum(batch.num_runs for batch in batches),
        sum(batch.num_events for batch in batches),
    )

"""The contract of gradient estimators, and what all of them share."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import (
    CapabilityError,
    ParameterError,
    SimulationError,
    require_member,
    shown,
)
from tumble._execution import split
from tumble._random import Stream
from tumble._results import describe_codes
from tumble._typing import FloatArray, IntArray
from tumble.losses import times
from tumble.models import ReactionNetwork
from tumble.objectives import BoundOutputs
from tumble.simulators import PairSample, Sample

# Per-run Jacobians of a batch are held at once; larger batches are cut into pieces of this size.
_LARGEST_PIECE = 2**27
# An unbiased product of two expectations needs pairs of distinct runs.
MIN_SAMPLES = 4
_WORTH_A_PROBE = 64
# Rate laws and their derivatives, one for each reaction, beside an event of mass action.
_LAW_COST, _SLOPE_COST = 5.0, 9.0
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


class AbstractEstimator(abc.ABC):
    """Estimates ∂/∂z of an output objective from runs of the simulator."""

    requires: ClassVar[type]
    """The capability class the simulator must inherit."""

    unbiased: ClassVar[bool]
    """Whether the gradient is unbiased at every batch size, by proof."""

    guarantee: ClassVar[str]
    """What is proven, in a sentence."""

    proven: ClassVar[bool] = True
    """Whether the bias is proven to be none, or to vanish with a step that is small by default."""

    event_cost: ClassVar[float] = 1.0
    """What an event costs beside one of the score function's runs, as measured on one core."""

    law_evaluations: ClassVar[tuple[float, float]] = (1.0, 0.0)
    """How often an event takes the rate laws of the network, and their derivatives."""

    def cost_of_event(self, objective: BoundOutputs) -> float:
        """Return what an event costs here, in events of a network of mass action."""
        shares = [_law_shares(binding.model) for binding in objective.problem.bindings]
        laws, slopes = np.mean(shares, axis=0) @ np.diag(self.law_evaluations)
        return float(self.event_cost + _LAW_COST * laws + _SLOPE_COST * slopes)

    @property
    def label(self) -> str:
        """A name short enough for tables, which tells members of a family apart."""
        return type(self).__name__

    def overhead(self, objective: BoundOutputs) -> float:
        """Return how many events the arithmetic on one run is worth, beside simulating it."""
        return 0.0

    @abc.abstractmethod
    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """Return how many runs of each experiment one joint sample costs."""

    @property
    def any_size(self) -> bool:
        """Whether samples are as precise in a batch of a few as in a large one."""
        return True

    def tuned(self, num_runs: int) -> AbstractEstimator:
        """Return this estimator with the settings for an estimate from ``num_runs`` runs."""
        return self

    @abc.abstractmethod
    def sample(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """Draw ``num_samples`` joint samples at z [P]."""

    def batches(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> list[SampledJacobian]:
        """Draw joint samples as batches of which the gradients are to be averaged; mostly one."""
        return [self.sample(objective, z, num_samples, stream, executor)]

    def estimate(
        self,
        objective: BoundOutputs,
        z: FloatArray,
        num_runs: int,
        stream: Stream,
        executor: Any = None,
    ) -> GradientEstimate:
        """Estimate loss and gradient at z [P] with about ``num_runs`` runs of the simulator.

        At least four joint samples are drawn. Raises `CapabilityError` where the simulator does not
        offer what the estimator requires, `SimulationError` where runs fail.
        """
        self.check(objective)
        per_sample = self.runs_per_sample(objective) * len(objective.problem.bindings)
        num_samples = max(MIN_SAMPLES, num_runs // per_sample)
        cells = 8 * objective.num_features * max(objective.problem.space.size, 1)
        piece = max(MIN_SAMPLES, _LARGEST_PIECE // cells)
        # A few samples go first: where runs explode, they tell it at little cost.
        first = [MIN_SAMPLES] if num_samples >= _WORTH_A_PROBE else []
        slices = split(num_samples - sum(first), -(-num_samples // piece))
        sizes = first + [part.stop - part.start for part in slices]
        began = time.perf_counter()
        parts: list[tuple[int, GradientEstimate]] = []
        tuned = self.tuned(num_samples * per_sample)
        drawn: list[SampledJacobian] = []
        for i, size in enumerate(sizes):
            branch = stream.child("piece", i)
            batches = tuned.batches(objective, z, size, branch, executor)
            if first and i == 0:  # too few for an estimate of their own
                drawn = batches if self.any_size else [_costs_of(batches)]
                continue
            drawn = _joined(drawn, batches)
            parts += [(len(batch.features), assemble(objective, batch)) for batch in drawn]
            drawn = []
        pooled = pool_estimates([part for _, part in parts], [size for size, _ in parts])
        extra = self.overhead(objective) * pooled.num_runs
        return replace(
            pooled,
            work=self.cost_of_event(objective) * pooled.work + extra,
            seconds=time.perf_counter() - began,
        )

    def check(self, objective: BoundOutputs) -> None:
        """Raise `CapabilityError` unless the problem's simulator offers what is required."""
        simulator = objective.problem.simulator
        if not isinstance(simulator, self.requires):
            raise CapabilityError(
                f"{type(self).__name__} needs a simulator that offers {self.requires.__name__}, "
                f"but {type(simulator).__name__} does not; choose another gradient, or "
                "gradients.Auto() to have one chosen."
            )
        if not all(simulator.offers(self.requires, b.model) for b in objective.problem.bindings):
            raise CapabilityError(
                f"{type(self).__name__} needs {self.requires.__name__}, which "
                f"{type(simulator).__name__} does not offer for networks with variables, events or "
                "rates that depend on `time`; choose gradients.SPSA() or GaussianSmoothing(), or "
                "gradients.Auto() to have one chosen."
            )


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


def _joined(few: list[SampledJacobian], more: list[SampledJacobian]) -> list[SampledJacobian]:
    """Return batches with those of ``few`` added, the first to the first and so on.

    What is shared by the runs of a batch, such as coefficients from another batch, then stays
    independent of its runs. There are not more of ``few`` than of ``more``.
    """
    if not few:
        return more
    one, other = few[0], more[0]
    together = SampledJacobian(
        np.concatenate([one.features, other.features]),
        np.concatenate([one.jacobians, other.jacobians]),
        one.num_runs + other.num_runs,
        one.num_events + other.num_events,
    )
    return [together, *_joined(few[1:], more[1:])] if len(more) > 1 else [together]


def _costs_of(batches: list[SampledJacobian]) -> SampledJacobian:
    """Return what batches cost, and none of their samples."""
    return SampledJacobian(
        batches[0].features[:0],
        batches[0].jacobians[:0],
        sum(batch.num_runs for batch in batches),
        sum(batch.num_events for batch in batches),
    )


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


def require_estimators(name: str, given: Any, least: int = 1) -> None:
    """Raise `ParameterError` unless ``given`` is a list of estimators, ``least`` or more."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ParameterError(
            f"`{name}` is {shown(given)}, expected a list of estimators such as "
            "[ScoreFunction(), CoupledDifference()]."
        )
    for i, member in enumerate(given):
        require_member(
            f"{name}[{i}]", member, AbstractEstimator, "an estimator such as ScoreFunction()"
        )
    if len(given) == 0:
        raise ParameterError(f"`{name}` is empty, expected at least one estimator.")
    if len(given) < least:
        raise ParameterError(f"`{name}` has {len(given)} estimator(s), expected {least} or more.")


def require_valid(sample: Sample | PairSample, model: Any) -> None:
    """Raise `SimulationError` when any run failed: leaving it out would bias the gradient."""
    if np.any(sample.codes != 0):
        failed = describe_codes(
            sample.codes, sample.culprits, model.reactions, messages=sample.messages
        )
        raise SimulationError(
            f"the gradient needs every run, but {failed}. Leaving runs out would bias it."
        )


def dynamic_parameters(objective: BoundOutputs) -> IntArray:
    """Return the positions of the parameters that change the law of the states."""
    tables = [t for b in objective.problem.bindings for t in (b.model_slopes, b.initial_slopes)]
    return np.flatnonzero(np.any(np.concatenate(tables) != 0, axis=0))


def features_and_slopes(
    objective: BoundOutputs, experiment: int, states: IntArray, z: FloatArray
) -> tuple[FloatArray, FloatArray | None]:
    """Return features [n, T, K] of states [n, T, S], and their explicit slopes [n, T, K, P] in z.

    Slopes are None when neither observables nor noise depend on an unknown parameter.
    """
    space = objective.problem.space
    theta = np.asarray(space.from_fit(z), dtype=float)
    binding = objective.problem.bindings[experiment]
    where: Any = slice(None)
    if objective.objective.costly and not np.all(binding.is_exact) and states.dtype.kind == "i":
        states, rows = _distinct(states)
        where = rows, np.arange(states.shape[1])
    values = np.asarray(objective.features_of(experiment, states, theta))[where]
    if binding.measurement_is_known:
        return values, None
    import jax
    import jax.numpy as jnp

    def features(u: Any) -> Any:
        return objective.features_of(experiment, states, space.from_fit(u, jnp), jnp)

    with jax.enable_x64(True):
        return values, np.asarray(jax.jacfwd(features)(np.asarray(z, dtype=float)))[where]


def _distinct(states: IntArray) -> tuple[IntArray, IntArray]:
    """Return the states [U, T, S] that occur at each time, and the row [n, T] of each run.

    U is a power of two, so that few shapes are compiled; the last rows may repeat others.
    """
    found = [np.unique(states[:, t], axis=0, return_inverse=True) for t in range(states.shape[1])]
    most = max(len(kept) for kept, _ in found)
    size = 1 << (most - 1).bit_length()
    kept = np.stack([np.resize(rows, (size, rows.shape[1])) for rows, _ in found], axis=1)
    return kept, np.stack([inverse.ravel() for _, inverse in found], axis=1)


def _law_shares(model: Any) -> tuple[float, float]:
    """Return the rate laws for each reaction of a model, and their derivatives."""
    if not isinstance(model, ReactionNetwork):
        return 0.0, 0.0
    is_law = ~model.is_mass_action
    slopes = sum(bool(is_law[slope.reaction]) for slope in model.rate_slopes)
    return float(is_law.mean()), slopes / len(is_law)

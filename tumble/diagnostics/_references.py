"""Reference gradients for the audit. They share no code with the estimators under test."""

from __future__ import annotations

import abc
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import CapabilityError, ModelError, ParameterError, SimulationError
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.gradients import (
    AbstractEstimator,
    AlternativePath,
    CoupledDifference,
    ScoreFunction,
    require_valid,
)
from tumble.losses import times
from tumble.models import ReactionNetwork
from tumble.objectives import BoundLikelihood, BoundOutputs
from tumble.simulators import FiniteStateProjection, ParticleFilter, SupportsScore

# One evaluation over this many states takes seconds at the most.
_STATES_FOR_LIKELIHOOD = 50_000
_STATES_FOR_MOMENTS = 4_000
_JUMPS = 50_000
# On the fit scale; of half the width of the bounds on a linear one.
_STEP = 0.05


class ReferenceGradient(NamedTuple):
    """∂loss/∂z [P] with its standard errors [P], and the runs of the simulator it took."""

    gradient: FloatArray
    errors: FloatArray
    num_runs: int


class AbstractReference(abc.ABC):
    """Knows the right gradient, exactly or to any precision asked."""

    @property
    @abc.abstractmethod
    def name(self) -> str:
        """What it is, in words."""

    @abc.abstractmethod
    def gradient(self, z: FloatArray, num_runs: int, stream: Stream) -> ReferenceGradient:
        """Return the gradient at z [P], spending about ``num_runs`` runs if it needs any."""


@dataclass(frozen=True)
class ExactLikelihood(AbstractReference):
    """The likelihood by a forward filter on all reachable states."""

    problem: Problem
    method: FiniteStateProjection
    _known: dict[bytes, ReferenceGradient] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        return "exact likelihood (finite state projection)"

    def gradient(self, z: FloatArray, num_runs: int, stream: Stream) -> ReferenceGradient:
        key = np.asarray(z).tobytes()
        if key not in self._known:
            theta = np.asarray(self.problem.space.from_fit(z))
            _, gradient = self.method.likelihood(self.problem).value_and_gradient(theta)
            on_fit_scale = _to_fit_scale(self.problem, z, -gradient, theta)
            self._known[key] = ReferenceGradient(on_fit_scale, np.zeros(len(z)), 0)
        return self._known[key]


@dataclass(frozen=True)
class SampledLikelihood(AbstractReference):
    """The likelihood by particle filters on exact simulation.

    Each filter gives an unbiased likelihood L_k and an unbiased L_k g_k, so Σ L_k g_k / Σ L_k over
    K filters of N particles is biased by O(1/(K N)) only. Errors are those of a ratio (jackknife).
    """

    problem: Problem
    method: ParticleFilter

    @property
    def name(self) -> str:
        return f"exact likelihood (particle filters of {self.method.num_particles} particles)"

    def gradient(self, z: FloatArray, num_runs: int, stream: Stream) -> ReferenceGradient:
        theta = np.asarray(self.problem.space.from_fit(z))
        count = max(8, num_runs // self.method.num_particles)
        values, gradients = self.method.likelihood(self.problem).estimate(theta, stream, count)
        runs = count * self.method.num_particles
        alive = np.isfinite(values)
        if alive.sum() < max(4, count // 4):
            unknown = np.full(len(z), np.inf)
            return ReferenceGradient(np.zeros(len(z)), unknown, runs)
        mean, errors = _weighted_mean(values[alive], gradients[alive])
        slope = self.problem.space.slope(z)
        prior = _prior_gradient(self.problem, theta)
        return ReferenceGradient(-(mean + prior) * slope, errors * np.abs(slope), runs)


@dataclass(frozen=True)
class ExactMoments(AbstractReference):
    """Expectations over all reachable states, with their derivatives."""

    bound: BoundOutputs
    method: FiniteStateProjection

    @property
    def name(self) -> str:
        return "exact expectations (finite state projection)"

    def gradient(self, z: FloatArray, num_runs: int, stream: Stream) -> ReferenceGradient:
        gradient = exact_loss_and_gradient(self.bound, z, self.method)[1]
        return ReferenceGradient(gradient, np.zeros(len(z)), 0)


@dataclass(frozen=True)
class ProvenEstimator(AbstractReference):
    """An estimator with a proven guarantee, other than the one under test."""

    bound: BoundOutputs
    estimator: AbstractEstimator
    executor: Any = None

    @property
    def name(self) -> str:
        return f"{type(self.estimator).__name__} ({self.estimator.guarantee})"

    def gradient(self, z: FloatArray, num_runs: int, stream: Stream) -> ReferenceGradient:
        estimate = self.estimator.estimate(self.bound, z, num_runs, stream, self.executor)
        return ReferenceGradient(estimate.gradient, estimate.standard_errors, estimate.num_runs)


@dataclass(frozen=True)
class PlainDifferences(AbstractReference):
    """Central differences of expectations between plain runs at z ± ``step``.

    The slope of the loss at z is taken from runs of their own, so that no product of two estimates
    has a bias; errors are to first order in those of both. Runs on the two sides share their random
    numbers. Bias of the order of the step squared, of the step where a bound cuts it.
    """

    bound: BoundOutputs
    step: float = _STEP
    executor: Any = None

    @property
    def name(self) -> str:
        return (
            f"differences between plain runs (step {self.step:g}, bias of the order of its square)"
        )

    def gradient(self, z: FloatArray, num_runs: int, stream: Stream) -> ReferenceGradient:
        bound, space = self.bound, self.bound.problem.space
        num_experiments = len(bound.problem.bindings)
        each = max(8, num_runs // ((2 * space.size + 1) * num_experiments))
        center = self._features(z, each, stream.child("center"))
        moments = np.concatenate([f.mean(0) for f in center])
        slope, second = bound.slope(moments), bound.loss.second(moments)
        ends = np.cumsum([f.shape[1] for f in center])[:-1]
        gradient, variance = np.zeros(space.size), np.zeros(space.size)
        steps = self.step * np.where(
            np.array(space.scales) == "linear", (space.upper - space.lower) / 2, 1.0
        )
        for j in range(space.size):
            shift = steps * (np.arange(space.size) == j)
            low, high = (np.asarray(space.clip(z + sign * shift)) for sign in (-1, 1))
            branch = stream.child("parameter", j)
            sides = [self._features(point, each, branch) for point in (low, high)]
            quotients = [(b - a) / (high[j] - low[j]) for a, b in zip(*sides, strict=True)]
            column = np.concatenate([q.mean(0) for q in quotients])
            gradient[j] = slope @ column
            pulls = np.split(slope, ends), np.split(times(second, column[:, None])[:, 0], ends)
            for samples, pull in zip((quotients, center), pulls, strict=True):
                variance[j] += sum(
                    (f @ p).var(ddof=1) / each for f, p in zip(samples, pull, strict=True)
                )
        spent = each * (2 * space.size + 1) * num_experiments
        return ReferenceGradient(gradient, np.sqrt(variance), spent)

    def _features(self, z: FloatArray, num_runs: int, stream: Stream) -> list[FloatArray]:
        """Return the features [n, F_e] of runs of each experiment at z [P]."""
        problem = self.bound.problem
        theta = np.asarray(problem.space.from_fit(z))
        found = []
        for e, binding in enumerate(problem.bindings):
            branch = stream.child("experiment", e)
            sample = problem.simulate_binding(e, theta, branch, num_runs, self.executor)
            require_valid(sample, binding.model)
            features = np.asarray(self.bound.features_of(e, sample.states, theta))
            found.append(features.reshape(num_runs, -1))
        return found


def likelihood_reference(bound: BoundLikelihood, z: FloatArray) -> AbstractReference:
    """Return the exact likelihood: on all states where they are few, else by particle filters.

    Raises `CapabilityError` where there is neither.
    """
    if not all(isinstance(b.model, ReactionNetwork) for b in bound.problem.bindings):
        raise CapabilityError(
            f"the likelihood through {type(bound.through).__name__} is exact, and there is no "
            "other way to compute it that could be its reference; gradients of simulated moments "
            "can be audited: objective=objectives.MomentMatching()."
        )
    exact = ExactLikelihood(
        bound.problem, FiniteStateProjection(_STATES_FOR_LIKELIHOOD, max_jumps=_JUMPS)
    )
    try:
        exact.gradient(z, 0, Stream(0))
    except (ModelError, CapabilityError):
        filters = ParticleFilter()
        if all(filters.simulator.offers(SupportsScore, b.model) for b in bound.problem.bindings):
            return SampledLikelihood(bound.problem, filters)
        raise CapabilityError(
            "there is no reference for the likelihood of a network whose rates change smoothly in "
            "`time`; give `reference`, or audit gradients of simulated moments: "
            "objective=objectives.MomentMatching()."
        ) from None
    return exact


def moments_reference(bound: BoundOutputs, z: FloatArray) -> ExactMoments | None:
    """Return exact moments where the states are few and can be listed, else None."""
    exact = ExactMoments(bound, FiniteStateProjection(_STATES_FOR_MOMENTS, max_jumps=_JUMPS))
    try:
        exact.gradient(z, 0, Stream(0))
    except (ModelError, CapabilityError):
        return None
    return exact


def sampled_reference(
    bound: BoundOutputs,
    tested: AbstractEstimator,
    z: FloatArray,
    stream: Stream,
    executor: Any = None,
) -> AbstractReference:
    """Return the first proven estimator of another class than ``tested`` that can be used at z.

    Scores and phantoms are not defined everywhere. Where no estimator is left, plain differences.
    """
    simulator: Any = bound.problem.simulator
    models = [binding.model for binding in bound.problem.bindings]
    for candidate in (ScoreFunction(), CoupledDifference(step=0.005), AlternativePath()):
        able = all(simulator.offers(candidate.requires, model) for model in models)
        if not able or type(candidate) is type(tested):
            continue
        try:
            candidate.estimate(bound, z, 0, stream, executor)
        except (ParameterError, SimulationError):
            continue
        return ProvenEstimator(bound, candidate, executor)
    return PlainDifferences(bound, executor=executor)


def exact_loss_and_gradient(
    bound: BoundOutputs, z: FloatArray, method: FiniteStateProjection
) -> tuple[float, FloatArray]:
    """Return an output objective and its gradient at z [P], summed over all states.

    Rates enter by the exact sensitivities of the projection, unknown initial counts by the two
    whole numbers around them, measurement parameters by central differences of the features.
    """
    space = bound.problem.space
    moments, slopes = [], []
    for e in range(len(bound.problem.bindings)):
        m, s = _exact_features(bound, e, z, method)
        moments.append(m)
        slopes.append(s)
    m, jacobian = np.concatenate(moments), np.concatenate(slopes)
    assert jacobian.shape == (bound.num_features, space.size)
    return bound.value(m), bound.slope(m) @ jacobian


def _exact_features(
    bound: BoundOutputs, experiment: int, z: FloatArray, method: FiniteStateProjection
) -> tuple[FloatArray, FloatArray]:
    problem = bound.problem
    binding = problem.bindings[experiment]
    space = problem.space
    theta = np.asarray(space.from_fit(z))
    slope = space.slope(z)
    mean = np.asarray(binding.initial_mean(theta), dtype=float)
    if np.any(binding.initial_variance > 0) or np.any(np.abs(mean - np.rint(mean)) > 1e-9):
        raise ModelError("exact moments need a known initial state of whole numbers.")
    start, times = binding.experiment.start, binding.times
    params = np.asarray(binding.model_params(theta), dtype=float)
    network: Any = binding.model
    result = method.distribution(
        network,
        params,
        np.rint(mean).astype(np.int64),
        times,
        start=start,
        sensitivities=True,
    )
    assert result.sensitivities is not None
    num_times = len(times)

    def features(at: FloatArray) -> FloatArray:
        tiled = np.broadcast_to(
            result.states[:, None, :], (len(result.states), num_times, result.states.shape[1])
        ).astype(float)
        return np.asarray(bound.features_of(experiment, tiled, at, np))

    values = features(theta)  # [n, T, K]
    expected = np.einsum("tn,ntk->tk", result.probabilities, values)
    per_param = np.einsum("tnq,ntk->tkq", result.sensitivities, values)
    jacobian = np.zeros((*expected.shape, space.size))
    step = 1e-5
    for j in range(space.size):
        shift = np.zeros(space.size)
        shift[j] = step * max(abs(theta[j]), 1e-3)
        width = 2 * shift[j]
        up = np.asarray(binding.model_params(theta + shift), dtype=float)
        down = np.asarray(binding.model_params(theta - shift), dtype=float)
        direct = (features(theta + shift) - features(theta - shift)) / width
        jacobian[..., j] = per_param @ ((up - down) / width)
        jacobian[..., j] += np.einsum("tn,ntk->tk", result.probabilities, direct)
        initial_up = np.asarray(binding.initial_mean(theta + shift))
        if np.any(initial_up != mean):
            raise ModelError("exact moments need a known initial state of whole numbers.")
    return expected.ravel(), (jacobian * slope).reshape(-1, space.size)


def _weighted_mean(values: FloatArray, gradients: FloatArray) -> tuple[FloatArray, FloatArray]:
    weights = np.exp(values - values.max())
    total, sums = weights.sum(), weights @ gradients
    mean = sums / total
    left_out = (sums - weights[:, None] * gradients) / (total - weights)[:, None]
    count = len(values)
    errors = np.sqrt((count - 1) / count * ((left_out - left_out.mean(0)) ** 2).sum(0))
    return mean, errors


def _to_fit_scale(
    problem: Problem, z: FloatArray, gradient: FloatArray, theta: FloatArray
) -> FloatArray:
    return (gradient - _prior_gradient(problem, theta)) * problem.space.slope(z)


def _prior_gradient(problem: Problem, theta: FloatArray) -> FloatArray:
    if not problem.space.has_priors:
        return np.zeros(len(theta))
    import jax

    with jax.enable_x64(True):
        return np.asarray(jax.grad(problem.space.log_prior)(theta))

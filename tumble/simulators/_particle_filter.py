"""The bootstrap particle filter: noisy likelihoods and their gradients from simulation alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tumble._errors import CapabilityError, DataError, ParameterError, SimulationError
from tumble._random import Stream, run_ids
from tumble._results import SampleCode, describe_codes
from tumble._typing import FloatArray, IntArray
from tumble.simulators._base import Batch, SupportsScore
from tumble.simulators._datum_density import DatumDensity
from tumble.simulators._direct import DirectMethod


@dataclass(frozen=True)
class ParticleFilter:
    """The likelihood of time series by a bootstrap particle filter, its gradient by path scores.

    Definition: N particles are run to the next observation, weighted by the density of the datum,
    and, once their effective number falls below N/2, resampled systematically. The likelihood is
    the product of the mean weights. Each particle carries the derivative of the log density of its
    own path (initial state, events and data so far), which is resampled with it; by Fisher's
    identity ∂ log p(y; θ) is its mean given the data, estimated by the weighted mean.

    Guarantee: the likelihood is unbiased; its logarithm and the gradient are consistent as N grows,
    with bias O(1/N). The variance of the gradient grows with the square of the number of
    observations, since the particles come to share their early paths.

    Arguments:

    - ``num_particles``: N. Default 1,000.
    - ``simulator``: what runs the model, with scores. Default `DirectMethod()`, exact.

    When: exact likelihoods of noisy time series where the states are too many to enumerate, and to
    audit approximations. Not for data without measurement noise: a particle then survives only if
    it hits the datum exactly. A filter in which none survives has collapsed and returns NaN. Nor
    for many observations and particles of long runs, where `LinearNoise` costs a thousandth.

    References: Gordon, Salmond, Smith, IEE Proc. F 140 (1993), doi:10.1049/ip-f-2.1993.0015;
    Poyiadjis, Doucet, Singh, Biometrika 98 (2011), doi:10.1093/biomet/asq062 (the gradient, their
    algorithm 1).
    """

    num_particles: int = 1_000
    simulator: Any = field(default_factory=DirectMethod)

    def __post_init__(self) -> None:
        if not self.num_particles >= 2:
            raise ParameterError(f"`num_particles` is {self.num_particles}, expected at least 2.")
        if not isinstance(self.simulator, SupportsScore):
            raise CapabilityError(
                f"`simulator` is {type(self.simulator).__name__}, which offers no scores "
                "(SupportsScore); use DirectMethod()."
            )

    def likelihood(self, problem: Any) -> ParticleLikelihood:
        """Return an estimator of the log likelihood of time series. Raises `DataError`."""
        if problem.kind != "series":
            raise DataError(
                f"the particle filter needs time series, but the data are of kind "
                f"{problem.kind!r}; use objectives.MomentMatching()."
            )
        for binding in problem.bindings:
            binding.require_single()
        return ParticleLikelihood(self, problem)


class _Particles(NamedTuple):
    """F filters of N particles: ``states`` [F, N, S], ``score`` [F, N, U], ``log_weights`` [F, N].

    The weights of a filter sum to 1.
    """

    states: IntArray
    score: FloatArray
    log_weights: FloatArray


@dataclass(frozen=True)
class ParticleLikelihood:
    """Estimates log p(data | θ) and its gradient. Made by `ParticleFilter.likelihood`."""

    method: ParticleFilter
    problem: Any

    def estimate(
        self, theta: FloatArray, stream: Stream, num_filters: int = 1, *, executor: Any = None
    ) -> tuple[FloatArray, FloatArray]:
        """Return K independent estimates of the log likelihood [K] and of its gradient [K, P].

        Arguments: ``theta`` [P] in the natural scale; ``stream``, whose filter ``k`` is the same
        whatever ``num_filters`` K and the threads are; ``executor``, anything with ``.submit``,
        default a pool of threads. A filter that collapsed, for one of the replicates, returns NaN.
        """
        theta = np.asarray(theta, dtype=float)
        if num_filters < 1:
            raise ParameterError(f"`num_filters` is {num_filters}, expected at least 1.")
        values, gradients = np.zeros(num_filters), np.zeros((num_filters, len(theta)))
        for i, density in enumerate(self._densities):
            value, gradient = self._of_experiment(
                density, theta, stream.child("experiment", i), num_filters, executor
            )
            values += value
            gradients[:, density.used] += gradient
        gradients[np.isnan(values)] = np.nan
        return values, gradients

    def values(self, theta: FloatArray, stream: Stream, *, executor: Any = None) -> FloatArray:
        """Return one estimate of the log likelihood [M] at each row of θ [M, P], without scores.

        -∞ where a filter collapsed. Arguments as for `estimate`.
        """
        theta = np.asarray(theta, dtype=float)
        total = np.zeros(len(theta))
        for i, density in enumerate(self._plain_densities):
            possible = np.flatnonzero(np.isfinite(total))
            if not len(possible):
                break
            total[possible] += self._values_of_experiment(
                density, theta[possible], stream.child("experiment", i), executor
            )
        return total

    @cached_property
    def _plain_densities(self) -> tuple[DatumDensity, ...]:
        return tuple(DatumDensity(b, slopes=False) for b in self.problem.bindings)

    def _values_of_experiment(
        self, density: DatumDensity, theta: FloatArray, stream: Stream, executor: Any
    ) -> FloatArray:
        """Filter the replicates of one experiment side by side, at each θ [M, P]."""
        binding, size = density.binding, self.method.num_particles
        data = binding.observed.values
        seen = np.flatnonzero(np.isfinite(data).any(axis=(0, 2)))
        each = np.repeat(np.arange(len(theta)), len(data))
        data = np.tile(data, (len(theta), 1, 1))
        value = np.zeros(len(each))
        going = np.arange(len(each))  # filters that have not collapsed
        states, _ = binding.sample_initial(
            np.repeat(theta[each], size, axis=0), stream.child("initial"), run_ids(len(each) * size)
        )
        particles = _evenly(states.reshape(len(each), size, -1))
        now = binding.experiment.start
        for t in seen:
            if t != seen[0]:
                particles = _resample(particles, stream.child("resample", int(t)))
            rows = np.repeat(theta[each[going]], size, axis=0)
            batch = Batch(
                np.asarray(binding.model_params(rows), dtype=float),
                particles.states.reshape(len(rows), -1), binding.times[t : t + 1],
                stream.child("events", int(t)), run_ids(len(rows)), now,
            )  # fmt: skip
            run = self.method.simulator.sample(binding.model, batch, executor=executor)
            now = binding.times[t]
            _require_sound(run, binding.model)
            datum = np.repeat(data[going, t], size, axis=0)
            log_density = density.log_prob_of_rows(rows, run.states[:, 0], datum)
            log_density = np.where(run.codes == 0, log_density, -np.inf).reshape(-1, size)
            increment, log_weights = _normalize(particles.log_weights + log_density)
            value[going] += np.where(np.isnan(increment), -np.inf, increment)
            kept = np.isfinite(increment)
            going = going[kept]
            states = run.states.reshape(len(kept), size, -1)[kept]
            particles = _Particles(states, np.empty((*states.shape[:2], 0)), log_weights[kept])
            if not len(going):
                break
        return value.reshape(len(theta), -1).sum(axis=1)

    @cached_property
    def _densities(self) -> tuple[DatumDensity, ...]:
        return tuple(DatumDensity(binding) for binding in self.problem.bindings)

    def _of_experiment(
        self,
        density: DatumDensity,
        theta: FloatArray,
        stream: Stream,
        num_filters: int,
        executor: Any,
    ) -> tuple[FloatArray, FloatArray]:
        """Filter the replicates of one experiment side by side, ``num_filters`` times each."""
        binding, size = density.binding, self.method.num_particles
        params, jacobian = density.model_params(theta, np.zeros(0))
        data = binding.observed.values
        seen = np.flatnonzero(np.isfinite(data).any(axis=(0, 2)))
        count = num_filters * len(data)
        data = np.tile(data, (num_filters, 1, 1))
        particles = self._begin(density, theta, stream.child("initial"), count)
        rows = np.broadcast_to(params, (count * size, len(params)))
        now = binding.experiment.start
        value = np.zeros(count)
        for t in seen:
            if t != seen[0]:
                particles = _resample(particles, stream.child("resample", int(t)))
            batch = Batch(
                rows, particles.states.reshape(count * size, -1), binding.times[t : t + 1],
                stream.child("events", int(t)), run_ids(count * size), now,
            )  # fmt: skip
            run = self.method.simulator.sample_with_score(binding.model, batch, executor=executor)
            now = binding.times[t]
            _require_sound(run, binding.model)
            datum = np.repeat(data[:, t], size, axis=0)
            log_density, slope = density.log_prob(theta, run.states[:, 0], datum)
            # A run that failed, or that cannot have made the datum, has no weight.
            lost = (run.codes != 0) | np.isneginf(log_density)
            step = np.where(lost[:, None], 0.0, run.score_along(jacobian)[:, 0] + slope)
            log_weights = particles.log_weights + np.where(lost, -np.inf, log_density).reshape(
                count, size
            )
            increment, log_weights = _normalize(log_weights)
            value += increment
            particles = _Particles(
                run.states.reshape(count, size, -1),
                particles.score + step.reshape(count, size, -1),
                log_weights,
            )
        gradient = np.einsum("fn,fnu->fu", np.exp(particles.log_weights), particles.score)
        by_filter = (num_filters, len(data) // num_filters)
        return value.reshape(by_filter).sum(axis=1), gradient.reshape(*by_filter, -1).sum(axis=1)

    def _begin(
        self, density: DatumDensity, theta: FloatArray, stream: Stream, count: int
    ) -> _Particles:
        size = self.method.num_particles
        _, jacobian = density.initial_mean(theta)
        states, score = density.binding.sample_initial(
            theta, stream, run_ids(count * size), interior=True
        )
        return _Particles(
            states.reshape(count, size, -1),
            (score @ jacobian).reshape(count, size, -1),
            np.full((count, size), -np.log(size)),
        )


def _require_sound(run: Any, model: Any) -> None:
    """Raise `SimulationError` for a wrong model, however much or little its runs weigh."""
    if np.any(run.codes == SampleCode.NEGATIVE_COUNT):
        failed = describe_codes(run.codes, run.culprits, model.reactions)
        raise SimulationError(f"the particle filter cannot go on, since {failed}.")


def _evenly(states: IntArray) -> _Particles:
    """Return filters of particles [F, N, S], evenly weighted, without scores."""
    count, size, _ = states.shape
    weights = np.full((count, size), -np.log(size))
    return _Particles(states, np.empty((count, size, 0)), weights)


def _normalize(log_weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log Σ w [F] and the normalized log weights [F, N]; NaN and uniform where all are 0."""
    top = log_weights.max(axis=1, keepdims=True)
    collapsed = np.isneginf(top)
    shifted = np.where(collapsed, 0.0, log_weights - np.where(collapsed, 0.0, top))
    total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    increment = np.where(collapsed, np.nan, top + total)[:, 0]
    return increment, shifted - total


def _resample(particles: _Particles, stream: Stream) -> _Particles:
    """Resample, systematically, the filters whose effective number of particles is below N/2."""
    from tumble.kernels._philox import fill_uniforms

    weights = np.exp(particles.log_weights)
    size = weights.shape[1]
    poor = np.flatnonzero(1.0 / (weights**2).sum(axis=1) < size / 2)
    if not len(poor):
        return particles
    uniforms = np.empty((len(poor), 1, 2))
    fill_uniforms(np.uint64(stream.key), poor.astype(np.uint64), np.uint64(0), uniforms)
    below = np.cumsum(weights[poor], axis=1)
    below /= below[:, -1:]
    # One search for all filters: filter f looks for f + position in f + cumulative weight.
    offset = np.arange(len(poor))[:, None]
    positions = (np.arange(size) + uniforms[:, 0, :1]) / size
    chosen = np.searchsorted((below + offset).ravel(), (positions + offset).ravel(), side="right")
    chosen = chosen.reshape(len(poor), size) - offset * size
    states, score = particles.states.copy(), particles.score.copy()
    log_weights = particles.log_weights.copy()
    states[poor] = np.take_along_axis(states[poor], chosen[:, :, None], axis=1)
    score[poor] = np.take_along_axis(score[poor], chosen[:, :, None], axis=1)
    log_weights[poor] = -np.log(size)
    return _Particles(states, score, log_weights)

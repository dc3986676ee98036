"""Finite state projection: the distribution of a network's state, and exact likelihoods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tumble._errors import DataError, ModelError, ParameterError
from tumble._parameters import Ref
from tumble._typing import FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.priors import AbstractPrior
from tumble.simulators._autonomous import require_autonomous
from tumble.simulators._base import SupportsLikelihood
from tumble.simulators._datum_density import DatumDensity
from tumble.simulators._state_space import DEPTH, Flow, StateSpace, project

BoolArray: TypeAlias = NDArray[np.bool_]

_LARGEST_QUANTILE = 1 - 1e-12
# Paths this much longer are followed when a datum is impossible on all shorter ones.
_LARGE_DEPTH = 400


@dataclass(frozen=True)
class StateDistribution:
    """The distribution of the state at T times. Made by `FiniteStateProjection.distribution`.

    Attributes: ``states`` [n, S]; ``probabilities`` [T, n]; ``sensitivities`` [T, n, Q], their
    derivatives with respect to the model's parameters, or None; ``leaked`` [T], the probability
    that the projection has lost by each time.
    """

    states: IntArray
    probabilities: FloatArray
    sensitivities: FloatArray | None
    leaked: FloatArray

    def expectation(self, function: Callable[[IntArray], Any]) -> FloatArray:
        """Return E[f(X)] at each time, [T, ...], for ``function`` of states [n, S] to [n, ...]."""
        return np.tensordot(self.probabilities, np.asarray(function(self.states)), axes=1)

    def expectation_gradient(self, function: Callable[[IntArray], Any]) -> FloatArray:
        """Return ∂E[f(X)] / ∂params, [T, ..., Q]. Raises `ParameterError` without sensitivities."""
        if self.sensitivities is None:
            raise ParameterError(
                "the distribution holds no derivatives; compute it with sensitivities=True."
            )
        values = np.asarray(function(self.states))
        by_parameter = np.tensordot(np.moveaxis(self.sensitivities, 1, 2), values, axes=1)
        return np.moveaxis(by_parameter, 1, -1)

    def marginal(self, species_index: int) -> FloatArray:
        """Return P(X_s = x) [T, x = 0 … largest] of the species at ``species_index``."""
        count = self.states[:, species_index]
        table = np.zeros((len(self.probabilities), int(count.max()) + 1))
        np.add.at(table.T, count, self.probabilities.T)
        return table


@dataclass(frozen=True)
class FiniteStateProjection(SupportsLikelihood):
    """The master equation of a `ReactionNetwork`, solved on finitely many states.

    Definition: the probabilities p of the reachable states obey dp/dt = A p, and their derivatives
    s_q = ∂p/∂θ_q obey ds_q/dt = A s_q + (∂A/∂θ_q) p. Networks that reach finitely many states are
    enumerated completely. Others are cut off at a largest count a species, which is doubled until
    the probability that leaks beyond it is below ``tolerance``.

    Guarantee: exact up to rounding where no state is cut off. Otherwise `distribution` is below the
    true probabilities, by less than ``tolerance`` in total by the last time; derivatives are those
    of the projection. `likelihood` is that of the forward filter: the projection grows until, in
    every interval between observations, the probability that leaks, times the largest density of
    the datum in any state, is below ``tolerance`` times the likelihood of the datum.

    Arguments:

    - ``max_states``: the most states the projection may have. Default 50,000.
    - ``tolerance``: see above, between 0 and 1. Default 1e-9.
    - ``max_jumps``: how often the fastest state may be left between two times. Default 1e7.

    When: few species in counts up to hundreds, as the reference for everything else. Not for large
    spaces (the states multiply with each species), nor where fast reactions fire very often: the
    cost is the number of states times the largest number of events in the time.

    References: Munsky, Khammash, J. Chem. Phys. 124 (2006), doi:10.1063/1.2145882 (projection);
    Jensen, Scand. Actuar. J. 36 (1953), doi:10.1080/03461238.1953.10419459 (uniformization).

    >>> from tumble.models import ReactionNetwork
    >>> decay = ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> later = FiniteStateProjection().distribution(decay, [0.5], [3], [1.0], sensitivities=True)
    >>> later.expectation(lambda states: states[:, 0]).round(4)  # 3 exp(-0.5)
    array([1.8196])
    """

    deterministic: ClassVar[bool] = True
    max_states: int = 50_000
    tolerance: float = 1e-9
    max_jumps: float = 1e7

    def __post_init__(self) -> None:
        if not self.max_jumps >= 1:
            raise ParameterError(f"`max_jumps` is {self.max_jumps}, expected at least 1.")
        if not self.max_states >= 1:
            raise ParameterError(f"`max_states` is {self.max_states}, expected at least 1.")
        if not 0 < self.tolerance < 1:
            raise ParameterError(f"`tolerance` is {self.tolerance}, expected between 0 and 1.")

    def distribution(
        self,
        model: ReactionNetwork,
        params: Any,
        initial: Any,
        times: Any,
        *,
        start: float = 0.0,
        sensitivities: bool = False,
    ) -> StateDistribution:
        """Return the distribution of the state at ``times``.

        Arguments: ``params`` [Q] in the model's order, per unit of time; ``initial``, counts [S] at
        time ``start``, or a pair of states [k, S] and their probabilities [k]; ``times`` [T],
        ascending, ≥ ``start`` (default 0); ``sensitivities``, whether to compute the derivatives
        with respect to ``params`` as well, at Q times the cost. Default False.

        Raises `ModelError` when the projection needs more than ``max_states`` states,
        `ParameterError` for values that do not fit the model, and `CapabilityError` for rates that
        read ``time``.
        """
        values = _check_params(model, np.asarray(params, dtype=float))
        seeds, weights = _check_initial(model, initial)
        grid = np.atleast_1d(np.asarray(times, dtype=float))
        if grid.ndim != 1 or not grid.size or not np.all(np.diff(grid, prepend=start) >= 0):
            raise ParameterError(f"`times` must be a list, ascending and ≥ `start` = {start:g}.")
        jacobian = np.eye(len(values))

        def solve(space: StateSpace, num_slopes: int) -> FloatArray:
            flow = space.flow(model, values, jacobian[:, :num_slopes])
            self.require_affordable(flow, np.diff(grid, prepend=start))
            table = _seeded(space, np.pad(weights[None], ((0, num_slopes), (0, 0))))
            rows = []
            for span in np.diff(grid, prepend=start):
                table = flow.advance(table, float(span))
                rows.append(table[:, :, 0])
            return np.stack(rows)

        def attempt(space: StateSpace) -> tuple[StateDistribution | None, BoolArray]:
            n = space.num_states
            num_slopes = len(values) if sensitivities else 0
            if space.num_sinks:  # whether it is large enough shows without the derivatives
                short = _too_much(solve(space, 0)[-1, 0, n:, None], self.tolerance)
                if short.any():
                    return None, short
            rows = solve(space, num_slopes)
            derivatives = np.moveaxis(rows[:, 1:, :n], 1, 2) if sensitivities else None
            leaked = rows[:, 0, n:].sum(axis=1)
            found = StateDistribution(space.states, rows[:, 0, :n], derivatives, leaked)
            return found, np.zeros(len(model.species), bool)

        return project(model, seeds, self.max_states, attempt)

    def require_affordable(self, flow: Flow, spans: FloatArray) -> None:
        """Raise `ModelError` where one of the time ``spans`` takes more than ``max_jumps``."""
        jumps = flow.fastest * spans.max()
        if jumps > self.max_jumps:
            raise ModelError(
                f"the fastest state of the projection is left {jumps:.2g} times between two of the "
                f"times, and each is a step; more than `max_jumps` = {self.max_jumps:.2g}. Raise "
                "it, or use ParticleFilter() or LinearNoise(), which do not enumerate states."
            )

    def likelihood(self, problem: Any) -> ForwardFilter:
        """Return the log likelihood of a problem's time series. Raises `DataError`."""
        if problem.kind != "series":
            raise DataError(
                f"the finite-state likelihood needs time series, but the data are of kind "
                f"{problem.kind!r}; use objectives.MomentMatching()."
            )
        return ForwardFilter(self, problem)


@dataclass(frozen=True)
class ForwardFilter:
    """log p(data | θ) by the forward algorithm. Made by `FiniteStateProjection.likelihood`.

    Definition: the distribution of the state given the data so far is propagated to the next
    observation and multiplied by the density of the datum; the sum is the likelihood of that datum.
    Derivatives with respect to all of θ are carried along: those of the model's parameters, of the
    noise, of the observables and of initial values. A `Ref` that stands for an initial count m is
    the mixture of ⌊m⌋ and ⌊m⌋ + 1 of mean m; at whole m the derivative is that from above.

    Reference: Rabiner, Proc. IEEE 77 (1989), doi:10.1109/5.18626.
    """

    method: FiniteStateProjection
    problem: Any

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the log likelihood of all experiments at θ [P] (natural scale), and its gradient.

        Data that are impossible at θ, or less likely than 1e-300 given those before, give -inf and
        a gradient of NaN. Raises `ModelError` when the projection needs more than ``max_states``
        states, and `ParameterError` for negative rates.
        """
        theta = np.asarray(theta, dtype=float)
        value, gradient = 0.0, np.zeros(len(theta))
        for density in self._densities:
            one, slope = self._of_experiment(density, theta)
            value += one
            gradient[density.used] += slope
        return value, gradient if np.isfinite(value) else np.full(len(theta), np.nan)

    def value(self, theta: FloatArray) -> float:
        """Return the log likelihood alone, without the cost of the derivatives."""
        theta = np.asarray(theta, dtype=float)
        return sum(self._of_experiment(density, theta)[0] for density in self._plain_densities)

    @cached_property
    def _densities(self) -> tuple[DatumDensity, ...]:
        return tuple(DatumDensity(binding) for binding in self.problem.bindings)

    @cached_property
    def _plain_densities(self) -> tuple[DatumDensity, ...]:
        return tuple(DatumDensity(b, slopes=False) for b in self.problem.bindings)

    def _of_experiment(self, density: DatumDensity, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the log likelihood of one experiment and its derivatives in what it uses [U]."""
        binding = density.binding
        model = binding.model
        params, jacobian = density.model_params(theta)
        params = _check_params(model, params)
        seeds, weights = _initial_mixture(density, theta)
        data = binding.observed.values
        seen = np.flatnonzero(np.isfinite(data).any(axis=(0, 2)))
        spans = np.diff(binding.times[seen], prepend=binding.experiment.start)
        tolerance = self.method.tolerance / len(seen)
        impossible = (-np.inf, np.full(jacobian.shape[1], np.nan))

        def attempt(space: StateSpace) -> tuple[tuple[float, FloatArray] | None, BoolArray]:
            flow = space.flow(model, params, jacobian)
            self.method.require_affordable(flow, spans)
            table = np.repeat(_seeded(space, weights), len(data), axis=2)
            value, gradient = 0.0, np.zeros(jacobian.shape[1])
            for span, datum in zip(spans, data[:, seen].swapaxes(0, 1), strict=True):
                step = _observe(density, theta, space, flow, table, float(span), datum)
                short = _too_much(step.leaked, tolerance * step.odds)
                if short.any() or not np.all(step.odds):
                    return None if np.all(step.odds) else impossible, short
                value += step.log_likelihood
                gradient += step.gradient
                table = step.table
            return (value, gradient), short

        return project(model, seeds, self.method.max_states, attempt)


class _Step(NamedTuple):
    """One observation: the table after it, and what it says.

    ``log_likelihood`` and ``gradient`` [U] are sums over the replicates; ``odds`` [N], the
    likelihood over the largest density in any state; ``leaked`` [sinks, N].
    """

    table: FloatArray
    log_likelihood: float
    gradient: FloatArray
    odds: FloatArray
    leaked: FloatArray


def _observe(
    density: DatumDensity,
    theta: FloatArray,
    space: StateSpace,
    flow: Flow,
    table: FloatArray,
    span: float,
    datum: FloatArray,
) -> _Step:
    """Propagate the table [U+1, n, N] over ``span`` and condition it on the data [N, O] there."""
    n, replicates = space.num_states, len(datum)
    log_density, slope = density.log_prob(
        theta, np.tile(space.states, (replicates, 1)), np.repeat(datum, n, axis=0)
    )
    log_density = log_density.reshape(replicates, n).T
    slope = np.moveaxis(slope.reshape(replicates, n, slope.shape[-1]), 2, 0).swapaxes(1, 2)
    for depth in (DEPTH, _LARGE_DEPTH):
        ahead = flow.advance(table, span, depth)
        before = ahead[0, :n]
        possible = np.where(before > 0, log_density, -np.inf)
        top = possible.max(axis=0)
        weight = np.exp(possible - np.where(np.isneginf(top), 0.0, top))
        odds = (before * weight).sum(axis=0)
        if np.all(odds):
            break
    # Derivatives of log densities may be infinite where the density is 0.
    safe = np.where(weight > 0, slope, 0.0)
    joint = np.concatenate([before[None], ahead[1:, :n] + before * safe]) * weight
    total = joint.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):  # the caller sees that odds are 0
        change = total[1:] / odds
        joint /= odds
        joint[1:] -= joint[0] * change[:, None]
        log_likelihood = float((np.log(odds) + top).sum())
    after = np.pad(joint, ((0, 0), (0, space.num_sinks), (0, 0)))
    return _Step(after, log_likelihood, change.sum(axis=1), odds, ahead[0, n:])


def _too_much(leaked: FloatArray, allowed: FloatArray | float) -> BoolArray:
    """Return which sinks [sinks] took too much of what ``leaked`` [sinks, N] in total."""
    over = leaked.sum(axis=0) > allowed
    return (over & (leaked > np.asarray(allowed) / max(len(leaked), 1))).any(axis=1)


def _seeded(space: StateSpace, weights: FloatArray) -> FloatArray:
    """Return the table [P+1, n, 1] of weights [P+1, k] of the first k states, the seeds."""
    table = np.zeros((len(weights), space.num_states + space.num_sinks, 1))
    table[:, : weights.shape[1], 0] = weights
    return table


def _initial_mixture(density: DatumDensity, theta: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return initial states [k, S], and their probabilities with derivatives [U+1, k]."""
    binding = density.binding
    mean, jacobian = density.initial_mean(theta)
    states = np.zeros((1, 0), dtype=np.int64)
    weights = np.zeros((1 + jacobian.shape[1], 1))
    weights[0] = 1.0
    for name, m, slope in zip(binding.model.species, mean, jacobian, strict=True):
        source = binding.experiment.initial[name]
        if not m >= 0:
            raise ParameterError(
                f"`initial[{name!r}]` is {m:g}, expected ≥ 0; set the parameter's lower bound to 0."
            )
        change = np.zeros(1)
        if isinstance(source, AbstractPrior):
            counts, chance = _rounded(source)
            change = np.zeros(len(counts))
        elif isinstance(source, Ref):
            fraction = m - np.floor(m)
            counts = int(np.floor(m)) + np.arange(2)
            chance, change = np.array([1 - fraction, fraction]), np.array([-1.0, 1.0])
        else:
            counts, chance = np.array([int(m)]), np.ones(1)
        grown = weights[:, :, None] * chance
        grown[1:] += weights[0][:, None] * change * slope[:, None, None]
        weights = grown.reshape(len(weights), -1)
        left = np.repeat(states, len(counts), axis=0)
        states = np.column_stack([left, np.tile(counts, len(states))])
    return states, weights


def _rounded(prior: AbstractPrior) -> tuple[IntArray, FloatArray]:
    """Return whole numbers and the probabilities that a draw, rounded, gives them (at least 0).

    The distribution function is found from the quantiles, by bisection; tails of 1e-12 are cut.
    """
    ends = prior.quantile(np.array([1 - _LARGEST_QUANTILE, _LARGEST_QUANTILE]))
    first, last = np.maximum(np.rint(ends), 0).astype(np.int64)
    counts = np.arange(first, last + 1)
    lower, upper = np.zeros(len(counts)), np.ones(len(counts))
    for _ in range(60):
        middle = (lower + upper) / 2
        below = prior.quantile(middle) <= counts + 0.5
        lower, upper = np.where(below, middle, lower), np.where(below, upper, middle)
    lower[-1] = 1.0
    chance: FloatArray = np.diff(lower, prepend=0.0)
    return counts[chance > 0], chance[chance > 0]


def _check_params(model: ReactionNetwork, params: FloatArray) -> FloatArray:
    expected = (len(model.parameters),)
    if params.shape != expected:
        raise ParameterError(
            f"`params` has shape {params.shape}, expected {expected}, a value for each of "
            f"{', '.join(model.parameters)}."
        )
    require_autonomous(model, "FiniteStateProjection")
    for name, value in zip(model.parameters, params, strict=True):
        if not model.allows(name, value):
            raise ParameterError(
                f"`params` has {name} = {value}, expected {model.expected_value(name)}."
            )
    return params


def _check_initial(model: ReactionNetwork, initial: Any) -> tuple[IntArray, FloatArray]:
    """Return unique initial states [k, S] and their probabilities [k]."""
    pair = isinstance(initial, tuple) and len(initial) == 2 and np.ndim(initial[0]) == 2
    states = np.atleast_2d(np.asarray(initial[0] if pair else initial, dtype=float))
    weights = np.asarray(initial[1], dtype=float) if pair else np.ones(1)
    if states.shape != (len(weights), len(model.species)) or not len(weights):
        raise ParameterError(
            f"`initial` has shape {np.shape(initial[0] if pair else initial)}, expected counts "
            f"[{len(model.species)}] of {', '.join(model.species)}, or a pair of states [k, "
            f"{len(model.species)}] and probabilities [k]."
        )
    if not np.all((states >= 0) & (states == np.rint(states)) & (states < 2**53)):
        raise ParameterError("`initial` must hold whole numbers ≥ 0.")
    if not (np.all(weights >= 0) and abs(weights.sum() - 1) < 1e-9):
        raise ParameterError(
            f"the probabilities of `initial` sum to {weights.sum():g}, expected numbers ≥ 0 that "
            "sum to 1."
        )
    unique, inverse = np.unique(states.astype(np.int64), axis=0, return_inverse=True)
    return unique, np.asarray(np.bincount(inverse.ravel(), weights), dtype=float)

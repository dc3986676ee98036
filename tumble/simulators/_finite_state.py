"""Finite state projection: the distribution of a network's state, and exact likelihoods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import DataError, ModelError, ParameterError
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._base import SupportsLikelihood
from tumble.simulators._projection import check_params, seeded, too_much
from tumble.simulators._state_likelihood import StateLikelihood
from tumble.simulators._state_space import Flow, StateSpace, project


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
    of the projection. `likelihood` is that of the forward filter, or of snapshots cell by cell: the
    projection grows until, in every interval between observations, the probability that leaks,
    times the largest density of the datum in any state, is below ``tolerance`` times the likelihood
    of the datum.

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
        values = check_params(model, np.asarray(params, dtype=float))
        seeds, weights = _check_initial(model, initial)
        grid = np.atleast_1d(np.asarray(times, dtype=float))
        if grid.ndim != 1 or not grid.size or not np.all(np.diff(grid, prepend=start) >= 0):
            raise ParameterError(f"`times` must be a list, ascending and ≥ `start` = {start:g}.")
        jacobian = np.eye(len(values))

        def solve(space: StateSpace, num_slopes: int) -> FloatArray:
            flow = space.flow(model, values, jacobian[:, :num_slopes])
            self.require_affordable(flow, np.diff(grid, prepend=start))
            table = seeded(space, np.pad(weights[None], ((0, num_slopes), (0, 0))))
            rows = []
            for span in np.diff(grid, prepend=start):
                table = flow.advance(table, float(span))
                rows.append(table[:, :, 0])
            return np.stack(rows)

        def attempt(space: StateSpace) -> tuple[StateDistribution | None, BoolArray]:
            n = space.num_states
            num_slopes = len(values) if sensitivities else 0
            if space.num_sinks:  # whether it is large enough shows without the derivatives
                short = too_much(solve(space, 0)[-1, 0, n:, None], self.tolerance)
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

    def likelihood(self, problem: Any) -> StateLikelihood:
        """Return the log likelihood of a problem's series or snapshots.

        Raises `DataError` for averages, and `CapabilityError` where parameters differ from run to
        run in series, or more than one of them in snapshots.
        """
        if problem.kind == "mean":
            raise DataError(
                "the finite-state likelihood needs time series or snapshots, but the data are of "
                "kind 'mean'; use objectives.MomentMatching()."
            )
        for binding in problem.bindings:
            if problem.kind != "snapshots" or len(binding.effects) > 1:
                binding.require_single()
        return StateLikelihood(self, problem)


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

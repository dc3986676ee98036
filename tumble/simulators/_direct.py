"""Gillespie's direct method: exact stochastic simulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._execution import num_workers, run_all, split
from tumble._random import Stream
from tumble._typing import FloatArray, IdArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._base import (
    AbstractSimulator,
    PairSample,
    Sample,
    ScoredSample,
    SupportsCoupling,
    SupportsScore,
)

_TASKS_PER_WORKER = 4
_SMALLEST_TASK = 16


@dataclass(frozen=True)
class DirectMethod(AbstractSimulator, SupportsScore, SupportsCoupling):
    """Exact stochastic simulation of a `ReactionNetwork` by the direct method.

    Definition: in state n reaction r has propensity a_r = θ_r h_r(n); the waiting time to the next
    reaction is exponential with rate Σ a_r, and it is reaction r with probability a_r / Σ a.

    Guarantee: exact in law (float64, 52-bit uniforms). Absorbing states are kept to the last time.

    Arguments: ``max_events``, the largest number of reactions one run may fire; a run that needs
    more ends with `SampleCode.MAX_EVENTS` and its outputs are -1. Default 10⁷.

    When: always, unless counts are so large that events can no longer be simulated one by one.

    Reference: Gillespie, J. Phys. Chem. 81 (1977), doi:10.1021/j100540a008.
    """

    max_events: int = 10_000_000
    exact: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.max_events >= 1:
            raise ParameterError(f"`max_events` is {self.max_events}, expected at least 1.")

    def sample(
        self,
        model: ReactionNetwork,
        params: FloatArray,
        initial: IntArray,
        times: FloatArray,
        stream: Stream,
        runs: IdArray,
        *,
        start: float = 0.0,
        executor: Any = None,
    ) -> Sample:
        """See `AbstractSimulator.sample`."""
        states, codes, events, _, _ = _in_pieces(
            _simulate_rows,
            self,
            model,
            params,
            initial,
            times,
            stream,
            runs,
            start,
            executor,
            False,
        )
        return Sample(states, codes, events)

    def sample_with_score(
        self,
        model: ReactionNetwork,
        params: FloatArray,
        initial: IntArray,
        times: FloatArray,
        stream: Stream,
        runs: IdArray,
        *,
        start: float = 0.0,
        executor: Any = None,
    ) -> ScoredSample:
        """Run with the score Σ_events 1/θ_r − ∫ h_r ds, the last event-free interval included."""
        states, codes, events, fired, exposure = _in_pieces(
            _simulate_rows, self, model, params, initial, times, stream, runs, start, executor, True
        )
        index = model.rate_index
        score = np.zeros((*fired.shape[:2], params.shape[1]))
        for r in np.flatnonzero(index >= 0):
            rate = params[:, index[r], None]
            per_rate = np.divide(
                fired[:, :, r], rate, out=np.full(fired.shape[:2], np.nan), where=rate > 0
            )
            score[:, :, index[r]] += per_rate - exposure[:, :, r]
        return ScoredSample(states, codes, events, score)

    def sample_pairs(
        self,
        model: ReactionNetwork,
        params: FloatArray,
        initial: IntArray,
        times: FloatArray,
        stream: Stream,
        runs: IdArray,
        *,
        start: float = 0.0,
        executor: Any = None,
    ) -> PairSample:
        """Run pairs under the split coupling; see `SupportsCoupling.sample_pairs`."""
        return PairSample(
            *_in_pieces(
                _simulate_pairs, self, model, params, initial, times, stream, runs, start, executor
            )
        )


def _num_tasks(num_runs: int) -> int:
    """Return how many pieces to cut a batch into: enough to balance, none too small to pay."""
    return max(1, min(_TASKS_PER_WORKER * num_workers(), num_runs // _SMALLEST_TASK))


def _in_pieces(
    function: Callable[..., Any],
    method: DirectMethod,
    model: ReactionNetwork,
    params: FloatArray,
    initial: IntArray,
    times: FloatArray,
    stream: Stream,
    runs: IdArray,
    start: float,
    executor: Any,
    *extra: Any,
) -> list[Any]:
    """Cut a batch into pieces, run them side by side, and put each output together again."""
    rates = np.ascontiguousarray(model.rates(params))
    initial = np.ascontiguousarray(initial, dtype=np.int64)
    times = np.ascontiguousarray(times, dtype=np.float64)
    runs = np.ascontiguousarray(runs, dtype=np.uint64)
    tasks = [
        (model, rates[rows], initial[rows], float(start), times, stream.key, runs[rows],
         method.max_events, *extra)
        for rows in split(len(runs), _num_tasks(len(runs)))
    ]  # fmt: skip
    pieces = run_all(function, tasks, executor)
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def _simulate_rows(
    model: ReactionNetwork,
    rates: FloatArray,
    initial: IntArray,
    start: float,
    times: FloatArray,
    key: int,
    runs: IdArray,
    max_events: int,
    sufficient: bool,
) -> tuple[IntArray, IntArray, IntArray, IntArray, FloatArray]:
    """Run one piece of a batch; a function of plain values, so that any executor can take it."""
    from tumble.kernels._direct import direct_method
    from tumble.kernels._tables import network_tables

    num_runs, num_reactions = rates.shape
    width = num_reactions if sufficient else 0
    states = np.empty((num_runs, len(times), initial.shape[1]), np.int64)
    fired = np.empty((num_runs, len(times), width), np.int64)
    exposure = np.empty((num_runs, len(times), width))
    codes = np.empty(num_runs, np.int64)
    events = np.empty(num_runs, np.int64)
    direct_method(
        network_tables(model), rates, initial, start, times, np.uint64(key), runs, max_events,
        states, fired, exposure, codes, events,
    )  # fmt: skip
    return states, codes, events, fired, exposure


def _simulate_pairs(
    model: ReactionNetwork,
    rates: FloatArray,
    initial: IntArray,
    start: float,
    times: FloatArray,
    key: int,
    runs: IdArray,
    max_events: int,
) -> tuple[IntArray, IntArray, IntArray]:
    """Run one piece of a batch of pairs."""
    from tumble.kernels._coupled import coupled_pair
    from tumble.kernels._tables import network_tables

    num_pairs = len(runs)
    states = np.empty((num_pairs, 2, len(times), initial.shape[2]), np.int64)
    codes = np.empty(num_pairs, np.int64)
    events = np.empty(num_pairs, np.int64)
    coupled_pair(
        network_tables(model), rates, initial, start, times, np.uint64(key), runs, max_events,
        states, codes, events,
    )  # fmt: skip
    return states, codes, events

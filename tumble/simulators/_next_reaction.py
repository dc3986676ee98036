"""The next reaction method: exact simulation in which every reaction has a clock of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._autonomous import require_autonomous
from tumble.simulators._base import (
    AbstractSimulator,
    Batch,
    PairSample,
    Sample,
    SupportsCoupling,
)
from tumble.simulators._jump_runs import in_pieces

# What the counters of one clock can tell apart.
_MOST_EVENTS = 2**33


@dataclass(frozen=True)
class NextReactionMethod(AbstractSimulator, SupportsCoupling):
    """Exact stochastic simulation of a `ReactionNetwork` by the modified next reaction method.

    Definition: the number of times that reaction r has fired by time t is Y_r(∫₀ᵗ a_r ds), with
    independent Poisson processes Y_r of unit rate, the clocks. Reaction r fires when its internal
    time ∫ a_r ds reaches the next jump of its clock; the next of all is found by an indexed
    priority queue, and an event costs time of the order of log R.

    Guarantee: exact in law (float64, 52-bit uniforms). Absorbing states are kept to the last time.
    The clocks depend on the stream and the run id alone: runs that share these see the same jumps,
    whatever their parameters.

    `sample_pairs` runs both sides on the same clocks, the *common reaction path* coupling. Each
    side by itself has its exact law. The two stay close as long as their internal times do: at long
    times, where paths forget their past, they part, and differences are mostly noisier than under
    the split coupling of `DirectMethod`.

    Arguments: ``max_events``, the largest number of reactions one run may fire, at most 2³³; a run
    that needs more ends with `SampleCode.MAX_EVENTS` and its outputs are -1. Default 10⁷.

    When: comparing parameters or scenarios on the same randomness; networks of hundreds of loosely
    connected reactions. Not for many runs of a small network, where `DirectMethod` is several times
    faster; nor for a score, which it does not offer.

    References: Anderson, J. Chem. Phys. 127 (2007), doi:10.1063/1.2799998 (the method); Gibson,
    Bruck, J. Phys. Chem. A 104 (2000), doi:10.1021/jp993732q (priority queue); Rathinam, Sheppard,
    Khammash, J. Chem. Phys. 132 (2010), doi:10.1063/1.3280166 (common reaction paths).
    """

    max_events: int = 10_000_000
    exact: ClassVar[bool] = True
    citations: ClassVar[tuple[str, ...]] = (
        "Anderson, J. Chem. Phys. 127 (2007), doi:10.1063/1.2799998 (next reaction method in time "
        "changes)",
        "Gibson, Bruck, J. Phys. Chem. A 104 (2000), doi:10.1021/jp993732q (next reaction method)",
    )

    def __post_init__(self) -> None:
        if not 1 <= self.max_events <= _MOST_EVENTS:
            raise ParameterError(
                f"`max_events` is {self.max_events}, expected between 1 and 2**33 = {_MOST_EVENTS}."
            )

    def sample(self, model: ReactionNetwork, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        require_autonomous(model, "NextReactionMethod")
        pieces = in_pieces(_simulate, model, batch, executor, self.max_events)
        states, codes, culprits, events = pieces
        return Sample(states, codes, events, culprits=culprits)

    def sample_pairs(
        self, model: ReactionNetwork, batch: Batch, *, executor: Any = None
    ) -> PairSample:
        """Run pairs on common clocks; see `SupportsCoupling.sample_pairs`."""
        num_pairs = len(batch.runs)
        sides = replace(
            batch,
            params=np.reshape(batch.params, (2 * num_pairs, -1)),
            initial=np.reshape(batch.initial, (2 * num_pairs, -1)),
            runs=np.repeat(batch.runs, 2),
        )
        sample = self.sample(model, sides, executor=executor)
        # A pair is as good as its sides: it has the code of the first that failed.
        failed = np.where(sample.codes[::2] != 0, 0, 1) + 2 * np.arange(num_pairs)
        codes, culprits = sample.codes[failed], np.asarray(sample.culprits)[failed]
        states = np.reshape(sample.states, (num_pairs, 2, *sample.states.shape[1:]))
        states[codes != 0] = -1
        events = sample.events.reshape(num_pairs, 2).sum(axis=1)
        return PairSample(states, codes, events, culprits=culprits)


def _simulate(
    model: ReactionNetwork, batch: Batch, max_events: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Run one piece of a batch; a function of plain values, so that any executor can take it."""
    from tumble.kernels._next_reaction import next_reaction_method
    from tumble.kernels._tables import law_tables, network_tables

    num_runs = len(batch.runs)
    states = np.empty((num_runs, len(batch.times), batch.initial.shape[1]), np.int64)
    codes, culprits, events = (np.empty(num_runs, np.int64) for _ in range(3))
    next_reaction_method(
        network_tables(model), law_tables(model), model.rates(batch.params), batch.params,
        batch.initial, float(batch.start), batch.times,
        np.uint64(batch.stream.child("reaction clocks").key), batch.runs, int(max_events), states,
        codes, culprits, events,
    )  # fmt: skip
    return states, codes, culprits, events

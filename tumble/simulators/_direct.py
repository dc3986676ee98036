"""Gillespie's direct method: exact stochastic simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError
from tumble._results import SampleCode
from tumble._typing import FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._alternative_runs import require_scales, run_alternatives
from tumble.simulators._autonomous import require_autonomous
from tumble.simulators._base import (
    AbstractSimulator,
    AlternativeSample,
    Batch,
    PairSample,
    Sample,
    ScoredSample,
    SupportsAlternative,
    SupportsCoupling,
    SupportsPaths,
    SupportsScore,
)
from tumble.simulators._hybrid import simulate_hybrid_rows
from tumble.simulators._jump_runs import (
    find_culprits,
    fits_lanes,
    in_pieces,
    is_large,
    piece_of,
    record_piece,
    sample_jumps,
)
from tumble.simulators._stages import (
    Stage,
    in_stages,
    is_staged,
    scored_in_stages,
    stages_of,
)


@dataclass(frozen=True)
class DirectMethod(AbstractSimulator, SupportsScore, SupportsAlternative, SupportsPaths):
    """Exact stochastic simulation of a `ReactionNetwork` by the direct method.

    Definition: in state n reaction r has propensity a_r(n; θ); the waiting time to the next
    reaction is exponential with rate Σ a_r, and it is reaction r with probability a_r / Σ a. Where
    rates depend on ``time`` or on variables, the next reaction comes when ∫ Σ a_r dt has reached an
    exponential of mean 1; events take place when their trigger becomes true.

    Guarantee: exact in law (float64, 52-bit uniforms). Where rates are piecewise constant in time,
    so are their breakpoints; where they or variables change continuously, up to the error of a
    Runge-Kutta pair of order 5 at a relative ``tolerance``.

    Absorbing states are kept to the last time.
    A run in which a propensity is negative or not finite, or a reaction fires without enough
    reactants, ends with a code, and `Sample.culprits` says which reaction it was.

    Arguments: ``max_events``, the largest number of reactions one run may fire; a run that needs
    more ends with `SampleCode.MAX_EVENTS` and its outputs are -1; events of the network count, too.
    Default 10⁷. ``tolerance``, the relative error that a step of the integrator may make. Default
    10⁻⁹. ``max_step``, its longest step. Default infinite; set it where rates have smooth bursts
    that are much shorter than what comes before them, which a long step could miss.

    When: always, unless counts are so large that events can no longer be simulated one by one. The
    score and coupled pairs are available where rates change by reactions alone, or besides at times
    that are known beforehand (``where(time < 10, a, b)``, a `StepInput`): such runs go from stage
    to stage, as fast as others. Alternatives and whole paths are for rates that do not read
    ``time``; none of them for variables and events.

    References: Gillespie, J. Phys. Chem. 81 (1977), doi:10.1021/j100540a008; with rates that change
    continuously, Alfonsi et al., ESAIM: Proc. 14 (2005), doi:10.1051/proc:2005001.
    """

    max_events: int = 10_000_000
    tolerance: float = 1e-9
    max_step: float = np.inf
    exact: ClassVar[bool] = True
    citations: ClassVar[tuple[str, ...]] = (
        "Gillespie, J. Phys. Chem. 81 (1977), doi:10.1021/j100540a008 (direct method)",
    )

    def __post_init__(self) -> None:
        if not self.max_events >= 1:
            raise ParameterError(f"`max_events` is {self.max_events}, expected at least 1.")
        if not 1e-13 <= self.tolerance <= 0.1:
            raise ParameterError(f"`tolerance` is {self.tolerance}, expected 1e-13 to 0.1.")
        if not self.max_step > 0:
            raise ParameterError(f"`max_step` is {self.max_step}, expected a time > 0.")

    def offers(self, capability: type, model: Any) -> bool:
        """See `AbstractSimulator.offers`; it depends on how rates depend on time."""
        if not isinstance(self, capability):
            return False
        if capability in (SupportsScore, SupportsCoupling):
            return bool(model.is_jump_process or is_staged(model))
        return bool(model.is_jump_process or capability not in (SupportsAlternative, SupportsPaths))

    def sample(self, model: ReactionNetwork, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        stages = _stages(model, batch)
        if stages:
            return in_stages(
                Sample, stages, batch,
                lambda m, piece: sample_jumps(m, piece, self.max_events, executor),
                self.max_events,
            )  # fmt: skip
        if not model.is_jump_process:
            options = (self.max_events, self.tolerance, self.max_step)
            *rest, variables = in_pieces(simulate_hybrid_rows, model, batch, executor, *options)
            states, codes, culprits, events = rest
            return Sample(states, codes, events, culprits=culprits, variables=variables)
        return sample_jumps(model, batch, self.max_events, executor, batch.out)

    def sample_with_score(
        self, model: ReactionNetwork, batch: Batch, *, executor: Any = None
    ) -> ScoredSample:
        """Run with the score Σ_events ∂ log a_r − ∫ Σ_r ∂a_r ds, ∂ being ∂ / ∂ params.

        The last event-free interval is included.
        """
        stages = _stages(model, batch)
        if stages:
            return scored_in_stages(
                stages, batch,
                lambda m, piece: self.sample_with_score(m, piece, executor=executor),
                self.max_events,
            )  # fmt: skip
        require_autonomous(model, "the score of DirectMethod")
        pieces = in_pieces(_simulate_with_score, model, batch, executor, self.max_events)
        states, codes, culprits, events, fired, exposure, of_laws = pieces
        score = np.zeros((*fired.shape[:2], batch.params.shape[1]))
        if of_laws.shape[2]:
            score += of_laws
        rates = model.rates(batch.params)
        values = model.rate_values(None, batch.params)
        # Mass action, a_r = c_r h_r: the number of firings and ∫ h_r ds say all.
        for r, q, expression in model.rate_slopes:
            if not model.is_mass_action[r]:
                continue
            rate, slope = rates[:, r, None], np.reshape(expression(values), (-1, 1))
            per_rate = np.divide(
                fired[:, :, r], rate, out=np.full(fired.shape[:2], np.nan), where=rate > 0
            )
            score[:, :, q] += slope * (per_rate - exposure[:, :, r])
        expected = rates[:, None, :] * exposure
        return ScoredSample(
            states, codes, events, score, culprits=culprits, fired=fired, expected=expected
        )

    def sample_pairs(
        self, model: ReactionNetwork, batch: Batch, *, executor: Any = None
    ) -> PairSample:
        """Run pairs under the split coupling; see `SupportsCoupling.sample_pairs`."""
        stages = _stages(model, batch)
        if stages:
            return in_stages(
                PairSample, stages, batch,
                lambda m, piece: self.sample_pairs(m, piece, executor=executor),
                self.max_events,
            )  # fmt: skip
        require_autonomous(model, "a coupled pair of DirectMethod")
        states, codes, culprits, events = in_pieces(
            _simulate_pairs, model, batch, executor, self.max_events
        )
        return PairSample(states, codes, events, culprits=culprits)

    def sample_with_alternatives(
        self,
        model: ReactionNetwork,
        batch: Batch,
        scales: FloatArray,
        num_phantoms: int,
        *,
        executor: Any = None,
    ) -> AlternativeSample:
        """Run with alternatives on which one more reaction fires.

        With Q = ∫ w ds, w_r = |scales · ∂a_r| and w = Σ_r w_r, alternative m begins at a uniform
        place of the m-th of M equal parts of the integral, with reaction r at probability w_r / w,
        and has the weight ∂a_r Q / (M w_r). Its two runs follow the split coupling. A run is
        simulated twice, to measure Q and to place them, and its events count twice. Each pair may
        fire ``max_events``; where more of a reaction would take a count below zero although its
        rate has a derivative there, the run ends with `SampleCode.NEGATIVE_COUNT`.
        """
        require_autonomous(model, "an alternative path of DirectMethod")
        extra = (self.max_events, require_scales(model, scales, num_phantoms), int(num_phantoms))
        pieces = in_pieces(run_alternatives, model, batch, executor, *extra)
        states, pairs, weights, codes, culprits, events = pieces
        return AlternativeSample(states, codes, events, pairs, weights, culprits=culprits)

    def record_paths(
        self, model: ReactionNetwork, batch: Batch, first: IntArray
    ) -> tuple[FloatArray, IntArray]:
        """See `SupportsPaths.record_paths`."""
        return record_piece(model, piece_of(batch, slice(None)), self.max_events, first)


def _stages(model: ReactionNetwork, batch: Batch) -> tuple[Stage, ...]:
    """Return the stages of a batch, none if the network has none or needs none."""
    if model.is_jump_process:
        return ()
    return stages_of(model, float(batch.start), float(batch.times[-1]))


def _simulate_with_score(
    model: ReactionNetwork, batch: Batch, max_events: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, IntArray, FloatArray, FloatArray]:
    """Run one piece of a batch; a function of plain values, so that any executor can take it."""
    from tumble.kernels._direct import direct_method
    from tumble.kernels._lanes import Job
    from tumble.kernels._scored_lanes import direct_method_with_exposure
    from tumble.kernels._scored_tree import direct_method_in_trees_with_exposure
    from tumble.kernels._tables import law_tables, network_tables

    num_runs, num_times = len(batch.runs), len(batch.times)
    width = len(model.reactions)
    states = np.empty((num_runs, num_times, batch.initial.shape[1]), np.int64)
    fired = np.empty((num_runs, num_times, width), np.int64)
    exposure = np.empty((num_runs, num_times, width))
    laws = law_tables(model)
    scores = np.empty((num_runs, num_times, 0 if laws is None else batch.params.shape[1]))
    codes, culprits, events = (np.empty(num_runs, np.int64) for _ in range(3))
    job = Job(
        network_tables(model), laws, model.rates(batch.params), batch.params, batch.initial,
        float(batch.start), batch.times, np.uint64(batch.stream.key), batch.runs, int(max_events),
        states, codes, culprits, events,
    )  # fmt: skip
    if is_large(job.tables):
        direct_method_in_trees_with_exposure(job, fired, exposure, scores)
    elif fits_lanes(job):
        culprits[:] = -1
        direct_method_with_exposure(job, fired, exposure, scores)
        find_culprits(job)
    else:
        direct_method(
            job.tables, laws, laws, job.rates, job.params, job.initial, job.start, job.times,
            job.key, job.runs, job.max_events, states, fired, exposure, scores, codes, culprits,
            events,
        )  # fmt: skip
    return states, codes, culprits, events, fired, exposure, scores


def _simulate_pairs(
    model: ReactionNetwork, batch: Batch, max_events: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Run one piece of a batch of pairs."""
    from tumble.kernels._coupled_lanes import coupled_pairs_in_lanes
    from tumble.kernels._coupled_tree import coupled_pairs_in_trees
    from tumble.kernels._lanes import Job
    from tumble.kernels._tables import law_tables, network_tables

    num_pairs, _, num_species = batch.initial.shape
    num_times = len(batch.times)
    states = np.empty((num_pairs, 2, num_times, num_species), np.int64)
    codes, culprits, events = (np.empty(num_pairs, np.int64) for _ in range(3))
    rates = model.rates(batch.params)
    laws = law_tables(model)
    # Both copies side by side in each row.
    job = Job(
        network_tables(model), laws, rates.reshape(num_pairs, -1),
        batch.params.reshape(num_pairs, -1), batch.initial.reshape(num_pairs, -1),
        float(batch.start), batch.times,
        np.uint64(batch.stream.key), batch.runs, int(max_events),
        states.reshape(num_pairs, -1, num_species), codes, culprits, events,
    )  # fmt: skip
    todo = np.arange(num_pairs)
    if is_large(job.tables):
        coupled_pairs_in_trees(job)
        todo = todo[:0]
    elif fits_lanes(job):
        culprits[:] = -1
        coupled_pairs_in_lanes(job)
        # Those that failed are followed once more by themselves: that says what made them fail.
        todo = np.flatnonzero(~np.isin(codes, [SampleCode.OK, SampleCode.MAX_EVENTS]))
    if len(todo):
        _one_by_one(job, batch, rates, states, todo)
    return states, codes, culprits, events


def _one_by_one(job: Any, batch: Batch, rates: Any, states: IntArray, todo: IntArray) -> None:
    """Run some of the pairs of a job, without lanes."""
    from tumble.kernels._coupled import coupled_pair

    some = states[todo]
    codes, culprits, events = (np.empty(len(todo), np.int64) for _ in range(3))
    coupled_pair(
        job.tables, job.laws, rates[todo], batch.params[todo], batch.initial[todo], job.start,
        job.times, job.key, job.runs[todo], job.max_events, some, codes, culprits, events,
    )  # fmt: skip
    states[todo] = some
    job.codes[todo], job.culprits[todo], job.events[todo] = codes, culprits, events

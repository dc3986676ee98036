"""Networks whose rates are constant between known times: stages, each a jump process of its own.

A rate such as ``where(time < 10, a, b) * S``, or a `StepInput`, changes at times that do not depend
on anything. Between two of them the network has constant rates, so that all that is known of those,
fast kernels, scores, pairs, is known of it: a run goes through its stages one after another. What
is left of a waiting time when a stage ends is drawn anew, which changes no law, since exponential
times have no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tumble._expressions import TIME, Expression, Number
from tumble._results import SampleCode
from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.kernels._modes import FLOOR, ModeFinder
from tumble.models import MassAction, RateLaw, ReactionNetwork
from tumble.simulators._base import Batch, PairSample, Sample, ScoredSample

# With more breakpoints than this in a run, each is better found on the way.
_MOST_STAGES = 200


class Level(NamedTuple):
    """Where something jumps: when offset + slope · time passes zero, or any whole number."""

    offset: float
    slope: float
    is_floor: bool

    def breakpoints(self, start: float, end: float) -> FloatArray:
        """Return the times at which it jumps: of whole numbers, those in [start, end], one more on
        each side.
        """
        if not self.is_floor:
            return np.array([-self.offset / self.slope])
        first, last = sorted(self.offset + self.slope * t for t in (start, end))
        if last - first > _MOST_STAGES:
            return np.full(_MOST_STAGES + 3, np.nan)
        whole = np.arange(np.floor(first) - 1, np.ceil(last) + 2)
        return np.sort((whole - self.offset) / self.slope)


class Stage(NamedTuple):
    """A time in which rates are constant, and the network with these."""

    begin: float
    end: float
    model: ReactionNetwork


def stages_of(model: ReactionNetwork, start: float, end: float) -> tuple[Stage, ...]:
    """Return the stages from ``start`` to ``end``, none where the network has no such stages."""
    levels = _levels(model)
    if levels is None:
        return ()
    times = np.unique(np.concatenate([level.breakpoints(start, end) for level in levels]))
    if not np.all(np.isfinite(times)) or np.sum((times > start) & (times < end)) > _MOST_STAGES:
        return ()
    # The network of a stage is that at its middle, whatever part of it is run, so that it is the
    # same one for all starts and ends.
    edges = np.concatenate([[times[0] - 2.0], times, [times[-1] + 2.0]])
    stages = []
    for i, (left, right) in enumerate(pairwise(edges)):
        begin = start if i == 0 else max(left, start)
        until = end if i == len(edges) - 2 else min(right, end)
        if begin < until:
            stages.append(Stage(float(begin), float(until), _frozen(model, (left + right) / 2)))
    return tuple(stages) or (Stage(start, end, _frozen(model, start)),)


def is_staged(model: ReactionNetwork) -> bool:
    """Return whether rates read the time, but are constant between times that are known."""
    return not model.is_jump_process and _levels(model) is not None


Run = Callable[[ReactionNetwork, Batch], Any]
Kind = TypeVar("Kind", Sample, PairSample)


def in_stages(
    kind: type[Kind], stages: tuple[Stage, ...], batch: Batch, run: Run, max_events: int
) -> Kind:
    """Return runs, or pairs, that go through all stages; ``kind`` is `Sample` or `PairSample`.

    ``run`` is what a jump process does with a batch.
    """
    through = _Through(stages, batch, max_events)
    for _ in through.pieces(run):
        pass
    return kind(through.states, through.codes, through.events, culprits=through.culprits)


def scored_in_stages(
    stages: tuple[Stage, ...], batch: Batch, run: Run, max_events: int
) -> ScoredSample:
    """Return runs through all stages with the score, the sum of those of the stages.

    How often reactions fire is left out: what it means to a parameter differs between stages.
    """
    through = _Through(stages, batch, max_events)
    score = np.full((*through.codes.shape, len(batch.times), batch.params.shape[-1]), np.nan)
    so_far = np.zeros((len(through.codes), batch.params.shape[-1]))
    for rows, inside, found in through.pieces(run):
        along = so_far[rows, None, :] + found.score
        score[np.ix_(rows, np.flatnonzero(inside))] = along[:, : np.sum(inside)]
        so_far[rows] = along[:, -1]
    score[through.codes != SampleCode.OK] = np.nan
    return ScoredSample(
        through.states, through.codes, through.events, score, culprits=through.culprits
    )


class _Through:
    """Runs or pairs on their way through the stages, and what they have left behind. Final."""

    def __init__(self, stages: tuple[Stage, ...], batch: Batch, max_events: int) -> None:
        self._stages, self._batch, self._max_events = stages, batch, max_events
        *lead, num_species = batch.initial.shape
        self.states = np.full((*lead, len(batch.times), num_species), -1, np.int64)
        self.codes, self.events = (np.zeros(lead[0], np.int64) for _ in range(2))
        self.culprits = np.full(lead[0], -1, np.int64)

    def pieces(self, run: Run) -> Iterator[tuple[IntArray, BoolArray, Any]]:
        """Yield (rows, which observation times, what ``run`` returned) of each stage.

        What is returned may have one time more, the end of the stage.
        """
        batch, times = self._batch, self._batch.times
        present = np.array(batch.initial)
        rows = np.arange(len(batch.runs))
        for i, stage in enumerate(self._stages):
            begun = times >= stage.begin if i == 0 else times > stage.begin
            inside = begun & (times <= stage.end)
            asked = times[inside]
            if not len(asked) or asked[-1] < stage.end:
                asked = np.append(asked, stage.end)
            piece = replace(
                batch, params=batch.params[rows], initial=present[rows], runs=batch.runs[rows],
                times=asked, start=stage.begin, stream=batch.stream.child("stage", i),
            )  # fmt: skip
            found = run(stage.model, piece)
            self._keep(rows, inside, found)
            yield rows, inside, found
            present[rows] = found.states[..., -1, :]
            rows = rows[self.codes[rows] == SampleCode.OK]
            if not len(rows):
                break
        failed = self.codes != SampleCode.OK
        self.states[failed] = -1

    def _keep(self, rows: IntArray, inside: BoolArray, found: Any) -> None:
        where = np.flatnonzero(inside)
        states = self.states[rows]
        states[..., where, :] = found.states[..., : len(where), :]
        self.states[rows] = states
        self.codes[rows] = found.codes
        self.events[rows] += found.events
        if found.culprits is not None:
            self.culprits[rows] = found.culprits
        late = rows[(found.codes == SampleCode.OK) & (self.events[rows] > self._max_events)]
        self.codes[late] = SampleCode.MAX_EVENTS


@lru_cache(maxsize=64)
def _levels(model: ReactionNetwork) -> tuple[Level, ...] | None:
    """Return all levels whose passing changes a rate, or None if there are others or none."""
    if model.variables or model.events:
        return None
    finder = ModeFinder(frozenset({TIME}))
    smooth = [finder.smooth(rate) for rate in model.rate_expressions if TIME in rate.names]
    if not smooth or any(TIME in rate.names for rate in smooth):
        return None
    levels = []
    for mode in finder.modes({}):
        if not mode.is_affine or mode.level.names != (TIME,):
            return None
        offset, slope = (float(x({TIME: 0.0})) for x in (mode.level, mode.slope))
        if not (np.isfinite(offset) and np.isfinite(slope) and slope != 0):
            return None
        levels.append(Level(offset, slope, mode.kind == FLOOR))
    return tuple(levels)


@lru_cache(maxsize=512)
def _frozen(model: ReactionNetwork, time: float) -> ReactionNetwork:
    """Return the network with the rates that it has at ``time``."""
    at = {TIME: Expression(Number(float(time)))}
    reactions = []
    for reaction, rate in zip(model.reactions, model.rate_expressions, strict=True):
        then = rate.substitute(at)
        law = MassAction(then) if reaction.is_mass_action else RateLaw(then.folded())
        reactions.append(replace(reaction, rate=law))
    return ReactionNetwork(tuple(reactions), model.species, model.parameters)

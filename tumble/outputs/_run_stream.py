"""Runs as a stream: simulated and reduced piece by piece, and taken in order."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tumble._errors import SimulationError
from tumble._execution import InPlace, num_workers, run_in_order
from tumble._progress import AbstractProgress
from tumble._results import SampleCode, count_outcomes, describe_counts
from tumble._typing import IntArray
from tumble.outputs._plan import Piece, Plan

# How many pieces may be on their way to another executor, whose workers we cannot count, and the
# memory that their results may take if nothing is reduced.
_MOST_ELSEWHERE, _BYTES_ELSEWHERE = 256, 2**30


class Reduced(NamedTuple):
    """What a worker sends back: what is kept of a piece, and how its runs ended, each [b]."""

    value: Any
    codes: IntArray
    culprits: IntArray | None
    events: IntArray
    messages: Mapping[int, str] = {}


class _Done(NamedTuple):
    value: Any
    outcomes: dict[tuple[int, int], int]
    events: int
    messages: Mapping[int, str]


class RunStream:
    """The runs of a plan, on their way through the workers. Final.

    After a pass, ``done`` runs are complete, ``outcomes`` counts how they ended (by code and
    culprit), ``messages`` are what the first run of each code said, and ``interrupted`` says
    whether somebody stopped it by hand.
    """

    def __init__(self, plan: Plan, executor: Any, bar: AbstractProgress) -> None:
        self.plan = plan
        self.done, self.events, self.interrupted = 0, 0, False
        self.outcomes: Counter[tuple[int, int]] = Counter()
        self.messages: dict[int, str] = {}
        # What shares its work out itself is called from here, one piece after the other.
        self._in_place = executor is None and plan.simulator.shares_out
        self._executor = InPlace() if self._in_place else executor
        self._bar = bar
        self._began = time.perf_counter()

    def each(
        self,
        work: Callable[..., Reduced],
        arguments: Callable[[Piece], tuple[Any, ...]],
        part: tuple[float, float] = (0.0, 1.0),
    ) -> Iterator[tuple[Piece, Any]]:
        """Yield ``(piece, work(piece, *arguments(piece)).value)`` for each piece, in order.

        ``work`` runs in the workers, a few pieces at a time. ``part`` is the part of the progress
        bar that this pass fills. An interruption ends the pass; the pieces so far are complete.
        Raises `SimulationError` when every run failed, and KeyboardInterrupt before the first.
        """
        self.done, self.events = 0, 0
        self.outcomes.clear()
        began = time.perf_counter()
        tasks = ((work, piece, arguments(piece)) for piece in self.plan.pieces())
        results = run_in_order(_run, tasks, self._executor, self._window)
        for piece in self.plan.pieces():
            try:
                if self.done:
                    self._show(part, time.perf_counter() - began)
                found = next(results)
            except KeyboardInterrupt:
                if not self.done:
                    raise
                self.interrupted = True
                break
            self.done, self.events = piece.stop, self.events + found.events
            self.outcomes.update(found.outcomes)
            self.messages = {**found.messages, **self.messages}
            yield piece, found.value
        if SampleCode.OK not in self.counted:
            raise SimulationError(f"every run failed: {self.failures}.")

    @property
    def shares_memory(self) -> bool:
        """Whether the workers can write to arrays of this process."""
        return self._executor is None or self._in_place

    @property
    def counted(self) -> dict[SampleCode, int]:
        """How many runs ended how; codes that did not occur are left out."""
        counted = dict.fromkeys(SampleCode, 0)
        for (code, _), count in self.outcomes.items():
            counted[SampleCode(code)] += count
        return {code: count for code, count in counted.items() if count}

    @property
    def failures(self) -> str:
        """What went wrong in which reactions, in a sentence, empty where all went well."""
        model = self.plan.model
        return describe_counts(self.outcomes, model.reactions, model.events, self.messages)

    @property
    def stats(self) -> dict[str, float]:
        """What it cost so far."""
        seconds = time.perf_counter() - self._began
        return {"seconds": seconds, "events": float(self.events), "runs": float(self.done)}

    @property
    def _window(self) -> int:
        if self._in_place:
            return 1
        few = 2 * num_workers()
        if self._executor is None:
            return few
        fitting = _BYTES_ELSEWHERE // (self.plan.bytes_a_run * self.plan.runs_a_piece)
        return max(few, min(_MOST_ELSEWHERE, fitting))

    def _show(self, part: tuple[float, float], seconds: float) -> None:
        fraction = self.done / self.plan.num_runs
        rate = self.events / seconds if seconds > 0 else 0.0
        left = seconds * (1 - fraction) / fraction
        message = (
            f"{self.done:,} of {self.plan.num_runs:,} runs · {_short(rate)} events/s · "
            f"{_clock(left)} left"
        )
        self._bar.update(part[0] + (part[1] - part[0]) * fraction, message)


def _run(work: Callable[..., Reduced], piece: Piece, arguments: tuple[Any, ...]) -> _Done:
    """Do the work on one piece; a function of plain values, so that any executor can take it."""
    value, codes, culprits, events, messages = work(piece, *arguments)
    return _Done(value, count_outcomes(codes, culprits), int(events.sum()), messages)


def _short(number: float) -> str:
    """Return a number such as ``45.1 M``."""
    for unit in ("", " k", " M"):
        if number < 999.5:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g} G"


def _clock(seconds: float) -> str:
    """Return a time such as ``1:05`` or ``2:00:30``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

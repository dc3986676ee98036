"""Many runs of a jump process: cut into pieces, and each piece given to the kernel that pays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tumble._execution import InPlace, num_workers, run_all, split
from tumble._results import SampleCode
from tumble._typing import FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._base import Batch, Sample

_TASKS_PER_WORKER = 4
_SMALLEST_TASK, _LARGEST_TASK = 32, 2048
# A network of this many reactions is large; see `is_large`.
_LARGE = 200
# With fewer runs than this most lanes would stay empty.
_WORTH_LANES = 16
# Counts in lanes are floats: exact as long as they cannot pass this.
_EXACT = 2**53

Outputs = tuple[IntArray, IntArray, IntArray, IntArray]
"""States [B, T, S]; codes, culprits and events [B]."""


def sample_jumps(
    model: ReactionNetwork,
    batch: Batch,
    max_events: int,
    executor: Any,
    out: IntArray | None = None,
) -> Sample:
    """Run a network once a row of ``batch``; see `DirectMethod`. Threads write to ``out``."""
    num_runs = len(batch.runs)
    shape = (num_runs, len(batch.times), batch.initial.shape[1])
    ahead_of_all, pieces_wanted = 0.0, num_pieces(num_runs)
    if isinstance(executor, InPlace):
        ahead_of_all, pieces_wanted, executor = executor.runs_ahead, 1, None
    # Threads write into one set of arrays; other executors send theirs back.
    whole = _empty(shape, out) if executor is None else None
    tasks = []
    for rows in split(num_runs, pieces_wanted):
        views = None if whole is None else tuple(part[rows] for part in whole)
        ahead = ahead_of_all + (num_runs - rows.stop) / num_workers()
        tasks.append((model, piece_of(batch, rows), max_events, ahead, views))
    pieces = run_all(run_piece, tasks, executor)
    if whole is None:
        whole = tuple(np.concatenate(column) for column in zip(*pieces, strict=True))  # type: ignore[assignment]
    assert whole is not None
    states, codes, culprits, events = whole
    return Sample(states, codes, events, culprits=culprits)


def num_pieces(num_runs: int) -> int:
    """Return how many pieces to cut a batch into: enough to balance, none too small to pay."""
    for_balance = min(_TASKS_PER_WORKER * num_workers(), num_runs // _SMALLEST_TASK)
    return max(1, for_balance, -(-num_runs // _LARGEST_TASK))


def piece_of(batch: Batch, rows: slice) -> Batch:
    """Return some rows of a batch, as the arrays that kernels were compiled for."""
    return replace(
        batch,
        out=None,
        params=np.require(batch.params[rows], np.float64, ["C", "W"]),
        initial=np.require(batch.initial[rows], np.int64, ["C", "W"]),
        times=np.require(batch.times, np.float64, ["C", "W"]),
        runs=np.require(batch.runs[rows], np.uint64, ["C", "W"]),
    )


def in_pieces(
    function: Callable[..., Any], model: ReactionNetwork, batch: Batch, executor: Any, *extra: Any
) -> list[Any]:
    """Cut a batch into pieces, run them side by side, and put each output together again."""
    tasks = []
    for rows in split(len(batch.runs), num_pieces(len(batch.runs))):
        tasks.append((model, piece_of(batch, rows), *extra))
    pieces = run_all(function, tasks, executor)
    return [np.concatenate(column) for column in zip(*pieces, strict=True)]


def run_piece(
    model: ReactionNetwork, batch: Batch, max_events: int, rows_ahead: float, out: Outputs | None
) -> Outputs | None:
    """Run one piece, a function of plain values; fill ``out``, or return the outputs."""
    from tumble.kernels._lanes import Job
    from tumble.kernels._tables import law_tables, network_tables

    filled = _empty((len(batch.runs), len(batch.times), batch.initial.shape[1]))
    filled = filled if out is None else out
    states, codes, culprits, events = filled
    culprits[:] = -1
    job = Job(
        network_tables(model), law_tables(model), model.rates(batch.params), batch.params,
        batch.initial, float(batch.start), batch.times, np.uint64(batch.stream.key), batch.runs,
        int(max_events), states, codes, culprits, events,
    )  # fmt: skip
    _run(model, job, rows_ahead)
    find_culprits(job)
    return filled if out is None else None


def _run(model: ReactionNetwork, job: Any, rows_ahead: float) -> None:
    """Run a job by the kernel that is fastest here; all but that for large networks agree."""
    from tumble.kernels._generated import GeneratedKernel
    from tumble.kernels._table_lanes import direct_method_in_lanes
    from tumble.kernels._tree import direct_method_in_trees

    if is_large(job.tables):
        direct_method_in_trees(job)
    elif len(job.runs) < _WORTH_LANES or not fits_lanes(job):
        _one_by_one(job)
    else:
        generated = GeneratedKernel(model)
        kernel = generated.get(rows_ahead)
        if kernel is not None:
            kernel(job)
            return
        began = time.perf_counter()
        direct_method_in_lanes(job)
        generated.account(time.perf_counter() - began, len(job.runs))


def find_culprits(job: Any) -> None:
    """Follow runs that failed in lanes once more by themselves: that says what made them fail."""
    failed = np.flatnonzero(job.codes)
    failed = failed[(job.codes[failed] != SampleCode.MAX_EVENTS) & (job.culprits[failed] < 0)]
    if len(failed) == 0 or is_large(job.tables):
        return
    again = job._replace(
        rates=job.rates[failed], params=job.params[failed], initial=job.initial[failed],
        runs=job.runs[failed], states=job.states[failed], codes=job.codes[failed],
        culprits=job.culprits[failed], events=job.events[failed],
    )  # fmt: skip
    _one_by_one(again)
    job.codes[failed], job.culprits[failed] = again.codes, again.culprits
    job.events[failed] = again.events


def record_piece(
    model: ReactionNetwork, batch: Batch, max_events: int, first: IntArray
) -> tuple[FloatArray, IntArray]:
    """Run one piece again and write down its events; see `SupportsPaths.record_paths`."""
    from tumble.kernels._record import record, record_in_trees
    from tumble.kernels._tables import law_tables, network_tables

    tables = network_tables(model)
    times, reactions = np.empty(first[-1]), np.empty(first[-1], np.int32)
    kernel = record_in_trees if is_large(tables) else record
    kernel(
        tables, law_tables(model), model.rates(batch.params), batch.params, batch.initial,
        float(batch.start), batch.times, np.uint64(batch.stream.key), batch.runs, int(max_events),
        first, times, reactions,
    )  # fmt: skip
    return times, reactions


def _empty(shape: tuple[int, int, int], states: IntArray | None = None) -> Outputs:
    codes, culprits, events = (np.empty(shape[0], np.int64) for _ in range(3))
    return np.empty(shape, np.int64) if states is None else states, codes, culprits, events


def is_large(tables: Any) -> bool:
    """Return whether a network has so many reactions that few of them change at a time.

    It depends on the network alone: the kernel for large networks has paths of its own.
    """
    num_reactions = len(tables.reactant_ptr) - 1
    affected = len(tables.affected) / num_reactions
    return num_reactions >= _LARGE and affected * np.log2(num_reactions) < num_reactions


def fits_lanes(job: Any) -> bool:
    """Return whether all counts that runs can reach are exact as floats."""
    largest = np.abs(job.tables.change_amount).max(initial=0) * float(job.max_events)
    return bool(job.initial.max(initial=0) + largest < _EXACT)


def _one_by_one(job: Any) -> None:
    from tumble.kernels._direct import direct_method

    direct_method(
        job.tables, job.laws, None, job.rates, job.params, job.initial, job.start, job.times,
        job.key, job.runs, job.max_events, job.states, None, None, None, job.codes, job.culprits,
        job.events,
    )  # fmt: skip

"""The simulator of Cellular Potts models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from tumble._execution import InPlace, num_workers, run_all, split
from tumble._results import SampleCode
from tumble._typing import FloatArray, IntArray
from tumble.models import CellularPotts
from tumble.simulators._base import (
    AbstractSimulator,
    Batch,
    PairSample,
    Sample,
    ScoredSample,
    SupportsCoupling,
    SupportsFrames,
    SupportsScore,
)
from tumble.simulators._calls import rows_of
from tumble.simulators._lattice import step_counts
from tumble.simulators._tissue import CopyTables, copy_tables, tissue_of

_TASKS_PER_WORKER = 4
_NOT_FINITE = "a change of the energy was infinite or not a number; parameters are too large"


@dataclass(frozen=True)
class Metropolis(AbstractSimulator, SupportsScore, SupportsCoupling, SupportsFrames):
    """Runs a `CellularPotts` model by copy attempts, one after another: its definition.

    Definition: attempt t of run i is a function of the state and of 64 bits of block t // 2 of run
    i, which tell the site, its neighbor and the uniform that accepts or not. A pair is two runs
    with the same bits, at two parameters; it stays close for some time, and is apart for good when
    a copy was made in one of them only.

    The score is Σ ∂ log p over all attempts: −∂ΔH for a copy that was accepted uphill, and
    ∂ΔH / (exp(ΔH) − 1) for one that was not.

    Guarantee: the law of the model, but for rounding: of n sites and k neighbors each is drawn with
    its probability to n k / 2⁶⁴. Volumes and perimeters are whole numbers, kept up to date and
    never estimated. Scores are unbiased unless ΔH is exactly 0 where parameters would change it.

    Cost: some 10 ns an attempt on a core, most of which are inside of cells. Runs are spread over
    cores. ``events`` are copies made. Scores grow with every attempt at a boundary: they are of use
    for few steps, or few cells.

    Reference: Metropolis et al., J. Chem. Phys. 21 (1953), doi:10.1063/1.1699114.
    """

    exact: ClassVar[bool] = True
    discrete: ClassVar[bool] = False
    takes: ClassVar[type] = CellularPotts
    shares_out: ClassVar[bool] = True

    def work_of_run(self, model: CellularPotts, batch: Batch) -> float:
        """See `AbstractSimulator.work_of_run`: attempts, of which one in twenty changes a site."""
        return float(_attempts(model, batch).sum()) / 20

    def sample(self, model: CellularPotts, batch: Batch, *, executor: Any = None) -> Sample:
        """See `AbstractSimulator.sample`."""
        states, codes, events = _spread(_observe_rows, model, batch, executor)
        return Sample(states, codes, events, messages=_messages(codes))

    def sample_with_score(
        self, model: CellularPotts, batch: Batch, *, executor: Any = None
    ) -> ScoredSample:
        """See `SupportsScore.sample_with_score`."""
        states, score, codes, events = _spread(_score_rows, model, batch, executor)
        return ScoredSample(states, codes, events, score, messages=_messages(codes))

    def sample_pairs(
        self, model: CellularPotts, batch: Batch, *, executor: Any = None
    ) -> PairSample:
        """Run both sides of the pairs with the same random numbers."""
        one, other = (
            self.sample(
                model,
                replace(batch, params=batch.params[:, k], initial=batch.initial[:, k]),
                executor=executor,
            )
            for k in range(2)
        )
        codes = np.where(one.codes != 0, one.codes, other.codes)
        states: Any = np.stack([one.states, other.states], axis=1)
        return PairSample(states, codes, one.events + other.events, messages=_messages(codes))

    def record_frames(self, model: CellularPotts, batch: Batch) -> tuple[Any, IntArray]:
        """See `SupportsFrames.record_frames`: the cell of each site, [B, T, *shape]."""
        states, codes, _ = _spread(_record_rows, model, batch, None)
        return states, codes


def _attempts(model: CellularPotts, batch: Batch) -> IntArray:
    """Return the attempts from one observation to the next [T]. Raises `DataError`."""
    return step_counts(model, batch)


def _spread(
    function: Callable[..., Any], model: CellularPotts, batch: Batch, executor: Any
) -> list[Any]:
    """Run the rows of a batch side by side, and put each output together again."""
    attempts = _attempts(model, batch)
    pool = None if isinstance(executor, InPlace) else executor
    rows = split(len(batch.runs), _TASKS_PER_WORKER * num_workers())
    parts = run_all(function, [(model, rows_of(batch, some), attempts) for some in rows], pool)
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _observe_rows(
    model: CellularPotts, batch: Batch, attempts: IntArray, score: FloatArray | None = None
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the outputs [b, T, O], codes and copies made of some rows."""
    found = np.full((len(batch.runs), len(attempts), len(model.outputs)), np.nan)
    codes, events = np.zeros((2, len(batch.runs)), np.int64)
    for b, (frames, code, copied) in enumerate(_runs(model, batch, attempts, score)):
        codes[b], events[b] = code, copied
        if code == SampleCode.OK:
            found[b] = model.observe(frames)
    return found, codes, events


def _score_rows(
    model: CellularPotts, batch: Batch, attempts: IntArray
) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
    """Return the outputs, the score [b, T, Q], codes and copies made of some rows."""
    score = np.zeros((len(batch.runs), len(attempts), len(model.parameters)))
    states, codes, events = _observe_rows(model, batch, attempts, score)
    return states, score, codes, events


def _record_rows(
    model: CellularPotts, batch: Batch, attempts: IntArray
) -> tuple[Any, IntArray, IntArray]:
    """Return the frames [b, T, *shape], codes and copies made of some rows."""
    found = np.zeros((len(batch.runs), len(attempts), *model.grid.shape), np.int32)
    codes, events = np.zeros((2, len(batch.runs)), np.int64)
    for b, (frames, code, copied) in enumerate(_runs(model, batch, attempts)):
        found[b], codes[b], events[b] = frames, code, copied
    return found, codes, events


def _runs(
    model: CellularPotts, batch: Batch, attempts: IntArray, score: FloatArray | None = None
) -> Iterator[tuple[Any, int, int]]:
    """Yield the frames [T, *shape], the code and the number of copies of each row.

    Fills ``score`` [b, T, Q], if there is one.
    """
    from tumble.kernels._cellular_potts import read_ids

    tables = copy_tables(model)
    key = np.uint64(batch.stream.key)
    frames = np.zeros((len(attempts), *tables.geometry.shape), np.int32)
    for b, (run, params) in enumerate(zip(batch.runs, batch.params, strict=True)):
        tissue = tissue_of(tables, model.start.ids)
        advance = _advance(tables, tables.couplings(params), tissue, key, np.uint64(run))
        own = None if score is None else np.zeros(len(params))
        code, made, done = int(SampleCode.OK), 0, 0
        for t, count in enumerate(attempts):
            code, copied = advance(done, int(count), own)
            done, made = done + int(count), made + copied
            if code != SampleCode.OK:
                break
            read_ids(tables.geometry, tissue.codes, frames[t])
            if score is not None:
                score[b, t] = own
        yield frames.reshape(len(attempts), *model.grid.shape), code, made


def _advance(
    tables: CopyTables, couplings: Any, tissue: Any, key: Any, run: Any
) -> Callable[[int, int, FloatArray | None], tuple[int, int]]:
    """Return a function that makes attempts of a run, and adds to a score if there is one."""
    from tumble.kernels._cellular_potts import copy_attempts
    from tumble.kernels._copy_scores import scored_attempts

    def advance(first: int, count: int, score: FloatArray | None) -> tuple[int, int]:
        where = tables.geometry, couplings
        if score is None:
            return copy_attempts(*where, tissue, key, run, first, count)
        return scored_attempts(*where, tables.slots, tissue, key, run, first, count, score)

    return advance


def _messages(codes: IntArray) -> dict[int, str]:
    return {int(SampleCode.NOT_FINITE): _NOT_FINITE} if np.any(codes) else {}

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
    SupportsCoupling,
    SupportsFrames,
)
from tumble.simulators._calls import rows_of
from tumble.simulators._lattice import step_counts
from tumble.simulators._tissue import copy_tables, tissue_of

_TASKS_PER_WORKER = 4
_NOT_FINITE = "a change of the energy was infinite or not a number; parameters are too large"


@dataclass(frozen=True)
class Metropolis(AbstractSimulator, SupportsCoupling, SupportsFrames):
    """Runs a `CellularPotts` model by copy attempts, one after another: its definition.

    Definition: attempt t of run i is a function of the state and of 64 bits of block t // 2 of run
    i, which tell the site, its neighbor and the uniform that accepts or not. A pair is two runs
    with the same bits, at two parameters; it stays close for some time, and is apart for good when
    a copy was made in one of them only.

    Guarantee: the law of the model, but for rounding: of n sites and k neighbors each is drawn with
    its probability to n k / 2⁶⁴. Volumes and perimeters are whole numbers, kept up to date and
    never estimated.

    Cost: some 10 ns an attempt on a core, most of which are inside of cells. Runs are spread over
    cores. ``events`` are copies made.

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
    model: CellularPotts, batch: Batch, attempts: IntArray
) -> tuple[FloatArray, IntArray, IntArray]:
    """Return the outputs [b, T, O], codes and copies made of some rows."""
    found = np.full((len(batch.runs), len(attempts), len(model.outputs)), np.nan)
    codes, events = np.zeros((2, len(batch.runs)), np.int64)
    for b, (frames, code, copied) in enumerate(_runs(model, batch, attempts)):
        codes[b], events[b] = code, copied
        if code == SampleCode.OK:
            found[b] = model.observe(frames)
    return found, codes, events


def _record_rows(
    model: CellularPotts, batch: Batch, attempts: IntArray
) -> tuple[Any, IntArray, IntArray]:
    """Return the frames [b, T, *shape], codes and copies made of some rows."""
    found = np.zeros((len(batch.runs), len(attempts), *model.grid.shape), np.int32)
    codes, events = np.zeros((2, len(batch.runs)), np.int64)
    for b, (frames, code, copied) in enumerate(_runs(model, batch, attempts)):
        found[b], codes[b], events[b] = frames, code, copied
    return found, codes, events


def _runs(model: CellularPotts, batch: Batch, attempts: IntArray) -> Iterator[tuple[Any, int, int]]:
    """Yield the frames [T, *shape], the code and the number of copies of each row."""
    from tumble.kernels._cellular_potts import copy_attempts, read_ids

    tables = copy_tables(model)
    key = np.uint64(batch.stream.key)
    frames = np.zeros((len(attempts), *tables.geometry.shape), np.int32)
    for run, params in zip(batch.runs, batch.params, strict=True):
        tissue = tissue_of(tables, model.start.ids)
        couplings = tables.couplings(params)
        code, made, done = int(SampleCode.OK), 0, 0
        for t, count in enumerate(attempts):
            code, copied = copy_attempts(
                tables.geometry, couplings, tissue, key, np.uint64(run), done, int(count)
            )
            done, made = done + int(count), made + copied
            if code != SampleCode.OK:
                break
            read_ids(tables.geometry, tissue.codes, frames[t])
        yield frames.reshape(len(attempts), *model.grid.shape), code, made


def _messages(codes: IntArray) -> dict[int, str]:
    return {int(SampleCode.NOT_FINITE): _NOT_FINITE} if np.any(codes) else {}

"""What is going to be run, and the pieces it is cut into."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tumble._errors import ModelError, require_known
from tumble._execution import InPlace, num_workers
from tumble._random import Stream
from tumble._typing import FloatArray, IntArray
from tumble.inputs import AbstractInput
from tumble.simulators import AbstractSimulator, Batch, Sample

ROW_STRIDE = 2**32
"""Run ids: sample i of row m is run m ``ROW_STRIDE`` + i of its stream, or run i in all rows."""

# A piece is at most this large, has at least so many runs as fill the lanes of a kernel, and there
# are at least so many pieces that some tens of workers all have something to do.
_PIECE_BYTES, _MOST_RUNS = 16 * 2**20, 4096
_FILLING, _FEWEST = 128, 16
_PIECES = 64


@dataclass(frozen=True)
class Plan:
    """All runs of a call of `simulate`: ``num_samples`` for each of M rows of parameters.

    Arguments: ``model``, an `AbstractModel`; ``params`` [M, Q]; ``given``, the parameters as the
    user gave them, numbers and arrays [M]; ``has_rows``, whether there are such arrays; ``initial``
    [S]; ``times`` [T]; ``common``, whether rows share their run ids; ``inputs``, the parameters
    that are functions of time, which are part of ``model`` already.
    """

    model: Any
    simulator: AbstractSimulator
    params: FloatArray
    given: Mapping[str, Any]
    has_rows: bool
    initial: IntArray
    times: FloatArray
    start: float
    stream: Stream
    num_samples: int
    common: bool
    inputs: Mapping[str, AbstractInput] = field(default_factory=dict)

    @property
    def num_runs(self) -> int:
        """Runs in all."""
        return len(self.params) * self.num_samples

    @property
    def bytes_a_run(self) -> int:
        """What the counts and variables of one run take."""
        return 8 * len(self.times) * (len(self.model.species) + len(self.model.variables))

    @cached_property
    def runs_a_piece(self) -> int:
        """The length of a piece. It does not depend on the cores, so that no result does."""
        fitting = max(_FEWEST, _PIECE_BYTES // self.bytes_a_run)
        return min(max(self.num_runs // _PIECES, _FILLING), fitting, _MOST_RUNS)

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces, in order."""
        for first in range(0, self.num_runs, self.runs_a_piece):
            stop = min(first + self.runs_a_piece, self.num_runs)
            rows = slice(first // self.num_samples, (stop - 1) // self.num_samples + 1)
            ahead = (self.num_runs - stop) / num_workers()
            yield Piece(self, rows, first, stop, ahead)

    def columns(self, species: Sequence[str] | None) -> IntArray:
        """Return the positions of species; of all of them for None. Raises `ModelError`."""
        known = self.model.species
        if species is None:
            return np.arange(len(known))
        names = [species] if isinstance(species, str) else list(species)
        require_known(names, known, what="`species` has", owner=self.model.noun, error=ModelError)
        if not names or len(set(names)) != len(names):
            raise ModelError(
                f"`species` is {species!r}, expected each name once, of {', '.join(known)}."
            )
        return np.array([known.index(name) for name in names])

    def whole_rows(self, num_done: int) -> tuple[int, int]:
        """Return (rows, samples) of the largest block that is complete after ``num_done`` runs."""
        if self.has_rows:
            return num_done // self.num_samples, self.num_samples
        return 1, num_done

    # -- labels ------------------------------------------------------

    def dims(self, *names: str) -> tuple[str, ...]:
        """Return the names of dimensions, behind ``params`` if there are rows."""
        return ("params", *names) if self.has_rows else names

    def shaped(self, values: Any) -> Any:
        """Return an array [M, …] without its first dimension if there are no rows."""
        return values if self.has_rows else values[0]

    def coords(self, columns: IntArray | None = None, rows: int | None = None) -> dict[str, Any]:
        """Return coordinates: the parameters that vary and, for ``columns``, time and species."""
        coords: dict[str, Any] = {
            name: ("params", np.asarray(value, dtype=float)[:rows])
            for name, value in self.given.items()
            if self.has_rows and np.ndim(value) == 1
        }
        if columns is not None:
            coords["time"] = self.times
            coords["species"] = [self.model.species[i] for i in columns]
        return coords


def states_of(states: Any, columns: IntArray) -> Any:
    """Return the states [b, T, S] of some species: the array itself where it is all, in order."""
    every = np.array_equal(columns, np.arange(states.shape[2]))
    return np.ascontiguousarray(states if every else states[:, :, columns])


class Piece:
    """Some consecutive runs of a `Plan`, in the order (row, sample), for a worker. Final.

    Of the rows of parameters it has those that it needs; ``first`` and ``stop`` count runs.
    """

    def __init__(self, plan: Plan, rows: slice, first: int, stop: int, runs_ahead: float) -> None:
        self.model, self.simulator = plan.model, plan.simulator
        self.rows, self.first, self.stop = rows, first, stop
        self._params = plan.params[rows]
        self._initial, self._times, self._start = plan.initial, plan.times, plan.start
        self._stream, self._common = plan.stream, plan.common
        self._num_samples, self._runs_ahead = plan.num_samples, runs_ahead

    def __len__(self) -> int:
        return self.stop - self.first

    @property
    def num_rows(self) -> int:
        """Rows of parameters of which there are runs."""
        return len(self._params)

    @property
    def groups(self) -> IntArray:
        """Which of these rows each run belongs to [b]."""
        return np.arange(self.first, self.stop) // self._num_samples - self.rows.start

    def batch(self) -> Batch:
        """Return the runs as a batch."""
        groups = self.groups
        samples = np.arange(self.first, self.stop) % self._num_samples
        ids = samples if self._common else samples + ROW_STRIDE * (groups + self.rows.start)
        return Batch(
            self._params[groups],
            np.tile(self._initial, (len(self), 1)),
            self._times,
            self._stream,
            ids.astype(np.uint64),
            self._start,
        )

    def sample(self, out: IntArray | None = None) -> Sample:
        """Run them, in this thread. Their states may be written to ``out`` [b, T, S]."""
        batch = replace(self.batch(), out=out)
        return self.simulator.sample(self.model, batch, executor=InPlace(self._runs_ahead))

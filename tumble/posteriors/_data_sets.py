"""Data sets like the observed ones, simulated at many parameters at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._binding import Binding
from tumble._errors import CapabilityError
from tumble._problem import Problem
from tumble._random import Stream, run_ids
from tumble._typing import BoolArray, FloatArray
from tumble.simulators import Batch

_MOST_AVERAGED = 1000
_AT_ONCE = 4_000_000  # numbers of states that are held


@dataclass(frozen=True)
class DataSets:
    """Simulates data in the shape of those of a problem, with measurement noise. Final.

    Data sets are numbered: the runs of the k-th depend on its parameters, its number and the stream
    alone, its measurement noise on the first of its batch too. Series are runs; averages are taken
    over as many runs as the observed ones; of snapshots each time has runs of its own.
    """

    problem: Problem
    stream: Stream
    executor: Any = None

    def __post_init__(self) -> None:
        for binding in self.problem.bindings:
            averaged = binding.experiment.num_averaged
            if averaged is not None and averaged > _MOST_AVERAGED:
                raise CapabilityError(
                    f"the data are averages over {averaged} runs, and each of thousands of data "
                    "sets would take as many; use `fit`, or say `num_averaged` of at most "
                    f"{_MOST_AVERAGED} and data as uncertain as that."
                )

    @property
    def runs_each(self) -> int:
        """Runs of the simulator that a data set takes."""
        return sum(self._runs(b) for b in self.problem.bindings)

    @property
    def at_once(self) -> int:
        """Data sets that are to be simulated at once, so that memory stays bounded."""
        held = sum(
            b.observed.num_replicates * len(b.times) * max(len(b.model.species), 1)
            * (b.experiment.num_averaged or 1)
            for b in self.problem.bindings
        )  # fmt: skip
        return int(np.clip(_AT_ONCE // max(held, 1), 20, 20_000))

    def simulate(self, z: FloatArray, first: int) -> tuple[list[FloatArray], BoolArray]:
        """Return data [B, N, T, O] of each experiment at z [B, P], and whether all runs were well.

        ``first`` is the number of the first of them.
        """
        theta = np.asarray(self.problem.space.from_fit(z), dtype=float)
        well = np.ones(len(z), bool)
        parts = []
        for e, binding in enumerate(self.problem.bindings):
            data, good = self._of_experiment(e, binding, theta, first)
            parts.append(np.where(np.isfinite(binding.observed.values), data, np.nan))
            well &= good
        return parts, well

    # -- private -----------------------------------------------------

    def _runs(self, binding: Binding) -> int:
        repeats = binding.observed.num_replicates * (binding.experiment.num_averaged or 1)
        return repeats * (len(binding.times) if binding.experiment.kind == "snapshots" else 1)

    def _of_experiment(
        self, e: int, binding: Binding, theta: FloatArray, first: int
    ) -> tuple[FloatArray, BoolArray]:
        stream = self.stream.child("experiment", e)
        if binding.experiment.kind != "snapshots":
            return self._measured(binding, theta, first, len(binding.times), stream)
        columns, well = [], np.ones(len(theta), bool)
        for t in range(len(binding.times)):
            data, good = self._measured(binding, theta, first, t + 1, stream.child("time", t))
            columns.append(data[:, :, -1:])
            well &= good
        return np.concatenate(columns, axis=2), well

    def _measured(
        self, binding: Binding, theta: FloatArray, first: int, num_times: int, stream: Stream
    ) -> tuple[FloatArray, BoolArray]:
        """Return data [B, N, T, O] at the first times."""
        averaged = binding.experiment.num_averaged or 1
        each = binding.observed.num_replicates * averaged
        rows = np.repeat(theta, each, axis=0)
        runs = run_ids(len(rows), first * each)
        initial, _ = binding.sample_initial(rows, stream.child("initial"), runs)
        effects = binding.sample_effects(stream, runs)
        batch = Batch(
            np.asarray(binding.params_given(rows, effects), dtype=float), initial,
            binding.times[:num_times], stream.child("events"), runs, binding.experiment.start,
        )  # fmt: skip
        sample = self.problem.simulator.sample(binding.model, batch, executor=self.executor)
        good = (sample.codes == 0).reshape(len(theta), each).all(1)
        states = np.where((sample.codes == 0)[:, None, None], sample.states, 0)
        noise = stream.child("noise", first).numpy()
        data = binding.sample_data(states, rows, noise)
        data = data.reshape(len(theta), -1, averaged, *data.shape[1:]).mean(2)
        return data, good

"""Keep the counts of every run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._trajectory import Labelled, Trajectory
from tumble._typing import FloatArray, IntArray
from tumble.outputs._base import AbstractOutput, check_size
from tumble.outputs._plan import Piece, Plan, states_of
from tumble.outputs._run_stream import Reduced, RunStream


@dataclass(frozen=True)
class Counts(AbstractOutput[Trajectory]):
    """Keep the counts of every run at every time: what `simulate` does by default.

    Arguments: ``species``, names of those to keep; default all, in the order of the model.

    Returns a `Trajectory`. Raises `ModelError` for unknown names, and `ParameterError` when the
    counts would take more than 8 GiB.

    When: up to some millions of runs at few times. Memory is 8 bytes a run, time and species.

    >>> from tumble import ReactionNetwork, outputs, simulate
    >>> chain = ReactionNetwork.from_text("A -> B ; k\\nB -> 0 ; k")
    >>> run = simulate(chain, {"k": 1.0}, initial={"A": 9, "B": 0}, times=[0.0, 1.0],
    ...                num_samples=50, outputs=outputs.Counts(["B"]))
    >>> run.species, run.data.shape
    (('B',), (50, 2, 1))
    """

    species: Sequence[str] | None = None

    def collect(self, runs: RunStream) -> Trajectory:
        """See `AbstractOutput.collect`."""
        plan = runs.plan
        columns = plan.columns(self.species)
        shape = (plan.num_runs, len(plan.times), len(columns))
        num_variables = len(plan.model.variables)
        check_size(
            "counts", (*shape[:2], len(columns) + num_variables),
            "fewer samples or times, or keep less: outputs=tb.outputs.Moments()",
        )  # fmt: skip
        every = np.array_equal(columns, np.arange(len(plan.model.species)))
        direct = every and plan.simulator.discrete and runs.shares_memory
        out = np.empty(shape, np.int64) if direct else None
        states: Any = out

        def arguments(piece: Piece) -> tuple[Any, ...]:
            return columns, None if out is None else out[piece.first : piece.stop]

        ended = np.empty((plan.num_runs, 2), np.int64)  # codes and culprits
        variables = np.empty((*shape[:2], num_variables))
        for piece, (some, how, real) in runs.each(_columns_of, arguments):
            here = slice(piece.first, piece.stop)
            if some is not None:
                states = np.empty(shape, some.dtype) if states is None else states
                states = states.astype(some.dtype, copy=False)
                states[here] = some
            ended[here] = how
            if real is not None:
                variables[here] = real
        return _trajectory(runs, columns, states, ended, variables)


def _columns_of(piece: Piece, columns: IntArray, out: IntArray | None) -> Reduced:
    sample = piece.sample(out)
    some = None if sample.states is out else states_of(sample.states, columns)
    blamed = np.full(len(sample.codes), -1) if sample.culprits is None else sample.culprits
    how = np.stack([sample.codes, blamed], axis=1)
    kept = some, how, sample.variables
    return Reduced(kept, sample.codes, sample.culprits, sample.events, sample.messages)


def whole_block(plan: Plan, num_done: int) -> tuple[int, int]:
    """Return (rows, samples) of what is complete. Raises KeyboardInterrupt where no row is."""
    rows, samples = plan.whole_rows(num_done)
    if rows == 0:
        raise KeyboardInterrupt
    return rows, samples


def _trajectory(
    runs: RunStream, columns: IntArray, states: Any, ended: IntArray, variables: FloatArray
) -> Trajectory:
    plan = runs.plan
    rows, samples = whole_block(plan, runs.done)

    def shaped(values: Any) -> Any:
        return plan.shaped(values[: rows * samples].reshape(rows, samples, *values.shape[1:]))

    coords = plan.coords(columns, rows)
    counts = Labelled(shaped(states), plan.dims("sample", "time", "species"), coords, "counts")
    real = None
    if plan.model.variables:
        coords = {k: v for k, v in coords.items() if k != "species"}
        real = Labelled(
            shaped(variables),
            plan.dims("sample", "time", "variable"),
            coords | {"variable": list(plan.model.variables)},
            "variables",
        )
    return Trajectory(
        counts,
        shaped(ended[:, 0]),
        plan.given,
        runs.stats,
        shaped(ended[:, 1]),
        tuple(str(reaction) for reaction in plan.model.reactions),
        interrupted=runs.interrupted,
        simulator=plan.simulator,
        events=tuple(str(event) for event in plan.model.events),
        reals=real,
        inputs=plan.inputs,
        messages=runs.messages,
    )

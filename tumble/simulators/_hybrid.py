"""Exact simulation of networks with rates that depend on time, variables or events."""

from __future__ import annotations

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._base import Batch


def simulate_hybrid_rows(
    model: ReactionNetwork, batch: Batch, max_events: int, tolerance: float, max_step: float
) -> tuple[IntArray, IntArray, IntArray, IntArray, FloatArray]:
    """Run one piece of a batch; return states, codes, culprits, events and variables."""
    from tumble.kernels._hybrid import hybrid_method
    from tumble.kernels._hybrid_tables import hybrid_tables
    from tumble.kernels._hybrid_work import new_work

    tables = hybrid_tables(model)
    work = new_work(tables, len(model.species))
    num_runs, num_times = len(batch.runs), len(batch.times)
    states = np.empty((num_runs, num_times, batch.initial.shape[1]), np.int64)
    variables = np.empty((num_runs, num_times, len(model.variables)))
    codes, culprits, events = (np.empty(num_runs, np.int64) for _ in range(3))
    hybrid_method(
        tables, work, batch.params, batch.initial, float(batch.start), batch.times,
        np.uint64(batch.stream.key), batch.runs, max_events, float(tolerance), float(max_step),
        states, variables, codes, culprits, events,
    )  # fmt: skip
    return states, codes, culprits, events, variables

"""Runs of a jump process with alternative paths: what the kernel is given, and gives back."""

from __future__ import annotations

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import FloatArray, IntArray
from tumble.models import ReactionNetwork
from tumble.simulators._base import Batch

Outputs = tuple[IntArray, IntArray, FloatArray, IntArray, IntArray, IntArray]
"""States [B, T, S]; pairs [B, M, 2, T, S]; weights [B, M, Q]; codes, culprits and events [B]."""


def require_scales(model: ReactionNetwork, scales: FloatArray, num_phantoms: int) -> FloatArray:
    """Return ``scales`` as an array. Raises `ParameterError` unless they are one ≥ 0 a parameter,
    and there is a phantom.
    """
    if num_phantoms < 1:
        raise ParameterError(f"`num_phantoms` is {num_phantoms}, expected at least 1.")
    array = np.asarray(scales, dtype=float)
    expected = (len(model.parameters),)
    if array.shape != expected or not np.all((array >= 0) & (array < np.inf)):
        raise ParameterError(
            f"`scales` is {scales!r}, expected a finite number ≥ 0 for each of the model's "
            f"parameters, shape {expected}."
        )
    return array


def run_alternatives(
    model: ReactionNetwork, batch: Batch, max_events: int, scales: FloatArray, num_phantoms: int
) -> Outputs:
    """Run one piece of a batch; a function of plain values, so that any executor can take it."""
    from tumble.kernels._alternative import SlopeTables, run_with_phantoms
    from tumble.kernels._tables import law_tables, network_tables

    num_runs, num_times = len(batch.runs), len(batch.times)
    num_species = batch.initial.shape[1]
    entries = [slope for slope in model.rate_slopes if scales[slope.parameter] > 0]
    reactions = np.array([entry.reaction for entry in entries], dtype=np.int64)
    parameters = np.array([entry.parameter for entry in entries], dtype=np.int64)
    is_law = ~model.is_mass_action
    programs = {
        (slope.reaction, slope.parameter): i
        for i, slope in enumerate(s for s in model.rate_slopes if is_law[s.reaction])
    }
    slopes = SlopeTables(
        np.searchsorted(reactions, np.arange(len(model.reactions) + 1)).astype(np.int64),
        parameters,
        np.array([programs.get(entry[:2], -1) for entry in entries], dtype=np.int64),
        scales[parameters],
    )
    values = model.rate_values(None, batch.params)
    gains = np.ones((num_runs, len(entries)))
    for e, entry in enumerate(entries):
        if not is_law[entry.reaction]:
            gains[:, e] = entry.expression(values)
    keys = [batch.stream.child("phantom", m).key for m in range(num_phantoms)]
    states = np.empty((num_runs, num_times, num_species), np.int64)
    pairs = np.empty((num_runs, num_phantoms, 2, num_times, num_species), np.int64)
    weights = np.empty((num_runs, num_phantoms, batch.params.shape[1]))
    codes, culprits, events = (np.empty(num_runs, np.int64) for _ in range(3))
    run_with_phantoms(
        network_tables(model), law_tables(model), slopes, gains, model.rates(batch.params),
        batch.params, batch.initial, float(batch.start), batch.times, np.uint64(batch.stream.key),
        np.array(keys, dtype=np.uint64), batch.runs, int(max_events), states, pairs, weights, codes,
        culprits, events,
    )  # fmt: skip
    return states, pairs, weights, codes, culprits, events

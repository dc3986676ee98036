"""The likelihood of snapshots of cells through the distribution of a network's state."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tumble._typing import BoolArray, FloatArray, IntArray
from tumble.simulators._datum_density import DatumDensity
from tumble.simulators._forward_filter import observed
from tumble.simulators._projection import check_params, initial_mixture, seeded, too_much
from tumble.simulators._state_space import DEPTH, StateSpace, project

if TYPE_CHECKING:
    from tumble.simulators._finite_state import FiniteStateProjection

_AT_ONCE = 1_000_000  # numbers in a table of states, cells and derivatives


def log_likelihoods_of_cells(
    method: FiniteStateProjection,
    density: DatumDensity,
    theta: FloatArray,
    params: FloatArray,
    jacobian: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return the log likelihood of each cell of an experiment [n], and its derivatives [n, U].

    Cells that show the same are looked at once. Those of which nothing was seen are left out.
    """
    binding = density.binding
    model = binding.model
    params = check_params(model, params)
    seeds, weights = initial_mixture(density, theta)
    looks = [_kinds(cells) for cells in binding.observed.values.swapaxes(0, 1)]
    spans = np.diff(binding.times, prepend=binding.experiment.start)
    num_slopes = jacobian.shape[1]

    def attempt(space: StateSpace) -> tuple[tuple[FloatArray, FloatArray] | None, BoolArray]:
        flow = space.flow(model, params, jacobian)
        method.require_affordable(flow, spans)
        table = seeded(space, weights)
        short = np.zeros(space.num_sinks, bool)
        values, slopes = [np.zeros(0)], [np.zeros((0, num_slopes))]
        at_once = max(1, _AT_ONCE // (table.shape[0] * table.shape[1]))
        for span, (kinds, which) in zip(spans, looks, strict=True):
            ahead = cache(lambda depth, t=table, s=float(span): flow.advance(t, s, depth))
            parts = []
            for first in range(0, len(kinds), at_once):
                some = kinds[first : first + at_once]
                step = observed(density, theta, space, ahead, some)
                allowed = method.tolerance * step.odds
                leaked = np.broadcast_to(step.leaked, (len(step.leaked), len(some)))
                if too_much(leaked[:, step.odds > 0], allowed[step.odds > 0]).any():
                    return None, too_much(leaked, allowed)
                short |= too_much(leaked, allowed)
                parts.append(step)
            if parts:
                values.append(np.concatenate([p.log_likelihood for p in parts])[which])
                slopes.append(np.concatenate([p.gradient for p in parts])[which])
            table = ahead(DEPTH)
        return (np.concatenate(values), np.concatenate(slopes)), short

    return project(model, seeds, method.max_states, attempt)


def _kinds(cells: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return what the cells [N, O] that were seen show [k, O], and which of it each shows [n]."""
    seen = cells[np.isfinite(cells).any(1)]
    missing = np.isnan(seen)
    kinds, which = np.unique(
        np.hstack([np.where(missing, 0.0, seen), missing]), axis=0, return_inverse=True
    )
    num = cells.shape[1]
    shown = np.where(kinds[:, num:] > 0, np.nan, kinds[:, :num])
    return shown, np.asarray(which.ravel(), np.int64)

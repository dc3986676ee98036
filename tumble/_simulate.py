"""The verb `simulate`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from tumble._errors import ModelError, ParameterError, SimulationError, require_known
from tumble._progress import showing
from tumble._random import Stream, run_ids
from tumble._results import describe_codes
from tumble._trajectory import Trajectory
from tumble._typing import FloatArray, IntArray, Params
from tumble.inputs import AbstractInput
from tumble.models import ReactionNetwork
from tumble.simulators import AbstractSimulator, Batch, DirectMethod, Sample

_LARGEST_OUTPUT = 8 * 2**30


def simulate(
    model: ReactionNetwork,
    params: Params,
    *,
    initial: Mapping[str, int],
    times: Any,
    num_samples: int = 1,
    seed: int = 0,
    simulator: AbstractSimulator | None = None,
    start: float = 0.0,
    executor: Any = None,
    progress: Any = False,
) -> Trajectory:
    """Run a model and return its counts at chosen times.

    Arguments, most used first:

    - ``model``, ``params``: a `ReactionNetwork` and a value for each of its parameters: a number,
      or a function of time from `tumble.inputs`, such as ``StepInput([0, 10], [2.0, 0.5])``.
    - ``initial``: species → whole number at time ``start``.
    - ``times``: ascending, ≥ ``start``; shape [T].
    - ``num_samples``: independent runs. Default 1.
    - ``seed``: the result is bitwise the same for the same seed, whatever the threads and executor.
    - ``simulator``: default `DirectMethod`, exact.
    - ``executor``: anything with ``.submit``; default a pool of threads.
    - ``progress``: ``True`` shows a bar.

    Returns a `Trajectory`. Raises `ModelError` or `ParameterError` for names and values that do not
    fit the model, and `SimulationError` when every run fails; single failures are codes in the
    result.

    >>> from tumble.models import ReactionNetwork
    >>> decay = ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> run = simulate(decay, {"gamma": 1.0}, initial={"X": 100}, times=[0.0, 1.0], num_samples=50)
    >>> run.data.sizes["sample"], int(run.data.isel(time=0).max())
    (50, 100)
    """
    simulator = DirectMethod() if simulator is None else simulator
    grid = _check_times(times, start)
    counts = _check_initial(model, initial)
    inputs = {k: v for k, v in params.items() if isinstance(v, AbstractInput)}
    numbers = {k: float(v) for k, v in params.items() if k not in inputs}
    if inputs:
        model = model.with_inputs(inputs)
    values = model.params_vector(numbers)
    if not isinstance(num_samples, (int, np.integer)):
        raise ParameterError(f"`num_samples` is {num_samples!r}, expected a whole number.")
    if num_samples < 1:
        raise ParameterError(f"`num_samples` is {num_samples}, expected at least 1.")
    size = 8 * num_samples * len(grid) * (len(model.species) + len(model.variables))
    if size > _LARGEST_OUTPUT:
        raise ParameterError(
            f"the counts would take {size / 2**30:.0f} GiB; ask for fewer samples or times."
        )
    batch = Batch(
        np.broadcast_to(values, (num_samples, len(values))),
        np.broadcast_to(counts, (num_samples, len(counts))),
        grid,
        Stream.from_seed(seed).child("simulate"),
        run_ids(num_samples),
        start,
    )
    began = time.perf_counter()
    with showing(progress, "simulate"):
        sample = simulator.sample(model, batch, executor=executor)
    if np.all(sample.codes != 0):
        causes = describe_codes(sample.codes, sample.culprits, model.reactions, model.events)
        raise SimulationError(f"every run failed: {causes}.")
    stats = {
        "seconds": time.perf_counter() - began,
        "events": float(sample.events.sum()),
        "runs": float(num_samples),
    }
    return _trajectory(model, numbers, inputs, grid, sample, stats)


def _check_times(times: Any, start: float) -> FloatArray:
    if not np.isfinite(start):
        raise ParameterError(f"`start` is {start}, expected a finite time.")
    try:
        grid = np.atleast_1d(np.asarray(times, dtype=float))
    except (TypeError, ValueError):
        raise ParameterError(f"`times` is {times!r}, expected a list of times.") from None
    if grid.ndim != 1 or grid.size == 0:
        raise ParameterError(f"`times` has shape {grid.shape}, expected a list of times.")
    if not np.all(np.isfinite(grid)) or np.any(np.diff(grid) < 0):
        raise ParameterError("`times` must be finite and ascending.")
    if grid[0] < start:
        raise ParameterError(
            f"`times` begin at {grid[0]:g}, before `start` = {start:g}; set start= as well."
        )
    return grid


def _check_initial(model: ReactionNetwork, initial: Mapping[str, int]) -> IntArray:
    require_known(initial, model.species, what="`initial` has species", owner="the network",
                  error=ModelError)  # fmt: skip
    missing = [s for s in model.species if s not in initial]
    if missing:
        raise ModelError(f"`initial` has no value for species {missing[0]!r}; give 0 if absent.")
    counts = [initial[s] for s in model.species]
    for name, count in zip(model.species, counts, strict=True):
        if not isinstance(count, Real) or not 0 <= count < 2**62 or count != np.rint(count):
            raise ParameterError(f"`initial[{name!r}]` is {count!r}, expected a whole number ≥ 0.")
    return np.array(counts).astype(np.int64)


def _trajectory(
    model: ReactionNetwork,
    numbers: Mapping[str, float],
    inputs: Mapping[str, AbstractInput],
    times: FloatArray,
    sample: Sample,
    stats: dict[str, float],
) -> Trajectory:
    import xarray as xr

    data = xr.DataArray(
        sample.states,
        dims=("sample", "time", "species"),
        coords={"time": times, "species": list(model.species)},
        name="counts",
    )
    variables = None
    if model.variables:
        variables = xr.DataArray(
            sample.variables,
            dims=("sample", "time", "variable"),
            coords={"time": times, "variable": list(model.variables)},
            name="variables",
        )
    return Trajectory(
        data,
        sample.codes,
        numbers,
        stats,
        sample.culprits,
        tuple(str(reaction) for reaction in model.reactions),
        tuple(str(event) for event in model.events),
        variables,
        inputs,
    )

"""Experiments: data, and the circumstances under which they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tumble._errors import DataError, ParameterError
from tumble._parameters import Ref
from tumble._trajectory import Trajectory
from tumble._typing import FloatArray
from tumble.inputs import AbstractInput
from tumble.priors import AbstractPrior

KINDS = ("series", "mean", "snapshots")


@dataclass(frozen=True)
class ObservedData:
    """Data as arrays: ``values`` [N, T, O] (replicates, times, observables), NaN where missing."""

    values: FloatArray
    times: FloatArray
    names: tuple[str, ...]

    @property
    def num_replicates(self) -> int:
        """N."""
        return self.values.shape[0]


@dataclass(frozen=True)
class Experiment:
    """Data of one experiment, with its initial state and conditions.

    Arguments:

    - ``data``: an `xarray.DataArray` with dimensions among (replicate, time, observable), as
      `read_data` gives it; or a `pandas.DataFrame` or mapping with a ``time`` column and one
      column an observable (of snapshots a line a cell, and as many of a time as there are); or a
      `Trajectory`, whose runs become replicates. NaN is missing.
    - ``initial``: species → a number, a `Ref` to a parameter, a member of `tumble.priors`
      (drawn anew in each run), or an array with one number a replicate. A `Ref` may take values
      between whole numbers: a run then starts from one of the two neighbours at random, with the
      right mean. Default: none, for a model that starts from nothing.
    - ``conditions``: model parameter → a number, or a `Ref` to (or name of) a parameter of the
      problem that takes its place in this experiment, or a function of time from `tumble.inputs`,
      such as a dose or an intervention that this experiment had.
    - ``start``: the time of the initial state. Default 0, not the first observation.
    - ``kind``: ``"series"`` (each replicate is one trajectory; default), ``"snapshots"`` (unpaired
      cells at each time, never read as trajectories) or ``"mean"`` (averages of
      ``num_averaged`` replicates each).
    - ``num_averaged``: how many replicates an average of kind ``"mean"`` is taken over.

    Raises `DataError`.
    """

    data: Any
    initial: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    start: float = 0.0
    kind: str = "series"
    num_averaged: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise DataError(f"`kind` is {self.kind!r}, expected one of {', '.join(KINDS)}.")
        if (self.kind == "mean") != (self.num_averaged is not None):
            raise DataError("`num_averaged` and kind='mean' go together: give both or neither.")
        if self.num_averaged is not None and self.num_averaged < 1:
            raise DataError(f"`num_averaged` is {self.num_averaged}, expected at least 1.")
        known = isinstance(self.data, ObservedData)
        observed = self.data if known else _observed(self.data, self.kind == "snapshots")
        _check_values(observed, self.start)
        object.__setattr__(self, "data", observed)
        if not np.isfinite(self.start):
            raise DataError(f"`start` is {self.start}, expected a finite time.")
        for name, value in self.initial.items():
            check_initial(name, value, observed.num_replicates)

    @property
    def inputs(self) -> dict[str, AbstractInput]:
        """The conditions that are functions of time."""
        return {k: v for k, v in self.conditions.items() if isinstance(v, AbstractInput)}

    def until(self, num_times: int) -> Experiment:
        """Return the experiment with its first ``num_times`` times."""
        data: ObservedData = self.data
        first = ObservedData(data.values[:, :num_times], data.times[:num_times], data.names)
        return replace(self, data=first)

    def split_initial(self) -> tuple[Experiment, ...]:
        """Return one experiment a replicate where an initial value is an array, else itself."""
        arrays = {k: np.asarray(v) for k, v in self.initial.items() if np.ndim(v) == 1}
        if not arrays:
            return (self,)
        observed: ObservedData = self.data
        return tuple(
            Experiment(
                ObservedData(observed.values[i : i + 1], observed.times, observed.names),
                {**self.initial, **{k: float(v[i]) for k, v in arrays.items()}},
                self.conditions,
                self.start,
                self.kind,
                self.num_averaged,
            )
            for i in range(observed.num_replicates)
        )


def _observed(data: Any, of_cells: bool) -> ObservedData:
    import pandas as pd
    import xarray as xr

    if isinstance(data, Trajectory):
        if data.has_rows:
            raise DataError(
                f"`data` is a Trajectory of {data.data.sizes['params']} rows of parameters, "
                "expected one of a single row; simulate each row, or pass its runs as an array."
            )
        good = data.data.values[data.codes == 0].astype(float)
        return ObservedData(good, data.times, data.species)
    if isinstance(data, Mapping):
        try:
            data = pd.DataFrame(dict(data))
        except ValueError as error:
            raise DataError(f"`data` cannot be made a table: {error}.") from None
    if isinstance(data, pd.DataFrame):
        return _from_frame(data, of_cells)
    if isinstance(data, xr.DataArray):
        return _from_array(data)
    raise DataError(
        f"`data` is a {type(data).__name__}, expected an xarray.DataArray (as from read_data), a "
        "pandas.DataFrame, a mapping of columns or a Trajectory."
    )


def _from_frame(frame: Any, of_cells: bool) -> ObservedData:
    if "time" in frame.columns:
        frame = frame.set_index("time")
    elif frame.index.name != "time":
        raise DataError(
            f"`data` has columns {', '.join(map(str, frame.columns))}, expected one named 'time'."
        )
    try:
        values = frame.to_numpy(dtype=float)
        times = frame.index.to_numpy(dtype=float)
    except (ValueError, TypeError) as error:
        raise DataError(f"`data` holds something that is not a number: {error}.") from None
    names = tuple(map(str, frame.columns))
    if of_cells and np.isfinite(times).all():
        return ObservedData(*_side_by_side(values, times), names)
    return ObservedData(values[None], times, names)


def _side_by_side(values: FloatArray, times: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return cells [N, T, O] and times [T] of lines [L, O] at ``times`` [L], with repeats."""
    unique, which, counts = np.unique(times, return_inverse=True, return_counts=True)
    order = np.argsort(which, kind="stable")
    place = np.empty(len(times), np.int64)
    place[order] = np.arange(len(times)) - np.repeat(np.cumsum(counts) - counts, counts)
    table = np.full((counts.max(initial=0), len(unique), values.shape[1]), np.nan)
    table[place, which] = values
    return table, unique


def _from_array(array: Any) -> ObservedData:
    extra = set(array.dims) - {"replicate", "time", "observable"}
    if extra or "time" not in array.dims:
        raise DataError(
            f"`data` has dimensions {', '.join(map(str, array.dims))}, expected 'time' and "
            "optionally 'replicate' and 'observable'."
        )
    for dim in ("replicate", "observable"):
        if dim not in array.dims:
            array = array.expand_dims({dim: [str(array.name or dim)]})
    array = array.transpose("replicate", "time", "observable")
    if "time" not in array.coords:
        raise DataError("`data` has no coordinate 'time'; give the times of the observations.")
    names = tuple(str(n) for n in array["observable"].values)
    return ObservedData(array.values.astype(float), array["time"].values.astype(float), names)


def _check_values(observed: ObservedData, start: float) -> None:
    values, times = observed.values, observed.times
    if values.size == 0 or not np.any(np.isfinite(values)):
        raise DataError("`data` holds no number; expected at least one observation.")
    if np.any(np.isinf(values)):
        raise DataError("`data` holds infinite values; mark missing values by NaN or leave empty.")
    if not np.all(np.isfinite(times)) or np.any(np.diff(times) <= 0):
        raise DataError("the times of `data` must be finite, ascending and without repeats.")
    if times[0] < start:
        raise DataError(
            f"`data` begin at time {times[0]:g}, before `start` = {start:g}; "
            "set start= to the time of the initial state."
        )
    if len(set(observed.names)) != len(observed.names):
        raise DataError(f"`data` names an observable twice: {', '.join(observed.names)}.")


def check_initial(name: str, value: Any, num_replicates: int) -> None:
    """Raise `ParameterError` unless ``value`` can be an initial count."""
    if isinstance(value, (Ref, AbstractPrior)):
        return
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ParameterError(
            f"`initial[{name!r}]` is {value!r}, expected a number, a Ref, a prior or an array."
        ) from None
    if array.ndim > 1 or (array.ndim == 1 and len(array) != num_replicates):
        raise ParameterError(
            f"`initial[{name!r}]` has shape {array.shape}, expected a number or one a replicate "
            f"({num_replicates})."
        )
    if not np.all((array >= 0) & (array < 2**62) & (array == np.rint(array))):
        raise ParameterError(
            f"`initial[{name!r}]` is {value}, expected whole numbers ≥ 0 (a Ref to a parameter may "
            "take values in between)."
        )

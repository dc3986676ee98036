"""The result of `simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tumble._results import ResultCode, describe_codes
from tumble._typing import FloatArray, IntArray
from tumble.inputs import AbstractInput
from tumble.simulators import AbstractSimulator, DirectMethod

if TYPE_CHECKING:
    import xarray as xr


class Labelled(NamedTuple):
    """An array with names for its dimensions and places: an `xarray.DataArray` to be.

    Most programs that simulate need no more than its values, and start in half the time without
    xarray.
    """

    values: Any
    dims: tuple[str, ...]
    coords: Mapping[str, Any]
    name: str

    def array(self) -> xr.DataArray:
        """Return it as an `xarray.DataArray`."""
        import xarray as xr

        return xr.DataArray(self.values, dims=self.dims, coords=self.coords, name=self.name)


@dataclass(frozen=True, repr=False)
class Trajectory:
    """Runs of a simulator at given times.

    Attributes: ``data``, an `xarray.DataArray` of counts with dimensions (sample, time, species),
    -1 in failed runs, or of real numbers, NaN in failed runs, where the simulator is not
    ``discrete``; ``codes`` [sample], see `SampleCode`; ``params``; ``stats``, what it cost;
    ``culprits`` [sample], the index of the reaction that made a run fail, else -1, and
    ``reactions`` as text; ``interrupted``, whether it was stopped before the last run;
    ``simulator``, what made them; ``variables``, an `xarray.DataArray` with dimensions (sample,
    time, variable), NaN in failed runs, or None for a network without; ``events`` as text, whose
    index plus the number of reactions may be a culprit too; ``inputs``, the parameters that were
    functions of time; ``messages``, of each code that has one, what the first run said that ended
    with it; ``result``. Where parameters were arrays, all have a first dimension
    ``params`` more.
    """

    counts: Labelled
    codes: IntArray
    params: Mapping[str, Any]
    stats: Mapping[str, float] = field(default_factory=dict)
    culprits: IntArray | None = None
    reactions: tuple[str, ...] = ()
    interrupted: bool = False
    simulator: AbstractSimulator = field(default_factory=DirectMethod, kw_only=True)
    events: tuple[str, ...] = field(default=(), kw_only=True)
    reals: Labelled | None = field(default=None, kw_only=True)
    inputs: Mapping[str, AbstractInput] = field(default_factory=dict, kw_only=True)
    messages: Mapping[int, str] = field(default_factory=dict, kw_only=True)

    @cached_property
    def data(self) -> xr.DataArray:
        """The counts, dimensions (sample, time, species), after ``params`` if there are rows."""
        return self.counts.array()

    @cached_property
    def variables(self) -> xr.DataArray | None:
        """The variables, dimensions (sample, time, variable), or None."""
        return None if self.reals is None else self.reals.array()

    @property
    def times(self) -> FloatArray:
        """Observation times [T]."""
        return np.asarray(self.counts.coords["time"], dtype=float)

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the species."""
        return tuple(str(s) for s in self.counts.coords["species"])

    @property
    def num_samples(self) -> int:
        """Runs (of each row of parameters), failed ones included."""
        return int(self.counts.values.shape[-3])

    @property
    def has_rows(self) -> bool:
        """Whether there are runs of several rows of parameters."""
        return "params" in self.counts.dims

    @property
    def result(self) -> ResultCode:
        """`ResultCode.SUCCESS`, `PARTIAL` when runs failed, or `INTERRUPTED`."""
        if self.interrupted:
            return ResultCode.INTERRUPTED
        return ResultCode.PARTIAL if np.any(self.codes) else ResultCode.SUCCESS

    @property
    def valid(self) -> xr.DataArray:
        """The runs that did not fail; with rows of parameters, all runs, NaN where they failed."""
        if self.has_rows:
            import xarray as xr

            return self.data.where(xr.DataArray(self.codes == 0, dims=("params", "sample")))
        return self.data.isel(sample=np.flatnonzero(self.codes == 0))

    def mean(self) -> xr.DataArray:
        """Return the mean over the valid runs, dimensions (time, species)."""
        return self.valid.mean("sample")

    def quantile(self, q: Any) -> xr.DataArray:
        """Return quantiles over the valid runs."""
        return self.valid.quantile(q, dim="sample")

    def summary(self) -> str:
        """Return a few lines on the runs."""
        values = self.counts.values
        rows = f"{len(values)} rows x " if self.has_rows else ""
        lines = [
            f"Trajectory: {rows}{self.num_samples} runs x {len(self.times)} times x "
            f"{len(self.species)} species, t = {self.times[0]:g} … {self.times[-1]:g}",
            "  " + describe_params(self.params),
        ]
        lines += [f"  {k} = {type(v).__name__}" for k, v in self.inputs.items()]
        columns = {name: values[..., i] for i, name in enumerate(self.species)}
        if self.reals is not None:
            names, reals = self.reals.coords["variable"], self.reals.values
            columns |= {name: reals[..., i] for i, name in enumerate(names)}
        if np.any(self.codes == 0):
            where = "at the last time" + (", all rows" if self.has_rows else "")
            for name, runs in columns.items():
                column = runs[..., -1][self.codes == 0]
                spread = column.std() if np.ptp(column) else 0.0
                lines.append(f"  {name}: {column.mean():.6g} ± {spread:.3g} {where}")
        if not self.simulator.exact:
            lines.append(f"  approximate, by {self.simulator}")
        if self.stats:
            events = f"{self.stats['events']:.3g} events in " if self.simulator.discrete else ""
            lines.append(f"  {events}{self.stats['seconds']:.3g} s")
        if self.interrupted:
            lines.append(f"  {self.result.value}: {self.result.advice}")
        elif self.result is not ResultCode.SUCCESS:
            failed = describe_codes(
                self.codes, self.culprits, self.reactions, self.events, self.messages
            )
            lines.append(f"  {self.result.value}: {failed}")
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def save(self, path: str | Path) -> Path:
        """Write the runs to a netCDF file and return its path.

        It holds ``counts``, ``code`` and, if there are any, ``variables``; the parameters are
        attributes, ``param_`` or ``input_`` and their name.
        """
        path = Path(path)
        dataset = self.data.to_dataset(name="counts")
        dataset["code"] = (self.data.dims[:-2], self.codes)
        numbers = {k: v for k, v in self.params.items() if np.ndim(v) == 0}
        dataset.attrs.update({f"param_{k}": v for k, v in numbers.items()})
        dataset.attrs["simulator"] = str(self.simulator)
        if self.variables is not None:
            dataset["variables"] = self.variables
        for name, given in self.inputs.items():
            dataset.attrs[f"input_{name}"] = str(given.expression)
        dataset.to_netcdf(path, engine="h5netcdf")
        return path

    def citations(self) -> tuple[str, ...]:
        """What to cite for the method that made this result."""
        return self.simulator.citations


def describe_params(params: Mapping[str, Any]) -> str:
    """Return ``beta = 0.1 … 0.3 (5 values), gamma = 2``."""
    return ", ".join(f"{name} = {_value(value)}" for name, value in params.items())


def _value(value: Any) -> str:
    if np.ndim(value) == 0:
        return f"{value:g}"
    return f"{np.min(value):g} … {np.max(value):g} ({len(value)} values)"

"""The result of `simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._results import ResultCode, describe_codes
from tumble._typing import FloatArray, IntArray
from tumble.inputs import AbstractInput

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, repr=False)
class Trajectory:
    """Runs of a simulator at given times.

    Attributes: ``data``, an `xarray.DataArray` of counts with dimensions (sample, time, species),
    -1 in failed runs; ``codes`` [sample], see `SampleCode`; ``params``, the numbers given;
    ``culprits`` [sample], the index of the reaction that made a run fail, or their number plus the
    index of the event, else -1, with ``reactions`` and ``events`` as text; ``stats``, what it cost;
    ``variables``, an `xarray.DataArray` with dimensions (sample, time, variable), NaN in failed
    runs, or None for a network without; ``inputs``, the parameters that were functions of time;
    ``result``.
    """

    data: xr.DataArray
    codes: IntArray
    params: Mapping[str, float]
    stats: Mapping[str, float] = field(default_factory=dict)
    culprits: IntArray | None = None
    reactions: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    variables: xr.DataArray | None = None
    inputs: Mapping[str, AbstractInput] = field(default_factory=dict)

    @property
    def times(self) -> FloatArray:
        """Observation times [T]."""
        return np.asarray(self.data["time"].values, dtype=float)

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the species."""
        return tuple(str(s) for s in self.data["species"].values)

    @property
    def num_samples(self) -> int:
        """Runs, failed ones included."""
        return self.data.sizes["sample"]

    @property
    def result(self) -> ResultCode:
        """`ResultCode.SUCCESS`, or `ResultCode.PARTIAL` when runs failed."""
        return ResultCode.PARTIAL if np.any(self.codes) else ResultCode.SUCCESS

    @property
    def valid(self) -> xr.DataArray:
        """The runs that did not fail."""
        return self.data.isel(sample=np.flatnonzero(self.codes == 0))

    def mean(self) -> xr.DataArray:
        """Return the mean over the valid runs, dimensions (time, species)."""
        return self.valid.mean("sample")

    def quantile(self, q: Any) -> xr.DataArray:
        """Return quantiles over the valid runs."""
        return self.valid.quantile(q, dim="sample")

    def summary(self) -> str:
        """Return a few lines on the runs."""
        last = self.valid.isel(time=-1).values
        lines = [
            f"Trajectory: {self.num_samples} runs x {len(self.times)} times x "
            f"{len(self.species)} species, t = {self.times[0]:g} … {self.times[-1]:g}",
            "  " + ", ".join(f"{k} = {v:g}" for k, v in self.params.items()),
        ]
        lines += [f"  {k} = {type(v).__name__}" for k, v in self.inputs.items()]
        if len(last):
            for i, name in enumerate(self.species):
                column = last[:, i]
                lines.append(f"  {name}: {column.mean():.6g} ± {column.std():.3g} at the last time")
            if self.variables is not None:
                lines += _last_values(self.variables.values[self.codes == 0, -1], self.variables)
        if self.stats:
            lines.append(f"  {self.stats['events']:.3g} events in {self.stats['seconds']:.3g} s")
        if self.result is not ResultCode.SUCCESS:
            failed = describe_codes(self.codes, self.culprits, self.reactions, self.events)
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
        dataset["code"] = ("sample", self.codes)
        if self.variables is not None:
            dataset["variables"] = self.variables
        dataset.attrs.update({f"param_{k}": v for k, v in self.params.items()})
        for name, given in self.inputs.items():
            dataset.attrs[f"input_{name}"] = str(given.expression)
        dataset.to_netcdf(path, engine="h5netcdf")
        return path

    def citations(self) -> tuple[str, ...]:
        """What to cite for the method that made this result."""
        return ("Gillespie, J. Phys. Chem. 81 (1977), doi:10.1021/j100540a008",)


def _last_values(last: FloatArray, variables: xr.DataArray) -> list[str]:
    names = [str(name) for name in variables["variable"].values]
    return [
        f"  {name}: {column.mean():.6g} ± {column.std():.3g} at the last time"
        for name, column in zip(names, last.T, strict=True)
    ]

"""What to keep of runs, and what all that is kept has in common."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from tumble._errors import ParameterError
from tumble._results import ResultCode, SampleCode
from tumble._trajectory import describe_params
from tumble._typing import FloatArray
from tumble.outputs._run_stream import RunStream

if TYPE_CHECKING:
    import xarray as xr

Kept = TypeVar("Kept")

LARGEST_RESULT = 8 * 2**30
"""Bytes that a result may take in memory."""


def check_size(what: str, shape: Iterable[int], advice: str) -> None:
    """Raise `ParameterError` when an array of 8-byte numbers would be too large."""
    size = 8 * math.prod(shape)
    if size > LARGEST_RESULT:
        raise ParameterError(f"the {what} would take {size / 2**30:.0f} GiB; ask for {advice}.")


class AbstractOutput(abc.ABC, Generic[Kept]):
    """Says what `simulate` keeps of its runs.

    Runs come as a stream of pieces, each simulated and reduced by a worker, so that memory is that
    of the result and of a few pieces, whatever the number of runs. What is kept is bitwise the same
    for one seed, whatever the threads, cores and executor.
    """

    @abc.abstractmethod
    def collect(self, runs: RunStream) -> Kept:
        """Take the runs from the stream and return what is kept of them."""


@dataclass(frozen=True, repr=False)
class AbstractSummary(abc.ABC):
    """What was kept of many runs.

    Attributes: ``data``, an `xarray.Dataset`; ``codes``, how many runs ended how; ``params``;
    ``stats``, what it cost; ``interrupted``, whether it was stopped before the last run;
    ``failures``, what went wrong, in a sentence; ``cited``, see `citations`; ``result``.
    """

    data: xr.Dataset
    codes: Mapping[SampleCode, int]
    params: Mapping[str, Any]
    stats: Mapping[str, float] = field(default_factory=dict)
    interrupted: bool = False
    failures: str = ""
    cited: tuple[str, ...] = ()

    @property
    def times(self) -> FloatArray:
        """Observation times [T]."""
        return np.asarray(self.data["time"].values, dtype=float)

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the species."""
        return tuple(str(s) for s in self.data["species"].values)

    @property
    def num_runs(self) -> int:
        """Runs of all parameter rows, failed ones included."""
        return sum(self.codes.values())

    @property
    def result(self) -> ResultCode:
        """`ResultCode.SUCCESS`, `PARTIAL` when runs failed, or `INTERRUPTED`."""
        if self.interrupted:
            return ResultCode.INTERRUPTED
        failed = self.num_runs - self.codes.get(SampleCode.OK, 0)
        return ResultCode.PARTIAL if failed else ResultCode.SUCCESS

    @abc.abstractmethod
    def describe(self) -> list[str]:
        """Return lines on what was kept, the first of which ends that of the title."""

    def summary(self) -> str:
        """Return a few lines."""
        head, *lines = self.describe()
        lines = [f"{type(self).__name__}: {self.num_runs:,} runs, {head}",
                 "  " + describe_params(self.params), *lines]  # fmt: skip
        if self.stats:
            lines.append(f"  {self.stats['events']:.3g} events in {self.stats['seconds']:.3g} s")
        if self.result is ResultCode.INTERRUPTED:
            lines.append(f"  {self.result.value}: {self.result.advice}")
        elif self.result is not ResultCode.SUCCESS:
            lines.append(f"  {self.result.value}: {self.failures}")
        return "\n".join(lines)

    __repr__ = summary

    def _repr_html_(self) -> str:
        import html

        return f"<pre>{html.escape(self.summary())}</pre>"

    def save(self, path: str | Path) -> Path:
        """Write ``data``, with parameters and codes as attributes, to a netCDF file."""
        path = Path(path)
        numbers = {f"param_{k}": v for k, v in self.params.items() if np.ndim(v) == 0}
        counts = {f"runs_{code.name}": count for code, count in self.codes.items()}
        self.data.assign_attrs(numbers | counts).to_netcdf(path, engine="h5netcdf")
        return path

    def citations(self) -> tuple[str, ...]:
        """What to cite for the method that made this result."""
        return self.cited

"""Keep how many runs have which value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import ParameterError
from tumble._typing import FloatArray, IntArray
from tumble.outputs._base import AbstractOutput, AbstractSummary, check_size
from tumble.outputs._plan import Piece, Plan, states_of
from tumble.outputs._run_stream import Reduced, RunStream

if TYPE_CHECKING:
    import xarray as xr

# Without a largest value, a histogram grows with what the runs show, up to this many numbers.
_MOST_NUMBERS = 2**25


class SampleHistogram(AbstractSummary):
    """Numbers of runs by value. Final.

    ``data`` has ``num_runs`` (time, species, value), where ``value`` is a whole number; or, with
    edges, (time, species, bin), where ``left`` and ``right`` (bin) are its edges; and ``below`` and
    ``above`` (time, species), the runs outside. Together they are the runs that did not fail. Where
    parameters were arrays, there is a first dimension ``params``.
    """

    @property
    def counts(self) -> xr.DataArray:
        """Numbers of runs (time, species, value or bin)."""
        return self.data["num_runs"]

    @property
    def density(self) -> xr.DataArray:
        """Share of runs at each value, or in each bin; they sum to 1 if none is outside."""
        outside = self.data["below"] + self.data["above"]
        return self.counts / (self.counts.sum(str(self.counts.dims[-1])) + outside)

    def describe(self) -> list[str]:
        """See `AbstractSummary.describe`."""
        last = self.counts.dims[-1]
        rows = f"{self.data.sizes['params']} rows x " if "params" in self.data.dims else ""
        outside = int(self.data["below"].sum() + self.data["above"].sum())
        lines = [
            f"{rows}{len(self.times)} times x {len(self.species)} species x "
            f"{self.data.sizes[last]} {last}s, t = {self.times[0]:g} … {self.times[-1]:g}"
        ]
        return lines + ([f"  {outside:,} counts are outside"] if outside else [])


@dataclass(frozen=True)
class Histogram(AbstractOutput[SampleHistogram]):
    """Keep how many runs have which count, at every time and for every species.

    Arguments, of which at most one of the first two:

    - ``largest``: count each whole number from 0 to this one. Default: to the largest that occurs,
      as far as the histogram then has 2²⁵ numbers at most. What is larger is counted as ``above``.
    - ``edges`` [K + 1], ascending: count runs in K bins, each from an edge up to the next. The last
      bin includes its right edge, as in `numpy.histogram`.
    - ``species``: names of those to keep; default all.

    Guarantee: exact. Memory does not grow with the number of runs.

    Returns a `SampleHistogram`. Raises `ParameterError` for edges that do not ascend, for states
    that are real where there are no edges, or when the histogram would take more than 8 GiB, and
    `ModelError` for unknown names.

    When: for the shape of a distribution. For large counts give ``edges``: every piece of work
    fills a histogram of its own.

    >>> from tumble import ReactionNetwork, outputs, simulate
    >>> decay = ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> kept = simulate(decay, {"gamma": 1.0}, initial={"X": 3}, times=[0.0],
    ...                 num_samples=1000, outputs=outputs.Histogram())
    >>> kept.counts.values.tolist()
    [[[0, 0, 0, 1000]]]
    """

    largest: int | None = None
    edges: Any = None
    species: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if self.edges is not None and self.largest is not None:
            raise ParameterError("`Histogram` has `largest` and `edges`; give one of them.")
        whole = isinstance(self.largest, (int, np.integer))
        if self.largest is not None and not (whole and self.largest >= 0):
            raise ParameterError(
                f"`Histogram(largest=...)` is {self.largest!r}, expected a whole number ≥ 0."
            )
        if self.edges is not None:
            object.__setattr__(self, "edges", _check_edges(self.edges))

    def collect(self, runs: RunStream) -> SampleHistogram:
        """See `AbstractOutput.collect`."""
        plan = runs.plan
        if self.edges is None and not plan.simulator.discrete:
            raise ParameterError(
                f"{type(plan.simulator).__name__} returns real numbers, but `Histogram` without "
                "`edges` counts whole ones; give edges=."
            )
        columns = plan.columns(self.species)
        shape = (len(plan.params), len(plan.times), len(columns))
        edges = None if self.edges is None else np.array(self.edges)
        num_bins = self._num_bins(shape)
        total = np.zeros((*shape, 0), np.int64)
        for piece, counts in runs.each(_counts_of, lambda piece: (columns, edges, num_bins)):
            total = _grown(total, counts.shape[3])
            here = total[piece.rows]
            here[..., : counts.shape[3] - 1] += counts[..., :-1]
            here[..., -1] += counts[..., -1]
        return SampleHistogram(
            self._dataset(plan, columns, total), runs.counted, plan.given, runs.stats,
            runs.interrupted, runs.failures, plan.simulator.citations,
        )  # fmt: skip

    def _num_bins(self, shape: tuple[int, int, int]) -> int:
        """Return the number of bins, at most where it depends on the runs."""
        if self.edges is not None:
            num_bins = len(self.edges) - 1
        elif self.largest is not None:
            num_bins = int(self.largest) + 1
        else:
            num_bins = max(1, _MOST_NUMBERS // math.prod(shape))
        check_size("histogram", (*shape, num_bins + 2), "fewer bins, times or species")
        return num_bins

    def _dataset(self, plan: Plan, columns: IntArray, total: IntArray) -> xr.Dataset:
        import xarray as xr

        if self.largest is not None:
            total = _grown(total, self.largest + 3)
        per_species = plan.dims("time", "species")
        coords = plan.coords(columns)
        num_bins = total.shape[3] - 2
        if self.edges is None:
            name, coords["value"] = "value", np.arange(num_bins)
        else:
            name = "bin"
            coords["left"] = ("bin", np.array(self.edges[:-1]))
            coords["right"] = ("bin", np.array(self.edges[1:]))
        variables = {
            "num_runs": ((*per_species, name), plan.shaped(total[..., 1:-1])),
            "below": (per_species, plan.shaped(total[..., 0])),
            "above": (per_species, plan.shaped(total[..., -1])),
        }
        return xr.Dataset(variables, coords)


def _check_edges(edges: Any) -> tuple[float, ...]:
    numbers = np.asarray(edges, dtype=float)
    if numbers.ndim != 1 or len(numbers) < 2 or not np.all(np.diff(numbers) > 0):
        raise ParameterError(
            f"`Histogram(edges=...)` is {edges!r}, expected two or more ascending numbers."
        )
    return tuple(numbers.tolist())


def _counts_of(piece: Piece, columns: IntArray, edges: FloatArray | None, num_bins: int) -> Reduced:
    from tumble.kernels._reduce import add_bins, add_values

    sample = piece.sample()
    states = states_of(sample.states, columns)
    if edges is None:  # no more bins than this piece needs: they are merged one by one
        num_bins = int(min(num_bins, max(states.max(initial=0), 0) + 1))
    counts = np.zeros((piece.num_rows, *states.shape[1:], num_bins + 2), np.int64)
    if edges is None:
        add_values(states, sample.codes, piece.groups, counts)
    else:
        add_bins(states, sample.codes, piece.groups, edges, counts)
    return Reduced(counts, sample.codes, sample.culprits, sample.events, sample.messages)


def _grown(counts: IntArray, width: int) -> IntArray:
    """Return ``counts`` with at least ``width`` bins, the last of which is `above`."""
    missing = width - counts.shape[3]
    if missing <= 0:
        return counts
    old = counts.shape[3]
    grown = np.zeros((*counts.shape[:3], width), np.int64)
    grown[..., : max(old - 1, 0)] = counts[..., : max(old - 1, 0)]
    if old:
        grown[..., -1] = counts[..., -1]
    return grown

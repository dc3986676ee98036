"""Keep means and variances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tumble._typing import FloatArray, IntArray
from tumble.outputs._base import AbstractOutput, AbstractSummary, check_size
from tumble.outputs._plan import Piece, states_of
from tumble.outputs._run_stream import Reduced, RunStream

if TYPE_CHECKING:
    import xarray as xr


class SampleMoments(AbstractSummary):
    """Means and variances over runs that did not fail. Final.

    ``data`` has ``mean``, ``variance`` (with divisor n − 1) and ``standard_error`` of the mean with
    dimensions (time, species); ``num_valid``, the runs n that they are of; and, where asked for,
    ``covariance`` (time, species, other). NaN where there are too few runs. Where parameters were
    arrays, all have a first dimension ``params``.
    """

    @property
    def mean(self) -> xr.DataArray:
        """Mean (time, species)."""
        return self.data["mean"]

    @property
    def variance(self) -> xr.DataArray:
        """Variance (time, species)."""
        return self.data["variance"]

    @property
    def standard_error(self) -> xr.DataArray:
        """Standard error of the mean (time, species)."""
        return self.data["standard_error"]

    def describe(self) -> list[str]:
        """See `AbstractSummary.describe`."""
        rows = f"{self.data.sizes['params']} rows x " if "params" in self.data.dims else ""
        lines = [
            f"{rows}{len(self.times)} times x {len(self.species)} species, "
            f"t = {self.times[0]:g} … {self.times[-1]:g}"
        ]
        if rows:
            return lines
        last = self.data.isel(time=-1)
        for name in self.species:
            here = last.sel(species=name)
            deviation = float(np.sqrt(here["variance"]))
            lines.append(
                f"  {name}: {float(here['mean']):.6g} ± {deviation:.3g} at the last time "
                f"(standard error {float(here['standard_error']):.2g})"
            )
        return lines


@dataclass(frozen=True)
class Moments(AbstractOutput[SampleMoments]):
    """Keep the mean and the variance of the counts at every time.

    Definition: over the n runs that did not fail, the mean x̄ = Σ x / n, the variance
    Σ (x − x̄)² / (n − 1) and the standard error of the mean, the square root of variance / n.

    Guarantee: sums are of deviations from one of the runs, so those of whole numbers are exact
    until they pass 2⁵³. Memory does not grow with the number of runs.

    Arguments: ``covariance``, keep that of all pairs of species at each time too, default
    ``False``; ``species``, names of those to keep, default all.

    Returns a `SampleMoments`. Raises `ModelError` for unknown names, and `ParameterError` when
    there are so many rows, times and species that the moments would take more than 8 GiB.

    When: for any number of runs. Not for what a mean hides, such as outbreaks of which some die
    out: keep a `Histogram`.

    >>> from tumble import ReactionNetwork, outputs, simulate
    >>> decay = ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> kept = simulate(decay, {"gamma": 1.0}, initial={"X": 100}, times=[0.0, 1.0],
    ...                 num_samples=1000, outputs=outputs.Moments())
    >>> float(kept.mean.isel(time=0, species=0)), int(kept.data["num_valid"])
    (100.0, 1000)
    """

    covariance: bool = False
    species: Sequence[str] | None = None

    def collect(self, runs: RunStream) -> SampleMoments:
        """See `AbstractOutput.collect`."""
        plan = runs.plan
        columns = plan.columns(self.species)
        shape = (len(plan.params), len(plan.times), len(columns))
        per_species = 2 + len(columns) if self.covariance else 3
        check_size("moments", (*shape, per_species), "fewer rows of parameters, times or species")
        total: _Sums | None = None
        for piece, sums in runs.each(_sums_of, lambda piece: (columns, self.covariance)):
            total = _empty(shape, self.covariance, sums.reference.dtype) if total is None else total
            _merge(total, piece.rows, sums)
        assert total is not None
        return SampleMoments(
            self._dataset(runs, columns, total), runs.counted, plan.given, runs.stats,
            runs.interrupted, runs.failures, plan.simulator.citations,
        )  # fmt: skip

    def _dataset(self, runs: RunStream, columns: IntArray, total: _Sums) -> xr.Dataset:
        import xarray as xr

        plan = runs.plan
        n = _over(total.num_runs, total.first)
        mean = total.reference + _divide(total.first, n)
        first = total.first
        if self.covariance:
            many, product = n[..., None], first[..., :, None] * first[..., None, :]
        else:
            many, product = n, first * first
        spread = _divide(total.second - _divide(product, many), many - 1)
        variance = np.diagonal(spread, axis1=-2, axis2=-1) if self.covariance else spread
        per_species = plan.dims("time", "species")
        variables: dict[str, Any] = {
            "mean": (per_species, plan.shaped(mean)),
            "variance": (per_species, plan.shaped(variance)),
            "standard_error": (per_species, plan.shaped(np.sqrt(_divide(variance, n)))),
            "num_valid": (plan.dims(), plan.shaped(total.num_runs)),
        }
        coords = plan.coords(columns)
        if self.covariance:
            variables["covariance"] = ((*per_species, "other"), plan.shaped(spread))
            coords["other"] = coords["species"]
        return xr.Dataset(variables, coords)


class _Sums(NamedTuple):
    """Runs [G], a run as reference [G, T, S], and sums of deviations and of their products."""

    num_runs: IntArray
    reference: Any
    first: FloatArray
    second: FloatArray


def _empty(shape: tuple[int, int, int], covariance: bool, dtype: Any) -> _Sums:
    pairs = (*shape, shape[2]) if covariance else shape
    return _Sums(
        np.zeros(shape[0], np.int64), np.zeros(shape, dtype), np.zeros(shape), np.zeros(pairs)
    )


def _sums_of(piece: Piece, columns: IntArray, covariance: bool) -> Reduced:
    from tumble.kernels._reduce import add_covariances, add_moments

    sample = piece.sample()
    states = states_of(sample.states, columns)
    sums = _empty((piece.num_rows, *states.shape[1:]), covariance, states.dtype)
    add = add_covariances if covariance else add_moments
    add(states, sample.codes, piece.groups, *sums)
    return Reduced(sums, sample.codes, sample.culprits, sample.events, sample.messages)


def _merge(total: _Sums, rows: slice, piece: _Sums) -> None:
    """Add the sums of a piece, once they are brought to the same reference."""
    count, reference, first, second = (part[rows] for part in total)
    new = (count == 0) & (piece.num_runs > 0)
    reference[new] = piece.reference[new]
    moved = (piece.reference - reference) * (piece.num_runs > 0)[:, None, None]
    shift = moved.astype(float)
    n = _over(piece.num_runs, shift)
    if second.ndim == first.ndim:
        second += piece.second + 2 * shift * piece.first + n * shift * shift
    else:
        a, b = shift[..., :, None], shift[..., None, :]
        crossed = a * piece.first[..., None, :] + piece.first[..., :, None] * b
        second += piece.second + crossed + n[..., None] * a * b
    first += piece.first + n * shift
    count += piece.num_runs


def _over(count: IntArray, like: FloatArray) -> FloatArray:
    """Return numbers of runs [G] as floats that divide arrays [G, T, S]."""
    return np.reshape(count.astype(float), (-1,) + (1,) * (like.ndim - 1))


def _divide(numbers: FloatArray, by: FloatArray) -> FloatArray:
    """Return the quotients, NaN where there is nothing to divide by."""
    out = np.full(np.broadcast_shapes(numbers.shape, by.shape), np.nan)
    return np.divide(numbers, by, out=out, where=by > 0)

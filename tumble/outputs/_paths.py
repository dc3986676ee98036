"""Keep every event."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import CapabilityError, ParameterError
from tumble._typing import FloatArray, IntArray
from tumble.outputs._base import LARGEST_RESULT, AbstractOutput, AbstractSummary
from tumble.outputs._counts import whole_block
from tumble.outputs._plan import Piece
from tumble.outputs._run_stream import Reduced, RunStream
from tumble.simulators import SupportsPaths

if TYPE_CHECKING:
    import xarray as xr

_BYTES_AN_EVENT = 12
# The first pass, which counts, is the faster one by about this much.
_FIRST_PASS = (0.0, 0.3)


@dataclass(frozen=True, repr=False)
class SamplePaths(AbstractSummary):
    """Every event of every run. Final.

    ``data`` holds all events in one row, run after run: ``event_time`` and ``event_reaction``
    (event), the latter an index into ``equation`` (reaction); and for each run its ``num_events``
    and ``code`` (sample), with a first dimension ``params`` where parameters were arrays. A run
    that failed has none. `run` and `at` give states.
    """

    @property
    def num_samples(self) -> int:
        """Runs (of each row of parameters), failed ones included."""
        return self.data.sizes["sample"]

    def run(self, sample: int, row: int = 0) -> tuple[FloatArray, IntArray]:
        """Return the path of one run: times [n + 1] and states [n + 1, S] from then on.

        The first are the start and the initial state, the others come with an event each. Raises
        `ParameterError` for a run that is not there or failed.
        """
        here = self._events_of(sample, row)
        reactions = self._reactions[here]
        changes = self.data["change"].values.T[reactions]
        initial = self.data["initial"].values[None]
        states = np.cumsum(np.concatenate([initial, changes]), axis=0)
        start = [float(self.data["start"])]
        return np.concatenate([start, self._times[here]]), states

    def reactions(self, sample: int, row: int = 0) -> IntArray:
        """Return the index of the reaction of each event of one run [n]."""
        return self._reactions[self._events_of(sample, row)].astype(np.int64)

    def at(self, times: Any) -> xr.DataArray:
        """Return the counts of all runs at any times up to the last, as `simulate` returns them.

        Dimensions are (sample, time, species), and the values -1 in failed runs.
        """
        import xarray as xr

        grid = np.atleast_1d(np.asarray(times, dtype=float))
        if grid.ndim != 1 or not np.all((grid >= float(self.data["start"])) & (grid <= self._end)):
            raise ParameterError(
                f"`times` is {times!r}, expected times from {float(self.data['start']):g} to "
                f"{self._end:g}, between which the paths are known."
            )
        codes = self.data["code"]
        flat = np.full((codes.size, len(grid), len(self.species)), -1)
        for b in np.flatnonzero(codes.values.ravel() == 0):
            row, sample = divmod(int(b), self.num_samples)
            path_times, states = self.run(sample, row)
            flat[b] = states[np.searchsorted(path_times, grid, side="right") - 1]
        coords = {name: codes[name] for name in codes.coords}
        return xr.DataArray(
            flat.reshape(*codes.shape, *flat.shape[1:]),
            dims=(*codes.dims, "time", "species"),
            coords={**coords, "time": grid, "species": list(self.species)},
            name="counts",
        )

    def describe(self) -> list[str]:
        """See `AbstractSummary.describe`."""
        counts = self.data["num_events"].values[self.data["code"].values == 0]
        return [
            f"t = {float(self.data['start']):g} … {self._end:g}",
            f"  {counts.min():,} … {counts.max():,} events a run, {counts.sum():,} in all",
        ]

    @cached_property
    def _first(self) -> IntArray:
        counts = self.data["num_events"].values.ravel()
        return np.concatenate([[0], np.cumsum(counts)])

    @property
    def _times(self) -> FloatArray:
        return self.data["event_time"].values

    @property
    def _reactions(self) -> IntArray:
        return self.data["event_reaction"].values

    @property
    def _end(self) -> float:
        return float(self.times[-1])

    def _events_of(self, sample: int, row: int) -> slice:
        codes = self.data["code"].values.reshape(-1, self.num_samples)
        if not (0 <= row < codes.shape[0] and 0 <= sample < codes.shape[1]):
            raise ParameterError(
                f"there is no run (sample={sample}, row={row}); there are {codes.shape[1]} samples "
                f"and {codes.shape[0]} row(s), counted from 0."
            )
        if codes[row, sample] != 0:
            raise ParameterError(
                f"run (sample={sample}, row={row}) failed with code {codes[row, sample]}, and has "
                "no path; see `data['code']`."
            )
        b = row * codes.shape[1] + sample
        return slice(self._first[b], self._first[b + 1])


@dataclass(frozen=True)
class Paths(AbstractOutput[SamplePaths]):
    """Keep every event of every run: its time and its reaction, from which states follow.

    Definition: runs are simulated twice. Since the random numbers of a run are a function of its
    id, the second pass repeats the first, which has counted the events; so they are written to
    arrays of just the right length.

    Guarantee: exact, and the paths are those of `Counts` at the same seed and times.

    Arguments: ``max_bytes``, memory that the events may take, at 12 bytes each; default 8 GiB.

    Returns a `SamplePaths`. Raises `CapabilityError` for a simulator that does not offer
    `SupportsPaths`, and `ParameterError` when the first pass has counted too many events.

    When: to look at single runs, or for waiting times and other statistics of whole paths. For
    many runs keep counts at some times.

    >>> from tumble import ReactionNetwork, outputs, simulate
    >>> decay = ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> kept = simulate(decay, {"gamma": 1.0}, initial={"X": 3}, times=[100.0],
    ...                 num_samples=10, outputs=outputs.Paths())
    >>> times, states = kept.run(0)
    >>> times.shape, states.tolist()
    ((4,), [[3], [2], [1], [0]])
    """

    max_bytes: float = LARGEST_RESULT

    def __post_init__(self) -> None:
        if not self.max_bytes > 0:
            raise ParameterError(
                f"`Paths(max_bytes=...)` is {self.max_bytes!r}, expected a positive number."
            )

    def collect(self, runs: RunStream) -> SamplePaths:
        """See `AbstractOutput.collect`."""
        plan = runs.plan
        if not plan.simulator.offers(SupportsPaths, plan.model):
            raise CapabilityError(
                f"{type(plan.simulator).__name__} cannot write down the events of a run of this "
                "model (SupportsPaths), which outputs=Paths() needs; DirectMethod can, of networks "
                "whose rates change by reactions alone. Ask for Counts at many times."
            )
        first, codes = self._count(runs)
        times, reactions = np.empty(first[-1]), np.empty(first[-1], np.int32)

        def arguments(piece: Piece) -> tuple[IntArray, IntArray]:
            return first[piece.first : piece.stop + 1], codes[piece.first : piece.stop]

        for piece, (when, which) in runs.each(_events_of, arguments, (_FIRST_PASS[1], 1.0)):
            here = slice(first[piece.first], first[piece.stop])
            times[here], reactions[here] = when, which
        rows, samples = whole_block(plan, runs.done)
        num_runs = rows * samples
        num_events = np.diff(first)[:num_runs].reshape(rows, samples)
        some = times[: first[num_runs]], reactions[: first[num_runs]]
        data = _dataset(runs, num_events, codes[:num_runs].reshape(rows, samples), *some)
        return SamplePaths(
            data,
            runs.counted,
            plan.given,
            runs.stats,
            runs.interrupted,
            runs.failures,
            plan.simulator.citations,
        )

    def _count(self, runs: RunStream) -> tuple[IntArray, IntArray]:
        """Return where the events of each run begin [B + 1], and the codes [B]."""
        plan = runs.plan
        first = np.zeros(plan.num_runs + 1, np.int64)
        codes = np.empty(plan.num_runs, np.int64)
        for piece, (counts, ended) in runs.each(_lengths_of, lambda piece: (), _FIRST_PASS):
            here = slice(piece.first, piece.stop)
            codes[here] = ended
            first[piece.first + 1 : piece.stop + 1] = first[piece.first] + np.cumsum(counts)
            num_events = int(first[piece.stop])
            if _BYTES_AN_EVENT * num_events > self.max_bytes:
                raise ParameterError(
                    f"the paths would take more than {self.max_bytes / 2**30:.3g} GiB: the first "
                    f"{piece.stop:,} of {plan.num_runs:,} runs have {num_events:,} events of "
                    f"{_BYTES_AN_EVENT} bytes; ask for fewer samples or a shorter time, or keep "
                    "less of them: outputs=tb.outputs.Counts()."
                )
        if runs.interrupted:  # half of the counts are of no use
            raise KeyboardInterrupt
        return first, codes


def _lengths_of(piece: Piece) -> Reduced:
    sample = piece.sample()
    counts = np.where(sample.codes == 0, sample.events, 0)
    return Reduced(
        (counts, sample.codes), sample.codes, sample.culprits, sample.events, sample.messages
    )


def _events_of(piece: Piece, first: IntArray, codes: IntArray) -> Reduced:
    value = piece.simulator.record_paths(piece.model, piece.batch(), first - first[0])  # type: ignore[attr-defined]
    return Reduced(value, codes, None, np.diff(first))


def _dataset(
    runs: RunStream, num_events: IntArray, codes: IntArray, times: FloatArray, reactions: IntArray
) -> xr.Dataset:
    import xarray as xr

    plan = runs.plan
    per_run = plan.dims("sample")
    variables: dict[str, Any] = {
        "event_time": ("event", times),
        "event_reaction": ("event", reactions),
        "num_events": (per_run, plan.shaped(num_events)),
        "code": (per_run, plan.shaped(codes)),
        "change": (("species", "reaction"), plan.model.stoichiometry),
        "initial": ("species", plan.initial),
        "start": ((), plan.start),
    }
    coords = plan.coords(plan.columns(None), len(codes))
    coords["equation"] = ("reaction", [str(reaction) for reaction in plan.model.reactions])
    return xr.Dataset(variables, coords)

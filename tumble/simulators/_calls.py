"""Calls of a black box: one a run, or one for many runs."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tumble._duals import Dual, as_dual
from tumble._errors import CapabilityError, DerivativeError
from tumble._execution import InPlace, run_all, split
from tumble._results import SampleCode
from tumble._typing import FloatArray, IntArray
from tumble.choices import Choices, Forced, Relaxed
from tumble.models import AbstractBlackBox, BlackBox
from tumble.simulators._alarm import CallTimedOut, time_limit
from tumble.simulators._base import Batch, PairSample, Sample
from tumble.simulators._jump_runs import num_pieces
from tumble.simulators._run_uniforms import RunUniforms
from tumble.simulators._watches import PlaceWatch, ScoreWatch

# A batched function gets few runs in its first call, and then as many as fill so many numbers in
# its widest draw, which bounds the memory that it takes. No result depends on it.
_FIRST_ROWS, _FEWEST_ROWS, _MOST_ROWS = 64, 16, 4096
_MOST_NUMBERS = 2**22


class Returned(NamedTuple):
    """What came back of B runs.

    ``outputs`` [B, T, O], NaN where a run failed; ``codes`` [B]; ``messages`` by code; and what was
    asked for besides: ``score`` [B, T, Q], ``others`` [B, M, T, O], ``weights`` [B, M, Q], and
    ``slopes`` [B, T, O, Q].
    """

    outputs: FloatArray
    codes: IntArray
    messages: dict[int, str]
    score: FloatArray
    others: FloatArray
    weights: FloatArray
    slopes: FloatArray

    @classmethod
    def empty(
        cls,
        model: AbstractBlackBox,
        batch: Batch,
        score: bool = False,
        places: int = 0,
        slopes: bool = False,
    ) -> Returned:
        """Return arrays to be filled."""
        num_runs, shape = len(batch.runs), (len(batch.times), len(model.outputs))
        num_params = len(model.parameters)
        return cls(
            np.full((num_runs, *shape), np.nan),
            np.zeros(num_runs, np.int64),
            {},
            np.zeros((num_runs, shape[0], num_params if score else 0)),
            np.full((num_runs, places, *shape), np.nan),
            np.zeros((num_runs, places, num_params)),
            np.zeros((num_runs, *shape, num_params if slopes else 0)),
        )

    def fail(self, rows: Any, code: SampleCode, message: str) -> None:
        """Note that some rows failed, and what the first of them said."""
        self.codes[rows] = code
        self.outputs[rows] = np.nan
        self.slopes[rows] = 0.0
        self.messages.setdefault(int(code), message)


def spread(
    function: Callable[..., Returned], model: Any, batch: Batch, executor: Any, *extra: Any
) -> Returned:
    """Return ``function(model, batch, *extra)``, in pieces if there is an ``executor``."""
    if executor is None or isinstance(executor, InPlace):
        return function(model, batch, *extra)
    pieces = [rows_of(batch, rows) for rows in split(len(batch.runs), num_pieces(len(batch.runs)))]
    parts = run_all(function, [(model, piece, *extra) for piece in pieces], executor)
    messages: dict[int, str] = {}
    for part in parts:
        messages = {**part.messages, **messages}
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in Returned._fields
        if name != "messages"
    }
    return Returned(**columns, messages=messages)


def sampled(found: Returned) -> Sample:
    """Return the runs as a `Sample`."""
    events = np.zeros(len(found.codes), np.int64)
    return Sample(found.outputs, found.codes, events, messages=found.messages)


def paired(
    function: Callable[..., Returned], model: Any, batch: Batch, executor: Any
) -> PairSample:
    """Run both sides of a batch of pairs with the same random numbers."""
    one, other = (
        spread(
            function,
            model,
            replace(batch, params=batch.params[:, side], initial=batch.initial[:, side]),
            executor,
        )
        for side in (0, 1)
    )
    codes = np.where(one.codes != 0, one.codes, other.codes)
    states = np.stack([one.outputs, other.outputs], axis=1)
    messages = {**other.messages, **one.messages}
    return PairSample(states, codes, np.zeros(len(codes), np.int64), messages=messages)


def rows_of(batch: Batch, rows: Any) -> Batch:
    """Return some rows of a batch."""
    return replace(
        batch, params=batch.params[rows], initial=batch.initial[rows], runs=batch.runs[rows]
    )


def call(model: BlackBox, batch: Batch) -> Returned:
    """Run the model once a row; a function of plain values, so that any executor can take it."""
    found, load = Returned.empty(model, batch), _Load(model, 0)

    def once(rows: IntArray) -> None:
        _fill(found, rows, model, _returned(model, rows_of(batch, rows), load))

    return _each(once, batch, found, load)


def call_with_score(model: BlackBox, batch: Batch) -> Returned:
    """Run it with the score up to each time."""
    found = Returned.empty(model, batch, score=True)
    num_params = len(model.parameters)
    load = _Load(model, num_params)

    def once(rows: IntArray) -> None:
        watch = ScoreWatch(len(rows), num_params)
        marks: list[FloatArray] = []
        outputs = _returned(
            model, rows_of(batch, rows), load, watch=watch, seen=np.ones(num_params, bool),
            mark=lambda: marks.append(watch.score.copy()),
        )  # fmt: skip
        _fill(found, rows, model, outputs)
        whole = watch.score[:, None]
        found.score[rows] = np.stack(marks, axis=1) if marks else whole

    return _each(once, batch, found, load)


def call_with_alternatives(
    model: BlackBox, batch: Batch, scales: FloatArray, num_places: int
) -> Returned:
    """Run it with M alternatives of one draw each."""
    found = Returned.empty(model, batch, places=num_places)
    seen = scales > 0
    load = _Load(model, int(np.sum(seen)))

    def once(rows: IntArray) -> None:
        some = rows_of(batch, rows)
        extra = RunUniforms(batch.stream.child("alternatives"), some.runs)
        watch = PlaceWatch(scales[seen], num_places, extra)
        outputs = _returned(model, some, load, watch=watch, seen=seen)
        _fill(found, rows, model, outputs)
        found.weights[np.ix_(rows, np.arange(num_places), np.flatnonzero(seen))] = watch.weights
        found.others[rows] = outputs[:, None]
        places = watch.forced
        fine = np.repeat(found.codes[rows] == 0, num_places)
        where = np.flatnonzero((places.draw >= 0) & fine)
        for first in range(0, len(where), load.num_rows):
            part = where[first : first + load.num_rows]
            row, place = part // num_places, part % num_places
            forced = places.rows(part)
            again = _returned(model, rows_of(some, row), load, forced=forced)
            _fill(found, rows[row], model, again, place)

    return _each(once, batch, found, load)


def call_relaxed(model: BlackBox, batch: Batch, relaxation: Any) -> Returned:
    """Run it with draws that carry pathwise derivatives."""
    found = Returned.empty(model, batch, slopes=True)
    num_params = len(model.parameters)
    load = _Load(model, num_params)

    def once(rows: IntArray) -> None:
        some = rows_of(batch, rows)
        extra = RunUniforms(batch.stream.child("relaxation"), some.runs)
        # What is read has the value first and then its slopes, along a last dimension.
        both = _returned(
            model, some, load, seen=np.ones(num_params, bool),
            relaxed=Relaxed(relaxation, extra), read=lambda r, s: _with_slopes(r, s, num_params),
        )  # fmt: skip
        _fill(found, rows, model, both[..., 0])
        found.slopes[rows] = both[..., 1:]
        found.slopes[rows[found.codes[rows] != 0]] = 0.0
        odd = np.argwhere(~np.isfinite(found.slopes[rows]))
        if len(odd):
            b, t, o, q = odd[0]
            raise DerivativeError(
                f"the pathwise derivative of output {model.outputs[o]!r} by {model.parameters[q]} "
                f"is {found.slopes[rows][b, t, o, q]} at time number {t}. A function such as "
                "np.sqrt has no derivative at an outcome that was drawn; leave it to the "
                "observables, or take another gradient."
            )

    return _each(once, batch, found, load)


# -- private ---------------------------------------------------------------------------------------


class _WrongOutput(Exception):
    """What came back cannot be read as outputs."""


class _Load:
    """How many runs to put into one call, from what the calls so far have drawn. Final."""

    def __init__(self, model: BlackBox, num_slopes: int) -> None:
        self._batched, self._per_number = model.batched, 1 + num_slopes
        self._widest = 0

    @property
    def num_rows(self) -> int:
        """Runs of the next call."""
        if not self._batched:
            return 1
        if self._widest == 0:
            return _FIRST_ROWS
        fitting = _MOST_NUMBERS // (self._widest * self._per_number)
        return min(max(fitting, _FEWEST_ROWS), _MOST_ROWS)

    def see(self, draws: Any) -> None:
        """Take note of what a call has drawn."""
        if isinstance(draws, Choices):
            self._widest = max(self._widest, draws.widest)


def _each(once: Callable[[IntArray], None], batch: Batch, found: Returned, load: _Load) -> Returned:
    """Call ``once`` for all rows; where that fails for many at once, find out for which."""
    num_runs, begun = len(batch.runs), 0
    waiting: list[IntArray] = []
    while waiting or begun < num_runs:
        if waiting:
            rows = waiting.pop()
        else:
            rows = np.arange(begun, min(begun + load.num_rows, num_runs))
            begun += len(rows)
        try:
            once(rows)
        except (DerivativeError, CapabilityError):
            raise
        except _WrongOutput as error:
            found.fail(rows, SampleCode.WRONG_OUTPUT, str(error))
        except (Exception, CallTimedOut) as error:
            if isinstance(error.__cause__, DerivativeError):  # NumPy puts an error of its own on it
                raise error.__cause__ from None
            if len(rows) == 1:
                found.fail(rows, *_reason(error))
            else:
                middle = len(rows) // 2
                waiting += [rows[middle:], rows[:middle]]
    return found


def _returned(
    model: BlackBox,
    batch: Batch,
    load: _Load,
    watch: Any = None,
    seen: Any = None,
    forced: Forced | None = None,
    mark: Callable[[], None] = lambda: None,
    relaxed: Relaxed | None = None,
    read: Any = None,
) -> FloatArray:
    """Call the function, for one run or many, and return outputs [b, T, O], or with a further
    dimension what ``read`` makes of them; calls ``mark`` after each row that it yields. Raises
    `_WrongOutput`, and what the function raises.
    """
    times, read = np.array(batch.times), read or _numbers
    draws = _draws(model, batch, watch, forced, relaxed)
    lead = (len(batch.runs),) if model.batched else ()
    width = len(model.outputs)
    columns: list[FloatArray] = []
    with time_limit(model.timeout):
        result = model.function(_params(model, batch, seen), times, draws)
        if not inspect.isgenerator(result):
            load.see(draws)
            numbers = read(result, (*lead, len(times), width))
            return numbers.reshape(-1, *numbers.shape[len(lead) :])
        for row in result:
            numbers = read(row, (*lead, width))
            columns.append(numbers.reshape(-1, *numbers.shape[len(lead) :]))
            mark()
            if len(columns) == len(times):
                result.close()
                break
    load.see(draws)
    if len(columns) < len(times):
        raise _WrongOutput(
            f"it yielded {len(columns)} rows, expected one for each of {len(times)} times"
        )
    return np.stack(columns, axis=1)


def _params(model: BlackBox, batch: Batch, seen: Any) -> dict[str, Any]:
    """Return what the function gets by name: with derivatives for those ``seen`` [Q]."""
    params: dict[str, Any] = {}
    position = 0
    num_seen = 0 if seen is None else int(np.sum(seen))
    for q, name in enumerate(model.parameters):
        column = np.array(batch.params[:, q])  # a copy, which the function may change
        value: Any = column if model.batched else float(column[0])
        if num_seen and seen[q]:
            slope = np.zeros((*np.shape(value), num_seen))
            slope[..., position] = 1.0
            position += 1
            value = Dual(value, slope)
        params[name] = value
    for s, name in enumerate(model.initial):
        counts = batch.initial[:, s].copy()
        params[name] = counts if model.batched else int(counts[0])
    return params


def _draws(
    model: BlackBox, batch: Batch, watch: Any, forced: Forced | None, relaxed: Relaxed | None
) -> Any:
    if model.choices:
        uniforms = RunUniforms(batch.stream, batch.runs)
        return Choices(uniforms, model.batched, watch, forced, relaxed)
    key = batch.stream.key | int(batch.runs[0]) << 64
    return np.random.Generator(np.random.Philox(key=key))


def _numbers(result: Any, shape: tuple[int, ...]) -> FloatArray:
    """Return a result as an array of this shape; the last dimension may be left out if it is 1."""
    try:
        array = np.asarray(result, dtype=float)
    except DerivativeError:
        raise
    except (TypeError, ValueError) as error:
        raise _WrongOutput(f"it returned what is no array of numbers: {error}") from None
    if array.shape == shape or (shape[-1] == 1 and array.shape == shape[:-1]):
        return array.reshape(shape)
    raise _WrongOutput(f"it returned an array of shape {array.shape}, expected {shape}")


def _with_slopes(result: Any, shape: tuple[int, ...], num_params: int) -> FloatArray:
    """Return a result and its slopes as an array of this shape and a further dimension 1 + Q."""
    try:
        found = as_dual(result)
    except DerivativeError:
        raise
    except (TypeError, ValueError):
        found = result  # for _numbers to say what is wrong
    if not isinstance(found, Dual):
        numbers = _numbers(found, shape)
        return np.concatenate([numbers[..., None], np.zeros((*shape, num_params))], axis=-1)
    numbers = _numbers(found.value, shape)
    return np.concatenate([numbers[..., None], found.slope.reshape(*shape, num_params)], axis=-1)


def _fill(
    found: Returned, rows: IntArray, model: BlackBox, outputs: FloatArray, place: Any = None
) -> None:
    """Put outputs [b, T, O] where they belong; what is not finite fails."""
    if place is None:
        found.outputs[rows] = outputs
    else:
        found.others[rows, place] = outputs
    odd = np.argwhere(~np.isfinite(outputs))
    if len(odd):
        b, t, o = odd[0]
        message = f"output {model.outputs[o]!r} is {outputs[b, t, o]} at time number {t}"
        found.fail(rows[np.unique(odd[:, 0])], SampleCode.NOT_FINITE, message)


def _reason(error: BaseException) -> tuple[SampleCode, str]:
    """Return the code and the message of a run that raised ``error``."""
    if isinstance(error, CallTimedOut):
        return SampleCode.TIMEOUT, str(error)
    return SampleCode.EXCEPTION, _in_a_line(error)


def _in_a_line(error: BaseException) -> str:
    """Return ``ZeroDivisionError: division by zero (walk.py, line 12)``."""
    text = " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {text[:300]}{place}"

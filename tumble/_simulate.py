"""The verb `simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, TypeVar, overload

import numpy as np

from tumble._errors import ModelError, ParameterError, require_known, require_times
from tumble._progress import showing
from tumble._random import Stream
from tumble._trajectory import Trajectory
from tumble._typing import FloatArray, IntArray, Params
from tumble.inputs import AbstractInput
from tumble.models import AbstractModel, ReactionNetwork
from tumble.outputs import AbstractOutput, Counts
from tumble.outputs._plan import ROW_STRIDE, Plan
from tumble.outputs._run_stream import RunStream
from tumble.simulators import AbstractSimulator, default_simulator

Kept = TypeVar("Kept")


@overload
def simulate(
    model: AbstractModel,
    params: Params,
    *,
    initial: Mapping[str, int] | None = None,
    times: Any,
    num_samples: int = 1,
    seed: int = 0,
    outputs: None = None,
    simulator: AbstractSimulator | None = None,
    start: float = 0.0,
    common: bool = False,
    executor: Any = None,
    progress: Any = False,
) -> Trajectory: ...


@overload
def simulate(
    model: AbstractModel,
    params: Params,
    *,
    initial: Mapping[str, int] | None = None,
    times: Any,
    num_samples: int = 1,
    seed: int = 0,
    outputs: AbstractOutput[Kept],
    simulator: AbstractSimulator | None = None,
    start: float = 0.0,
    common: bool = False,
    executor: Any = None,
    progress: Any = False,
) -> Kept: ...


def simulate(
    model: AbstractModel,
    params: Params,
    *,
    initial: Mapping[str, int] | None = None,
    times: Any,
    num_samples: int = 1,
    seed: int = 0,
    outputs: AbstractOutput[Any] | None = None,
    simulator: AbstractSimulator | None = None,
    start: float = 0.0,
    common: bool = False,
    executor: Any = None,
    progress: Any = False,
) -> Any:
    """Run a model and return its counts at chosen times, or what is to be kept of them.

    Arguments, most used first:

    - ``model``, ``params``: a `ReactionNetwork`, `BlackBox` or `ExternalProgram`, and a value for
      each of its parameters: a number, or, in a network, a function of time from `tumble.inputs`,
      such as ``StepInput([0, 10], [2.0, 0.5])``. Arrays [M] among the values stand for M rows of
      parameters, of each of which ``num_samples`` are run.
    - ``initial``: species → whole number at time ``start``. Default: none, for a model that needs
      none.
    - ``times``: ascending, ≥ ``start``; shape [T].
    - ``num_samples``: independent runs. Default 1.
    - ``seed``: the result is bitwise the same for the same seed, whatever the threads and executor.
    - ``outputs``: what to keep, see `tumble.outputs`; default `Counts`, all counts. With `Moments`
      or `Histogram` memory does not grow with the number of runs.
    - ``simulator``: default `DirectMethod`, exact, or what calls the model; see `tumble.simulators`
      for others. `Langevin`, `MeanField` and black boxes return real numbers in place of counts.
    - ``common``: whether rows of parameters share their random numbers, which makes differences
      between them less noisy. Sample i of row m is run i of the random stream then, and else run
      2³² m + i. Default ``False``.
    - ``executor``: anything with ``.submit``; default a pool of threads.
    - ``progress``: ``True`` shows a bar.

    Returns a `Trajectory`, or the result of ``outputs``; with rows of parameters, ``params`` is the
    first dimension of their data. When it is interrupted (Ctrl-C), it returns the runs that are
    complete, of whole rows where single runs are kept, with `ResultCode.INTERRUPTED`; and raises
    KeyboardInterrupt when there are none. Raises `ModelError` or `ParameterError` for names and
    values that do not fit the model, and `SimulationError` when every run fails; single failures
    are codes in the result.

    >>> from tumble.models import AbstractModel, ReactionNetwork
    >>> decay = ReactionNetwork.from_text("X -> 0 ; gamma")
    >>> run = simulate(decay, {"gamma": 1.0}, initial={"X": 100}, times=[0.0, 1.0], num_samples=50)
    >>> run.data.sizes["sample"], int(run.data.isel(time=0).max())
    (50, 100)
    """
    plan = _plan(
        model, params, initial, times, num_samples, seed,
        default_simulator(model) if simulator is None else simulator, start, common,
    )  # fmt: skip
    kept = Counts() if outputs is None else outputs
    if not isinstance(kept, AbstractOutput):
        raise ParameterError(
            f"`outputs` is {kept!r}, expected one of tumble.outputs such as Moments()."
        )
    with showing(progress, "simulate") as bar:
        return kept.collect(RunStream(plan, executor, bar))


def _plan(
    model: AbstractModel,
    params: Params,
    initial: Mapping[str, int] | None,
    times: Any,
    num_samples: int,
    seed: int,
    simulator: AbstractSimulator,
    start: float,
    common: bool,
) -> Plan:
    simulator.require_model(model)
    grid = require_times(times, start)
    counts = _check_initial(model, initial or {})
    inputs = {k: v for k, v in params.items() if isinstance(v, AbstractInput)}
    if inputs:
        if not isinstance(model, ReactionNetwork):
            raise ModelError(
                f"`params[{next(iter(inputs))!r}]` is a function of time, but {model.noun} takes "
                "numbers; only the rates of a network can follow an input."
            )
        model = model.with_inputs(inputs)
    given, values = _check_params(model, {k: v for k, v in params.items() if k not in inputs})
    if not isinstance(num_samples, (int, np.integer)):
        raise ParameterError(f"`num_samples` is {num_samples!r}, expected a whole number.")
    if num_samples < 1:
        raise ParameterError(f"`num_samples` is {num_samples}, expected at least 1.")
    has_rows = any(np.ndim(value) == 1 for value in given.values())
    if has_rows and num_samples > ROW_STRIDE:
        raise ParameterError(
            f"`num_samples` is {num_samples}, expected at most 2**32 where parameters are arrays."
        )
    stream = Stream.from_seed(seed).child("simulate")
    return Plan(
        model, simulator, values, given, has_rows, counts, grid, float(start), stream,
        int(num_samples), bool(common), inputs,
    )  # fmt: skip


def _check_params(model: AbstractModel, params: Params) -> tuple[dict[str, Any], FloatArray]:
    """Return the parameters by name, numbers and arrays [M], and as rows [M, Q]."""
    arrays = {k: np.asarray(v, dtype=float) for k, v in params.items() if np.ndim(v) > 0}
    for name, array in arrays.items():
        if array.ndim > 1 or not array.size:
            raise ParameterError(
                f"`params[{name!r}]` has shape {array.shape}, expected a number or a list of them."
            )
    lengths = {len(array): name for name, array in arrays.items()}
    if len(lengths) > 1:
        (m, one), (n, other), *_ = lengths.items()
        raise ParameterError(
            f"`params[{one!r}]` has {m} values and `params[{other!r}]` {n}, expected as many: row "
            "m takes value m of each. For a grid, pass two raveled arrays of numpy.meshgrid."
        )
    numbers = {k: float(v) for k, v in params.items() if k not in arrays}
    given = {k: arrays.get(k, numbers.get(k)) for k in params}
    rows = [
        model.params_vector(numbers | {k: float(array[m]) for k, array in arrays.items()})
        for m in range(next(iter(lengths), 1))
    ]
    return given, np.array(rows)


def _check_initial(model: AbstractModel, initial: Mapping[str, int]) -> IntArray:
    require_known(initial, model.initial_names, what="`initial` has species", owner=model.noun,
                  error=ModelError)  # fmt: skip
    missing = [s for s in model.initial_names if s not in initial]
    if missing:
        raise ModelError(f"`initial` has no value for species {missing[0]!r}; give 0 if absent.")
    counts = [initial[s] for s in model.initial_names]
    for name, count in zip(model.initial_names, counts, strict=True):
        if not isinstance(count, Real) or not 0 <= count < 2**62 or count != np.rint(count):
            raise ParameterError(f"`initial[{name!r}]` is {count!r}, expected a whole number ≥ 0.")
    return np.array(counts).astype(np.int64)

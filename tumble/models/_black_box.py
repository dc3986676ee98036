"""Simulators of the user's own, of which nothing is known but how to call them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ModelError, is_number, require_flag, shown
from tumble._typing import FloatArray
from tumble.models._base import AbstractModel
from tumble.models._names import check_name
from tumble.models._network_checks import vector_of


class AbstractBlackBox(AbstractModel):
    """A model that is known by the names of its parameters and outputs alone."""

    shows_counts = False
    definitions = MappingProxyType[str, Any]({})
    variables = MappingProxyType[str, Any]({})
    reactions = ()
    events = ()
    outputs: Any
    initial: Any

    @property
    def resolved_definitions(self) -> Mapping[str, Any]:
        """See `AbstractModel.resolved_definitions`."""
        return {}

    @property
    def initial_names(self) -> tuple[str, ...]:
        """See `AbstractModel.initial_names`."""
        names: tuple[str, ...] = self.initial
        return names

    def params_vector(self, params: Mapping[str, float]) -> FloatArray:
        """See `AbstractModel.params_vector`."""
        values = vector_of(params, self.parameters, self.noun)
        for name, value in zip(self.parameters, values, strict=True):
            if not np.isfinite(value):
                raise ModelError(f"`params[{name!r}]` is {value}, expected a finite number.")
        return values

    def _set_names(self) -> None:
        """Check ``parameters``, ``outputs`` and ``initial``, and make tuples of them."""
        for label, names in checked_names(self.parameters, self.outputs, self.initial).items():
            object.__setattr__(self, label, names)

    def _signature(self) -> str:
        inputs = ", ".join([*self.parameters, *self.initial])
        return f"({inputs}) -> {', '.join(self.outputs)}"


def checked_names(parameters: Any, outputs: Any, initial: Any) -> dict[str, tuple[str, ...]]:
    """Return the names of a model, ``species`` among them, as tuples. Raises `ModelError`."""
    given = {"parameters": parameters, "initial": initial, "outputs": outputs}
    for label, names in given.items():
        if isinstance(names, str) or not isinstance(names, Sequence):
            raise ModelError(
                f"`{label}` is {names!r}, expected a list of names such as ['p', 'q']."
            )
        for name in names:
            check_name(name, f"an entry of `{label}`")
    for one, other in (("parameters", "initial"), ("parameters", "outputs")):
        both = [*given[one], *given[other]]
        twice = next((name for name in both if both.count(name) > 1), None)
        if twice is not None:
            raise ModelError(
                f"{twice!r} is named twice in `{one}` and `{other}`; each needs a name of its own."
            )
    if not outputs:
        raise ModelError("`outputs` is empty; name at least one column of what is returned.")
    found = {label: tuple(names) for label, names in given.items()}
    return {**found, "species": found["outputs"]}


@dataclass(frozen=True, repr=False)
class BlackBox(AbstractBlackBox):
    """A simulator that is a Python function.

    Arguments:

    - ``function``: called as ``function(params, times, rng)`` once a run, with a dict of numbers by
      name, the observation times [T] and a `numpy.random.Generator` of this run alone. It returns
      the outputs at these times, [T, O] ([T] where there is one output); or it is a generator that
      yields one row [O] for each time, in order.
    - ``parameters``, ``outputs``: names of the numbers it takes and of the columns it returns.
    - ``initial``: names of counts that it starts from. They are in ``params`` too, but are given as
      ``initial=``, where they may be drawn from a distribution. Default: none.
    - ``choices``: whether the third argument is a `tumble.choices.Choices` instead, through which
      the function makes all its random choices. That gives it exact gradients. Default ``False``.
    - ``batched``: whether the function runs a whole batch in one call, for speed. ``params`` are
      arrays [B] then, outputs [B, T, O], yielded rows [B, O]; and it needs ``choices=True``, since
      a generator has no streams for single runs. Default ``False``.
    - ``timeout``: seconds that a call may take before it is given up. Needs the main thread of a
      process and an operating system with alarms (not Windows), and cannot interrupt compiled code
      before it returns to Python; where that is not enough, take `ExternalProgram`. What the
      function compiles, with Numba say, should have been called before: an alarm in the midst of
      that leaves the compiler in disorder. Default ``None``: no limit.

    The function must draw nothing but from what it is given, and must not keep anything from one
    call to the next: a run is a function of parameters, times, seed and run number, in whatever
    batch, thread or process it takes place. ``times`` may begin at any time; the start of an
    experiment is not passed on, but may be a parameter.

    A run that raises an exception, takes too long, or returns another shape, NaN or infinity, has a
    `SampleCode` of its own; the first message of each kind is kept.

    Raises `ModelError`.

    >>> import numpy as np
    >>> import tumble as tb
    >>> def walk(params, times, rng):
    ...     steps = rng.random(int(times[-1])) >= params["stay"]
    ...     position = np.concatenate([[0], np.cumsum(steps * rng.choice([-1, 1], len(steps)))])
    ...     return position[times.astype(int)]
    >>> box = tb.BlackBox(walk, parameters=["stay"], outputs=["x"])
    >>> run = tb.simulate(box, {"stay": 0.5}, times=[0, 10], num_samples=100)
    >>> run.data.shape, float(run.data.isel(time=0).max())
    ((100, 2, 1), 0.0)
    """

    function: Callable[..., Any]
    parameters: Sequence[str] = ()
    outputs: Sequence[str] = ()
    initial: Sequence[str] = ()
    choices: bool = False
    batched: bool = False
    timeout: float | None = None
    noun: ClassVar[str] = "the black box"

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ModelError(
                f"`function` is {self.function!r}, expected a function of (params, times, rng)."
            )
        self._set_names()
        require_flag("choices", self.choices, ModelError)
        require_flag("batched", self.batched, ModelError)
        if self.batched and not self.choices:
            raise ModelError(
                "`batched` needs choices=True: a function of many runs draws through a Choices, "
                "which has a random stream for each of them."
            )
        limit = self.timeout
        if limit is not None and not (is_number(limit) and 0 < limit < float("inf")):
            raise ModelError(f"`timeout` is {shown(limit)}, expected seconds > 0, or None.")

    @property
    def name(self) -> str:
        """Name of the function."""
        return str(getattr(self.function, "__qualname__", repr(self.function)))

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        module = getattr(self.function, "__module__", "")
        return f"{module}.{self.name}{self._signature()}"

    def __repr__(self) -> str:
        draws = ", declared choices" if self.choices else ""
        return f"BlackBox: {self.name}{self._signature()}{draws}"

    def __getstate__(self) -> dict[str, Any]:
        try:
            pickle.dumps(self.function)
        except Exception as error:
            raise ModelError(
                f"the function {self.name} cannot be sent to another process: {error}. Define it "
                "at the top level of a module that the process can import, or leave out `executor`."
            ) from None
        return dict(self.__dict__)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

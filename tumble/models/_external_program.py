"""Simulators that are programs of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from tumble._errors import ModelError
from tumble.models._black_box import AbstractBlackBox


@dataclass(frozen=True, repr=False)
class ExternalProgram(AbstractBlackBox):
    """A simulator that is a program, in whatever language.

    It is started once a run. It reads one JSON object from its standard input,

        {"params": {"k": 0.5}, "initial": {"X": 10}, "times": [1.0, 2.0], "start": 0.0,
         "seed": 1234567}

    and writes one to its standard output: ``{"outputs": {"X": [9, 7]}}`` with a list of T numbers
    for each output, or ``{"outputs": [[9], [7]]}``, the rows [T, O]. What it writes to its standard
    error is kept where it fails. Its randomness has to come from ``seed`` alone, a whole number
    from 0 to 2⁶³ − 1 that is another one for each run; then a run is a function of parameters,
    times, seed and run number.

    Arguments:

    - ``command``: the program and its arguments, a list of texts. No shell sees them.
    - ``parameters``, ``outputs``, ``initial``: names, as in `BlackBox`.
    - ``timeout``: seconds that a run may take before it is killed, with all that it has started.
      Default 60.
    - ``environment``: name → value of variables to set besides those of this process. Default:
      none.
    - ``folder``: where to start it. Default: here.

    A run that takes too long, ends with another status than 0, or writes something else has a
    `SampleCode` of its own; the others are not touched. The first message of each kind is kept.

    Raises `ModelError`.
    """

    command: Sequence[str]
    parameters: Sequence[str] = ()
    outputs: Sequence[str] = ()
    initial: Sequence[str] = ()
    timeout: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str | None = None
    noun: ClassVar[str] = "the program"

    def __post_init__(self) -> None:
        command = self.command
        if isinstance(command, str) or not isinstance(command, Sequence) or not command:
            raise ModelError(
                f"`command` is {command!r}, expected a list of texts such as ['python', 'run.py']; "
                "no shell is involved."
            )
        object.__setattr__(self, "command", tuple(str(part) for part in command))
        if not 0 < self.timeout < float("inf"):
            raise ModelError(f"`timeout` is {self.timeout}, expected seconds > 0.")
        self._set_names()

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        return f"{' '.join(self.command)} {self._signature()}"

    def __repr__(self) -> str:
        return f"ExternalProgram: {self.to_text()}"

    def __hash__(self) -> int:
        variables: Any = frozenset(self.environment.items())
        names = (self.parameters, self.outputs, self.initial)
        return hash((self.command, *names, self.timeout, variables, self.folder))

"""Simulators that are programs of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any, ClassVar

from tumble._errors import ModelError, is_number, shown
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
                f"`command` is {shown(command)}, expected a list of texts such as "
                "['python', 'run.py']; no shell is involved."
            )
        for i, part in enumerate(command):
            if not isinstance(part, (str, PathLike)) or "\0" in str(part):
                raise ModelError(f"`command[{i}]` is {shown(part)}, expected text or a path.")
        object.__setattr__(self, "command", tuple(str(part) for part in command))
        if not (is_number(self.timeout) and 0 < self.timeout < float("inf")):
            raise ModelError(f"`timeout` is {shown(self.timeout)}, expected seconds > 0.")
        self._check_surroundings()
        self._set_names()

    def _check_surroundings(self) -> None:
        given = self.environment
        texts = [*given.items()] if isinstance(given, Mapping) else [(None, None)]
        if not all(isinstance(part, str) for pair in texts for part in pair):
            raise ModelError(
                f"`environment` is {shown(given)}, expected texts by name, such as "
                "{'OMP_NUM_THREADS': '1'}."
            )
        if self.folder is not None and not isinstance(self.folder, (str, PathLike)):
            raise ModelError(
                f"`folder` is {shown(self.folder)}, expected a path, or None for here."
            )

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        return f"{' '.join(self.command)} {self._signature()}"

    def __repr__(self) -> str:
        return f"ExternalProgram: {self.to_text()}"

    def __hash__(self) -> int:
        variables: Any = frozenset(self.environment.items())
        names = (self.parameters, self.outputs, self.initial)
        return hash((self.command, *names, self.timeout, variables, self.folder))

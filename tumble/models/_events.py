"""Events: what changes the state at once when a condition becomes true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

from tumble._errors import ModelError
from tumble._expressions import Call, Expression
from tumble.models._names import NAME, check_name
from tumble.models._rate_laws import as_expression

COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")
_CONDITIONS = {*COMPARISONS, "and", "or", "not", "where"}
_OPTIONS = ("persistent", "initially", "values_from_trigger")


@dataclass(frozen=True)
class Event:
    """An assignment of species and variables when a condition turns from false to true.

    It takes place at the very moment at which the trigger becomes true, or ``delay`` later, be
    that by time, by a reaction, by another event, or by a variable that crosses a threshold. An
    output at the time of an event shows the state after it. A trigger ``time > 25``, which is not
    yet true at 25, changes the state right after.

    In text: ``at P2 > 30: P = 100, P2 = 0``, with options in brackets before the colon:
    ``at X >= 10 [delay = 2, persistent = false]: X = 0``.

    Arguments:

    - ``trigger``: a condition of species, variables, parameters and ``time``.
    - ``assignments``: species or variable → expression; all are made at the same time. A species
      has to be given a whole number ≥ 0, otherwise the run ends with
      `SampleCode.INVALID_ASSIGNMENT`.
    - ``name``: for people. Default empty.
    - ``delay``: from trigger to assignment, an expression ≥ 0, computed when triggered. Default 0.
    - ``priority``: of events that are due at the same time, the one of highest priority comes
      first; equal ones are put in random order. An expression, or None: after all that have one.
    - ``persistent``: whether it takes place even if the trigger turns false meanwhile; then other
      events may cancel it as long as it waits. Default True.
    - ``initially``: what the trigger was before the start. With False, a trigger that is true at
      the start sets the event off there. Default True.
    - ``values_from_trigger``: whether the expressions are computed when triggered, else when
      assigned. Default True.

    Raises `ModelError`.

    Reference: the semantics are those of the events of SBML Level 3 Version 2 Core; Hucka et al.,
    J. Integr. Bioinform. 15 (2018), doi:10.1515/jib-2017-0081.
    """

    trigger: Any
    assignments: Mapping[str, Any]
    _: KW_ONLY
    name: str = ""
    delay: Any = 0
    priority: Any = None
    persistent: bool = True
    initially: bool = True
    values_from_trigger: bool = True

    def __post_init__(self) -> None:
        self._set("trigger", as_expression(self.trigger, "`trigger`"))
        tree = self.trigger.tree
        if isinstance(tree, Call) and tree.function not in _CONDITIONS:
            raise ModelError(
                f"`trigger` is '{self.trigger}', expected a condition such as 'X >= 10' or "
                "'time >= 25 and X < 3'."
            )
        self._set("assignments", self._checked_assignments())
        if self.name and not NAME.match(self.name):
            raise ModelError(
                f"`name` of an event is {self.name!r}, expected letters, digits and '_', not "
                "starting with a digit."
            )
        self._set("delay", as_expression(self.delay, "`delay`"))
        if self.delay.is_number and self.delay({}) < 0:
            raise ModelError(f"`delay` is {self.delay}, expected a time ≥ 0.")
        if self.priority is not None:
            self._set("priority", as_expression(self.priority, "`priority`"))
        for option in _OPTIONS:
            if not isinstance(getattr(self, option), bool):
                raise ModelError(
                    f"`{option}` is {getattr(self, option)!r}, expected True or False."
                )

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Its formulas: trigger, assignments, delay, and priority if there is one."""
        last = () if self.priority is None else (self.priority,)
        return (self.trigger, *self.assignments.values(), self.delay, *last)

    def mapped(self, function: Callable[[Expression], Expression]) -> Event:
        """Return the event with ``function`` applied to each of its expressions."""
        return replace(
            self,
            trigger=function(self.trigger),
            assignments={k: function(v) for k, v in self.assignments.items()},
            delay=function(self.delay),
            priority=None if self.priority is None else function(self.priority),
        )

    def __hash__(self) -> int:
        options = tuple(getattr(self, option) for option in _OPTIONS)
        assigned = frozenset(self.assignments.items())
        return hash((self.trigger, assigned, self.name, self.delay, self.priority, options))

    def __str__(self) -> str:
        options = [f"name = {self.name}"] if self.name else []
        options += [f"delay = {self.delay}"] if str(self.delay) != "0" else []
        options += [f"priority = {self.priority}"] if self.priority is not None else []
        options += [f"{option} = false" for option in _OPTIONS if not getattr(self, option)]
        inside = f" [{', '.join(options)}]" if options else ""
        assignments = ", ".join(f"{name} = {value}" for name, value in self.assignments.items())
        return f"at {self.trigger}{inside}: {assignments}"

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _checked_assignments(self) -> dict[str, Expression]:
        checked = {}
        if not self.assignments:
            raise ModelError(
                f"the event 'at {self.trigger}' assigns nothing; give `assignments`, such as "
                "{'X': 50}, or leave it out."
            )
        for name, value in dict(self.assignments).items():
            check_name(name, "what an event assigns")
            checked[name] = as_expression(value, f"`assignments[{name!r}]`")
        return checked

"""The notation of networks, one reaction, definition, variable or event a line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from tumble._errors import ModelError, did_you_mean
from tumble._expressions import Expression, parse
from tumble.models._events import Event
from tumble.models._names import EMPTY
from tumble.models._rate_laws import RATE_FUNCTIONS, MassAction, RateLaw
from tumble.models._reaction import Reaction
from tumble.models._variables import Variable

T = TypeVar("T")

_TERM = re.compile(r"(?:(\d{1,7})\s*\*?\s*)?([A-Za-z_]\w*)\Z")
_ARROW = re.compile(r"<->|<=>|->|=>")
_DEFINITION = re.compile(r"([A-Za-z_]\w*)\s*=(?![=>])(.*)\Z")
_INITIAL = re.compile(r"([A-Za-z_]\w*)\s*\(\s*0\s*\)\s*=(?![=>])(.*)\Z")
_RATE = re.compile(r"([A-Za-z_]\w*)\s*'\s*=(?![=>])(.*)\Z")
_EVENT = re.compile(r"at\s+([^:\[\];]*)(?:\[([^\[\]]*)\]\s*)?:(.*)\Z")
_OPTION = re.compile(r"(\w+)\s*=(?!=)\s*(.*)\Z")
_SWITCHES = {"true": True, "false": False}
_FORMULAS = ("delay", "priority")
_OPTIONS = ("name", *_FORMULAS, "persistent", "initially", "values_from_trigger")


class NetworkText(NamedTuple):
    """What a text says: reactions, where each was found, definitions, variables and events."""

    reactions: tuple[Reaction, ...]
    places: tuple[str, ...]
    definitions: dict[str, Expression]
    variables: dict[str, Variable]
    events: tuple[Event, ...]
    event_places: tuple[str, ...]


class _Found:
    """What has been read so far; ``initial`` and ``rate`` of variables may come in any order."""

    def __init__(self) -> None:
        self.reactions: list[tuple[Reaction, str]] = []
        self.definitions: dict[str, Expression] = {}
        self.initial: dict[str, Expression] = {}
        self.rate: dict[str, tuple[Expression, str]] = {}
        self.events: list[tuple[Event, str]] = []

    def variables(self) -> dict[str, Variable]:
        """Return the variables, in order of their initial values."""
        for name, (_, place) in self.rate.items():
            if name not in self.initial:
                raise ModelError(
                    f"{place} gives the rate of {name!r}, which has no initial value; add a line "
                    f"'{name}(0) = …'.{did_you_mean(name, self.initial)}"
                )
        rates = {name: formula for name, (formula, _) in self.rate.items()}
        return {name: Variable(value, rates.get(name)) for name, value in self.initial.items()}


def parse_network(text: str) -> NetworkText:
    """Read ``text``, one reaction, definition, variable or event a line.

    ``A + 2 B -> C ; k`` is one reaction by mass action, ``A <-> B ; k1, k2`` two; ``=>`` and
    ``<=>`` are followed by whole propensities. ``N = A + B`` is a definition. ``V(0) = 1`` and
    ``V' = -V`` make a variable, ``at A > 3: A = 0, V = 1`` an event. ``0`` or ``∅`` stands for
    nothing, ``#`` starts a comment. Raises `ModelError` naming the line.
    """
    found = _Found()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].strip()
        if line:
            _read_line(line, number, found)
    if not found.reactions:
        raise ModelError(
            "the network text holds no reaction; expected lines such as 'S + I -> 2 I ; beta'."
        )
    return NetworkText(
        tuple(reaction for reaction, _ in found.reactions),
        tuple(place for _, place in found.reactions),
        found.definitions,
        found.variables(),
        tuple(event for event, _ in found.events),
        tuple(place for _, place in found.events),
    )


def _read_line(line: str, number: int, found: _Found) -> None:
    place = f"line {number}: {line!r}"
    if match := _DEFINITION.match(line):
        name, formula = match.groups()
        _add(found.definitions, name, _formula(formula, place), place)
    elif match := _INITIAL.match(line):
        name, formula = match.groups()
        _add(found.initial, name, _formula(formula, place), place)
    elif match := _RATE.match(line):
        name, formula = match.groups()
        _add(found.rate, name, (_formula(formula, place), place), place)
    elif match := _EVENT.match(line):
        event = _located(lambda: _parse_event(match, place), number)
        found.events.append((event, place))
    else:
        found.reactions.extend((r, place) for r in _parse_line(line, place, number))


def _add(known: dict[str, T], name: str, value: T, place: str) -> None:
    if name in known:
        raise ModelError(f"{place} defines {name!r} a second time; leave one out.")
    known[name] = value


def _located(make: Callable[[], T], number: int) -> T:
    """Return ``make()``; an error that does not name the line gets its number."""
    try:
        return make()
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith("line ") else f"line {number}: {text}") from None


def _parse_event(match: re.Match[str], place: str) -> Event:
    trigger, inside, right = match.groups()
    options: dict[str, Any] = {}
    for part in _split(inside) if inside and inside.strip() else []:
        name, value = _parse_option(part, place)
        _add(options, name, value, place)
    assignments: dict[str, Expression] = {}
    for part in _split(right):
        assignment = _DEFINITION.match(part)
        if assignment is None:
            raise ModelError(
                f"{place}: {part!r} is not an assignment; expected 'at trigger: X = 50, Y = 0'."
            )
        _add(assignments, assignment[1], _formula(assignment[2], place), place)
    return Event(_formula(trigger, place), assignments, **options)


def _parse_option(text: str, place: str) -> tuple[str, Any]:
    match = _OPTION.match(text)
    name, value = match.groups() if match else (text, "")
    if name not in _OPTIONS:
        raise ModelError(
            f"{place} has option {name!r}, but an event has {', '.join(_OPTIONS)}."
            f"{did_you_mean(name, _OPTIONS)}"
        )
    if name == "name":
        return name, value
    if name in _FORMULAS:
        return name, _formula(value, place)
    if value.lower() not in _SWITCHES:
        raise ModelError(f"{place} has {name} = {value!r}, expected true or false.")
    return name, _SWITCHES[value.lower()]


def _parse_line(line: str, place: str, number: int) -> list[Reaction]:
    equation, semicolon, rates = line.partition(";")
    if not semicolon or not rates.strip():
        raise ModelError(f"{place} has no rate; expected 'reactants -> products ; rate'.")
    arrows = _ARROW.findall(equation)
    if len(arrows) != 1:
        raise ModelError(
            f"{place} has {len(arrows)} arrows; expected one '->' (or '<->') between reactants and "
            "products, or one '=>' (or '<=>') before a rate law."
        )
    arrow = arrows[0]
    reversible = arrow.startswith("<")
    left, right = (_parse_side(side, place) for side in equation.split(arrow))
    formulas = _split(rates)
    if len(formulas) != 1 + reversible:
        raise ModelError(
            f"{place} has {len(formulas)} rate(s); '{arrow}' takes "
            f"{'two, forward and backward' if reversible else 'one'}."
        )
    member = RateLaw if "=" in arrow else MassAction
    sides = [(left, right), (dict(right), dict(left))]
    return _located(
        lambda: [
            Reaction(*pair, member(_formula(formula, place)))
            for pair, formula in zip(sides, formulas, strict=False)
        ],
        number,
    )


def _formula(text: str, place: str) -> Expression:
    try:
        return parse(text, RATE_FUNCTIONS)
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from None


def _split(rates: str) -> list[str]:
    """Return the parts of ``rates`` between commas that stand in no parentheses."""
    parts, depth = [""], 0
    for character in rates:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _parse_side(text: str, place: str) -> dict[str, int]:
    side: dict[str, int] = {}
    if text.strip() in EMPTY:
        return side
    for part in text.split("+"):
        match = _TERM.match(part.strip())
        if match is None:
            raise ModelError(
                f"{place}: {part.strip()!r} is not a species; expected a name, or a whole number "
                "and a name such as '2 I'."
            )
        count, name = int(match[1] or 1), match[2]
        if count:
            side[name] = side.get(name, 0) + count
    return side

"""The one-line notation: ``S + I -> 2 I ; beta``, ``S => P ; V * S / (K + S)``, ``N = S + I``."""

from __future__ import annotations

import re
from typing import NamedTuple

from tumble._errors import ModelError
from tumble._expressions import Expression, parse
from tumble.models._names import EMPTY
from tumble.models._rate_laws import RATE_FUNCTIONS, MassAction, RateLaw
from tumble.models._reaction import Reaction

_TERM = re.compile(r"(?:(\d{1,7})\s*\*?\s*)?([A-Za-z_]\w*)\Z")
_ARROW = re.compile(r"<->|<=>|->|=>")
_DEFINITION = re.compile(r"([A-Za-z_]\w*)\s*=(?![=>])(.*)\Z")


class NetworkText(NamedTuple):
    """What a text says: reactions, where each was found, and definitions."""

    reactions: tuple[Reaction, ...]
    places: tuple[str, ...]
    definitions: dict[str, Expression]


def parse_network(text: str) -> NetworkText:
    """Read ``text``, one reaction or definition a line.

    ``A + 2 B -> C ; k`` is one reaction by mass action, ``A <-> B ; k1, k2`` two; ``=>`` and
    ``<=>`` are followed by whole propensities. ``N = A + B`` is a definition. ``0`` or ``∅`` stands
    for nothing, ``#`` starts a comment. Raises `ModelError` naming the line.
    """
    reactions: list[Reaction] = []
    places: list[str] = []
    definitions: dict[str, Expression] = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].strip()
        place = f"line {number}: {line!r}"
        definition = _DEFINITION.match(line)
        if definition:
            name, formula = definition.groups()
            if name in definitions:
                raise ModelError(f"{place} defines {name!r} a second time; leave one out.")
            definitions[name] = _formula(formula, place)
        elif line:
            found = _parse_line(line, place, number)
            reactions.extend(found)
            places.extend([place] * len(found))
    if not reactions:
        raise ModelError(
            "the network text holds no reaction; expected lines such as 'S + I -> 2 I ; beta'."
        )
    return NetworkText(tuple(reactions), tuple(places), definitions)


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
    try:
        return [
            Reaction(*pair, member(_formula(formula, place)))
            for pair, formula in zip(sides, formulas, strict=False)
        ]
    except ModelError as error:
        text = str(error)
        raise ModelError(text if text.startswith("line ") else f"line {number}: {text}") from None


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

"""The one-line notation of reactions: ``S + I -> 2 I ; beta``."""

from __future__ import annotations

import re

from tumble._errors import ModelError

_NAME = re.compile(r"[A-Za-z_]\w*\Z")
_TERM = re.compile(r"(?:(\d{1,7})\s*\*?\s*)?([A-Za-z_]\w*)\Z")
_EMPTY = {"", "0", "∅", "_"}

ParsedReaction = tuple[dict[str, int], dict[str, int], "str | float"]


def parse_reactions(text: str) -> list[ParsedReaction]:
    """Return (reactants, products, rate) of each reaction in ``text``, one a line.

    ``A + 2 B -> C ; k`` is one reaction, ``A <-> B ; k1, k2`` two. ``0`` or ``∅`` stands for
    nothing, ``#`` starts a comment. Raises `ModelError` naming the line.
    """
    reactions: list[ParsedReaction] = []
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#", 1)[0].strip()
        if line:
            reactions.extend(_parse_line(line, f"line {number}: {line!r}"))
    if not reactions:
        raise ModelError(
            "the network text holds no reaction; expected lines such as 'S + I -> 2 I ; beta'."
        )
    return reactions


def format_side(side: dict[str, int]) -> str:
    """Return ``"S + 2 I"`` for ``{"S": 1, "I": 2}``, and ``"0"`` for an empty side."""
    return " + ".join(name if n == 1 else f"{n} {name}" for name, n in side.items()) or "0"


def check_name(name: str, what: str) -> str:
    """Return ``name`` if it can name a species or parameter, else raise `ModelError`."""
    if not isinstance(name, str) or not _NAME.match(name) or name in _EMPTY:
        raise ModelError(
            f"{what} is {name!r}, expected a name of letters, digits and '_' that does not start "
            "with a digit."
        )
    return name


def parse_rate(text: str, where: str) -> str | float:
    """Return the rate constant in ``text``: a parameter's name or a number."""
    text = text.strip()
    if _NAME.match(text):
        return text
    try:
        return float(text)
    except ValueError:
        raise ModelError(
            f"{where}: the rate is {text!r}, expected a parameter name or a number. Mass action "
            "multiplies by the reactant counts itself, so write 'S + I -> 2 I ; beta'."
        ) from None


def _parse_line(line: str, where: str) -> list[ParsedReaction]:
    equation, semicolon, rates = line.partition(";")
    if not semicolon or not rates.strip():
        raise ModelError(f"{where} has no rate; expected 'reactants -> products ; rate'.")
    reversible = "<->" in equation
    sides = equation.split("<->" if reversible else "->")
    if len(sides) != 2:
        raise ModelError(
            f"{where} has {len(sides) - 1} arrows; expected one '->' (or '<->') between reactants "
            "and products."
        )
    left, right = (_parse_side(side, where) for side in sides)
    names = [parse_rate(part, where) for part in rates.split(",")]
    if len(names) != 1 + reversible:
        raise ModelError(
            f"{where} has {len(names)} rate(s); '{'<->' if reversible else '->'}' takes "
            f"{'two, forward and backward' if reversible else 'one'}."
        )
    if reversible:
        return [(left, right, names[0]), (dict(right), dict(left), names[1])]
    return [(left, right, names[0])]


def _parse_side(text: str, where: str) -> dict[str, int]:
    side: dict[str, int] = {}
    if text.strip() in _EMPTY:
        return side
    for part in text.split("+"):
        match = _TERM.match(part.strip())
        if match is None:
            raise ModelError(
                f"{where}: {part.strip()!r} is not a species; expected a name, or a whole number "
                "and a name such as '2 I'."
            )
        count, name = int(match[1] or 1), match[2]
        if count:
            side[name] = side.get(name, 0) + count
    return side

"""Definitions: names that stand for expressions, in rates and in observables."""

from __future__ import annotations

from collections.abc import Mapping

from tumble._errors import ModelError
from tumble._expressions import Expression


def expand(definitions: Mapping[str, Expression]) -> dict[str, Expression]:
    """Return each definition in terms of what is not one. Raises `ModelError` for circles."""
    expanded: dict[str, Expression] = {}
    for name in definitions:
        _expand(name, definitions, expanded, ())
    return expanded


def _expand(
    name: str,
    definitions: Mapping[str, Expression],
    expanded: dict[str, Expression],
    above: tuple[str, ...],
) -> None:
    if name in expanded:
        return
    if name in above:
        circle = [*above[above.index(name) :], name]
        raise ModelError(
            f"`definitions` go in a circle, {' uses '.join(circle)}; define one of them without "
            "the others."
        )
    own = definitions[name]
    for used in own.names:
        if used in definitions:
            _expand(used, definitions, expanded, (*above, name))
    expanded[name] = own.substitute({k: expanded[k] for k in own.names if k in definitions})

"""Values of parameters from the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tumble._errors import ParameterError


def parse_params(given: Sequence[str]) -> dict[str, float]:
    """Return name → value of options such as ``beta=0.002``. Raises `ParameterError`."""
    values: dict[str, float] = {}
    for text in given:
        name, equals, value = text.partition("=")
        try:
            if not equals:
                raise ValueError
            values[name.strip()] = float(value)
        except ValueError:
            raise ParameterError(
                f"`--param` is {text!r}, expected a name and a number such as beta=0.002."
            ) from None
    return values


def require_all(values: Mapping[str, float], names: Sequence[str]) -> None:
    """Raise `ParameterError` for the first of ``names`` without a value."""
    for name in names:
        if name not in values:
            raise ParameterError(
                f"parameter {name!r} has no value; give --param {name}=…, or a `start` in the run "
                "file."
            )

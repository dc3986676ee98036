"""What can name a species, a parameter or a definition."""

from __future__ import annotations

import re

from tumble._errors import ModelError
from tumble._expressions import TIME

NAME = re.compile(r"[A-Za-z_]\w*\Z")
EMPTY = {"", "0", "∅", "_"}


def check_name(name: str, what: str) -> str:
    """Return ``name`` if it can name a species or parameter, else raise `ModelError`."""
    if not isinstance(name, str) or not NAME.match(name) or name in EMPTY:
        raise ModelError(
            f"{what} is {name!r}, expected a name of letters, digits and '_' that does not start "
            "with a digit."
        )
    if name == TIME:
        raise ModelError(f"{what} is {name!r}, which stands for the time of the model; rename it.")
    return name

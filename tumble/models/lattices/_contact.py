"""The chance that at least one of several contacts is passed on."""

from __future__ import annotations

from typing import Any

from tumble._typing import JaxArray


def passed_on(chance: Any, contacts: JaxArray) -> JaxArray:
    """Return 1 − (1 − p)^N for N ≥ 0 contacts."""
    found: JaxArray = 1 - (1 - chance) ** contacts
    return found

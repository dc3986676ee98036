"""Calls from a result up to the interfaces, looked up when they are made.

``fit.report("x.html")`` reads better than ``write_report(fit, "x.html")``, but a result must not
know the layer that draws it. Its convenience methods find the function by name when called.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def call_late(module: str, function: str, *args: Any, **kwargs: Any) -> Any:
    """Return ``module.function(*args, **kwargs)``."""
    return getattr(import_module(module), function)(*args, **kwargs)

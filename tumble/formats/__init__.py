"""Formats of models, SBML and Antimony, and of problems for another package, sbi."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tumble.formats._antimony import read_antimony, write_antimony
    from tumble.formats._imported_model import ImportedModel
    from tumble.formats._oddities import find_oddities
    from tumble.formats._read_model import read_model
    from tumble.formats._sbi import SbiProblem, to_sbi
    from tumble.formats._sbml_read import read_sbml
    from tumble.formats._sbml_write import write_sbml

_HOMES = {
    "ImportedModel": "_imported_model",
    "SbiProblem": "_sbi",
    "find_oddities": "_oddities",
    "read_antimony": "_antimony",
    "read_model": "_read_model",
    "read_sbml": "_sbml_read",
    "to_sbi": "_sbi",
    "write_antimony": "_antimony",
    "write_sbml": "_sbml_write",
}

__all__ = [
    "ImportedModel",
    "SbiProblem",
    "find_oddities",
    "read_antimony",
    "read_model",
    "read_sbml",
    "to_sbi",
    "write_antimony",
    "write_sbml",
]


def __getattr__(name: str) -> Any:
    # Looked up when used, so that reading one format does not load what writes another.
    if name not in _HOMES:
        raise AttributeError(f"module 'tumble.formats' has no attribute {name!r}")
    return getattr(import_module(f"tumble.formats.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)

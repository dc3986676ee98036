"""Reading a model in whatever format its file has."""

from __future__ import annotations

import os
from pathlib import Path

from tumble._errors import ModelError
from tumble.formats._imported_model import ImportedModel
from tumble.formats._source import load_text
from tumble.models import ReactionNetwork

SBML_SUFFIXES = (".xml", ".sbml")
ANTIMONY_SUFFIXES = (".ant", ".antimony", ".sb")
TEXT_SUFFIXES = (".txt", ".network")
MODEL_SUFFIXES = (*SBML_SUFFIXES, *ANTIMONY_SUFFIXES, *TEXT_SUFFIXES)


def read_model(path: str | os.PathLike[str]) -> ImportedModel:
    """Read a model from a file in SBML, in Antimony, or in the notation of networks.

    Arguments: ``path``; the format is told by its ending, ``.xml`` or ``.sbml``, ``.ant`` or
    ``.antimony``, ``.txt`` for `ReactionNetwork.from_text`.

    Returns an `ImportedModel`; that of a network in text has no values. Raises `ModelError`.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix in SBML_SUFFIXES:
        from tumble.formats._sbml_read import read_sbml

        return read_sbml(file)
    if suffix in ANTIMONY_SUFFIXES:
        from tumble.formats._antimony import read_antimony

        return read_antimony(file)
    if suffix not in TEXT_SUFFIXES:
        raise ModelError(
            f"'{file}' ends in {suffix or 'nothing'!r}, expected one of "
            f"{', '.join(MODEL_SUFFIXES)}."
        )
    name, text = load_text(file, "")
    try:
        return ImportedModel(ReactionNetwork.from_text(text), {}, {}, (), file.stem)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None

"""Antimony: models in text that people write, by way of SBML."""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tumble._errors import ModelError
from tumble.formats._imported_model import ImportedModel
from tumble.formats._sbml_read import parse_sbml
from tumble.formats._sbml_write import write_sbml
from tumble.formats._source import import_antimony, load_text
from tumble.models import ReactionNetwork

# The library keeps what it reads in one place for the process.
_LOCK = threading.Lock()
_IMPORT = re.compile(r'^\s*import\s+"', re.MULTILINE)
_LINE = re.compile(r" \(line \d+\)")
_MAX_CHARACTERS = 2**20
_MAX_NESTING = 100


def read_antimony(path_or_text: str | os.PathLike[str]) -> ImportedModel:
    """Read a model in Antimony, a text format for reactions.

    The library antimony translates it to SBML, which is read by `read_sbml`, with its guarantee and
    its refusals. In Antimony, a species is a concentration in a compartment of size 1 unless
    something else is said, so that there counts and concentrations are the same.

    Arguments: ``path_or_text``, the path of a file, or the text itself.

    Returns an `ImportedModel`. Raises `ModelError` that names the line. Files that import others
    are refused. Needs ``pip install "tumble[sbml]"``.

    Reference: Smith et al., Bioinformatics 25 (2009), doi:10.1093/bioinformatics/btp401.
    """
    name, text = load_text(path_or_text, ";=:\n>")
    _check(text, name)
    with _library() as antimony:
        if antimony.loadAntimonyString(text) < 0:
            raise ModelError(f"{name} is not valid Antimony: {_last_error(antimony)}")
        sbml = antimony.getSBMLString(antimony.getMainModuleName())
    if not sbml:
        raise ModelError(f"{name} holds no model in Antimony that can be translated to SBML.")
    try:
        return parse_sbml(sbml, name)
    except ModelError as error:  # lines would be those of the translation
        raise ModelError(_LINE.sub("", str(error))) from None
    except RecursionError:
        raise ModelError(f"{name} holds formulas that nest too deep; split them up.") from None


def write_antimony(
    model: ReactionNetwork | ImportedModel,
    path: str | os.PathLike[str] | None = None,
    *,
    params: Mapping[str, float] | None = None,
    initial: Mapping[str, int] | None = None,
    name: str = "",
) -> str:
    """Write a model in Antimony.

    The text is that of the library antimony for what `write_sbml` writes. It rounds numbers to 15
    digits, lists parameters in order of use, and appends ``_`` to names that are words of Antimony,
    such as ``gamma``. Arguments, returns and raises as `write_sbml`.
    """
    sbml = write_sbml(model, params=params, initial=initial, name=name)
    with _library() as antimony:
        if antimony.loadSBMLString(sbml) < 0:
            raise ModelError(f"the model cannot be Antimony: {_last_error(antimony)}")
        text = str(antimony.getAntimonyString(antimony.getMainModuleName()))
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


@contextlib.contextmanager
def _library() -> Iterator[Any]:
    """Have the library to oneself, with nothing in it."""
    antimony = import_antimony()
    with _LOCK:
        antimony.clearPreviousLoads()
        try:
            yield antimony
        finally:
            antimony.clearPreviousLoads()
            antimony.freeAll()


def _check(text: str, name: str) -> None:
    if not text.strip():
        raise ModelError(
            f"{name} is empty; expected a model such as 'A -> B; k * A; k = 1; A = 9'."
        )
    if len(text) > _MAX_CHARACTERS:
        raise ModelError(f"{name} has {len(text)} characters, expected at most {_MAX_CHARACTERS}.")
    if "\0" in text:
        raise ModelError(f"{name} holds a character of code 0; it is no text.")
    if _IMPORT.search(text):
        raise ModelError(f"{name} imports another file, which is not followed; put it in this one.")
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > _MAX_NESTING:
            raise ModelError(f"{name} nests more than {_MAX_NESTING} deep; split formulas up.")


def _last_error(antimony: Any) -> str:
    try:
        message = antimony.getLastError()
    except UnicodeDecodeError:  # it quotes a part of the text, and may cut a letter in two
        message = "it has letters other than a to z where they are not allowed"
    return " ".join(message.split()).removeprefix("Error in model string, ")

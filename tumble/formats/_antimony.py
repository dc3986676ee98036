"""Antimony: models in text that people write, by way of SBML."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tumble._errors import ModelError
from tumble.formats._antimony_worker import FAILED
from tumble.formats._imported_model import ImportedModel
from tumble.formats._sbml_read import parse_sbml
from tumble.formats._sbml_write import write_sbml
from tumble.formats._source import load_text, require_antimony
from tumble.models import ReactionNetwork

_IMPORT = re.compile(r'^\s*import\s+"', re.MULTILINE)
_LINE = re.compile(r" \(line \d+\)")
_NAMELESS = "__main"
_MAX_CHARACTERS = 2**20
_MAX_NESTING = 100
_MAX_SECONDS = 60


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
    sbml = _translate(text, "sbml", f"{name} is not valid Antimony")
    try:
        model = parse_sbml(sbml, name)
    except ModelError as error:  # lines would be those of the translation
        raise ModelError(_LINE.sub("", str(error))) from None
    except RecursionError:
        raise ModelError(f"{name} holds formulas that nest too deep; split them up.") from None
    return replace(model, name="") if model.name == _NAMELESS else model


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
    text = _translate(sbml, "antimony", "the model cannot be written in Antimony")
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _translate(text: str, to: str, what: str) -> str:
    """Return ``text`` in the format ``to``, translated by a process of its own; see there."""
    require_antimony()
    command = [sys.executable, "-P", str(Path(__file__).with_name("_antimony_worker.py")), to]
    try:
        done = subprocess.run(
            command,
            input=text.encode("utf-8", "replace"),
            capture_output=True,
            timeout=_MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{what}: it takes more than {_MAX_SECONDS} s to translate.") from None
    if done.returncode == FAILED:
        message = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise ModelError(f"{what}: {message.removeprefix('Error in model string, ')}")
    translated = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0 or not translated:
        raise ModelError(f"{what}: the library antimony cannot make sense of it.")
    return translated


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

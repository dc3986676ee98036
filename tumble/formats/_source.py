"""Getting the text of a model, and the libraries that read it."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from tumble._errors import ModelError

_MAX_BYTES = 20 * 2**20


def load_text(path_or_text: str | os.PathLike[str], signs: str) -> tuple[str, str]:
    """Return (what errors call it, its text) of a file, or of the text itself.

    A string is the text if it has more than one line or any of ``signs``; otherwise it is a path.
    """
    if isinstance(path_or_text, str) and (
        "\n" in path_or_text or any(sign in path_or_text for sign in signs)
    ):
        _check_size(len(path_or_text), "the text")
        return "the text", path_or_text
    if isinstance(path_or_text, str) and not path_or_text.strip():
        raise ModelError("the model is empty; give the path of a file, or its text.")
    path = Path(path_or_text)
    try:
        size = path.stat().st_size if path.is_file() else 0
        content = path.read_bytes() if size <= _MAX_BYTES else b""
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"'{path}' cannot be read: {reason}; check the path.") from None
    _check_size(size, path.name)
    return path.name, _decoded(content, path.name)


def import_libsbml() -> Any:
    """Return the module, or raise an error that says how to install it."""
    try:
        import libsbml
    except ImportError:
        raise _missing("SBML", "python-libsbml") from None
    return libsbml


def require_antimony() -> None:
    """Raise an error that says how to install it where the package is missing."""
    if importlib.util.find_spec("antimony") is None:
        raise _missing("Antimony", "antimony")


def _missing(what: str, package: str) -> ModelError:
    return ModelError(
        f"{what} is read and written by the package {package}, which is not installed; run: "
        'pip install "tumble[sbml]"'
    )


def _decoded(content: bytes, name: str) -> str:
    for encoding in ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            pass
    if b"encoding" in content[:100] and b"utf-8" not in content[:100].lower():
        return content.decode("latin-1")
    raise ModelError(f"'{name}' is not text in UTF-8; save it as such.")


def _check_size(size: int, name: str) -> None:
    if size > _MAX_BYTES:
        raise ModelError(
            f"{name} has {size / 2**20:.0f} MiB, expected at most {_MAX_BYTES // 2**20}."
        )

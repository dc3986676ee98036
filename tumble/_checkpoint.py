"""States on disk: what a long run needs to go on from where it was."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tumble._errors import TumbleError

_SEPARATOR = "/"


def save_state(path: Path, parts: Mapping[str, Any], fingerprint: str) -> None:
    """Write ``parts`` to ``path``, completely or not at all.

    Parts are numbers, arrays, ``None``, and tuples and dataclasses of these. ``fingerprint`` names
    the run they belong to.
    """
    arrays: dict[str, Any] = {"fingerprint": np.array(fingerprint)}
    for name, part in parts.items():
        _flatten(part, name, arrays)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_state(path: Path, like: Mapping[str, Any], fingerprint: str) -> dict[str, Any] | None:
    """Return the parts written to ``path``, or None where there is no such file.

    ``like`` gives each part's structure: numbers and arrays of any shape stand for what was saved.
    Raises `TumbleError` for a file that is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    advice = "delete it to begin anew, or give another checkpoint"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = str(arrays["fingerprint"])
            if found != fingerprint:
                raise TumbleError(
                    f"checkpoint '{path}' belongs to another run: the problem, the data or the "
                    f"options have changed; {advice}."
                )
            return {name: _restore(part, name, arrays) for name, part in like.items()}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, TumbleError):
            raise
        raise TumbleError(f"checkpoint '{path}' cannot be read ({error}); {advice}.") from None


def _flatten(part: Any, name: str, arrays: dict[str, Any]) -> None:
    for key, child in _children(part):
        _flatten(child, f"{name}{_SEPARATOR}{key}", arrays)
    if part is not None and not _is_branch(part):
        arrays[name] = np.asarray(part)


def _restore(like: Any, name: str, arrays: Any) -> Any:
    if like is None:
        return None
    if not _is_branch(like):
        value = arrays[name]
        return type(like)(value) if isinstance(like, (int, float, str)) else value
    restored = {
        key: _restore(child, f"{name}{_SEPARATOR}{key}", arrays) for key, child in _children(like)
    }
    if is_dataclass(like) and not isinstance(like, type):
        return replace(like, **restored)
    values = list(restored.values())
    return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)


def _is_branch(part: Any) -> bool:
    return isinstance(part, (tuple, list)) or (is_dataclass(part) and not isinstance(part, type))


def _children(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, (tuple, list)):
        return [(str(i), child) for i, child in enumerate(part)]
    if is_dataclass(part) and not isinstance(part, type):
        return [(f.name, getattr(part, f.name)) for f in fields(part)]
    return []

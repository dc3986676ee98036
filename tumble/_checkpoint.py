"""States on disk: what a long run needs to go on from where it was."""

from __future__ import annotations

import abc
import enum
import inspect
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from tumble._budget import Spending
from tumble._errors import ParameterError, TumbleError, shown

_SEPARATOR = "/"
_MEMBER = "member"  # of an abstract class, its name
# What reading a damaged file may raise, of NumPy, of zip archives, and of what is made of arrays.
_DAMAGE = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, MemoryError,
           zipfile.BadZipFile, zlib.error)  # fmt: skip


def require_checkpoint(checkpoint: Any) -> Path | None:
    """Return the path of a checkpoint, None for None; raises `ParameterError` if it cannot be."""
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, (str, os.PathLike)):
        raise ParameterError(f"`checkpoint` is {shown(checkpoint)}, expected the path of a file.")
    path = Path(checkpoint)
    if path.is_dir():
        raise ParameterError(f"`checkpoint` is '{path}', a folder, expected the path of a file.")
    if not path.parent.is_dir():
        raise ParameterError(
            f"`checkpoint` is '{path}', but there is no folder '{path.parent}'; make it first."
        )
    return path


def save_state(path: Path, parts: Mapping[str, Any], fingerprint: str) -> None:
    """Write ``parts`` to ``path``, completely or not at all.

    Parts are numbers, arrays, codes, ``None``, and tuples and dataclasses of these. ``fingerprint``
    names the run they belong to.
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


def load_state(
    path: Path,
    like: Mapping[str, Any],
    fingerprint: str,
    *,
    what: str = "checkpoint",
    of: str = "run: the problem, the data or the options have changed",
    advice: str = "delete it to begin anew, or give another checkpoint",
) -> dict[str, Any] | None:
    """Return the parts written to ``path``, or None where there is no such file.

    ``like`` gives each part's structure. It may be one of its kind, of which numbers and arrays of
    any shape stand for what was saved; or its type, whose annotations are followed: tuples are then
    as long as they were, and what may be ``None`` is so where it was. Nothing in the file says what
    is made of it, so that one from elsewhere can do no more than hold other numbers; only where the
    type is abstract, which of its members it was.

    ``what`` the file is, whose (``of`` another …), and ``advice`` are words for errors. Raises
    `TumbleError` for a file that is damaged or belongs to another run.
    """
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = str(arrays["fingerprint"])
            if found != fingerprint:
                raise TumbleError(f"{what} '{path}' belongs to another {of}; {advice}.")
            return {name: _restore(part, name, arrays) for name, part in like.items()}
    except _DAMAGE as error:
        if isinstance(error, TumbleError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TumbleError(f"{what} '{path}' cannot be read ({reason}); {advice}.") from None


@dataclass(frozen=True)
class Checkpoint:
    """Where the state of a run is kept, if anywhere, and whose it is. Final."""

    path: Path | None
    fingerprint: str

    def save(self, state: Any, spending: Spending) -> None:
        """Write a state and what has been spent, completely or not at all."""
        if self.path is not None:
            spent = (spending.simulations, spending.seconds)
            save_state(self.path, {"state": state, "spent": spent}, self.fingerprint)

    def taken_up(self, kind: type, spending: Spending) -> Any:
        """Return the state that was kept, None where there is none, and charge what it has cost."""
        like = {"state": kind, "spent": (0, 0.0)}
        parts = None if self.path is None else load_state(self.path, like, self.fingerprint)
        if parts is None:
            return None
        spending.resume(*parts["spent"])
        return parts["state"]

    def discard(self) -> None:
        """Take the file away, if there is one."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


# -- an example to a file ------------------------------------------------------------------------


def _flatten(part: Any, name: str, arrays: dict[str, Any]) -> None:
    """Add what is in a part, each under its path; of what has parts, how many; of None, nothing."""
    if part is None:
        return
    children = _children(part)
    value = part.value if isinstance(part, enum.Enum) else part
    arrays[name] = np.array(len(children)) if _is_branch(part) else np.asarray(value)
    if isinstance(part, abc.ABC):
        arrays[_path(name, _MEMBER)] = np.array(type(part).__name__)
    for key, child in children:
        _flatten(child, _path(name, key), arrays)


def _children(part: Any) -> list[tuple[str, Any]]:
    if hasattr(part, "_fields"):  # a named tuple
        return list(zip(part._fields, part, strict=True))
    if isinstance(part, (tuple, list)):
        return [(str(i), child) for i, child in enumerate(part)]
    if _is_branch(part):
        return [(f.name, getattr(part, f.name)) for f in fields(part)]
    return []


def _is_branch(part: Any) -> bool:
    return isinstance(part, (tuple, list)) or (is_dataclass(part) and not isinstance(part, type))


def _path(name: str, key: Any) -> str:
    return f"{name}{_SEPARATOR}{key}"


# -- a file to what was in it --------------------------------------------------------------------


def _restore(like: Any, name: str, arrays: Any) -> Any:
    if isinstance(like, type) or get_origin(like) is not None:
        return _restore_typed(like, name, arrays)
    if like is None:
        return None
    if not _is_branch(like):
        value = arrays[name]
        return type(like)(value) if isinstance(like, (int, float, str)) else value
    restored = {key: _restore(child, _path(name, key), arrays) for key, child in _children(like)}
    if is_dataclass(like) and not isinstance(like, type):
        return replace(like, **restored)
    values = list(restored.values())
    return type(like)(*values) if hasattr(like, "_fields") else type(like)(values)


def _restore_typed(kind: Any, name: str, arrays: Any) -> Any:
    """Return what was saved as ``name``, of a type as annotations have it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        (known,) = (one for one in inner if one is not NoneType)
        return _restore_typed(known, name, arrays) if name in arrays else None
    if origin is np.ndarray:
        return arrays[name]
    if origin is tuple and inner[1:] == (...,):
        count = range(int(arrays[name]))
        return tuple(_restore_typed(inner[0], _path(name, i), arrays) for i in count)
    if kind in (bool, int, float, str):
        return kind(arrays[name])
    if issubclass(kind, enum.Enum):
        return kind(arrays[name].item())
    if inspect.isabstract(kind):
        kind = _member(kind, str(arrays[_path(name, _MEMBER)]))
    names = [f.name for f in fields(kind)] if is_dataclass(kind) else kind._fields
    hints = get_type_hints(kind)
    return kind(**{key: _restore_typed(hints[key], _path(name, key), arrays) for key in names})


def _member(kind: type, name: str) -> Any:
    """Return the class of a name below an abstract one."""
    below: list[type] = list(kind.__subclasses__())
    for one in below:  # grows
        below += one.__subclasses__()
    known = {one.__name__: one for one in below if not inspect.isabstract(one)}
    if name not in known:
        raise ValueError(f"it holds {name!r}, which is none of {', '.join(sorted(known))}")
    return known[name]

"""Files that are there completely or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from tumble._errors import RunFolderError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; what was written there takes its place at the end.

    When anything goes wrong the temporary file is removed and ``path`` stays as it was. Raises
    `RunFolderError` when the disk is full, a folder is missing or writing is not allowed.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with explaining(path):
            yield temporary
            os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def explaining(path: Path, verb: str = "write") -> Iterator[None]:
    """Turn an `OSError` on ``path`` into a `RunFolderError` of one line."""
    try:
        yield
    except OSError as error:
        # HDF5 tells a long story where the system has a short one.
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        raise RunFolderError(f"cannot {verb} '{path}': {reason}; {_advice(error)}.") from None


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, completely or not at all."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _advice(error: OSError) -> str:
    import errno

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on the disk, or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "check the permissions, or choose another folder"
    if error.errno == errno.ENOENT:
        return "check that its folder exists"
    return "check the path, or choose another one"

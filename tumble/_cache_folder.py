"""Where compiled code is kept from one process to the next."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Callable
from pathlib import Path


def cache_folder(kind: str) -> Path | None:
    """Return the user's folder for a kind of compiled code; it need not exist.

    Within ``TUMBLE_CACHE_DIR``, or the system's place for caches; None where that variable is set
    to nothing, which means that nothing is to be kept.
    """
    import platformdirs

    own = os.environ.get("TUMBLE_CACHE_DIR")
    if own == "":
        return None
    return (Path(own) if own else Path(platformdirs.user_cache_dir("tumble"))) / kind


def prune(folder: Path, pattern: str, kept: int, delete: Callable[[Path], None]) -> None:
    """Delete the files that were made first, but for as many as are ``kept``."""
    made = sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
    for path in made[:-kept]:
        delete(path)


def processor() -> str:
    """Return a name for the kind of processor.

    XLA compiles for the one it runs on and does not ask again: of several machines that share a
    home folder, each needs code of its own, or it may meet instructions that it does not have.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        kind = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        kind = platform.processor()
    return hashlib.blake2b(f"{platform.machine()} {kind}".encode(), digest_size=8).hexdigest()

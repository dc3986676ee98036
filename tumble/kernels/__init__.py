"""Compiled CPU kernels behind the simulators: the only place that knows Numba.

A kernel is a plain function of arrays that fills arrays; simulators import it when they first run,
so that ``import tumble`` does not pay for Numba.

Numba keeps compiled kernels beside their source and compiles again when that source changes, but
not when a function that it calls does. So a digest of the whole folder is kept with them, and they
are thrown away when it differs.
"""

from __future__ import annotations

import hashlib
from pathlib import Path


def _digest() -> str:
    """Return a digest of the sources in this folder."""
    digest = hashlib.blake2b(digest_size=12)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _drop_stale_kernels(digest: str) -> None:
    """Delete what was compiled from other sources. Without leave to write there is nothing to do:
    Numba then keeps its files elsewhere, by the time the source was installed.
    """
    stamp = Path(__file__).parent / "__pycache__" / "kernels.digest"
    try:
        if stamp.exists() and stamp.read_text() == digest:
            return
        for path in [*stamp.parent.glob("*.nbi"), *stamp.parent.glob("*.nbc")]:
            path.unlink(missing_ok=True)
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(digest)
    except OSError:
        pass


DIGEST = _digest()
"""Names the sources that the kernels are compiled from."""

_drop_stale_kernels(DIGEST)

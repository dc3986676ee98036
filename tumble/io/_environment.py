"""What a result was made with."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from typing import Any

_PACKAGES = ("numpy", "scipy", "jax", "jaxlib", "numba", "optax", "equinox", "xarray", "h5netcdf",
             "pandas")  # fmt: skip


def describe_environment() -> dict[str, Any]:
    """Return the versions of Python and of the packages that matter, and the platform."""
    versions = {
        "tumble": str(sys.modules["tumble"].__version__),
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "platform": f"{platform.system()} {platform.machine()}",
        "command": " ".join(sys.argv),
    }

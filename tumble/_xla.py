"""JAX programs, compiled with the settings of XLA that suit them, and kept on disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from tumble._cache_folder import cache_folder, processor, prune

# The emitters of fused loops are made for large arrays. The equations of a network are long and
# their arrays small: without these emitters they compile in half the time and run as fast.
_EQUATIONS = (("xla_cpu_use_fusion_emitters", False), ("xla_backend_optimization_level", 1))
# The widest vectors that a CPU has: XLA keeps to half of them where nothing is said, which takes
# walks half as long again. The bits are the same.
_LATTICE = (("xla_cpu_prefer_vector_width", 512),)
_KEPT_PROGRAMS = 400
_WORTH_KEEPING = 0.2  # seconds of compiling; to load a program takes a tenth


def jit_equations(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` compiled: long, with small arrays, such as moments of a network."""
    return _jit(function, _EQUATIONS)


def jit_lattice(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` compiled: short, with large arrays, such as a step of a lattice."""
    return _jit(function, _LATTICE)


def jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function`` compiled with the settings of XLA as they are."""
    return _jit(function, ())


def _jit(function: Callable[..., Any], options: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    import jax

    keep_programs()
    return jax.jit(function, compiler_options=_known(options))


@cache
def _known(options: tuple[tuple[str, Any], ...]) -> dict[str, Any] | None:
    """Return the options if this XLA has them all; their names are no promise of JAX."""
    import jax

    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=dict(options))
    except jax.errors.JaxRuntimeError:
        return None
    return dict(options)


@cache
def keep_programs() -> None:
    """Have JAX keep on disk what takes it long to compile, unless somebody said where to.

    This holds for all programs of the process, of which there are others only in scripts of users.
    """
    import jax

    folder = cache_folder("programs")
    chosen = jax.config.jax_compilation_cache_dir  # type: ignore[attr-defined]
    if folder is None or chosen is not None:
        return
    folder /= processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        prune(folder, "*-cache", _KEPT_PROGRAMS, partial(Path.unlink, missing_ok=True))
    except OSError:  # a cache is a convenience; without one the run takes longer
        return
    if os.access(folder, os.W_OK):
        jax.config.update("jax_compilation_cache_dir", str(folder))
        if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_KEEPING)

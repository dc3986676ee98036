"""The three ways in which a function becomes compiled code."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numba
from numba.core.registry import CPUDispatcher

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_NO_ENTRANCES: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class _Kernel(CPUDispatcher):
    """Compiled code that Python calls. Final."""

    __slots__ = ()

    def compile(self, sig: Any) -> Any:
        """Compile for one signature, as every dispatcher does."""
        with _without_collector():
            return super().compile(sig)


class _Part(CPUDispatcher):
    """Compiled code without an entrance for Python. Final."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        name = self.py_func.__qualname__
        raise TypeError(
            f"{name} is a part of kernels and cannot be called from Python; declare it with "
            f"@kernel, or call {name}.py_func, which is not compiled."
        )


def kernel(function: Callable[..., Any]) -> Any:
    """Compile what Python calls; kept on disk, runs without the interpreter's lock."""
    compiled = numba.njit(**_OPTIONS)(function)
    compiled.__class__ = _Kernel
    return compiled


def part(function: Callable[..., Any]) -> Any:
    """Compile what kernels call.

    Entrances for Python and for C, which Numba makes for everything, take long to compile. Where
    there is none, a call from Python would crash the process, and raises `TypeError` instead.
    """
    compiled = numba.njit(**_OPTIONS, **_NO_ENTRANCES)(function)
    compiled.__class__ = _Part
    return compiled


def inlined(function: Callable[..., Any]) -> Any:
    """Write a function out wherever it is called, so that loops around it become vector code."""
    return numba.njit(inline="always", error_model="numpy")(function)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let the collector of cyclic garbage rest meanwhile.

    A compilation makes millions of objects and few cycles, which need not be searched for again
    and again.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:  # the first of several threads, if they compile at once
            gc.enable()

"""The three ways in which a function becomes compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numba
from numba.core.registry import CPUDispatcher

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
_NO_ENTRANCES: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}


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
    return numba.njit(**_OPTIONS)(function)


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

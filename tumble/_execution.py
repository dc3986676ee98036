"""Run independent pieces of work on anything that has ``.submit``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any, TypeVar

T = TypeVar("T")


def num_workers() -> int:
    """Return the number of processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_all(
    function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], executor: Any = None
) -> list[T]:
    """Return ``[function(*task) for task in tasks]``, computed side by side, in order.

    Arguments: ``executor``, anything with a ``submit(function, *args) -> future`` whose futures
    have ``result()`` (`concurrent.futures`, a Dask client, MPI futures); by default a pool of
    threads, one a core, which the compiled kernels use fully since they release the GIL.
    Results do not depend on the executor.
    """
    tasks = list(tasks)
    if executor is None and len(tasks) == 1:
        return [function(*tasks[0])]
    pool = _thread_pool() if executor is None else executor
    futures = [pool.submit(function, *task) for task in tasks]
    try:
        return [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def split(count: int, pieces: int) -> list[slice]:
    """Return at most ``pieces`` slices of nearly equal length that cover ``range(count)``."""
    pieces = max(1, min(pieces, count))
    bounds = [count * i // pieces for i in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


@cache
def _thread_pool() -> Executor:
    return ThreadPoolExecutor(num_workers(), thread_name_prefix="tumble")

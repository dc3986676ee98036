"""Run independent pieces of work on anything that has ``.submit``."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import cache
from itertools import islice, pairwise
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


def run_in_order(
    function: Callable[..., T], tasks: Iterable[tuple[Any, ...]], executor: Any, window: int
) -> Iterator[T]:
    """Yield ``function(*task)`` for each of ``tasks``, computed side by side, in order.

    At most ``window`` tasks are on their way at a time, so that results which nobody has taken yet
    do not pile up. ``executor`` as in `run_all`. Those not begun are canceled when the iteration
    ends early.
    """
    pool = _thread_pool() if executor is None else executor
    tasks = iter(tasks)
    pending: deque[Any] = deque()
    try:
        pending.extend(pool.submit(function, *task) for task in islice(tasks, window))
        while pending:
            result = pending.popleft().result()
            pending.extend(pool.submit(function, *task) for task in islice(tasks, 1))
            yield result
    finally:
        for future in pending:
            future.cancel()


class InPlace:
    """An executor that runs each task at once, in the thread that submits it. Final.

    A worker gives it to what would otherwise share its work out again. Arguments: ``runs_ahead``,
    how many runs this worker is going to do after the present ones, which decides nothing but
    whether preparations for speed pay.
    """

    def __init__(self, runs_ahead: float = 0.0) -> None:
        self.runs_ahead = runs_ahead

    def submit(self, function: Callable[..., T], *args: Any) -> Future[T]:
        """Run the task; return its future, which is done."""
        future: Future[T] = Future()
        future.set_result(function(*args))
        return future


def split(count: int, pieces: int) -> list[slice]:
    """Return at most ``pieces`` slices of nearly equal length that cover ``range(count)``."""
    pieces = max(1, min(pieces, count))
    bounds = [count * i // pieces for i in range(pieces + 1)]
    return [slice(a, b) for a, b in pairwise(bounds)]


@cache
def _thread_pool() -> Executor:
    return ThreadPoolExecutor(num_workers(), thread_name_prefix="tumble")

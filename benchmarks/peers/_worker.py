"""What every worker does: read a JSON question, and write an answer of JSON lines."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from typing import Any

Task = Callable[[dict[str, Any]], Iterator[dict[str, Any]]]


def serve(tasks: Mapping[str, Task]) -> None:
    """Answer the question on stdin with the lines that its task yields.

    Every worker knows the task ``versions``. Each line also tells the processor time so far,
    ``cpu``, of this process and those it ended.
    """
    answers = os.dup(1)
    os.dup2(2, 1)  # what packages print is no part of the answer
    question = json.load(sys.stdin)
    with os.fdopen(answers, "w") as out:
        for line in {**tasks, "versions": _versions}[question["task"]](question):
            print(json.dumps({**line, "cpu": _processor_seconds()}), file=out, flush=True)


def peak_mebibytes() -> float:
    """Return the most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _versions(question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {name: metadata.version(name) for name in question["packages"]}


def _processor_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)

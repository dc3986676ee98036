"""Time one engine on one network: a JSON request on stdin, a JSON answer on stdout.

The request is {"engine", "network", "seed", "task"} and, by task,

- ``measure``: "runs". Imports, then calls the engine twice with as many runs, and times each.
- ``calibrate``: "seconds", "most_runs". Returns how many runs fill so many seconds.
- ``reference``: "runs", "batch". Runs in batches, and returns what they say without timing them.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from importlib import metadata
from typing import Any

from peers import ENGINES, AbstractEngine, Network


def main() -> None:
    """Answer the request on stdin."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what packages print is no part of the answer
    request = json.load(sys.stdin)
    engine = ENGINES[request["engine"]]()
    began = time.perf_counter()
    engine.load()
    answer: dict[str, Any] = {"import": time.perf_counter() - began}
    network = Network.from_dict(request["network"])
    answer |= _TASKS[request["task"]](engine, network, request)
    answer["versions"] = {name: metadata.version(name) for name in engine.packages}
    with os.fdopen(answers, "w") as out:
        json.dump(answer, out)


def measure(engine: AbstractEngine, network: Network, request: dict[str, Any]) -> dict[str, Any]:
    """Call the engine twice with the same arguments except for the seed."""
    runs, seed = request["runs"], request["seed"]
    began = time.perf_counter()
    engine.prepare(network)
    engine.run(runs, seed)
    engine.settle()
    first = time.perf_counter() - began
    began, used = time.perf_counter(), _processor_seconds()
    result = engine.run(runs, seed + 1)
    seconds, busy = time.perf_counter() - began, _processor_seconds() - used
    timing = {"first": first, "seconds": seconds, "processor_seconds": busy, "runs": runs}
    return timing | _described(engine, result)


def calibrate(engine: AbstractEngine, network: Network, request: dict[str, Any]) -> dict[str, Any]:
    """Grow the number of runs until a call takes a good part of the seconds wanted."""
    wanted, most, seed = request["seconds"], request["most_runs"], request["seed"]
    engine.prepare(network)
    runs = engine.batch
    engine.run(runs, seed)
    engine.hurry()
    while True:
        engine.settle()
        taken = []
        for _ in range(2 if runs > engine.batch else 1):
            seed += 1
            began = time.perf_counter()
            engine.run(runs, seed)
            taken.append(time.perf_counter() - began)
        ratio = wanted / min(taken)
        fits = max(1, min(most, int(runs * ratio)) // engine.batch) * engine.batch
        if ratio < 4 or fits == runs:
            return {"runs": fits}
        runs = min(fits, 30 * runs)  # a short call says little of a long one: go in steps


def reference(engine: AbstractEngine, network: Network, request: dict[str, Any]) -> dict[str, Any]:
    """Return moments and events of many runs, taken in batches so that memory stays bounded."""
    import numpy as np

    engine.prepare(network)
    last, events = [], 0
    for begin in range(0, request["runs"], request["batch"]):
        result = engine.run(min(request["batch"], request["runs"] - begin), request["seed"] + begin)
        last.append(np.asarray(engine.last(result), dtype=float))
        events += engine.events(result)
    return {**_moments(np.concatenate(last)), "mean_events": events / request["runs"]}


_TASKS = {"measure": measure, "calibrate": calibrate, "reference": reference}


def _processor_seconds() -> float:
    """Return what this process and those that it started and ended have used of a processor."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    usages = [resource.getrusage(kind) for kind in kinds]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _described(engine: AbstractEngine, result: Any) -> dict[str, Any]:
    import numpy as np

    events = engine.events(result) if engine.counts_events else None
    return {**_moments(np.asarray(engine.last(result), dtype=float)), "events": events}


def _moments(last: Any) -> dict[str, Any]:
    mean = last.mean(0)
    square = (last - mean) ** 2
    return {
        "count": len(last),
        "mean": mean.tolist(),
        "variance": square.mean(0).tolist(),
        "fourth": (square**2).mean(0).tolist(),
        "width": (last.max(0) - last.min(0)).tolist(),
    }


if __name__ == "__main__":
    main()

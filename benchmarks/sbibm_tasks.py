"""Posteriors without a likelihood, beside pyABC and sbi, on tasks of sbibm with known answers."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _rows import Rows
from _sbibm import TASKS, Observation, Task, observations
from _workers import PEERS_PYTHON, Worker

import tumble as tb
from tumble.diagnostics import c2st
from tumble.posteriors import SMCABC, TSNPE

_DRAWS = 10_000
_OWN = {"TSNPE": TSNPE, "SMC-ABC": SMCABC}
_PEERS = {"pyABC": "peers.sbibm_pyabc", "sbi NPE": "peers.sbibm_npe"}


def problem_of(task: Task, observed: np.ndarray) -> tb.Problem:
    """Return a task as a problem; ``observed`` is flat, output by output."""
    names = list(task.prior)

    def function(params: dict[str, float], times: np.ndarray, rng: Any) -> np.ndarray:
        return task.run(np.array([params[n] for n in names]), rng)

    columns = observed.reshape(task.num_outputs, len(task.times))
    data = {"time": task.times, **dict(zip(task.outputs, columns, strict=True))}
    return tb.Problem(
        tb.BlackBox(function, names, task.outputs), data=data,
        parameters={n: _parameter(*law) for n, law in task.prior.items()},
    )  # fmt: skip


def _parameter(law: str, first: float, second: float) -> tb.Parameter:
    if law == "uniform":
        return tb.Parameter(first, second, scale="linear")
    bounds = np.exp(first + 6 * second * np.array([-1, 1]))
    return tb.Parameter(*bounds.tolist(), prior=tb.priors.LogNormal(first, second))


def own_answer(name: str, task: Task, seen: Observation, count: int, seed: int) -> dict[str, Any]:
    """Return the C2ST of tumble's answer from ``count`` data sets, and seconds."""
    method = TSNPE(num_data_sets=count) if name == "TSNPE" else SMCABC(
        num_particles=min(1000, count // 10), min_acceptance=1e-9, max_generations=10_000
    )  # fmt: skip
    began = time.perf_counter()
    found = tb.sample_posterior(
        problem_of(task, seen.data), method=method, seed=seed, progress=False,
        budget=tb.Budget(simulations=count),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    return {"c2st": c2st(seen.reference, found.sample(_DRAWS)), "seconds": seconds}


def peer_answer(
    worker: Worker, task: Task, seen: Observation, count: int, seed: int, patience: float
) -> dict[str, Any]:
    """Return that of a peer."""
    asked = {
        "task": "sample", "name": task.name, "observed": seen.data.tolist(), "count": count,
        "seed": seed, "draws": _DRAWS,
    }  # fmt: skip
    reply = worker.ask(asked, patience)
    if "theta" not in reply.last:
        return {"c2st": None, "seconds": None, "failure": reply.failure}
    seconds = reply.seconds[-1] - reply.seconds[0]
    return {"c2st": c2st(seen.reference, np.array(reply.last["theta"])), "seconds": seconds}


def cell(found: list[dict[str, Any]]) -> str:
    """Return the mean over observations, and the median of seconds."""
    scores = [row["c2st"] for row in found if row["c2st"] is not None]
    if len(scores) < len(found) or not scores:
        return f"{len(found) - len(scores)} of {len(found)} failed"
    seconds = np.median([row["seconds"] for row in found])
    return f"{np.mean(scores):.3f} ({seconds:.0f} s)"


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--sbibm", type=Path, required=True, help="the folder of that package")
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--counts", nargs="*", type=int, default=[1000, 10_000, 100_000])
    parser.add_argument("--observations", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--ways", nargs="*", default=[*_OWN, *_PEERS])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=7200, help="seconds for one answer")
    parser.add_argument("--pyabc-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--sbi-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    page = Page("sbibm_tasks", "Posteriors without a likelihood: four tasks of sbibm")
    pythons = {"pyABC": options.pyabc_python, "sbi NPE": options.sbi_python}
    workers = {name: Worker(module, pythons[name]) for name, module in _PEERS.items()}
    kept = Rows(options.rows)
    rows = []
    for count in options.counts:
        for name in options.tasks:
            task, row = TASKS[name], [name, f"{count:,}"]
            chosen = [o for o in observations(options.sbibm, name)
                      if o.number in options.observations]  # fmt: skip
            for way in options.ways:
                found = []
                for seen in chosen:

                    def made(way: str = way, task: Task = task, seen: Observation = seen,
                             count: int = count) -> dict[str, Any]:  # fmt: skip
                        if way in _OWN:
                            return own_answer(way, task, seen, count, options.seed)
                        return peer_answer(
                            workers[way], task, seen, count, options.seed, options.patience
                        )

                    found.append(kept.get((f"{name} {seen.number} {way}", count), made))
                row.append(cell(found))
                progress(f"{name} {count}: {way} {row[-1]}")
            rows.append(row)
    versions = ", ".join(
        workers[w].versions(*p) for w, p in (("pyABC", ["pyabc"]), ("sbi NPE", ["sbi", "torch"]))
    )
    page.text(
        f"""Observations and reference draws of sbibm 1.1.0 (doi:10.48550/arXiv.2101.04653), numbers
        {", ".join(map(str, options.observations))} of each task; its simulators are written anew,
        as black boxes of one run a call, the same for all. *C2ST*: how often a perceptron tells
        {_DRAWS:,} draws from as many of the reference, 0.5 where it cannot; the mean over the
        observations, with the seconds of an answer on one core (median, with compilation; of peers
        without imports). TSNPE with default settings at every number of simulations. SMC-ABC of
        both with a tenth of these as particles, 1,000 at most, until the simulations are spent.
        sbi's NPE with default settings, in one round. {versions}. {settings(options)}"""
    )
    page.table(["task", "simulations", *options.ways], rows)
    page.finish(options.save)


if __name__ == "__main__":
    main()

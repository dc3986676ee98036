"""Moments of ten million epidemics, and the memory that they take.

Each number of runs is measured in a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

from _report import Page, arguments, progress

_POPULATION, _INFECTED = 1000, 10
_BETA, _GAMMA = 3.0, 1.0
_LAST, _TIMES = 30.0, 31
_WARM = 200_000
_MIB = 2**20


def measure(num_runs: int, keep: str, warm: bool) -> dict[str, Any]:
    """Simulate; return seconds, events, peak memory, and the mean and its error at the end.

    If ``warm``, so many runs go before that all kernels are loaded.
    """
    import numpy as np

    import tumble as tb

    sir = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    outputs: Any = {"moments": tb.outputs.Moments(), "histogram": tb.outputs.Histogram()}[keep]

    def simulate(num_samples: int) -> Any:
        return tb.simulate(
            sir,
            {"beta": _BETA / _POPULATION, "gamma": _GAMMA},
            initial={"S": _POPULATION - _INFECTED, "I": _INFECTED, "R": 0},
            times=np.linspace(0, _LAST, _TIMES),
            num_samples=num_samples,
            outputs=outputs,
            progress=None,
        )

    if warm:
        simulate(_WARM)
    before = time.process_time()
    kept = simulate(num_runs)
    found = {
        "seconds": kept.stats["seconds"],
        "processor": time.process_time() - before,
        "events": kept.stats["events"],
        "peak": _peak_bytes() / _MIB,
    }
    if isinstance(kept, tb.outputs.SampleMoments):
        last = kept.data.isel(time=-1).sel(species="R")
        found |= {"mean": float(last["mean"]), "error": float(last["standard_error"])}
    return found


def measured_apart(
    num_runs: int, keep: str, *cores: Sequence[int], warm: bool = False
) -> list[dict[str, Any]]:
    """Measure in a process for each of ``cores``, at once; progress goes to this terminal."""
    options = ["--one", str(num_runs), keep, *["--warm"] * warm, "--cores"]
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, *options, *map(str, which)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for which in cores
    ]
    found = []
    for process in processes:
        out, _ = process.communicate()
        if process.returncode:
            raise SystemExit(process.returncode)
        found.append(json.loads(out))
    progress(f"{num_runs:,} runs: {found}")
    return found


def main() -> None:
    """Print the page, or measure one number of runs."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=10**7, help="the largest number of runs")
    parser.add_argument("--one", nargs=2, metavar=("RUNS", "KEEP"), help="measure here, print JSON")
    parser.add_argument("--warm", action="store_true", help="of --one: simulate before")
    parser.add_argument("--cores", nargs="*", type=int, help="of --one")
    options = parser.parse_args()
    if options.one:
        if options.cores:
            os.sched_setaffinity(0, options.cores)
        print(json.dumps(measure(int(options.one[0]), options.one[1], options.warm)))
        return
    page = Page("streaming", "Ten million runs in the memory of a thousand")
    page.text(
        f"""SIR in a population of {_POPULATION:,} with {_INFECTED} infected at first, β N =
        {_BETA:g} and γ = {_GAMMA:g} up to t = {_LAST:g}, {_TIMES} output times and about 1,900
        events a run. `tb.simulate(…, outputs=tb.outputs.Moments())` keeps means and variances,
        `Histogram()` the number of runs at each count. Each line is a process of its own, after
        one of 1,000 runs that left the compiled kernels behind; its peak memory includes Python,
        the libraries and the compiled code."""
    )
    every = sorted(os.sched_getaffinity(0))
    measured_apart(1000, "moments", every)
    rows = []
    means = []
    for keep in ("moments", "histogram"):
        for num_runs in sorted({1000, min(options.runs, 100_000), options.runs}):
            [found] = measured_apart(num_runs, keep, every)
            rows.append([f"{num_runs:,}", keep, *_cells(num_runs, found)])
            if "mean" in found:
                means.append([f"{num_runs:,}", f"{found['mean']:.3f}", f"{found['error']:.2g}"])
    page.table(
        ["runs", "kept", "peak memory, MiB", "counts would take, MiB", "seconds",
         "million events a second", "a processor second"],
        rows,
    )  # fmt: skip
    page.heading("The mean number of recovered at the end")
    page.table(["runs", "mean", "standard error"], means)
    _write_cores(page, options.runs // 5)
    page.finish(options.save)


def _write_cores(page: Page, num_runs: int) -> None:
    """Write how much faster two cores are than one, and how much faster they could be."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    if len(cores) < 2:
        return
    ways = {
        "one": [cores[:1]],
        "two": [cores],
        "one each for two processes": [cores[:1], cores[1:]],
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(3):
        for way, found in speeds.items():
            together = measured_apart(num_runs, "moments", *ways[way], warm=True)
            found.append(sum(one["events"] / one["seconds"] for one in together) / 1e6)
    one, two, ceiling = (statistics.median(found) for found in speeds.values())
    page.heading("Two cores and one")
    page.table(
        ["cores", "million events a second", "least – most"],
        [
            [way, f"{statistics.median(s):.0f}", f"{min(s):.0f} – {max(s):.0f}"]
            for way, s in speeds.items()
        ],
    )
    page.text(
        f"""{num_runs:,} runs to moments in a process that did {_WARM:,} before, so that the
        loading of kernels does not count; medians of three rounds, by turns: two cores are
        {two / one:.2f} times as fast as one. Two processes that know nothing of each other, each on
        a core of its own, together come to {ceiling / one:.2f} times: as much as the machine
        gives."""
    )


def _cells(num_runs: int, found: dict[str, Any]) -> list[str]:
    millions = found["events"] / 1e6
    return [
        f"{found['peak']:.0f}",
        f"{num_runs * _TIMES * 3 * 8 / _MIB:,.0f}",
        f"{found['seconds']:.1f}",
        f"{millions / found['seconds']:.0f}",
        f"{millions / found['processor']:.0f}",
    ]


def _peak_bytes() -> int:
    """Return the largest memory that this process has had."""
    if os.name != "posix":
        raise SystemExit("peak memory is read as on POSIX systems only.")
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest if sys.platform == "darwin" else 1024 * largest


if __name__ == "__main__":
    main()

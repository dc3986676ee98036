"""Speed of exact stochastic simulation on one core: tumble, generated C, and seven packages.

Every engine simulates the same networks at the same 101 times. Beside the speed, the means and
variances at the last time are compared, so that the same process is timed.
"""

from __future__ import annotations

import argparse
import operator
import os
import platform
import statistics
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from _report import Page, arguments, progress, settings
from _ssa_check import FEWEST_FOR_VARIANCE, LIMIT, Moments, worst_deviations
from _ssa_engines import EngineError, Launcher
from _ssa_models import MODELS, NUM_TIMES, Model
from peers import ENGINES, Network
from peers.generated_c import compiler

_VENV = Path(__file__).resolve().parent / ".venv-peers" / "bin" / "python"
_MOST_RUNS = 100_000
_REFERENCE_SEED = 1_000_000
_REFERENCE_BATCH = 10_000
_BUSY = 0.05


@dataclass(frozen=True)
class Row:
    """One engine on one model: an answer for each repeat, and the mean events of a run. Final."""

    engine: str
    answers: tuple[dict[str, Any], ...]
    mean_events: float
    deviations: tuple[tuple[float, str], ...]  # of the means and, of enough runs, the variances

    @property
    def speeds(self) -> list[float]:
        """Million events a second, of each repeat."""
        return [
            (a["runs"] * self.mean_events if a["events"] is None else a["events"])
            / (1e6 * a["seconds"])
            for a in self.answers
        ]

    @property
    def speed(self) -> float:
        """Median of the speeds."""
        return statistics.median(self.speeds)

    @property
    def is_off(self) -> bool:
        """Whether a mean or a variance is not that of the reference."""
        return any(z > LIMIT for z, _ in self.deviations)

    @property
    def competes(self) -> bool:
        """Whether this is a peer that does the whole task, and the right one."""
        kind = ENGINES[self.engine]
        return kind.is_peer and kind.all_times and not self.is_off

    @property
    def waited(self) -> float:
        """Share of the timed call in which another process had the core; median."""
        return statistics.median(1 - a["processor_seconds"] / a["seconds"] for a in self.answers)

    def median(self, what: str, begin: int = 0) -> float | None:
        """Return the median of a field of the answers, of all repeats or from ``begin`` on."""
        values = [a[what] for a in self.answers[begin:]]
        return statistics.median(values) if values else None


def main() -> None:
    """Print the page."""
    options = _options()
    os.sched_setaffinity(0, {options.core})  # the engines inherit it
    page = Page("ssa_speed", "Speed of exact simulation")
    _introduce(page, options)
    rows: dict[str, list[Row]] = {}
    reasons: list[tuple[str, str, str]] = []
    chosen = {name: MODELS[name]() for name in options.models}
    with tempfile.TemporaryDirectory() as lasting:
        launcher = Launcher(options.peers_python, Path(lasting), options.timeout)
        for name, model in chosen.items():
            rows[name], failed = _measure(name, model, launcher, options)
            reasons += [(engine, name, reason) for engine, reason in failed.items()]
    _summarize(page, rows, options.engines)
    for name, model in chosen.items():
        _detail(page, name, model, rows[name])
    _list_reasons(page, reasons)
    _list_engines(page, rows)
    page.finish(options.save)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--peers-python", type=Path, default=_VENV, help="the peers' interpreter")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="aimed at for a call")
    parser.add_argument("--reference", type=int, default=10_000, help="runs for exact moments")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for an engine")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="two small models, one short repeat")
    options = parser.parse_args()
    options.peers_python = options.peers_python.absolute()
    if options.quick:
        options.repeats, options.seconds = 1, 0.3
        if options.models == list(MODELS):
            options.models = ["sir", "gene-expression"]
    return options


# -- measuring ---------------------------------------------------------------


def _measure(
    name: str, model: Model, launcher: Launcher, options: argparse.Namespace
) -> tuple[list[Row], dict[str, str]]:
    """Return a row for each engine that answered, and the reasons of the others."""
    network, failed = model.network(), {}
    progress(f"{name}: reference")
    try:
        reference = launcher.ask(
            "tumble", model.network(num_times=2), "reference", patience=10.0,
            runs=options.reference, batch=_REFERENCE_BATCH, seed=_REFERENCE_SEED,
        )  # fmt: skip
    except EngineError as error:
        return [], {"reference": str(error)}
    runs: dict[str, int] = {}
    answers: dict[str, list[dict[str, Any]]] = {engine: [] for engine in options.engines}
    for engine, repeat in _schedule(options):
        if engine in failed:
            continue
        try:
            if repeat < 0:
                answer = launcher.ask(
                    engine, network, "calibrate", seconds=options.seconds, most_runs=_MOST_RUNS,
                    seed=1,
                )  # fmt: skip
                runs[engine] = answer["runs"]
                progress(f"{name}: {engine}, {runs[engine]:,} runs")
            else:
                answer = launcher.ask(
                    engine, network, "measure", runs=runs[engine], seed=10 * (repeat + 1),
                    caches=f"{name}-{engine}",
                )  # fmt: skip
                answers[engine].append(answer)
        except EngineError as error:
            failed[engine] = str(error)
            progress(f"{name}: {engine} failed: {error}")
    rows = [
        _row(engine, answers[engine], reference, network)
        for engine in options.engines
        if engine not in failed
    ]
    return rows, failed


def _schedule(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Yield (engine, repeat): engines take turns; repeat -1 finds the number of runs."""
    for repeat in range(-1, options.repeats):
        for engine in options.engines:
            yield engine, repeat


def _row(
    engine: str,
    answers: Sequence[dict[str, Any]],
    reference: Mapping[str, Any],
    network: Network,
) -> Row:
    parts = [Moments.from_answer(a) for a in answers]
    deviations = worst_deviations(parts, Moments.from_answer(dict(reference)), network.species)
    return Row(engine, tuple(answers), reference["mean_events"], tuple(deviations))


# -- the page ----------------------------------------------------------------


def _introduce(page: Page, options: argparse.Namespace) -> None:
    page.text(
        f"""Million reactions fired a second, on one core ({_processor()}; every process is pinned
        to it, and all libraries are held to one thread), counts returned at {NUM_TIMES} times from
        0 to the end. All engines simulate the same networks with the same rates by an exact method.
        Events are counted by the engine where it says how many it fired (tumble and C); elsewhere
        they are the runs times the mean events of a run, from {options.reference:,} runs of
        tumble."""
    )
    page.text(
        f"""Every timing is a process of its own. It imports the package, then builds the model and
        calls the engine for the first time, which compiles whatever is compiled, then calls it
        again with another seed. The speed is that of the second call alone. A call has the runs
        that fill about {options.seconds:g} seconds, and {_MOST_RUNS:,} at most. Figures are medians
        of {options.repeats} such processes, with the engines taking turns; the first process
        starts with empty caches of compiled code, the others find what it left. Options:
        `{settings(options)}`."""
    )


def _summarize(page: Page, rows: Mapping[str, Sequence[Row]], engines: Sequence[str]) -> None:
    page.heading("Million events a second")
    speeds = {(row.engine, name): row.speed for name in rows for row in rows[name]}
    page.table(
        ["", *rows],
        [[e, *(_short(speeds.get((e, name))) for name in rows)] for e in engines],
    )
    if any(not ENGINES[e].all_times for e in engines):
        page.text(
            """`stochastix-final` returns the last time only, which is a smaller task: it is shown
            because it is that package's fastest interface, and left out of the best peer."""
        )
    compared = [_compared(name, rows[name]) for name in rows]
    page.table(["", "tumble / scalar C", "tumble / best peer", "best peer"], compared)


def _compared(name: str, rows: Sequence[Row]) -> list[str]:
    speeds = {row.engine: row.speed for row in rows}
    best = _best(rows)
    own = speeds.get("tumble")
    return [
        name,
        _ratio(own, speeds.get("c")),
        _ratio(own, best.speed if best else None),
        best.engine if best else "none",
    ]


def _detail(page: Page, name: str, model: Model, rows: Sequence[Row]) -> None:
    page.heading(f"`{name}`")
    network = model.network()
    rates = ", ".join(f"{key} = {value:g}" for key, value in model.params.items())
    start = ", ".join(f"{key} = {value}" for key, value in model.initial.items())
    lines = "; ".join(" ".join(line.split()) for line in model.text.strip().splitlines())
    page.text(
        f"""{model.title}. {len(network.species)} species, {len(network.reactions)} reactions, end
        {network.end:g}{f", {rows[0].mean_events:,.0f} events a run" if rows else ""}."""
    )
    if model.listed:
        page.text(f"`{lines}`, with {rates}, from {start} and none of the others.")
    by_engine = {row.engine: row.speed for row in rows}
    best = _best(rows)
    page.table(
        ["", "M events/s", "least – most", "/ scalar C", "/ best peer", "runs", "import s",
         "first call s, empty caches", "first call s", "second call s", "worst z: mean",
         "variance"],
        [
            [
                row.engine,
                _short(row.speed),
                f"{_short(min(row.speeds))} – {_short(max(row.speeds))}",
                _ratio(row.speed, by_engine.get("c")),
                _ratio(row.speed, best.speed if best else None),
                f"{row.answers[0]['runs']:,}",
                _seconds(row.median("import")),
                _seconds(row.answers[0]["first"]),
                _seconds(row.median("first", begin=1)),
                _seconds(row.median("seconds")),
                *([_deviation(*d) for d in row.deviations] + ["–"])[:2],
            ]
            for row in rows
        ],
    )  # fmt: skip
    waited = [f"{row.engine} {100 * row.waited:.0f} %" for row in rows if row.waited > _BUSY]
    if waited:
        page.text(
            f"""The core was shared, and these engines are faster than shown: they waited for it
            for {", ".join(waited)} of the second call."""
        )
    off = [row.engine for row in rows if row.is_off]
    if off:
        page.text(f"Not the same process, or an error of the engine: {', '.join(off)}.")


def _list_reasons(page: Page, reasons: Sequence[tuple[str, str, str]]) -> None:
    if reasons:
        page.heading("What gave no figure")
        kept = []
        same = operator.itemgetter(0, 2)
        for (engine, reason), group in groupby(sorted(reasons, key=same), key=same):
            kept.append([engine, ", ".join(model for _, model, _ in group), f"`{reason}`"])
        page.table(["", "models", "why"], kept)


def _list_engines(page: Page, rows: Mapping[str, Sequence[Row]]) -> None:
    page.heading("Engines")
    table = {}
    for row in (row for name in rows for row in rows[name]):
        versions = row.answers[0]["versions"]
        if row.engine == "c":
            versions = {**versions, compiler(): _compiler_version()}
        shown = ", ".join(f"{package} {version}" for package, version in versions.items())
        table[row.engine] = [row.engine, ENGINES[row.engine].interface, shown]
    page.table(["", "what is called", "versions"], list(table.values()))
    page.text(
        f"""*Worst z* is the largest difference between the engine's and the reference's mean (or
        variance) of any species at the last time, in standard errors, with the species; beyond
        {LIMIT:g} it is bold. Variances are compared from {FEWEST_FOR_VARIANCE} runs on, those of
        all processes together. Rates are adapted to each package's convention for reactions of two
        equal molecules. The seconds of *first call* hold those of *second call* once, so their
        difference is what the model costs to build and compile."""
    )


def _best(rows: Sequence[Row]) -> Row | None:
    return max((row for row in rows if row.competes), key=lambda row: row.speed, default=None)


def _ratio(a: float | None, b: float | None) -> str:
    return "" if a is None or b is None else f"{_short(a / b)}"


def _short(value: float | None) -> str:
    """Return a number to about three digits, without an exponent."""
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _deviation(z: float, species: str) -> str:
    return f"**{z:.1f} ({species})**" if z > LIMIT else f"{z:.1f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _compiler_version() -> str:
    out = subprocess.run([compiler(), "-dumpfullversion", "-dumpversion"], capture_output=True)
    return out.stdout.decode().strip()


if __name__ == "__main__":
    main()

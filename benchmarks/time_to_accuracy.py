"""Time to the rates of an SIR epidemic within one percent, by tumble and by pyABC.

Data: the mean of 10,000 exact runs at 101 times. `tumble.fit` with its defaults, from random
starts over three decades, with cold and with warm caches; and the ABC-SMC of pyABC with its
defaults, on a compiled simulator and on one in plain Python. All from the start of a process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _gradient_cases import plain
from _report import Page, arguments, progress, settings
from _ssa_models import MODELS
from _workers import PEERS_PYTHON, Reply, Worker
from sir_recovery import make_problem, starts

_AVERAGED = 10_000
_HALF = 10**1.5
_TOLERANCE = 0.01
_PATIENCE_OF_FIT = 600.0
_KINDS = ("cold caches", "warm caches")


def main() -> None:
    """Print the page."""
    options = _options()
    os.sched_setaffinity(0, {options.core})  # the workers inherit it
    page = Page("time_to_accuracy", "Time to within one percent, beside ABC-SMC")
    common = _question()
    _introduce(page, options)
    best = _write_fits(page, common, options)
    _write_abc(page, common, best, options)
    page.finish(options.save)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--starts", type=int, default=10, help="fits of tumble")
    parser.add_argument("--seeds", type=int, default=3, help="runs of pyABC for each simulator")
    parser.add_argument(
        "--averaged", type=int, nargs="*", default=[1, 10, 100], help="runs a particle averages"
    )
    parser.add_argument(
        "--plain", type=int, nargs="*", default=[10], help="the same of a simulator in Python"
    )
    parser.add_argument("--patience", type=float, default=3600.0, help="seconds of an ABC-SMC")
    parser.add_argument(
        "--plain-patience", type=float, default=3600.0, help="the same with a simulator in Python"
    )
    parser.add_argument(
        "--least-acceptance", type=float, default=0.001, help="share of particles, to go on"
    )
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="two fits, one short ABC-SMC each")
    options = parser.parse_args()
    options.peers_python = options.peers_python.absolute()
    if options.quick:
        options.starts, options.seeds, options.averaged, options.patience = 2, 1, [1, 10], 60.0
        options.plain = []
    return options


def _question() -> dict[str, Any]:
    """Return the problem of `sir_recovery.py`, as workers are told of it."""
    network = MODELS["sir"]().network()
    observed = make_problem().experiments[0].data
    truth = np.array([rate for _, _, rate in network.reactions])
    order = [observed.names.index(name) for name in network.species]
    return {
        "task": "fit",
        "network": plain(network),
        "observed": list(network.species),
        "initial": list(network.initial),
        "times": observed.times.tolist(),
        "means": observed.values[0][:, order].tolist(),
        "num_averaged": _AVERAGED,
        "truth": truth.tolist(),
        "half_width": _HALF,
        "lower": (truth / _HALF).tolist(),
        "upper": (truth * _HALF).tolist(),
        "tolerance": _TOLERANCE,
    }


def _introduce(page: Page, options: argparse.Namespace) -> None:
    page.text(
        f"""S + I → 2 I at β = 0.02, I → R at γ = 5, from 1,980 susceptible and 20 infected. Data:
        the mean of {_AVERAGED:,} exact runs at 101 times in [0, 1]. Seconds count from the start of
        a process, so with imports and compilation, on one core, one thread."""
    )
    page.text(
        f"""`tumble.fit`: all defaults; {options.starts} random starts, log-uniform over the bounds,
        which are three decades around the truth. It stops by itself; its time is that to the end.
        *Cold caches*: no compiled code is on disk; *warm caches*: what the cold fit left is."""
    )
    page.text(
        f"""pyABC: prior log-uniform over the same bounds; distance, thresholds, population and
        transitions are its defaults; the sampler is that for one core. The simulator is *C* written
        by hand for this model and compiled, or *Python*, the loop that one writes first; it returns
        a mean of some runs (each number has its rows: fewer make a particle cheap, more let the
        posterior become narrow). Three ends are
        shown. *Mean within 1 %*: the posterior mean of both rates, of some generation, first is
        within 1 % of the truth. This favors pyABC, as nobody without the truth could stop there,
        and a wide posterior may have its mean near the truth by luck. *For good*: so it is in this
        generation and all later ones, which takes the truth as well. *And it says so*: the
        posterior standard deviations are at most 1 % too. Given up after {options.patience:g}
        seconds ({options.plain_patience:g} for Python), or after a generation that accepts less
        than {100 * options.least_acceptance:g} % of its particles."""
    )
    peer = Worker("peers.pyabc_smc", options.peers_python)
    page.text(
        f"""Options: `{settings(options)}`. The peer's environment:
        {peer.versions("pyabc", "numpy", "scipy", "pandas", "sqlalchemy")}."""
    )


# -- tumble ------------------------------------------------------------------


def _write_fits(
    page: Page, common: dict[str, Any], options: argparse.Namespace
) -> dict[str, float]:
    """Print the fits; return the median seconds by the state of the caches."""
    page.heading("`tumble.fit`")
    worker = Worker("peers.tumble_gradients")
    replies: dict[str, list[Reply]] = {kind: [] for kind in _KINDS}
    chosen = [list(start.values()) for start in starts(options.starts)]
    for seed, start in enumerate(chosen):
        progress(f"tumble.fit: start {seed}")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as caches:
            for kind in _KINDS:
                question = {**common, "start": start, "seed": seed}
                replies[kind].append(worker.ask(question, _PATIENCE_OF_FIT, Path(caches)))
    page.table(
        ["", "within 1 %", "median seconds", "least – most", "CPU s", "runs", "median error",
         "worst error"],
        [_fit_row(kind, found, common["truth"]) for kind, found in replies.items()],
    )  # fmt: skip
    page.table(
        ["start β", "start γ", "error of β", "error of γ", "seconds, cold", "seconds, warm",
         "runs", "result"],
        [
            [*start, *(f"{100 * e:+.2f} %" for e in _errors(cold, common["truth"])),
             f"{cold.elapsed:.1f}", f"{warm.elapsed:.1f}", f"{warm.last.get('runs', 0):,.0f}",
             warm.last.get("result", warm.failure)]
            for start, cold, warm in zip(chosen, *replies.values(), strict=True)
        ],
    )  # fmt: skip
    return {kind: float(np.median(_seconds(found))) for kind, found in replies.items()}


def _fit_row(kind: str, replies: Sequence[Reply], truth: Sequence[float]) -> list[Any]:
    errors = np.array([np.max(np.abs(_errors(reply, truth))) for reply in replies])
    seconds = _seconds(replies)
    return [
        kind, f"{np.sum(errors <= _TOLERANCE)} of {len(replies)}", f"{np.median(seconds):.1f}",
        f"{min(seconds):.1f} – {max(seconds):.1f}",
        f"{np.median([reply.last.get('cpu', np.nan) for reply in replies]):.1f}",
        f"{np.median([reply.last.get('runs', np.nan) for reply in replies]):,.0f}",
        f"{100 * np.median(errors):.2f} %", f"{100 * errors.max():.2f} %",
    ]  # fmt: skip


def _errors(reply: Reply, truth: Sequence[float]) -> np.ndarray:
    rates = reply.last.get("rates", np.full(len(truth), np.inf))
    return np.array(rates) / np.array(truth) - 1


def _seconds(replies: Sequence[Reply]) -> list[float]:
    """Return the seconds to the result of each; infinity where there is none."""
    return [reply.elapsed if "rates" in reply.last else np.inf for reply in replies]


# -- pyABC -------------------------------------------------------------------


def _write_abc(
    page: Page, common: dict[str, Any], own: dict[str, float], options: argparse.Namespace
) -> None:
    page.heading("ABC-SMC of pyABC")
    worker = Worker("peers.pyabc_smc", options.peers_python)
    rows, remarks = [], []
    ways = [("C", n) for n in options.averaged] + [("Python", n) for n in options.plain]
    for language, averaged in ways:
        replies = []
        for seed in range(options.seeds):
            progress(f"pyABC, {language}: mean of {averaged} runs, seed {seed}")
            question = {
                **common, "averaged": averaged, "plain": language == "Python", "seed": seed,
                "least_acceptance": options.least_acceptance,
            }  # fmt: skip
            plain = language == "Python"
            reply = worker.ask(question, options.plain_patience if plain else options.patience)
            replies.append(reply)
            if reply.failure and not reply.failure.startswith("no end"):
                remarks.append(f"{language}, mean of {averaged}, seed {seed}: {reply.failure}.")
        ends = {
            "mean within 1 %": [reply.first("is_there") for reply in replies],
            "for good": [reply.for_good("is_there") for reply in replies],
            "and it says so": [reply.first("is_sure") for reply in replies],
        }
        way = [language, averaged]
        rows += [[*way, *_abc_row(words, found, own)] for words, found in ends.items()]
        rows.append([*way, *_left_row(replies)])
    page.table(
        ["simulator", "runs averaged", "end", "reached", "median seconds", "least – most",
         "/ tumble.fit, cold", "/ tumble.fit, warm", "CPU s", "generations", "particles tried",
         "runs", "posterior sd"],
        rows,
    )  # fmt: skip
    page.text(
        """Ratios are of medians, to `tumble.fit` above; more than 1 means that tumble is faster.
        The posterior sd is the larger one of the two rates, relative; where pyABC has to stop, the
        last rows show how far it came."""
    )
    for remark in remarks:
        page.text(remark)


def _abc_row(
    words: str, ends: Sequence[tuple[dict[str, Any], float]], own: dict[str, float]
) -> list[Any]:
    seconds = [at for _, at in ends]
    lines = [line for line, _ in ends if line]
    middle = float(np.median(seconds)) if seconds else np.inf
    if not lines:
        return [words, f"0 of {len(ends)}", *["–"] * 9]
    return [
        words, f"{len(lines)} of {len(ends)}",
        f"{middle:.1f}" if np.isfinite(middle) else "–",
        f"{min(seconds):.1f} – {max(seconds):.1f}",
        *(f"{middle / own[kind]:.2g}" if np.isfinite(middle) else "–" for kind in _KINDS),
        *_described(lines),
    ]  # fmt: skip


def _left_row(replies: Sequence[Reply]) -> list[Any]:
    """Return how far the runs had come when they ended."""
    lines = [reply.last for reply in replies if "rates" in reply.last]
    if not lines:
        return ["last generation", *["–"] * 10]
    return ["last generation", "", "", "", "", "", *_described(lines)]


def _described(lines: Sequence[dict[str, Any]]) -> list[str]:
    def middle(key: str) -> float:
        return float(np.median([line[key] for line in lines]))

    spread = np.median([max(line["spreads"]) for line in lines])
    return [
        f"{middle('cpu'):.1f}", f"{middle('generation') + 1:.0f}", f"{middle('evaluations'):,.0f}",
        f"{middle('runs'):,.0f}", f"{100 * spread:.1f} %",
    ]  # fmt: skip


if __name__ == "__main__":
    main()

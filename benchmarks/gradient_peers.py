"""Gradients at a fixed time, and fits, by tumble and by stochastix.

Bias and variance of ∂E[X(T)]/∂rate against the exact answer, what a gradient costs, and the time in
which each fits three networks to within one percent.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _estimators import ESTIMATORS
from _gradient_cases import FITS, GRADIENTS, FitCase, GradientCase, gradient_question
from _report import Page, arguments, progress, settings
from _workers import PEERS_PYTHON, Reply, Worker
from peers.stochastix_gradients import METHODS

_PATIENCE = 1800.0
_WRONG = 4.0
_TOLERANCE = 0.01
_COLD, _WARM = "tumble.fit, first", "tumble.fit, again"


def main() -> None:
    """Print the page."""
    options = _options()
    os.sched_setaffinity(0, {options.core})  # the workers inherit it
    page = Page("gradient_peers", "Gradients and fits beside stochastix")
    _introduce(page, options)
    if options.models:
        _write_gradients(page, options)
    if options.fits:
        _write_fits(page, options)
    page.finish(options.save)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--models", nargs="*", choices=GRADIENTS, default=list(GRADIENTS))
    parser.add_argument("--fits", nargs="*", choices=FITS, default=list(FITS))
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS))
    parser.add_argument("--estimators", nargs="*", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--seconds", type=float, default=20.0, help="CPU seconds of a gradient")
    parser.add_argument("--batch", type=int, default=1000, help="runs mapped over, for gradients")
    parser.add_argument("--repeats", type=int, default=3, help="fits of each, by seed")
    parser.add_argument("--cap", type=float, default=600.0, help="seconds of a fit")
    parser.add_argument("--fit-batch", type=int, default=32, help="runs of a step of Adam")
    parser.add_argument("--learning-rate", type=float, default=1e-2, help="of Adam")
    parser.add_argument("--data", type=int, default=100_000, help="runs averaged to data")
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="two small models, one short fit each")
    options = parser.parse_args()
    options.peers_python = options.peers_python.absolute()
    if options.quick:
        options.seconds, options.batch, options.repeats, options.cap = 1.0, 200, 1, 60.0
        if options.models == list(GRADIENTS):
            options.models = ["arrival", "immigration-death"]
        if options.fits == list(FITS):
            options.fits = ["immigration-death"]
    return options


def _introduce(page: Page, options: argparse.Namespace) -> None:
    page.text(
        f"""[stochastix](https://arxiv.org/abs/2601.14183) offers four ways to a gradient: pathwise,
        through the solvers `DifferentiableDirect` (its default), `DifferentiableFirstReaction` and
        `DGA`, and by the score, `reinforce_loss` on the exact `DirectMethod`. All are used as its
        user guide and example notebooks do: default arguments of the solvers, logarithms of rates
        with `transform=jnp.exp`, double precision, the last state as the state at the observation
        time, averages over keys by `filter_vmap`. Where the guide leaves a choice we made the
        better one for the package: `max_steps` is little more than any run fires rather than
        100,000, and the score has a leave-one-out baseline. Of tumble:
        {", ".join(f"`{e}`" for e in options.estimators)}, with their defaults. Every figure comes
        from a process of its own, on one core, one thread."""
    )
    peer = Worker("peers.stochastix_gradients", options.peers_python)
    page.text(
        f"""Options: `{settings(options)}`. The peer's environment:
        {peer.versions("stochastix", "jax", "equinox", "optax", "numpy")}."""
    )


# -- gradients ---------------------------------------------------------------


def _write_gradients(page: Page, options: argparse.Namespace) -> None:
    page.heading("Gradients at a fixed time")
    page.text(
        f"""∂E[count at the end]/∂rate, at the rates given, from {options.seconds:g} CPU seconds of
        runs each (stochastix: batches of {options.batch:,} runs; tumble: one call of about that
        length). *Exact* is a closed form or the finite state projection. *z* is the error in
        standard errors, bold beyond {_WRONG:g}: there the estimator is biased (infinite where all
        runs give the same wrong number). *Variance × s* is the squared standard error times the CPU
        seconds that it took, without compilation; it does not depend on how many runs were spent,
        and means something only where the bias is small."""
    )
    costs: list[list[Any]] = []
    wrong: dict[str, list[float]] = {}
    failures: list[list[str]] = []
    for name in options.models:
        case = GRADIENTS[name]
        replies = _ask_gradients(name, case, options)
        exact = case.exact()
        page.heading(f"`{name}`")
        _describe(page, case.model)
        rows = []
        for method, reply in replies.items():
            if not reply.lines:
                failures.append([name, method, reply.failure])
                continue
            found = _gradient_rows(method, case, exact, reply.last)
            rows += found
            wrong.setdefault(method, []).extend(abs(row[-1]) for row in found)
            costs.append(_cost_row(name, method, reply.last))
        rows = sorted(rows, key=lambda row: list(case.model.params).index(row[0]))
        page.table(
            ["rate", "estimator", "exact", "estimate", "standard error", "estimate / exact",
             "variance × s", "z"],
            [[*row[:-1], _bold(row[-1])] for row in rows],
        )  # fmt: skip
    page.heading("Beyond four standard errors")
    page.table(
        ["estimator", f"|z| > {_WRONG:g}", "largest |z|"],
        [
            [method, f"{sum(not v <= _WRONG for v in z)} of {len(z)}", float(np.max(z))]
            for method, z in wrong.items()
        ],
    )
    page.heading("What a gradient costs")
    page.table(
        ["model", "estimator", "import s", "first gradient s (compiles)", "CPU µs a run", "runs",
         "runs without a finite gradient", "runs cut short"],
        costs,
    )  # fmt: skip
    if failures:
        page.table(["model", "estimator", "no figure because"], failures)


def _ask_gradients(name: str, case: GradientCase, options: argparse.Namespace) -> dict[str, Reply]:
    common = gradient_question(case) | {
        "task": "gradient", "seconds": options.seconds, "seed": 0, "batch": options.batch,
        "patience": _PATIENCE / 2,
    }  # fmt: skip
    peer = Worker("peers.stochastix_gradients", options.peers_python)
    own = Worker("peers.tumble_gradients")
    replies = {}
    for estimator in options.estimators:
        progress(f"gradients, {name}: {estimator}")
        replies[estimator] = own.ask({**common, "estimator": estimator}, _PATIENCE)
    for method in options.methods:
        progress(f"gradients, {name}: {method}")
        replies[f"stochastix {method}"] = peer.ask({**common, "method": method}, _PATIENCE)
    return replies


def _gradient_rows(
    method: str, case: GradientCase, exact: np.ndarray, answer: Mapping[str, Any]
) -> list[list[Any]]:
    """Return a row for each rate; what comes in logarithms is divided by the rates."""
    estimates = np.array(answer["gradient"]) / case.rates
    errors = np.sqrt(answer["variances"]) / case.rates
    rows = []
    for j, name in enumerate(case.model.params):
        difference = estimates[j] - exact[j]
        if abs(difference) <= 1e-9 * abs(exact[j]):
            z = 0.0  # rounding
        else:
            z = difference / errors[j] if errors[j] > 0 else np.inf * difference
        rows.append(
            [name, method, float(exact[j]), float(estimates[j]), float(errors[j]),
             float(estimates[j] / exact[j]), f"{errors[j] ** 2 * answer['seconds']:.2g}", float(z)]
        )  # fmt: skip
    return rows


def _cost_row(name: str, method: str, answer: Mapping[str, Any]) -> list[Any]:
    micro = 1e6 * answer["seconds"] / answer["runs"]
    return [
        name, method, f"{answer['import']:.1f}", f"{answer['first']:.1f}", f"{micro:.3g}",
        f"{answer['runs']:,}", answer.get("lost", 0), answer.get("cut", 0),
    ]  # fmt: skip


def _describe(page: Page, model: Any) -> None:
    rates = ", ".join(f"{key} = {value:g}" for key, value in model.params.items())
    start = ", ".join(f"{key} = {value}" for key, value in model.initial.items()) or "nothing"
    page.text(f"{model.title}. `{'; '.join(model.text.splitlines())}`, {rates}, from {start}.")


def _bold(z: float) -> str:
    shown = f"{z:+.2f}" if abs(z) < 100 else f"{z:+.0f}"
    return shown if abs(z) <= _WRONG else f"**{shown}**"


# -- fits --------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """How a fit went: ``seconds`` until it was there, or infinity; ``rates`` where it ended. Final.

    ``line`` is that of the answer at which it was there, or else the last one.
    """

    seconds: float
    line: Mapping[str, Any]
    rates: np.ndarray | None
    failure: str

    @classmethod
    def of_peer(cls, reply: Reply) -> Outcome:
        """Count the first touch as there, and the mean of the path's second half as the end."""
        line, seconds = reply.first("is_there")
        settled = reply.last.get("settled")
        rates = None if settled is None else np.array(settled)
        return cls(seconds, line or reply.last, rates, "" if reply.lines else reply.failure)

    @classmethod
    def of_tumble(cls, reply: Reply, case: FitCase) -> Outcome:
        """Count as there the end, if that is within the tolerance."""
        if "rates" not in reply.last:
            return cls(np.inf, {}, None, reply.failure)
        rates = np.array(reply.last["rates"])
        is_there = np.all(np.abs(rates / case.truth - 1) <= _TOLERANCE)
        return cls(reply.elapsed if is_there else np.inf, reply.last, rates, "")


def _write_fits(page: Page, options: argparse.Namespace) -> None:
    page.heading("Time to within 1 %")
    page.text(
        f"""Data: means of {options.data:,} exact runs. Starts are off by a factor of 2.5 in each
        rate, in opposite senses. Seconds count from the start of the process, so with imports and
        compilation. stochastix: Adam at {options.learning_rate:g}, {options.fit_batch} runs a step,
        both as in its guide; the loss is the squared difference of the batch mean from the data in
        units of the standard deviation of a run. Its time is that at which all rates first are
        within 1 % of the truth at once, which a user could not know; it then goes on for as many
        steps again, and *settles at* is the mean of the second half of its path, over the truth,
        there or after {options.cap:g} seconds. `tumble.fit` has its defaults and bounds of a factor
        30 to either side of the truth; it stops by itself, its time is that to the end, and
        *settles at* is its result. *First*: caches of compiled code are empty; *again*: they are
        what the first fit left. *CPU s* is processor time until then, and tells whether the core
        was shared. Medians of {options.repeats} seeds."""
    )
    for name in options.fits:
        case = FITS[name]
        outcomes = _ask_fits(name, case, options)
        own = [_median_seconds(outcomes[kind]) for kind in (_COLD, _WARM)]
        page.heading(f"Fits of `{name}`")
        _describe(page, case.model)
        page.table(
            ["method", "within 1 %", "seconds", "/ tumble, first", "/ tumble, again", "CPU s",
             "runs", "settles at", "worst error there", "remark"],
            [_fit_row(method, case, found, own) for method, found in outcomes.items()],
        )  # fmt: skip


def _ask_fits(name: str, case: FitCase, options: argparse.Namespace) -> dict[str, list[Outcome]]:
    common = case.question(options.data) | {
        "task": "fit", "half_width": 30.0, "tolerance": _TOLERANCE, "batch": options.fit_batch,
        "learning_rate": options.learning_rate,
    }  # fmt: skip
    peer = Worker("peers.stochastix_gradients", options.peers_python)
    own = Worker("peers.tumble_gradients")
    outcomes: dict[str, list[Outcome]] = {_COLD: [], _WARM: []}
    for seed in range(options.repeats):
        progress(f"fits, {name}: tumble, seed {seed}")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as caches:
            for kind in (_COLD, _WARM):
                reply = own.ask({**common, "seed": seed}, options.cap, Path(caches))
                outcomes[kind].append(Outcome.of_tumble(reply, case))
        for method in options.methods:
            progress(f"fits, {name}: {method}, seed {seed}")
            reply = peer.ask({**common, "seed": seed, "method": method}, options.cap)
            outcomes.setdefault(f"stochastix {method}", []).append(Outcome.of_peer(reply))
    return outcomes


def _fit_row(
    method: str, case: FitCase, found: Sequence[Outcome], own: Sequence[float]
) -> list[Any]:
    seconds = _median_seconds(found)
    ends = np.array([o.rates / case.truth for o in found if o.rates is not None])
    middle = np.median(ends, axis=0) if len(ends) else []
    return [
        method, f"{sum(np.isfinite(o.seconds) for o in found)} of {len(found)}",
        f"{seconds:.1f}" if np.isfinite(seconds) else "–",
        *(f"{seconds / s:.2g}" if np.isfinite(seconds) and np.isfinite(s) else "–" for s in own),
        _median([o.line["cpu"] for o in found if o.line], ".1f"),
        _median([o.line["runs"] for o in found if "runs" in o.line], ",.0f"),
        ", ".join(f"{key} × {v:.4g}" for key, v in zip(case.model.params, middle, strict=False)),
        f"{100 * np.max(np.abs(ends - 1)):.2f} %" if len(ends) else "–",
        "; ".join(sorted({o.failure for o in found if o.failure})),
    ]  # fmt: skip


def _median_seconds(found: Sequence[Outcome]) -> float:
    """Return the median of the times of all; infinity where half or more never arrived."""
    return float(np.median([o.seconds for o in found])) if found else np.inf


def _median(values: Sequence[float], form: str) -> str:
    return format(statistics.median(values), form) if values else "–"


if __name__ == "__main__":
    main()

"""What dividing runs saves: between experiments and observation times, and between estimators.

Each problem is a squared distance of means away from its minimum. `Auto` takes an estimator and
divides its runs, or not; then both are run, divided and not.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from _report import Page, arguments, progress
from exactness import random_case
from gradient_variance import CASES, Case, random_cases

from tumble._random import Stream
from tumble.gradients import (
    AbstractEstimator,
    Allocated,
    AlternativePath,
    Auto,
    CoupledDifference,
    LinearResponse,
    ScoreFunction,
)
from tumble.gradients._pooled import divide
from tumble.objectives import BoundOutputs, MomentMatching

_MEMBERS = [
    ScoreFunction(),
    ScoreFunction(LinearResponse()),
    CoupledDifference(),
    AlternativePath(),
]
_REPEATS = 5
# Of the members beside each other; a variance that a member has not seen is not taken for 0.
_LEAST_VARIANCE = 1e-6
# Times the predicted gain: what is beyond it was not seen by the estimates.
_TOO_GOOD = 10
# Twenty times the counts of 7008 make 10¹⁰ events in a benchmark of minutes.
_NETWORKS = [*range(7001, 7008)]


def of_two_sizes(case: Case, factor: int) -> tuple[BoundOutputs, np.ndarray]:
    """Return a problem of two experiments: the initial counts of a case, and some times as many."""
    parts = [
        case,
        replace(case, initial={k: factor * v for k, v in case.initial.items()}),
    ]
    bounds = [part.bound() for part in parts]
    problems = [bound.problem for bound, _ in bounds]
    together = replace(
        problems[0], experiments=[e for problem in problems for e in problem.experiments]
    )
    return MomentMatching(order=1).bind(together), bounds[0][1]


def cost(
    estimator: AbstractEstimator, bound: BoundOutputs, z: Any, runs: int, stream: Stream
) -> Any:
    """Return the medians of variance × work and of variance × processor seconds."""
    estimator.estimate(bound, z, runs // 10, stream.child("first"))  # compiled before it is timed
    products = []
    for k in range(_REPEATS):
        began = time.process_time()
        found = estimator.estimate(bound, z, runs, stream.child(k))
        seconds = time.process_time() - began
        products.append((found.work_variance, float(np.trace(found.covariance)) * seconds))
    return np.median(products, axis=0)


def pooling(bound: BoundOutputs, z: np.ndarray, runs: int, stream: Stream) -> float:
    """Return the work of the best member over that of the best pool of all, by their variances."""
    found = [m.estimate(bound, z, runs, stream.child(i)) for i, m in enumerate(_MEMBERS)]
    products = np.stack([np.diag(e.covariance) * e.work for e in found])
    products = np.maximum(products, _LEAST_VARIANCE * products.max(0))
    pool = (1 / (divide(products) @ (1 / products))).sum()
    return float(products.sum(1).min() / pool)


def of_problem(name: str, bound: BoundOutputs, z: np.ndarray, runs: int) -> list[Any]:
    """Return a row of the table."""
    stream = Stream.from_seed(0).child("allocation", name)
    choice = Auto().choose(bound, z, stream.child("auto"), num_runs=runs)
    pooled = pooling(bound, z, runs // 4, stream.child("pool"))
    divided = choice.estimator
    progress(f"{name}: {divided.label}, {choice.gain:.2f}")
    if not isinstance(divided, Allocated):
        return [name, divided.label, "whole", "–", "–", "–", f"{pooled:.2f}"]
    blocks = ", ".join(f"{b.num_runs} × {b.experiment + 1}:{b.num_times}" for b in divided.blocks)
    one, other = (
        cost(e, bound, z, runs // 4, stream.child(e.label)) for e in (divided.member, divided)
    )
    ratios = [f"{r:.2f}" for r in (choice.gain, *(one / other))]
    return [name, divided.member.label, blocks, *ratios, f"{pooled:.2f}"]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="that Auto has")
    parser.add_argument("--networks", type=int, nargs="*", default=_NETWORKS)
    options = parser.parse_args()
    singles = [*CASES[:7], *random_cases(options.networks)]
    page = Page("allocation", "What dividing runs saves")
    page.text(
        f"""`Auto` has {options.runs:,} runs, of which its pilots take a part. *Divided* tells the
        runs of one joint sample, as runs × experiment:observation time at which they end. *Gain* is
        by what factor variance × work falls: as the pilots predict it, and as measured afterwards
        (medians of {_REPEATS} estimates each) in events and in processor seconds, which short runs
        save less of. *Pool* is what the best pool of {len(_MEMBERS)} estimators (`Pooled`) could
        save beside the best of them, were their variances known."""
    )
    head = ["problem", "estimator", "divided", "gain, predicted", "in events", "in seconds", "pool"]
    page.heading("One experiment")
    rows = [of_problem(case.name, *case.bound(), options.runs) for case in singles]
    page.table(head, rows)
    page.heading("Two experiments")
    page.text("The same initial counts, and twenty times as many.")
    pairs = []
    for seed in options.networks:
        case = random_case(seed)
        if not any(case.initial.values()):
            continue
        whole = Case(case.name, case.network, case.params, case.initial, case.times,
                     list(case.initial))  # fmt: skip
        pairs.append(of_problem(case.name, *of_two_sizes(whole, 20), options.runs))
    page.table(head, pairs)
    pools = [float(row[-1]) for row in [*rows, *pairs]]
    divided = [[float(v) for v in row[-4:-1]] for row in [*rows, *pairs] if row[-2] != "–"]
    gains = [seconds for told, events, seconds in divided if events < _TOO_GOOD * told]
    page.text(
        f"""Runs are divided in {len(divided)} of {len(pools)} problems. In {len(gains)} of these
        they then save a factor of {np.median(gains):.2f} of the time in the median
        ({min(gains):.2f}–{max(gains):.2f}). In the others a gain far beyond the predicted one is
        none: their variance rests on runs that explode, so rare that the divided estimates, with
        fewer runs of that experiment, mostly have not seen any. A pool of estimators would save a
        factor of {max(pools):.2f} at most: where one is best for one parameter it is mostly best
        for all, so `Auto` takes one, and `Pooled` has to be asked for."""
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()

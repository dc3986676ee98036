"""What a gradient costs as parameters and populations grow.

Seconds and runs for a gradient with a relative error of one percent, and memory: for networks of 2
to 1,000 rates, and for an SIR epidemic of 100 to 1,000,000.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _estimators import ESTIMATORS
from _gradient_cases import plain
from _report import Page, arguments, progress, settings
from _workers import Worker
from peers import Network

_WANTED = 0.01
_PARAMETERS = (2, 4, 10, 30, 100, 300, 1000)
_POPULATIONS = tuple(10**power for power in range(2, 7))
_GAMMA, _R0, _INFECTED = 0.5, 2.0, 0.02


@dataclass(frozen=True)
class Case:
    """A network of one size, what is observed of it, and the gradient where that is known. Final.

    ``exact`` is in the logarithms of the rates [P].
    """

    size: int
    network: Network
    observed: tuple[str, ...]
    exact: np.ndarray | None = None


@dataclass(frozen=True)
class Cost:
    """What one estimator needs for the wanted error of one gradient. Final.

    ``seconds`` and ``runs`` for it; ``relative`` error of the gradient measured, of ``measured``
    runs; ``deviation`` from the reference over what is expected; ``memory`` at most, and
    ``before``, after a first estimate of a few runs, in MiB.
    """

    seconds: float
    runs: float
    relative: float
    measured: int
    deviation: float
    memory: float
    before: float


def main() -> None:
    """Print the page."""
    options = _options()
    os.sched_setaffinity(0, {options.core})  # the workers inherit it
    page = Page("gradient_scaling", "What a gradient costs as problems grow")
    _introduce(page, options)
    _sweep(
        page,
        "Number of parameters",
        """Independent counts, each with an immigration and a death of its own: half as many species
        as rates. k is between 5 and 15, γ between 0.5 and 1.5, T = 2. The loss is the sum of all
        means, so each of its derivatives depends on one species, and every run carries the noise of
        all. *Deviation* is the length of the error, against the closed form, over √(Σ variances):
        about one where there is no bias.""",
        [_immigration(size) for size in options.parameters],
        options,
    )
    _sweep(
        page,
        "Population",
        f"""SIR at R0 = {_R0:g}, γ = {_GAMMA:g}, with {100 * _INFECTED:g} % infected at first; the
        mean of I at T = 4, and two rates. *Deviation* is from the estimate with the least error
        of the same size.""",
        [_epidemic(size) for size in options.populations],
        options,
    )
    page.finish(options.save)


def _options() -> argparse.Namespace:
    parser = arguments(__doc__)
    parser.add_argument("--parameters", type=int, nargs="*", default=list(_PARAMETERS))
    parser.add_argument("--populations", type=int, nargs="*", default=list(_POPULATIONS))
    parser.add_argument("--estimators", nargs="*", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--seconds", type=float, default=10.0, help="CPU seconds of a gradient")
    parser.add_argument("--patience", type=float, default=1200.0, help="seconds of a process")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--quick", action="store_true", help="small sizes, a second each")
    options = parser.parse_args()
    if options.quick:
        options.seconds, options.patience = 1.0, 300.0
        if options.parameters == list(_PARAMETERS):
            options.parameters = [2, 20, 100]
        if options.populations == list(_POPULATIONS):
            options.populations = [100, 10_000]
    return options


def _introduce(page: Page, options: argparse.Namespace) -> None:
    page.text(
        f"""Seconds and runs until the gradient, in the logarithms of the rates, has a relative
        error of {100 * _WANTED:g} %: √(Σ variances) = {_WANTED:g} × its length. They are
        extrapolated: an estimate of about {options.seconds:g} CPU seconds has the relative error r,
        and the variance of all estimators falls as one over the runs, so the seconds for
        {100 * _WANTED:g} % are those that it took times (r / {_WANTED:g})²; less than what was
        measured where r is smaller. An estimator cannot in fact take less than four joint samples.
        Compilation is left out. Every figure comes from a process of its own, on one core."""
    )
    page.text(f"Options: `{settings(options)}`.")


def _sweep(
    page: Page, title: str, about: str, cases: Sequence[Case], options: argparse.Namespace
) -> None:
    if not cases:
        return
    page.heading(title)
    page.text(about)
    costs: dict[int, dict[str, Cost]] = {}
    failures: list[list[Any]] = []
    for case in cases:
        answers = _ask(case, options, failures)
        costs[case.size] = _costs(case, answers)
    names = options.estimators
    page.table(
        [f"seconds for {100 * _WANTED:g} %", *names],
        [[f"{size:,}", *(_shown(found.get(e), "seconds") for e in names)]
         for size, found in costs.items()]
        + [["grows as size to the", *(_slope(costs, e) for e in names)]],
    )  # fmt: skip
    page.table(
        [f"runs for {100 * _WANTED:g} %", *names],
        [[f"{size:,}", *(_shown(found.get(e), "runs") for e in names)]
         for size, found in costs.items()],
    )  # fmt: skip
    page.table(
        ["size", "estimator", "runs measured", "relative error", "deviation", "MiB after 64 runs",
         "MiB at most"],
        [
            [f"{size:,}", name, f"{cost.measured:,}", f"{100 * cost.relative:.2g} %",
             f"{cost.deviation:.2f}", f"{cost.before:.0f}", f"{cost.memory:.0f}"]
            for size, found in costs.items()
            for name, cost in found.items()
        ],
    )  # fmt: skip
    if failures:
        page.table(["size", "estimator", "no figure because"], failures)


def _ask(
    case: Case, options: argparse.Namespace, failures: list[list[Any]]
) -> dict[str, dict[str, Any]]:
    worker = Worker("peers.tumble_gradients")
    answers = {}
    for name in options.estimators:
        progress(f"size {case.size}: {name}")
        reply = worker.ask(
            {
                "task": "gradient",
                "network": plain(case.network),
                "observed": list(case.observed),
                "estimator": name,
                "seconds": options.seconds,
                "patience": options.patience / 2,
                "seed": 0,
            },
            options.patience,
        )
        if reply.lines:
            answers[name] = reply.last
        else:
            failures.append([case.size, name, reply.failure])
    return answers


def _costs(case: Case, answers: Mapping[str, dict[str, Any]]) -> dict[str, Cost]:
    gradients = {name: np.array(answer["gradient"]) for name, answer in answers.items()}
    variances = {name: np.array(answer["variances"]) for name, answer in answers.items()}
    reference = case.exact
    if reference is None and answers:
        reference = gradients[min(answers, key=lambda name: variances[name].sum())]
    costs = {}
    for name, answer in answers.items():
        relative = float(np.sqrt(variances[name].sum()) / np.linalg.norm(reference))
        factor = (relative / _WANTED) ** 2
        error = np.linalg.norm(gradients[name] - reference)
        costs[name] = Cost(
            factor * answer["seconds"],
            factor * answer["runs"],
            relative,
            answer["runs"],
            float(error / np.sqrt(variances[name].sum())),
            answer["memory"],
            answer["memory_before"],
        )
    return costs


def _shown(cost: Cost | None, what: str) -> str:
    if cost is None:
        return "–"
    return f"{cost.runs:,.0f}" if what == "runs" else f"{cost.seconds:.2g}"


def _slope(costs: Mapping[int, Mapping[str, Cost]], name: str) -> str:
    """Return the slope of log seconds over log size, from the geometric middle of the sizes on."""
    middle = np.sqrt(min(costs) * max(costs))
    points = [(s, found[name].seconds) for s, found in costs.items() if name in found]
    upper = [point for point in points if point[0] >= middle]
    used = upper if len(upper) > 1 else points
    if len(used) < 2:
        return "–"
    sizes, seconds = np.log(used).T
    return f"{np.polyfit(sizes, seconds, 1)[0]:.2f}"


# -- networks ----------------------------------------------------------------


def _immigration(num_parameters: int) -> Case:
    num_species = max(1, num_parameters // 2)
    place = (np.arange(num_species) + 0.5) / num_species
    immigration, death, end = 5 + 10 * place, 1.5 - place, 2.0
    species = tuple(f"X{i}" for i in range(num_species))
    reactions = []
    for name, k, gamma in zip(species, immigration, death, strict=True):
        reactions += [({}, {name: 1}, float(k)), ({name: 1}, {}, float(gamma))]
    e = np.exp(-death * end)
    mean = immigration / death * (1 - e)
    exact = np.stack([mean, immigration * end * e - mean], axis=1).ravel()
    network = Network(
        species, (0,) * num_species, tuple(reactions), end, 2, most_events=200 * num_species
    )
    return Case(2 * num_species, network, species, exact)


def _epidemic(population: int) -> Case:
    infected = max(1, round(_INFECTED * population))
    network = Network(
        ("S", "I", "R"),
        (population - infected, infected, 0),
        (
            ({"S": 1, "I": 1}, {"I": 2}, _R0 * _GAMMA / population),
            ({"I": 1}, {"R": 1}, _GAMMA),
        ),
        4.0,
        2,
        most_events=2 * population,
    )
    return Case(population, network, ("I",))


if __name__ == "__main__":
    main()

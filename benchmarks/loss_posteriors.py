"""Do posteriors by losses mean what they say? Simulation-based calibration beside fits."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _rows import Rows
from scipy.stats import binom

import tumble as tb
from tumble.diagnostics import check_calibration
from tumble.distances import EnergyDistance
from tumble.objectives import AbstractObjective, DistributionMatching, MomentMatching
from tumble.posteriors import FreshRuns, LossPosterior
from tumble.priors import LogNormal

_DRAWS = 300  # effective ones of a posterior: ranks need no more
_JUDGED = 200  # data sets that a posterior is compared with
_LEVELS = ("0.5", "0.8", "0.95")


@dataclass(frozen=True)
class Case:
    """A model, the medians and log standard deviations of its rates, and how it is observed.

    ``plain``, the weight with which a loss of squares would be a −log likelihood if its features
    were independent; None where there is no such thing.
    """

    name: str
    network: str
    rates: Mapping[str, tuple[float, float]]
    known: Mapping[str, float]
    initial: Mapping[str, int]
    observed: str
    times: tuple[float, ...]
    count: int
    objective: AbstractObjective
    snapshots: bool = False
    plain: float | None = None

    def problem(self) -> tb.Problem:
        """Return a problem; of its data the shape counts."""
        model = tb.ReactionNetwork.from_text(self.network, species=tuple(self.initial))
        truth = {name: median for name, (median, _) in self.rates.items()}
        runs = tb.simulate(
            model, {**truth, **self.known}, initial=self.initial, times=self.times,
            num_samples=self.count, seed=0, progress=False,
        ).data.sel(species=[self.observed])  # fmt: skip
        data = runs.rename(sample="replicate", species="observable").astype(float)
        kind = "snapshots" if self.snapshots else "series"
        parameters = {
            name: tb.Parameter(median * np.exp(-4 * sd), median * np.exp(4 * sd),
                               prior=LogNormal(float(np.log(median)), sd))
            for name, (median, sd) in self.rates.items()
        }  # fmt: skip
        experiment = tb.Experiment(data, dict(self.initial), kind=kind)
        return tb.Problem(model, [experiment], {**parameters, **self.known})


_IMMIGRATION = Case(
    "immigration–death, means of 50 replicates at 10 times",
    "0 -> X ; k\nX -> 0 ; gamma", {"k": (10.0, 0.5), "gamma": (1.0, 0.5)}, {}, {"X": 0}, "X",
    tuple(np.linspace(0.5, 5, 10)), 50, MomentMatching(order=1), plain=50 * 10 / 2,
)  # fmt: skip
_SIR = Case(
    "SIR of 300, means of I of 20 replicates at 10 times",
    "S + I -> 2 I ; beta\nI -> R ; gamma", {"beta": (0.02, 0.3), "gamma": (2.0, 0.3)}, {},
    {"S": 290, "I": 10, "R": 0}, "I", tuple(np.linspace(0.2, 2, 10)), 20, MomentMatching(order=1),
    plain=20 * 10 / 2,
)  # fmt: skip
_TELEGRAPH = Case(
    "telegraph gene, energy distance of 200 cells at 4 times",
    "Off -> On ; k_on\nOn -> Off ; k_off\nOn -> On + M ; k_m\nM -> 0 ; d",
    {"k_on": (0.3, 0.5), "k_off": (0.2, 0.5), "k_m": (40.0, 0.5)}, {"d": 1.0},
    {"Off": 1, "On": 0, "M": 0}, "M", (1.0, 2.0, 4.0, 8.0), 200,
    DistributionMatching(EnergyDistance()), snapshots=True,
)  # fmt: skip
CASES = {
    "immigration": _IMMIGRATION,
    "sir": _SIR,
    "few": replace(
        _IMMIGRATION, name="immigration–death, means of 4 replicates at 3 times", count=4,
        times=(0.5, 1.5, 4.0), plain=None,
    ),
    "telegraph": _TELEGRAPH,
}  # fmt: skip
WAYS = ("fit", "loss", "plain", "fresh")
_NAMES = {
    "fit": "`fit`, its normal law",
    "loss": "`LossPosterior()`",
    "plain": "the same with `weight=`, unadjusted",
    "fresh": "the same with `slopes=FreshRuns()`",
}


class Answers:
    """Answers of one way, and what they cost. Final."""

    def __init__(self, way: str, case: Case) -> None:
        self._way, self._objective, self._plain = way, case.objective, case.plain
        each = case.count * (len(case.times) if case.snapshots else 1)
        self._judged = _JUDGED * each
        self.costs: list[tuple[float, float, float]] = []

    def __call__(self, problem: tb.Problem) -> Any:
        """Return the answer to a problem."""
        began = time.perf_counter()
        seed = len(self.costs)
        if self._way == "fit":
            found: Any = tb.fit(problem, objective=self._objective, seed=seed, progress=False)
            draws = np.nan
        else:
            method = LossPosterior(self._objective, num_draws=_DRAWS)
            if self._way == "plain":
                method = replace(method, weight=self._plain)
            elif self._way == "fresh":
                method = replace(method, slopes=FreshRuns())
            found = tb.sample_posterior(problem, method=method, seed=seed, progress=False)
            draws = found.effective_sample_size
        seconds, runs = time.perf_counter() - began, found.stats["runs"]
        # The data sets by which `sample_posterior` judges the model are no part of the sampling.
        self.costs.append((seconds, runs - (0 if self._way == "fit" else self._judged), draws))
        return found


def checked(case: Case, way: str, repeats: int) -> dict[str, Any]:
    """Check one way on one case."""
    answers = Answers(way, case)
    method: Callable[[tb.Problem], Any] = answers.__call__
    found = check_calibration(
        case.problem(), method=method, num_repeats=repeats, seed=1, progress=False
    )
    progress(f"{case.name}, {way}: {found.summary()}")
    seconds, runs, draws = np.median(np.array(answers.costs), axis=0).tolist()
    return {**found.to_dict(), "seconds": seconds, "runs": runs, "draws": draws}


def row_of(way: str, found: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    parameters, count = found["parameters"], found["repeats"]
    held = [" ".join(f"{100 * p['coverage'][level]:.0f}" for p in parameters) for level in _LEVELS]
    verdicts = ", ".join(f"{p['name']} {p['verdict']}" for p in parameters)
    if all(p["verdict"] == "calibrated" for p in parameters):
        verdicts = "calibrated" if found["calibrated"] else "NOT calibrated jointly"
    worst = min([found["p_value_jointly"], *(p["p_value"] for p in parameters)])
    return [_NAMES[way], f"{count} of {count + len(found['failed'])}", *held, verdicts,
            f"{worst:.2g}", f"{found['runs']:.2g}", f"{found['seconds']:.1f}"]  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--fresh-repeats", type=int, default=10)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    low, high = 100 * binom.ppf([0.005, 0.995], options.repeats, 0.95) / options.repeats
    page = Page("loss_posteriors", "Do posteriors by losses mean what they say?")
    page.text(
        f"""Parameters are drawn from the prior (log-normal, with standard deviations of 0.3 to 0.5
        in the logarithm), a data set is simulated at each, and every way answers it by the same
        loss. *Holds*: in how many per cent of the answers the central intervals of 50, 80 and 95 %
        hold the truth, for each parameter in turn; posteriors have {_DRAWS} effective draws. Of
        {options.repeats} repeats, an interval of 95 % should hold it in {low:.0f} to {high:.0f} %,
        the central 99 % of the binomial distribution; of fresh runs, which take long, there are
        fewer.
        Verdicts of `check_calibration`; the p-value is the least of all parameters and of the joint
        test. Runs and seconds are medians over answers; those of posteriors include the fit, but
        not the runs of {_JUDGED} data sets that are simulated to see whether the data are unlike
        the model. Processors
        were shared with other work, so that seconds compare ways and say little else. Without
        adjustment the weight is that by which the loss would be a −log likelihood if times were
        independent. Cases of the script that are not asked for are not on this page.
        {settings(options)}"""
    )
    kept = Rows(options.rows)
    for name in options.cases:
        case, rows = CASES[name], []
        page.heading(case.name[0].upper() + case.name[1:])
        for way in options.ways:
            if (way == "plain" and case.plain is None) or (
                way == "fresh" and name != "immigration"
            ):
                continue
            repeats = options.fresh_repeats if way == "fresh" else options.repeats
            made = kept.get(
                (f"{name}: {way}", repeats),
                lambda case=case, way=way, repeats=repeats: checked(case, way, repeats),
            )
            rows.append(row_of(way, made))
        page.table(
            ["way", "answers", "50 % holds", "80 %", "95 %", "verdict", "least p", "runs",
             "seconds"],
            rows,
        )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()

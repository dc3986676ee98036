"""What whole distributions, and their exact laws, add to two moments of snapshots.

Each case draws fresh snapshots (seeds 0, 1, 2, …), other cells at every time, and fits them with
each objective. Errors are on the scale of the logarithm; intervals of 95 % are counted.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from _report import Page, arguments, settings
from _rows import Rows
from scipy.stats import binom

import tumble as tb
from tumble.distances import EnergyDistance, MaximumMeanDiscrepancy, WassersteinDistance
from tumble.objectives import (
    AbstractObjective,
    DistributionMatching,
    MomentMatching,
    PathLikelihood,
)
from tumble.simulators import FiniteStateProjection

_LEVEL = 0.95
_MOST_RUNS = 2e5
_HALF = 10.0  # bounds are this factor to either side of the truth


@dataclass(frozen=True)
class Case:
    """A model, the truth, what is held known, and how it is observed."""

    name: str
    network: str
    truth: Mapping[str, float]
    known: Mapping[str, float]
    initial: Mapping[str, int]
    observed: str
    times: tuple[float, ...]
    cells: int
    tolerance: float = 0.003

    def problem(self, seed: int) -> tb.Problem:
        """Return the problem with fresh snapshots."""
        model = tb.ReactionNetwork.from_text(self.network)
        columns = []
        for i, t in enumerate(self.times):
            run = tb.simulate(
                model, {**self.truth, **self.known}, initial=self.initial, times=[t],
                num_samples=self.cells, seed=1000 * seed + i, progress=False,
            )  # fmt: skip
            columns.append(run.data.sel(species=self.observed).values[:, 0])
        data = xr.DataArray(
            np.stack(columns, axis=1)[..., None].astype(float),
            dims=("replicate", "time", "observable"),
            coords={"time": list(self.times), "observable": [self.observed]},
        )
        parameters = {k: tb.Parameter(v / _HALF, v * _HALF) for k, v in self.truth.items()}
        return tb.Problem(
            model,
            [tb.Experiment(data, self.initial, kind="snapshots")],
            {**parameters, **self.known},
        )


CASES = {
    "immigration": Case(
        "immigration–death, one mode: 500 cells at 3 times",
        "0 -> X ; k\nX -> 0 ; gamma", {"k": 10.0, "gamma": 1.0}, {}, {"X": 0}, "X",
        (0.5, 1.5, 4.0), 500,
    ),
    "telegraph": Case(
        "telegraph gene, two modes: 500 cells at 4 times",
        "Off -> On ; k_on\nOn -> Off ; k_off\nOn -> On + M ; k_m\nM -> 0 ; d",
        {"k_on": 0.3, "k_off": 0.2, "k_m": 40.0}, {"d": 1.0}, {"Off": 1, "On": 0, "M": 0}, "M",
        (1.0, 2.0, 4.0, 8.0), 500,
    ),
    "switch": Case(
        "self-activating gene, two modes: 500 cells at 2 times",
        "0 => P ; b + V * P^4 / (K^4 + P^4)\nP -> 0 ; d",
        {"b": 3.0, "V": 25.0, "K": 12.0}, {"d": 1.0}, {"P": 8}, "P", (1.0, 3.0), 500,
        tolerance=0.02,
    ),
}  # fmt: skip

OBJECTIVES: Mapping[str, AbstractObjective] = {
    "two moments": MomentMatching(),
    "energy distance": DistributionMatching(EnergyDistance()),
    "maximum mean discrepancy": DistributionMatching(MaximumMeanDiscrepancy()),
    "Wasserstein distance": DistributionMatching(WassersteinDistance()),
    "exact law": PathLikelihood(FiniteStateProjection()),
}


@dataclass(frozen=True)
class Repeat:
    """What one data set gave: errors and stated errors [P], coverage [P], how it ended, cost."""

    errors: list[float]
    stated: list[float]
    inside: list[bool]
    result: str
    seconds: float
    runs: float


def fit_once(case: Case, objective: AbstractObjective, seed: int) -> dict[str, Any]:
    """Fit one data set."""
    truth = np.array(list(case.truth.values()))
    problem = case.problem(seed)
    began = time.perf_counter()
    fit = tb.fit(
        problem, objective=objective, tolerance=case.tolerance, seed=seed, progress=False,
        budget=tb.Budget(simulations=_MOST_RUNS),
    )  # fmt: skip
    bounds = np.array([e.interval for e in fit.estimates])
    return asdict(
        Repeat(
            np.log(fit.theta / truth).tolist(),
            np.sqrt(np.diag(fit.covariance)).tolist(),
            ((bounds[:, 0] <= truth) & (truth <= bounds[:, 1])).tolist(),
            fit.result.value,
            time.perf_counter() - began,
            fit.stats["runs"],
        )
    )


def central_range(count: int) -> tuple[int, int]:
    """Return the central 99 % range of a binomial count at the nominal level."""
    low, high = binom.ppf([0.005, 0.995], count, _LEVEL)
    return int(low), int(high)


def write_case(page: Page, case: Case, repeats: Mapping[str, list[Repeat]]) -> None:
    """Write the tables of a case."""
    page.heading(case.name[0].upper() + case.name[1:])
    rows = []
    for name, found in repeats.items():
        low, high = central_range(len(found))
        for j, parameter in enumerate(case.truth):
            errors = np.array([r.errors[j] for r in found])
            stated = np.array([r.stated[j] for r in found])
            count = int(sum(r.inside[j] for r in found))
            rows.append(
                [name, parameter, case.truth[parameter], f"{np.sqrt(np.mean(errors**2)):.3f}",
                 f"{np.median(np.abs(errors)):.3f}", f"{errors.mean():+.3f}",
                 f"{np.nanmedian(stated):.3f}", f"{count} of {len(found)}",
                 "yes" if low <= count <= high else "**no**"]
            )  # fmt: skip
    page.table(
        ["objective", "parameter", "truth", "rmse", "median absolute error", "mean error",
         "median stated error", "covered", "in range"],
        rows,
    )  # fmt: skip
    lines = []
    for name, found in repeats.items():
        endings: dict[str, int] = {}
        for r in found:
            endings[r.result] = endings.get(r.result, 0) + 1
        lines.append(
            [name, ", ".join(f"{k} {v}" for k, v in endings.items()),
             f"{np.median([r.seconds for r in found]):.1f}",
             f"{np.median([r.runs for r in found]):.2g}"]
        )  # fmt: skip
    page.table(["objective", "how fits ended", "median seconds", "median runs"], lines)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=60)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument(
        "--objectives", nargs="*", choices=list(OBJECTIVES), default=list(OBJECTIVES)
    )
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    kept = Rows(options.rows)
    warnings.simplefilter("ignore")
    low, high = central_range(options.repeats)
    page = (
        Page("snapshot_laws", "Snapshots by moments, by distances, and by their exact law")
        if "exact law" in options.objectives
        else Page("snapshot_objectives", "Two moments or whole distributions?")
    )
    page.text(
        f"""For each case, {options.repeats} data sets of snapshots (seeds 0 …
        {options.repeats - 1}) are drawn by exact simulation, other cells at each time, and fitted
        with each objective, within bounds of a factor {_HALF:g} to either side of the truth.
        Errors are of the logarithm: 0.05 is 5 %. An interval of 95 % should hold the truth in
        {low} … {high} of {options.repeats} data sets, the central 99 % of the binomial
        distribution. A fit may spend {_MOST_RUNS:,.0f} runs; the exact law, by finite state
        projection, takes none. {settings(options)}"""
    )
    for key in options.cases:
        repeats: dict[str, list[Repeat]] = {}
        for name in options.objectives:
            rows = [
                kept.get(
                    (f"{key}, {name}", s),
                    lambda s=s, key=key, name=name: fit_once(CASES[key], OBJECTIVES[name], s),
                )
                for s in range(options.repeats)
            ]
            repeats[name] = [Repeat(*(row[f.name] for f in fields(Repeat))) for row in rows]
        write_case(page, CASES[key], repeats)
    page.finish(options.save)


if __name__ == "__main__":
    main()

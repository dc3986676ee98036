"""How often 95 % intervals hold the truth.

Each case draws fresh data (seeds 0, 1, 2, …), fits them with the defaults of `tumble.fit`, and
counts how often the interval of each parameter holds the truth. For the first data sets the
minimum of the objective is found a second time, by SciPy from another start.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _report import Page, arguments, progress
from scipy.optimize import minimize
from scipy.stats import binom

import tumble as tb

_LEVEL = 0.95
_HALF = 10.0  # bounds are this factor to either side of the truth
_SIR = "S + I -> 2 I ; beta\nI -> R ; gamma"
_IMMIGRATION = "0 -> X ; k\nX -> 0 ; gamma"


@dataclass(frozen=True)
class Case:
    """A model, the truth, and how it is observed."""

    name: str
    network: str
    truth: Mapping[str, float]
    initial: Mapping[str, int]
    times: np.ndarray
    replicates: int = 1
    observed: str = ""  # this species alone, with negative binomial noise phi

    def problem(self, seed: int) -> tb.Problem:
        """Return the problem with fresh data."""
        model = tb.ReactionNetwork.from_text(self.network)
        rates = {k: self.truth[k] for k in model.parameters}
        runs = tb.simulate(
            model, rates, initial=self.initial, times=self.times, num_samples=self.replicates,
            seed=seed,
        )  # fmt: skip
        parameters = {k: tb.Parameter(v / _HALF, v * _HALF) for k, v in self.truth.items()}
        if not self.observed:
            experiment = tb.Experiment(runs, self.initial)
            return tb.Problem(model, experiments=[experiment], parameters=parameters)
        # Not of the library: numpy draws the measurement noise.
        mean = runs.data.sel(species=self.observed).values[0].astype(float)
        phi = self.truth["phi"]
        rng = np.random.default_rng(seed)
        counts = rng.negative_binomial(phi, phi / (phi + np.maximum(mean, 1e-9)))
        return tb.Problem(
            model,
            experiments=[tb.Experiment({"time": self.times, "y": counts}, self.initial)],
            observables={"y": tb.Observable(self.observed, tb.noise.NegativeBinomial("phi"))},
            parameters=parameters,
        )


CASES = {
    "sir": Case(
        "SIR of 2,000, all species, one series of 101 times",
        _SIR, {"beta": 0.02, "gamma": 5.0}, {"S": 1980, "I": 20, "R": 0}, np.linspace(0, 1, 101),
    ),
    "immigration": Case(
        "immigration-death, one series of 101 times",
        _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, {"X": 0}, np.linspace(0, 20, 101),
    ),
    "noisy": Case(
        "SIR of 500, I counted at 20 times with negative binomial noise",
        _SIR, {"beta": 0.08, "gamma": 5.0, "phi": 20.0}, {"S": 490, "I": 10, "R": 0},
        np.linspace(0.05, 1, 20), observed="I",
    ),
    "replicates": Case(
        "immigration-death, 50 replicates of 101 times",
        _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, {"X": 0}, np.linspace(0, 20, 101), replicates=50,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Repeat:
    """What one data set gave, one entry a parameter."""

    z: np.ndarray
    errors: np.ndarray
    inside: np.ndarray
    result: str
    seconds: float
    distance: float
    shift: float
    uncertainty: str


def run_case(case: Case, count: int, checked: int) -> list[Repeat]:
    """Fit ``count`` data sets; compare the first ``checked`` with a second optimizer."""
    truth = np.array(list(case.truth.values()))
    repeats = []
    for seed in range(count):
        problem = case.problem(seed)
        began = time.perf_counter()
        fit = tb.fit(problem, seed=seed, progress=False)
        seconds = time.perf_counter() - began
        errors = np.sqrt(np.diag(fit.covariance))
        bounds = np.array([e.interval for e in fit.estimates])
        inside = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
        distance = np.nan
        shift = np.full(len(truth), np.nan)
        if seed < checked:
            shift = np.abs(fit.fit_scale - independent_minimum(case, fit, truth))
            distance = float(np.max((shift / errors)[errors > 0], initial=0.0))
        repeats.append(
            Repeat(
                z=np.log(fit.theta / truth),
                errors=errors,
                inside=inside,
                result=fit.result.value,
                seconds=seconds,
                distance=distance,
                shift=float(shift.max()),
                uncertainty=fit.uncertainty,
            )
        )
        if seed % 20 == 19:
            share = np.mean([r.inside for r in repeats], axis=0)
            progress(f"{case.name}: {seed + 1} data sets, covered {share}")
    return repeats


def independent_minimum(case: Case, fit: tb.FitResult, truth: np.ndarray) -> np.ndarray:
    """Return the minimum of the fit's objective [P] by SciPy, from 1.3 times the truth.

    L-BFGS-B, then BFGS. A loss of moments is computed from their closed form, without simulation.
    """
    bound = fit.objective.bind(fit.problem)

    def likelihood(z: np.ndarray) -> tuple[float, np.ndarray]:
        evaluation = bound.evaluate(z[None])
        return float(evaluation.values[0]), evaluation.gradients[0]

    center = fit.problem.experiments[0].data.values.mean(0)[:, 0]

    def moments(z: np.ndarray) -> tuple[float, np.ndarray]:
        k, gamma = np.exp(z)
        e = np.exp(-gamma * case.times)
        mean = k / gamma * (1 - e)  # of a Poisson distribution
        slopes = np.stack([mean, -mean + k * case.times * e], axis=1)
        expected = np.stack([mean, mean + (mean - center) ** 2], axis=1).ravel()
        outer = np.stack([np.ones_like(mean), 1 + 2 * (mean - center)], axis=1)
        jacobian = (outer[:, :, None] * slopes[:, None, :]).reshape(-1, 2)
        return bound.value(expected), bound.slope(expected) @ jacobian

    loss = moments if case.replicates > 1 else likelihood
    space = fit.problem.space
    box = list(zip(space.lower, space.upper, strict=True))
    first = minimize(
        loss, space.to_fit(truth * 1.3), jac=True, method="L-BFGS-B", bounds=box,
        options={"ftol": 1e-15, "gtol": 1e-8, "maxiter": 500},
    )  # fmt: skip
    if np.any(fit.at_bound):
        return np.asarray(first.x)
    second = minimize(loss, first.x, jac=True, method="BFGS", options={"gtol": 1e-7})
    return np.asarray(second.x if second.fun <= first.fun else first.x)


def central_range(count: int) -> tuple[int, int]:
    """Return the central 99 % range of a binomial count at the nominal level."""
    low, high = binom.ppf([0.005, 0.995], count, _LEVEL)
    return int(low), int(high)


def rows_of(case: Case, repeats: list[Repeat], low: int, high: int) -> list[list[Any]]:
    """Return a row of the table for each parameter."""
    rows = []
    for j, name in enumerate(case.truth):
        errors = np.array([r.z[j] for r in repeats])
        stated = np.array([r.errors[j] for r in repeats])
        known = np.isfinite(stated) & (stated > 0)
        count = int(sum(r.inside[j] for r in repeats))
        bias = errors.mean() / (errors.std(ddof=1) / np.sqrt(len(errors)))
        rows.append(
            [name, case.truth[name], f"{count} of {len(repeats)}",
             "yes" if low <= count <= high else "**no**",
             f"{2 * 1.96 * stated[known].mean():.3f}", f"{np.median(errors):+.4f}", f"{bias:+.1f}",
             f"{errors.std(ddof=1):.4f}", f"{np.median(stated[known]):.4f}",
             len(repeats) - int(known.sum())]
        )  # fmt: skip
    return rows


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--checked", type=int, default=20)
    parser.add_argument("--cases", nargs="*", choices=list(CASES), default=list(CASES))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    low, high = central_range(options.repeats)
    page = Page("interval_coverage", "Do intervals cover?")
    page.text(
        f"""For each case, {options.repeats} data sets (seeds 0 … {options.repeats - 1}) are drawn
        by exact simulation and fitted with the defaults of `tumble.fit`, within bounds of a factor
        {_HALF:g} to either side of the truth. An interval of 95 % should hold the truth in
        {low} … {high} of {options.repeats} data sets, the central 99 % of the binomial
        distribution. A parameter whose interval is unknown or that sits at a bound counts as not
        covered. All numbers but the truth are on a log scale: a width of 0.09 is 9 %."""
    )
    failing = []
    for name in options.cases:
        case = CASES[name]
        repeats = run_case(case, options.repeats, options.checked)
        failing += write_case(page, case, repeats, low, high)
    page.heading("In short")
    if failing:
        page.text("**Coverage fails** for " + "; ".join(failing) + ".")
    else:
        page.text("Every count lies in the range, so coverage fails nowhere here.")
    page.finish(options.save)


def write_case(page: Page, case: Case, repeats: list[Repeat], low: int, high: int) -> list[str]:
    """Write the section of a case; return the parameters whose coverage fails."""
    page.heading(case.name[0].upper() + case.name[1:])
    rows = rows_of(case, repeats, low, high)
    page.table(
        ["parameter", "truth", "covered", "in range", "mean width", "median error",
         "mean error / its error", "sd of the errors", "median stated error", "no interval"],
        rows,
    )  # fmt: skip
    endings: dict[str, int] = {}
    for r in repeats:
        endings[r.result] = endings.get(r.result, 0) + 1
    distances = np.array([r.distance for r in repeats])
    distances = distances[np.isfinite(distances)]
    found = ""
    if len(distances):
        shifts = np.array([r.shift for r in repeats if np.isfinite(r.shift)])
        found = (
            f"Distance from the minimum that SciPy finds, first {len(distances)} data sets: median "
            f"{np.median(distances):.1e} and largest {distances.max():.1e} standard errors, or "
            f"{np.median(shifts):.1e} and {shifts.max():.1e} on the log scale."
        )
    ended = ", ".join(f"{k} {v}" for k, v in endings.items())
    seconds = np.median([r.seconds for r in repeats[1:]])
    page.text(
        f"""How the fits ended: {ended}. Intervals from the {repeats[0].uncertainty}. Median
        seconds a fit: {seconds:.2f}. {found}"""
    )
    return [
        f"{row[0]} of {case.name} ({row[2]}; errors have a standard deviation of {row[7]}, and "
        f"{row[8]} is stated)"
        for row in rows
        if row[3] != "yes"
    ]


if __name__ == "__main__":
    main()

"""An infection in movies: every way to its rate, by counts, by frames and by simulation alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _infection_movies import varying_movies
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble._random import Stream
from tumble.gradients import (
    AbstractEstimator,
    AlternativePath,
    CoupledDifference,
    Pathwise,
    ScoreFunction,
)
from tumble.models import (
    Grid,
    InfectionCounts,
    RandomTransition,
    SusceptibleInfected,
    Transitions,
)
from tumble.objectives import ExpectedLoss

_UNKNOWN = {"beta": tb.Parameter(0.01, 0.99, scale="logit")}
_START = {"beta": 0.797}
_ESTIMATORS = (ScoreFunction(), CoupledDifference(), AlternativePath(), Pathwise())
_MEAN, _SD = 0.5, 0.1


class Clock:
    """Seconds of processor time since it was made. Final."""

    def __init__(self) -> None:
        self._began = time.process_time()

    def __str__(self) -> str:
        return f"{time.process_time() - self._began:.2g}"


def ways(page: Page, num: int, size: int, steps: int, seeds: int, frames: bool) -> None:
    """Print β by every way, on the same movies."""
    clock = Clock()
    model = RandomTransition(SusceptibleInfected(Grid((size, size))),
                             varying_movies(num, size, steps, 0))  # fmt: skip
    made = str(clock)
    InfectionCounts.of(model.transitions).maximum_likelihood()  # imports
    clock = Clock()
    counts = InfectionCounts.of(model.transitions)
    counted = str(clock)
    rows: list[list[Any]] = []

    def add(name: str, exact: float, value: float, seconds: Any, note: str = "") -> None:
        rows.append([name, f"{value:.5f}", f"{abs(value - exact):.1e}", str(seconds), note])
        progress(f"{rows[-1]}")

    clock = Clock()
    likely = counts.maximum_likelihood()
    seconds = str(clock)
    exact = _best_of_grid(counts.log_likelihood, likely.value)
    add("counts: likelihood", exact, likely.value, seconds, f"± {likely.standard_error:.5f}")
    clock = Clock()
    least = counts.least_expected_loss()
    seconds = str(clock)
    lowest = _best_of_grid(lambda beta: -counts.expected_loss(beta), least)
    add("counts: expected loss", lowest, least, seconds)
    clock = Clock()
    mean, sd = counts.varying()
    seconds = str(clock)
    add("counts: mean of a β that varies", _MEAN, mean.value, seconds,
        f"± {mean.standard_error:.4f}")  # fmt: skip
    add("counts: its standard deviation", _SD, sd.value, seconds, f"± {sd.standard_error:.4f}")
    if frames:
        whole = tb.Problem(model.transitions, data=model.transitions.data, parameters=_UNKNOWN)
        clock = Clock()
        fit = tb.fit(whole, num_starts=1)
        add("frames: likelihood", exact, fit.params["beta"], clock)
    problem = tb.Problem(model, data=model.data, parameters=_UNKNOWN)
    for label, gradient in (("defaults", None), ("straight-through", Pathwise())):
        for seed in range(seeds if gradient is None else 1):
            clock = Clock()
            fit = tb.fit(problem, objective=ExpectedLoss(), gradient=gradient, start=_START,
                         warm_start=False, seed=seed)  # fmt: skip
            note = f"{fit.stats['runs']:.3g} transitions, {fit.gradient.split(' (')[0]}"
            add(f"simulation: expected loss, {label}, seed {seed}", lowest, fit.params["beta"],
                clock, note)  # fmt: skip
    page.heading(f"{num} movies of {size} × {size} sites and {steps} steps")
    page.text(
        f"""{model.num_transitions} transitions with β ~ Normal(0.5, 0.1) in every step. *Off* is
        the distance from the best point of a fine grid, of the same objective on the same movies,
        or from the truth for a β that varies. Seconds are of one processor; those of the first
        fit of a kind hold the compilation. To read the movies takes {made},
        to count them {counted}. Fits by simulation are of a `RandomTransition`, start from
        {_START["beta"]} and have no
        options; one with `Pathwise()` goes to another place."""
    )
    page.table(["way", "β", "off", "seconds", ""], rows)


def _best_of_grid(function: Callable[[float], float], near: float) -> float:
    fine = near + np.linspace(-1e-3, 1e-3, 4_001)
    return float(fine[np.argmax([function(beta) for beta in fine])])


def gradients(page: Page, num: int, size: int, steps: int, num_runs: int) -> None:
    """Print what each estimator says of the expected loss, beside the exact slope."""
    movies = varying_movies(num, size, steps, 0)
    model = RandomTransition(SusceptibleInfected(Grid((size, size))), movies)
    counts = InfectionCounts.of(model.transitions)
    bound = ExpectedLoss().bind(tb.Problem(model, data=model.data, parameters=_UNKNOWN))
    rows = []
    for beta in (0.3, 0.45, 0.6):
        h = 1e-5
        slope = (counts.expected_loss(beta + h) - counts.expected_loss(beta - h)) / (2 * h)
        exact = slope * beta * (1 - beta)
        z = bound.problem.space.to_fit(np.array([beta]))
        row: list[Any] = [beta, f"{exact:.4g}"]
        for estimator in _ESTIMATORS:
            estimator.estimate(bound, z, num_runs // 4, Stream.from_seed(1))  # compiles
            row += _relative(estimator, bound, z, num_runs, exact)
        rows.append(row)
        progress(f"{row}")
    page.heading("The slope of the expected loss")
    page.text(
        f"""∂ expected loss / ∂ logit β by {num_runs} runs, relative to the exact slope, which is a
        sum over counts, on the movies of {size} × {size} sites; and (*cost*) the squared relative
        error × processor seconds. Straight-through knows how the mean moves, and not how the
        variance does: where the loss is far from its minimum that is no matter, near it it is."""
    )
    head = ["β", "exact"]
    for name in ("scores", "coupled", "alternatives", "straight-through"):
        head += [name, "cost"]
    page.table(head, rows)


def _relative(
    estimator: AbstractEstimator, bound: Any, z: np.ndarray, num_runs: int, exact: float
) -> list[str]:
    began = time.process_time()
    found = estimator.estimate(bound, z, num_runs, Stream.from_seed(0))
    took = time.process_time() - began
    error = float(found.standard_errors[0]) / exact
    return [
        f"{found.gradient[0] / exact:.3f} ± {abs(error):.3f}",
        f"{error**2 * took:.2g}",
    ]


def coverage(page: Page, num: int, size: int, steps: int, repeats: int) -> None:
    """Print how often intervals of the law of β hold the truth."""
    found = []
    for seed in range(repeats):
        movies = varying_movies(num, size, steps, seed)
        model = Transitions(SusceptibleInfected(Grid((size, size))), movies)
        found.append(InfectionCounts.of(model).varying())
        if seed % 20 == 19:
            progress(f"{seed + 1} of {repeats}")
    rows = []
    for k, (name, truth) in enumerate((("mean", _MEAN), ("standard deviation", _SD))):
        values = np.array([f[k].value for f in found])
        errors = np.array([f[k].standard_error for f in found])
        held = int((np.abs(values - truth) < 1.96 * errors).sum())
        rows.append([name, truth, f"{values.mean():.5f}", f"{values.std(ddof=1):.5f}",
                     f"{errors.mean():.5f}", f"{2 * 1.96 * errors.mean():.4f}",
                     f"{held} of {repeats}"])  # fmt: skip
    page.heading("A β that varies: do intervals hold the truth?")
    page.text(
        f"""`InfectionCounts.varying` on {repeats} data sets of {num} movies of {size} × {size}
        sites and {steps} steps. Of 200 intervals of 95 %, 181 to 197 hold the truth (the central
        99 % of the binomial law). Movies end before the frame in which all sites are infected, as
        published, which leaves out some of the largest β."""
    )
    page.table(["", "truth", "mean estimate", "sd", "mean stated error", "width", "hold it"], rows)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=2, help="fits by simulation")
    parser.add_argument("--repeats", type=int, default=200, help="data sets of a β that varies")
    parser.add_argument("--runs", type=int, default=16_000, help="of a gradient")
    parser.add_argument("--parts", nargs="*", default=["small", "large", "gradients", "coverage"])
    options = parser.parse_args()
    page = Page("infections", "An infection in movies")
    page.text(f"Options: `{settings(options)}`.")
    if "small" in options.parts:
        ways(page, 500, 25, 15, options.seeds, True)
    if "large" in options.parts:
        ways(page, 100, 64, 30, 1, False)
    if "gradients" in options.parts:
        gradients(page, 500, 25, 15, options.runs)
    if "coverage" in options.parts:
        coverage(page, 500, 25, 15, options.repeats)
    page.finish(options.save)


if __name__ == "__main__":
    main()

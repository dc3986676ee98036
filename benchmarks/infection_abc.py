"""The infection automaton by ABC and by gradients: simulations, seconds, error and coverage."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _infection_movies import varying_movies
from _report import Page, arguments, progress, settings
from _rows import Rows

import tumble as tb
from tumble.models import Grid, InfectionCounts, RandomTransition, SusceptibleInfected, Transitions
from tumble.posteriors import ABCMCMC, SMCABC, TSNPE, RejectionABC

_MEAN = 0.2
_UNKNOWN = {"beta": tb.Parameter(0.01, 0.99, scale="logit")}
# Of the paper that compared them, in seconds; its data and hardware were its own.
_PUBLISHED = {"rejection ABC": 5280, "ABC-MCMC": 1320, "SMC-ABC": 7200, "gradient fit": 129}
_ABC = {
    "rejection ABC": RejectionABC(num_simulations=5000, num_particles=250),
    "ABC-MCMC": ABCMCMC(num_draws=200),
    "SMC-ABC": SMCABC(),
    "learnt density (TSNPE)": TSNPE(num_data_sets=2000),
}


def counts_of(movies: list[np.ndarray], steps: int) -> np.ndarray:
    """Return the infected sites of movies [N, T]; one that has ended stays full."""
    table = np.empty((len(movies), steps))
    for row, movie in zip(table, movies, strict=True):
        infected = movie.reshape(len(movie), -1).sum(1)[1:]
        row[: len(infected)] = infected
        row[len(infected) :] = movie[0].size
    return table


def answers(num: int, size: int, steps: int, sd: float, seed: int) -> dict[str, dict[str, Any]]:
    """Return what every way says of one data set, and what it took."""
    movies = varying_movies(num, size, steps, seed, mean=_MEAN, sd=sd)
    lattice = SusceptibleInfected(Grid((size, size)))
    times = np.arange(1, steps + 1)
    seen = counts_of(movies, steps)
    problem = tb.Problem(
        lattice, experiments=[tb.Experiment(_replicates(times, seen))], parameters=_UNKNOWN
    )
    found: dict[str, dict[str, Any]] = {}
    for name, method in _ABC.items():
        posterior, seconds = timed(
            lambda method=method: tb.sample_posterior(
                problem, method=method, seed=seed, progress=False
            )
        )
        low, high = posterior.intervals()["beta"]
        found[name] = {
            "beta": posterior.mean()["beta"], "low": low, "high": high, "seconds": seconds,
            "runs": posterior.stats["runs"], "ended": posterior.result.value,
        }  # fmt: skip
        progress(f"{name}: {found[name]}")
    transitions = RandomTransition(lattice, movies)
    by_frames = tb.Problem(transitions, data=transitions.data, parameters=_UNKNOWN)
    fit, seconds = timed(
        lambda: tb.fit(by_frames, objective=tb.objectives.ExpectedLoss(), seed=seed, progress=False)
    )
    found["gradient fit"] = {**_of_fit(fit), "seconds": seconds}
    whole, seconds = timed(
        lambda: InfectionCounts.of(Transitions(lattice, movies)).maximum_likelihood()
    )
    half = 1.96 * whole.standard_error
    found["exact likelihood of counts"] = {
        "beta": whole.value, "low": whole.value - half, "high": whole.value + half,
        "seconds": seconds, "runs": 0.0, "ended": "",
    }  # fmt: skip
    return found


def _replicates(times: np.ndarray, seen: np.ndarray) -> Any:
    import xarray as xr

    return xr.DataArray(
        seen[:, :, None], dims=("replicate", "time", "observable"),
        coords={"time": times, "observable": ["infected"]},
    )  # fmt: skip


def _of_fit(fit: Any) -> dict[str, Any]:
    (estimate,) = fit.estimates
    low, high = estimate.interval
    return {
        "beta": estimate.value, "low": low, "high": high, "runs": fit.stats["runs"],
        "ended": fit.result.value,
    }  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what came of it, and seconds."""
    began = time.perf_counter()
    return work(), time.perf_counter() - began


def row_of(name: str, found: list[dict[str, Any]]) -> list[Any]:
    """Return a row of the table."""
    errors = [abs(row["beta"] - _MEAN) for row in found]
    held = sum(row["low"] <= _MEAN <= row["high"] for row in found)
    widths = [row["high"] - row["low"] for row in found]
    known = bool(np.isfinite(widths).all())
    seconds = float(np.median([row["seconds"] for row in found]))
    published = _PUBLISHED.get(name)
    return [
        name, f"{np.median([row['beta'] for row in found]):.5f}", f"{np.median(errors):.1e}",
        f"{np.median(widths):.1e}" if known else "–", f"{held} of {len(found)}" if known else "–",
        f"{np.median([row['runs'] for row in found]):,.0f}", f"{seconds:.2g}",
        f"{published:,}" if published else "–", f"{published / seconds:,.0f}" if published else "–",
    ]  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--movies", type=int, default=500)
    parser.add_argument("--size", type=int, default=30)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--sd", type=float, default=0.0, help="of β from step to step")
    parser.add_argument("--repeats", type=int, default=5, help="data sets")
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    page = Page("infection_abc", "An infection by ABC and by gradients")
    kept = Rows(options.rows)
    found = [
        kept.get(
            ("data set", seed),
            lambda seed=seed: answers(
                options.movies, options.size, options.steps, options.sd, seed
            ),
        )
        for seed in range(options.repeats)
    ]
    names = [*_ABC, "gradient fit", "exact likelihood of counts"]
    rows = [row_of(name, [each[name] for each in found]) for name in names]
    page.text(
        f"""{options.movies} movies of {options.size} × {options.size} sites and {options.steps}
        steps with β = {_MEAN}, one infected site in the middle. ABC sees the mean and the standard
        deviation over movies of the number of infected, at each step, and simulates as many movies
        for each data set; prior uniform in the logit of β between .01 and .99. The gradient fit is
        of single transitions of these movies, by simulation (`ExpectedLoss`), the last row the
        exact likelihood. Medians over {options.repeats} data sets; *off* is the distance from the
        truth, *holds* in how many the 95 % interval holds it. Seconds on one core with compilation.
        *Published*: seconds of
        J. Schering, Backpropagation of Approximate Gradients for Stochastic Lattice Models (thesis,
        Radboud University, 2023) on data of this kind, on another machine. {settings(options)}"""
    )
    head = ["way", "β", "off", "width", "holds", "runs", "seconds", "published", "ratio"]
    page.table(head, rows)
    page.finish(options.save)


if __name__ == "__main__":
    main()

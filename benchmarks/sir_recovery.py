"""Rates of the SIR model from many averaged runs, from random starts over three decades.

Data: the mean of 10,000 exact runs at 101 times. Each fit starts at a random point, uniform on a
log scale over the bounds, three decades around the truth, with the defaults of `tumble.fit`.
"""

from __future__ import annotations

import time

import numpy as np
from _report import Page, arguments, progress

import tumble as tb

_TRUTH = {"beta": 0.02, "gamma": 5.0}
_INITIAL = {"S": 1980, "I": 20, "R": 0}
_HALF = 10**1.5
_AVERAGED = 10_000


def make_problem() -> tb.Problem:
    """Return the problem; its data are made with seed 0."""
    import xarray as xr

    model = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    times = np.linspace(0, 1, 101)
    runs = tb.simulate(
        model, _TRUTH, initial=_INITIAL, times=times, num_samples=_AVERAGED, seed=0
    ).mean()
    data = xr.DataArray(
        runs.values,
        dims=("time", "observable"),
        coords={"time": times, "observable": list(model.species)},
    )
    return tb.Problem(
        model,
        experiments=[tb.Experiment(data, _INITIAL, kind="mean", num_averaged=_AVERAGED)],
        parameters={k: tb.Parameter(v / _HALF, v * _HALF) for k, v in _TRUTH.items()},
    )


def starts(count: int) -> list[dict[str, float]]:
    """Return random starts, log-uniform over the bounds, from seed 0."""
    powers = np.random.default_rng(0).uniform(-1.5, 1.5, (count, len(_TRUTH)))
    return [{k: v * 10**p for (k, v), p in zip(_TRUTH.items(), row, strict=True)} for row in powers]


def run(problem: tb.Problem, count: int, warm_start: bool) -> list[dict]:
    """Fit from every start."""
    rows = []
    for i, start in enumerate(starts(count)):
        began = time.perf_counter()
        fit = tb.fit(problem, start=start, warm_start=warm_start, seed=i, progress=False)
        seconds = time.perf_counter() - began
        errors = {k: fit.params[k] / v - 1 for k, v in _TRUTH.items()}
        rows.append(
            {"start": start, "errors": errors, "seconds": seconds, "runs": fit.stats["runs"],
             "result": fit.result.value, "ok": fit.result.ok,
             "inside": all(e.interval[0] <= _TRUTH[e.name] <= e.interval[1] for e in fit.estimates)}
        )  # fmt: skip
        progress(f"start {i}, warm start {warm_start}: {rows[-1]}")
    return rows


def worst(row: dict) -> float:
    """Return the larger error of a fit."""
    return max(abs(e) for e in row["errors"].values())


def summarize(name: str, rows: list[dict]) -> list:
    """Return a row of the summary."""
    errors = np.array([worst(r) for r in rows])
    later = rows[1:]  # the first fit compiles
    return [
        name,
        f"{sum(r['ok'] for r in rows)} of {len(rows)}",
        f"{np.sum(errors < 0.02)} of {len(rows)}",
        f"{np.sum(errors < 0.01)} of {len(rows)}",
        f"{100 * np.median(errors):.2f} %",
        f"{100 * errors.max():.2f} %",
        f"{sum(r['inside'] for r in rows)} of {len(rows)}",
        f"{rows[0]['seconds']:.1f}",
        f"{np.median([r['seconds'] for r in later]):.1f}",
        f"{np.median([r['runs'] for r in rows]):,.0f}",
    ]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--starts", type=int, default=20)
    options = parser.parse_args()
    page = Page("sir_recovery", "Rates of an SIR model from anywhere in three decades")
    page.text(
        f"""S + I → 2 I at β = {_TRUTH["beta"]}, I → R at γ = {_TRUTH["gamma"]:g}, from 1,980
        susceptible and 20 infected. Data: the mean of {_AVERAGED:,} exact runs at 101 times in
        [0, 1]. {options.starts} random starts, log-uniform over the bounds, which are three decades
        around the truth; all settings are the defaults, which ask for a simulation error of at
        most 0.3 % in each rate. The error of a fit is the larger of its two relative errors."""
    )
    problem = make_problem()
    results = {
        "warm start (default)": run(problem, options.starts, True),
        "no warm start": run(problem, options.starts, False),
    }
    page.table(
        ["", "ended well", "within 2 %", "within 1 %", "median error", "worst error",
         "truth in both intervals", "seconds, first fit", "median s", "median runs"],
        [summarize(name, rows) for name, rows in results.items()],
    )  # fmt: skip
    page.text(
        """With the warm start the fit first moves to the minimum of the linear-noise approximation
        and from there follows the simulator's own gradients; without, it follows the simulator's
        gradients all the way. The first fit compiles."""
    )
    for name, rows in results.items():
        page.heading(name[0].upper() + name[1:])
        page.table(
            ["start β", "start γ", "error of β", "error of γ", "seconds", "runs", "result"],
            [
                [r["start"]["beta"], r["start"]["gamma"],
                 *(f"{100 * r['errors'][k]:+.2f} %" for k in _TRUTH),
                 f"{r['seconds']:.1f}", f"{r['runs']:,.0f}", r["result"]]
                for r in rows
            ],
        )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()

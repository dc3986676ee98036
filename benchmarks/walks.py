"""Walks: a small cell that is to reach a target, and two probabilities from displacements."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble._random import Stream
from tumble.gradients import (
    AbstractEstimator,
    AlternativePath,
    Auto,
    CoupledDifference,
    ExactMean,
    ScoreFunction,
)
from tumble.models import PersistentWalk, RestrictedPottsWalk
from tumble.objectives import MomentMatching, TrajectoryMatching

_TARGETS = {2.0: 0.03074, 3.0: 0.04668, 4.0: 0.06303}
_STEPS, _TOLERANCE = 800, 0.006
_NEAR = 0.001
_SHRINK = 0.152778, 0.125
_UNKNOWN = tb.Parameter(0.01, 0.99, scale="logit")
_TRUTH = {"p_switch": 0.3, "p_turn": 0.1}
_STEP = 1e-20j


def exact_msd(p: complex) -> complex:
    """Return the mean square displacement of the cell after 800 steps, far from any edge.

    Only growth moves the mean: a chain of one pixel, or two along an axis, or two diagonal.
    """
    one, axis, diagonal, growths = 1.0 + 0j, 0j, 0j, 0j
    for _ in range(_STEPS):
        grow = one * p / 9
        growths += grow
        one = one - grow + axis * _SHRINK[0] + diagonal * _SHRINK[1]
        axis = axis * (1 - _SHRINK[0]) + grow / 2
        diagonal = diagonal * (1 - _SHRINK[1]) + grow / 2
    return 0.5 * 1.5 * growths


def cell_problem(target: float) -> tb.Problem:
    """Return the problem of a cell that is to have a mean square displacement."""
    seen = tb.Experiment({"time": [float(_STEPS)], "msd": [target]}, kind="mean",
                         num_averaged=10**6)  # fmt: skip
    unknown = tb.Parameter(0.001, 0.999, scale="logit")
    return tb.Problem(RestrictedPottsWalk(), [seen], {"p": unknown})


def signs(page: Page, runs: int) -> None:
    """Print the derivative of the displacement by each estimator, relative to the exact one."""
    bound = MomentMatching(order=1).bind(cell_problem(3.0))
    estimators: tuple[AbstractEstimator, ...] = (
        ScoreFunction(), CoupledDifference(), AlternativePath()
    )  # fmt: skip
    rows = []
    for p in (0.01, 0.03, 0.1, 0.3, 0.6, 0.9):
        z = bound.problem.space.to_fit(np.array([p]))
        exact = exact_msd(p + _STEP).imag / _STEP.imag * p * (1 - p)
        row: list[Any] = [p, f"{exact:.4g}"]
        for estimator in estimators:
            size = max(runs // estimator.runs_per_sample(bound), 100)
            slopes = estimator.sample(bound, z, size, Stream.from_seed(0)).jacobians[:, 0, 0]
            error = slopes.std(ddof=1) / np.sqrt(size) / exact
            row.append(f"{slopes.mean() / exact:.3f} ± {error:.3f}")
        choice = Auto().choose(bound, z, Stream.from_seed(1), num_each=256)
        row.append(choice.estimator.label)
        rows.append(row)
        progress(f"{row}")
    page.heading("The derivative of a cell's displacement")
    page.text(
        f"""∂ E[squared displacement] / ∂ logit p of a cell of one or two pixels after {_STEPS}
        steps on 128 × 128 sites, by {runs} runs, relative to the exact derivative of a chain of
        three states; and which estimator `Auto` takes there. The displacement grows with p
        wherever p is."""
    )
    page.table(["p", "exact", "scores", "coupled", "alternatives", "Auto takes"], rows)


def cells(page: Page, seeds: int) -> None:
    """Print fits of the acceptance of a small cell to targets."""
    rows = []
    for seed in range(seeds):
        for target, exact in _TARGETS.items():
            for start in (0.01, 0.07):
                problem = cell_problem(target)
                began = time.process_time()
                fit = tb.fit(problem, start={"p": start}, tolerance=_TOLERANCE, seed=seed)
                took = time.process_time() - began
                off = fit.params["p"] - exact
                # The first step from which on it was near for good.
                far = [k for k, s in enumerate(fit.history, 1) if abs(s.params[0] - exact) > _NEAR]
                near = max(far, default=0) + 1
                rows.append([f"{target:g}", start, seed, f"{exact:.5f}", f"{fit.params['p']:.5f}",
                             f"{off:+.5f}", near, len(fit.history), f"{took:.1f}",
                             f"{fit.stats['runs']:.3g}", fit.gradient.split(" (")[0]])  # fmt: skip
                progress(f"{rows[-1]}")
    page.heading("A cell that is to reach a target")
    page.text(
        f"""The acceptance p of a cell that is to have a given mean square displacement after
        {_STEPS} steps: `fit(problem, start=…, tolerance={_TOLERANCE})`, p on a logit scale.
        *Near* is the step from which on p was within {_NEAR} of the exact one; the others make sure
        of that. Seconds are of one processor, of all steps; those of the first row hold the
        compilation."""
    )
    page.table(["target", "start", "seed", "exact p", "p", "off", "near", "steps", "seconds",
                "runs", "gradient"], rows)  # fmt: skip


def _tracks(seed: int) -> tb.Problem:
    times = np.unique(np.round(np.logspace(0, 2, 20)))
    both = {"p_start": tb.Ref("p_switch"), "p_stop": tb.Ref("p_switch")}
    p_switch, p_turn = _TRUTH.values()
    tracks = tb.simulate(
        PersistentWalk(), {"p_start": p_switch, "p_stop": p_switch, "p_turn": p_turn},
        times=times, num_samples=500, seed=seed,
    )  # fmt: skip
    experiment = tb.Experiment(tracks, conditions=both)
    return tb.Problem(PersistentWalk(), [experiment], dict.fromkeys(_TRUTH, _UNKNOWN))


def persistent(page: Page, title: str, gradient: Any, repeats: int) -> None:
    """Print what tracks tell of two probabilities."""
    found = []
    for seed in range(repeats):
        problem = _tracks(seed)
        began = time.process_time()
        fit = tb.fit(problem, objective=TrajectoryMatching(), gradient=gradient, num_starts=2,
                     seed=seed)  # fmt: skip
        took = time.process_time() - began
        found.append(([(e.value, *e.interval) for e in fit.estimates], took))
        if seed % 10 == 9:
            progress(f"{title}: {seed + 1} of {repeats}")
    bounds = _cramer_rao(500)
    rows = []
    inside = np.array([np.isfinite(estimates).all() for estimates, _ in found])
    at_bound = int((~inside).sum())
    for k, (name, truth) in enumerate(_TRUTH.items()):
        values, lower, upper = np.array([f[0][k] for f in found]).T
        held = int(((lower < truth) & (truth < upper)).sum())
        values, width = values[inside], (upper - lower)[inside]
        rows.append([name, truth, f"{values.mean():.4f}", f"{values.std(ddof=1):.4f}",
                     f"{bounds[k]:.4f}", f"{width.mean():.4f}", f"{held} of {repeats}",
                     float(np.median([f[1] for f in found]))])  # fmt: skip
    page.heading(title)
    page.text(
        f"""Persistent walkers: 500 tracks at 20 times spaced by their logarithms, fitted by
        `TrajectoryMatching()`, {repeats} data sets of seeds 0, 1, …. *Bound* is the smallest sd
        that an estimate can have that sees mean displacements alone, for a normal law of these
        (Cramér–Rao). Of 200 intervals of 95 %, 181 to 197 hold the truth (the central 99 % of the
        binomial law). {at_bound} estimates ended at a bound, which the fit says and gives no
        interval for; they are counted as missed, and left out of means."""
    )
    page.table(["", "truth", "mean", "sd", "bound", "mean width", "hold it", "processor seconds"],
               rows)  # fmt: skip


def _cramer_rao(num_tracks: int) -> np.ndarray:
    """Return the smallest sd of the estimates from mean displacements of so many tracks."""
    problem = _tracks(0)
    bound = MomentMatching(order=1).bind(problem)
    z = problem.space.to_fit(np.array(list(_TRUTH.values())))
    slopes = ExactMean().sample(bound, z, 1, Stream.from_seed(0)).jacobians[0]
    slopes = slopes / np.asarray(problem.space.slope(z))
    many = problem.simulate_binding(0, np.array(list(_TRUTH.values())), Stream.from_seed(1), 40_000)
    covariance = np.cov(many.states[..., 0], rowvar=False) / num_tracks
    return np.sqrt(np.diag(np.linalg.inv(slopes.T @ np.linalg.solve(covariance, slopes))))


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=4_000, help="of a derivative")
    parser.add_argument("--seeds", type=int, default=1, help="fits of each target and start")
    parser.add_argument("--repeats", type=int, default=200, help="data sets of tracks")
    parser.add_argument("--simulated", type=int, default=10, help="of them fitted by simulation")
    parser.add_argument("--parts", nargs="*", default=["cells", "signs", "tracks", "simulated"])
    options = parser.parse_args()
    page = Page("walks", "Walks")
    page.text(f"Options: `{settings(options)}`.")
    if "cells" in options.parts:
        cells(page, options.seeds)
    if "signs" in options.parts:
        signs(page, options.runs)
    if "tracks" in options.parts:
        persistent(page, "Two probabilities from tracks", None, options.repeats)
    if "simulated" in options.parts:
        persistent(page, "The same by simulation, as if the mean were not known", Auto(),
                   options.simulated)  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()

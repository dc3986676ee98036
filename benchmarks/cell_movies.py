"""Parameters of a Cellular Potts model from movies, and derivatives of its outputs."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble._random import Stream, run_ids
from tumble.models import Cells, CellularPotts
from tumble.movies import CellMovie
from tumble.simulators import Batch, Metropolis

_TRUTH = {"J_0_1": 0.83, "J_1_1": 0.21, "J_0_2": 0.77, "J_1_2": 0.86, "J_2_2": 0.19,
          "lambda_volume": 0.052, "target_volume": 50.0}  # fmt: skip
_START = {**dict.fromkeys(list(_TRUTH)[:5], 0.5), "lambda_volume": 0.1, "target_volume": 45.0}
_WARM_UP = 20.0  # Monte Carlo steps before a movie
_Z95 = 1.96


def gradients(page: Page, runs: int) -> None:
    """Print derivatives of a contact length by three estimators."""
    model = CellularPotts(Cells.blocks((30, 30), (3, 3), 7, types=[1, 2]))
    row = model.params_vector(_TRUTH)
    watched, moved = model.outputs.index("contact_1_1"), model.parameters.index("J_1_1")
    conjugate = model.outputs.index("contact_1_1")
    rows = []
    for steps in (1.0, 10.0, 100.0):
        times, none = np.array([steps]), np.zeros((runs, 0), np.int64)
        stream = Stream.from_seed(0)
        batch = Batch(np.tile(row, (runs, 1)), none, times, stream, run_ids(runs))
        began = time.process_time()
        scored = Metropolis().sample_with_score(model, batch)
        cost_score = (time.process_time() - began) / runs
        f, s = scored.states[:, 0, watched], scored.score[:, 0, moved]
        energy = scored.states[:, 0, conjugate]
        shift = 0.05 * row[moved]
        ends = np.array([row, row])
        ends[:, moved] += [shift, -shift]
        pairs = Batch(np.tile(ends, (runs, 1, 1)), none[:, None].repeat(2, 1), times, stream,
                      run_ids(runs))  # fmt: skip
        began = time.process_time()
        states = Metropolis().sample_pairs(model, pairs).states[:, :, 0, watched]
        cost_pairs = (time.process_time() - began) / runs
        ways = {
            "score": ((f - f.mean()) * s, cost_score),
            "coupled ± 5 %": ((states[:, 0] - states[:, 1]) / (2 * shift), cost_pairs),
            "−Cov(f, ∂H)": (-(f - f.mean()) * (energy - energy.mean()), cost_score),
        }
        cells: list[str] = [f"{steps:g}"]
        for values, cost in ways.values():
            error = values.std() / np.sqrt(runs)
            cells.append(f"{values.mean():.2f} ± {error:.2f} ({values.var() * cost:.2g})")
        rows.append(cells)
        progress(f"{cells}")
    page.heading("Gradients")
    page.text(
        f"""∂ E[contact of cells of type 1] / ∂ J_1_1 after some Monte Carlo steps of nine cells on
        30 × 30 sites, {runs:,} runs or pairs; in brackets variance × seconds a run. The score is
        unbiased, a central difference off by O(ε²). The covariance with ∂H / ∂J is the derivative
        of a Gibbs distribution, which this process neither starts from nor tends to."""
    )
    page.table(["steps", "score", "coupled ± 5 %", "−Cov(f, ∂H)"], rows)


def movie(size: int, cells: int, frames: int, interval: float, seed: int) -> CellMovie:
    """Return a movie of cells that sort out."""
    start = Cells.blocks((size, size), (cells, cells), 7, types=[1, 2], seed=seed)
    model = CellularPotts(start)
    times = _WARM_UP + interval * np.arange(frames)
    kept = tb.simulate(model, _TRUTH, times=times, seed=seed, outputs=tb.outputs.Frames())
    return CellMovie(model, kept.states[0], interval)


def fits(name: str, some: list[CellMovie], replicates: int) -> dict[str, Any]:
    """Fit movies; return errors [M, P] and standard errors, relative, of both estimates."""
    off, stated, pilots, seconds, lost = [], [], [], [], 0
    for k, one in enumerate(some):
        began = time.process_time()
        fit = one.fit(_START, num_replicates=replicates, seed=k)
        seconds.append(time.process_time() - began)
        off.append([fit.params[n] / v - 1 for n, v in _TRUTH.items()])
        pilots.append([fit.pilot[n] / v - 1 for n, v in _TRUTH.items()])
        stated.append([fit.standard_errors[n] / v for n, v in _TRUTH.items()])
        lost += not fit.converged
        if k % 10 == 0:
            progress(f"{name}: {k + 1} of {len(some)}, {np.round(off[-1], 3)}, {seconds[-1]:.1f} s")
    return {"name": name, "off": np.array(off), "stated": np.array(stated), "lost": lost,
            "pilots": np.array(pilots), "seconds": float(np.median(seconds))}  # fmt: skip


def recovery(page: Page, movies: int, repeats: int) -> None:
    """Print what movies tell."""
    near = [movie(100, 8, 101, 1.0, k) for k in range(movies)]
    far = [movie(100, 8, 51, 3.0, k) for k in range(movies)]
    cases = [
        fits("100 transitions, 1 step apart", near, 4),
        fits("50 transitions, 3 steps apart", far, 4),
    ]
    page.heading("Parameters from movies")
    page.text(
        f"""Movies of 64 cells of two types that sort out on 100 × 100 sites, all seven parameters
        unknown, fitted by `CellMovie` from a start that is off by up to 160 %. Root mean square of
        relative errors over {movies} movies: first of the pseudo-likelihood alone, then of the
        estimate that runs from each frame correct. Seconds are processor seconds of one core."""
    )
    rows = []
    for case in cases:
        for way, errors in (("alone", case["pilots"]), ("corrected", case["off"])):
            good = int((np.abs(errors) < 0.1).all(1).sum())
            spent = f"{case['seconds']:.0f}" if way == "corrected" else ""
            rms = np.sqrt((errors**2).mean(0))
            rows.append([case["name"], way, *(f"{e:.3f}" for e in rms),
                         f"{good} of {movies}", spent])  # fmt: skip
    page.table(["movies", "estimate", *_TRUTH, "all within 10 %", "seconds"], rows)
    failed = ", ".join(str(case["lost"]) for case in cases)
    page.text(f"Fits that did not converge: {failed}. The truth is {_TRUTH}.")
    small = fits("40 × 40", [movie(40, 4, 31, 1.0, k) for k in range(repeats)], 4)
    page.heading("Calibration")
    page.text(
        f"""How many of {repeats} movies of 16 cells on 40 × 40 sites, 30 transitions, have the
        truth in the 95 % interval; 181 to 197 of 200 would be right by chance in 99 of 100 cases.
        {small["lost"]} fits did not converge."""
    )
    held = (np.abs(small["off"]) < _Z95 * small["stated"]).sum(0)
    page.table(
        ["", *_TRUTH],
        [["intervals that hold the truth", *map(str, held)],
         ["standard error, relative", *(f"{e:.3f}" for e in np.median(small["stated"], axis=0))],
         ["root mean square error", *(f"{e:.3f}" for e in np.sqrt((small["off"] ** 2).mean(0)))]],
    )  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--movies", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    page = Page("cell_movies", "Cells in movies")
    page.text(f"Options: `{settings(options)}`.")
    recovery(page, options.movies, options.repeats)
    gradients(page, options.runs)
    page.finish(options.save)


if __name__ == "__main__":
    main()

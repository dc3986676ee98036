"""Lattice models: the epidemic of movies, walks that meet a target, and the speed of steps."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble._random import Stream, run_ids
from tumble.gradients import AlternativePath, CoupledDifference, Pathwise, ScoreFunction
from tumble.models import (
    Grid,
    InfectionCounts,
    Ising,
    PersistentWalk,
    RestrictedPottsWalk,
    SusceptibleInfected,
    Transitions,
    VonNeumann,
)
from tumble.objectives import ExpectedLoss, MomentMatching, TrajectoryMatching
from tumble.optimizers import StochasticGaussNewton
from tumble.simulators import Batch, LatticeSteps

_TARGETS = {2.0: 0.03074, 3.0: 0.04668, 4.0: 0.06303}
_C = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
static uint64_t s[2] = {1, 2};
static double uniform(void) { /* xoroshiro128+ */
  uint64_t a = s[0], b = s[1], r = a + b;
  b ^= a; s[0] = ((a << 24) | (a >> 40)) ^ b ^ (b << 16); s[1] = (b << 37) | (b >> 27);
  return (r >> 11) * 0x1.0p-53;
}
int main(int argc, char **argv) {
  int n = atoi(argv[1]), steps = atoi(argv[2]); double beta = atof(argv[3]);
  unsigned char *x = calloc(n * n, 1), *y = calloc(n * n, 1); double p[9], q = 1;
  for (int k = 0; k < 9; k++) { p[k] = 1 - q; q *= 1 - beta; }
  x[(n / 2) * n + n / 2] = 1;
  for (int t = 0; t < steps; t++) {
    for (int i = 0; i < n; i++) {
      int up = ((i + n - 1) % n) * n, on = i * n, down = ((i + 1) % n) * n;
      for (int j = 0; j < n; j++) {
        int l = (j + n - 1) % n, r = (j + 1) % n;
        int k = x[up + l] + x[up + j] + x[up + r] + x[on + l] + x[on + r] + x[down + l]
              + x[down + j] + x[down + r];
        y[on + j] = x[on + j] | (uniform() < p[k]);
      }
    }
    unsigned char *z = x; x = y; y = z;
  }
  long total = 0; for (int i = 0; i < n * n; i++) total += x[i];
  printf("%ld\n", total); return 0;
}
"""


def varying_movies(num: int, size: int, steps: int, seed: int) -> list[np.ndarray]:
    """Return movies with β ~ Normal(0.5, 0.1), cut to [0, 1], anew in every step."""
    rng = np.random.default_rng(seed)
    movies = []
    for _ in range(num):
        frame = np.zeros((size, size), np.uint8)
        frame[size // 2, size // 2] = 1
        frames = [frame]
        for _ in range(steps):
            beta = np.clip(rng.normal(0.5, 0.1), 0, 1)
            around = sum(np.roll(frame, (i, j), (0, 1)).astype(int)
                         for i in (-1, 0, 1) for j in (-1, 0, 1)) - frame  # fmt: skip
            frame = frame | (rng.random(frame.shape) < 1 - (1 - beta) ** around).astype(np.uint8)
            if frame.all():
                break
            frames.append(frame)
        movies.append(np.array(frames))
    return movies


def epidemic(page: Page, num: int, size: int, steps: int, seeds: int) -> None:
    """Compare what counts, frames and simulation alone say of β."""
    page.heading("An infection in movies")
    movies = varying_movies(num, size, steps, 0)
    model = Transitions(SusceptibleInfected(Grid((size, size))), movies)
    began = time.perf_counter()
    counts = InfectionCounts.of(model)
    counted = time.perf_counter() - began
    counts.maximum_likelihood()  # imports
    rows: list[list[Any]] = []

    def add(name: str, truth: float, value: float, seconds: float, note: str = "") -> None:
        rows.append([name, f"{value:.5f}", f"{abs(value - truth):.1e}", f"{seconds:.3g}", note])
        progress(f"{rows[-1]}")

    def timed(function: Any) -> tuple[Any, float]:
        began = time.perf_counter()
        found = function()
        return found, time.perf_counter() - began

    likely, seconds = timed(counts.maximum_likelihood)
    fine = likely.value + np.linspace(-1e-3, 1e-3, 20_001)
    exact = fine[np.argmax([counts.log_likelihood(b) for b in fine])]
    add("counts: likelihood", exact, likely.value, seconds, f"± {likely.standard_error:.5f}")
    least, seconds = timed(counts.least_expected_loss)
    fine = least + np.linspace(-1e-3, 1e-3, 4_001)
    lowest = fine[np.argmin([counts.expected_loss(b) for b in fine])]
    add("counts: expected loss", lowest, least, seconds)
    (mean, sd), seconds = timed(counts.varying)
    add("counts: mean of a β that varies", 0.5, mean.value, seconds, f"± {mean.standard_error:.4f}")
    add("counts: its standard deviation", 0.1, sd.value, seconds, f"± {sd.standard_error:.4f}")
    problem = tb.Problem(
        model, data=model.data, parameters={"beta": tb.Parameter(0.01, 0.99, scale="logit")}
    )
    fit, seconds = timed(lambda: tb.fit(problem, num_starts=2))
    add("frames: likelihood", exact, fit.params["beta"], seconds)
    ways = {
        "simulation: expected loss, defaults": {},
        "simulation: the same, scores, 8 runs a step": {
            "gradient": ScoreFunction(), "optimizer": StochasticGaussNewton(first_runs=8),
        },
    }  # fmt: skip
    for name, options in ways.items():
        for seed in range(seeds):
            fit, seconds = timed(
                lambda options=options, seed=seed: tb.fit(
                    problem, objective=ExpectedLoss(), start={"beta": 0.797}, warm_start=False,
                    seed=seed, **options,
                )
            )  # fmt: skip
            runs = int(fit.stats["runs"])
            add(f"{name}, seed {seed}", lowest, fit.params["beta"], seconds, f"{runs} runs")
    page.text(
        f"""{num} movies of {size} × {size} sites and {steps} steps from one infected site, with
        β ~ Normal(0.5, 0.1) in every step: {model.num_transitions} transitions. *Exact* is the best
        point of a fine grid, of the same objective on the same movies, or the truth for a β that
        varies. The counts themselves take {counted:.2g} s. Fits by simulation start from 0.797; a
        run simulates every transition once."""
    )
    page.table(["way", "β", "off", "seconds", ""], rows)


def walks(page: Page, repeats: int) -> None:
    """Fit the acceptance of a small cell to a target, and two probabilities to displacements."""
    page.heading("Walks")
    rows = []
    for target, exact in _TARGETS.items():
        for start in (0.01, 0.07):
            seen = tb.Experiment(
                {"time": [800.0], "msd": [target]}, kind="mean", num_averaged=10**6
            )
            problem = tb.Problem(RestrictedPottsWalk(), [seen],
                                 {"p": tb.Parameter(0.001, 0.999, scale="logit")})  # fmt: skip
            began = time.perf_counter()
            fit = tb.fit(problem, start={"p": start}, warm_start=False, tolerance=0.01)
            rows.append([f"{target:g}", start, f"{exact:.5f}", f"{fit.params['p']:.5f}",
                         len(fit.history), f"{time.perf_counter() - began:.1f}",
                         f"{fit.stats['runs']:.3g}", fit.gradient.split(" (")[0]])  # fmt: skip
            progress(f"{rows[-1]}")
    page.text(
        """A cell of one or two pixels is to have a given mean square displacement after 800 steps:
        default settings, two starts, a tolerance of 1 % of p. Seconds hold compilation."""
    )
    page.table(["target", "start", "exact p", "p", "steps", "seconds", "runs", "gradient"], rows)
    times = np.unique(np.round(np.logspace(0, 2, 20)))
    truth = {"p_switch": 0.3, "p_turn": 0.1}
    found = []
    for seed in range(repeats):
        both = {"p_start": tb.Ref("p_switch"), "p_stop": tb.Ref("p_switch")}
        tracks = tb.simulate(PersistentWalk(), {"p_start": 0.3, "p_stop": 0.3, "p_turn": 0.1},
                             times=times, num_samples=500, seed=seed)  # fmt: skip
        problem = tb.Problem(
            PersistentWalk(), [tb.Experiment(tracks, conditions=both)],
            {name: tb.Parameter(0.01, 0.99, scale="logit") for name in truth},
        )  # fmt: skip
        began = time.perf_counter()
        fit = tb.fit(problem, objective=TrajectoryMatching(), num_starts=2, seed=seed)
        row = [e.value for e in fit.estimates], [e.interval for e in fit.estimates]
        found.append((*row, time.perf_counter() - began))
        progress(f"{found[-1]}")
    page.text(
        f"""Persistent walkers, 500 tracks at 20 times spaced by their logarithms, fitted by
        `TrajectoryMatching()` with default settings, {repeats} data sets of seeds 0, 1, ….
        """
    )
    page.table(
        ["", "truth", "mean", "sd", "95 % intervals that hold it", "median seconds"],
        [
            [
                name, value, float(np.mean([f[0][k] for f in found])),
                float(np.std([f[0][k] for f in found], ddof=1)),
                f"{sum(f[1][k][0] < value < f[1][k][1] for f in found)} of {repeats}",
                float(np.median([f[2] for f in found])),
            ]
            for k, (name, value) in enumerate(truth.items())
        ],
    )  # fmt: skip


def gradients(page: Page) -> None:
    """Show what each estimator says of an epidemic after several steps."""
    page.heading("Gradients after several steps")
    model = SusceptibleInfected(Grid((16, 16)))
    rows = []
    for steps in (1.0, 2.0, 5.0, 10.0):
        seen = tb.Experiment({"time": [steps], "infected": [0.0]}, kind="mean", num_averaged=100)
        problem = tb.Problem(model, [seen], {"beta": tb.Parameter(0.01, 0.99, scale="logit")})
        bound = MomentMatching(order=1).bind(problem)
        z = problem.space.to_fit(np.array([0.3]))
        row: list[Any] = [int(steps)]
        scale = None
        for estimator in (ScoreFunction(), CoupledDifference(), AlternativePath(4), Pathwise()):
            stream = Stream.from_seed(0)
            estimator.sample(bound, z, 8, stream)
            began = time.process_time()
            slopes = estimator.sample(bound, z, 4_000, stream).jacobians[:, 0, 0]
            took = time.process_time() - began
            error = slopes.std() / np.sqrt(len(slopes))
            scale = slopes.mean() if scale is None else scale
            row += [f"{slopes.mean() / scale:.3f} ± {error / scale:.3f}",
                    f"{error**2 * took / scale**2:.2g}"]  # fmt: skip
        rows.append(row)
        progress(f"{row}")
    page.text(
        """∂ E[infected] / ∂ logit β on 16 × 16 sites at β = 0.3, relative to what scores say, which
        are unbiased, and (*cost*) its squared relative error × processor seconds. `Pathwise` is
        straight-through: right after one step, too large after several."""
    )
    head = ["steps"]
    for name in ("scores", "coupled", "alternatives", "straight-through"):
        head += [name, "cost"]
    page.table(head, rows)


def speed(page: Page, size: int, steps: int) -> None:
    """Print site updates a second beside NumPy and C."""
    page.heading("Speed")
    rows = []
    simulator = LatticeSteps()

    def of_model(name: str, model: Any, params: list[float]) -> float:
        def run(seed: int) -> None:
            simulator.sample(model, Batch(np.array([params]), np.zeros((1, 0)), np.array([steps]),
                                          Stream.from_seed(seed), run_ids(1)))  # fmt: skip

        run(0)
        began = time.process_time()
        run(1)
        return size**2 * steps / (time.process_time() - began) / 1e6

    rows.append(
        ["tumble, infection", of_model("si", SusceptibleInfected(Grid((size, size))), [0.1])]
    )
    spins = Ising(Grid((size, size), VonNeumann()))
    rows.append(["tumble, Ising (a sweep)", of_model("ising", spins, [2.3, 0.0])])
    rng, x = np.random.default_rng(0), np.zeros((size, size), bool)
    x[size // 2, size // 2] = True
    few = max(steps // 10, 1)
    began = time.process_time()
    for _ in range(few):
        wide = np.pad(x.astype(np.int8), 1, mode="wrap")
        rows3 = wide[:-2] + wide[1:-1] + wide[2:]
        around = rows3[:, :-2] + rows3[:, 1:-1] + rows3[:, 2:] - x
        x |= rng.random(x.shape) < 1 - 0.9**around
    rows.append(["NumPy, infection", size**2 * few / (time.process_time() - began) / 1e6])
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "si.c", Path(folder) / "si"
        source.write_text(_C)
        subprocess.run(["cc", "-O3", "-march=native", "-o", program, source], check=True)
        began = os.times().children_user
        subprocess.run([program, str(size), str(steps), "0.1"], check=True, capture_output=True)
        taken = os.times().children_user - began
        rows.append(["scalar C, infection", size**2 * steps / taken / 1e6])
    page.text(
        f"""Million site updates a second of processor time, {size} × {size} sites, {steps} steps,
        one run, without compilation. Every site draws a number in every step; C draws from a
        smaller generator (xoroshiro128+) than tumble (Philox4x32-10, a pure function of run, step
        and site)."""
    )
    page.table(["", "million a second"], rows)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--movies", type=int, default=100)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=2, help="fits of movies by simulation")
    parser.add_argument("--repeats", type=int, default=20, help="data sets of tracks")
    parser.add_argument("--parts", nargs="*", default=["epidemic", "gradients", "walks", "speed"])
    options = parser.parse_args()
    page = Page("lattices", "Lattices")
    page.text(f"Options: `{settings(options)}`.")
    if "epidemic" in options.parts:
        epidemic(page, options.movies, options.size, options.steps, options.seeds)
    if "gradients" in options.parts:
        gradients(page)
    if "walks" in options.parts:
        walks(page, options.repeats)
    if "speed" in options.parts:
        speed(page, 256, 500)
    page.finish(options.save)


if __name__ == "__main__":
    main()

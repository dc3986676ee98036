"""Lattice models: a model of one's own, fitted with defaults, and the speed of steps."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from _report import Page, arguments, progress, settings
from scipy.stats import binom

import tumble as tb
from tumble._random import Stream, run_ids
from tumble.models import AbstractLattice, Grid, Ising, SusceptibleInfected, VonNeumann
from tumble.simulators import Batch, LatticeSteps

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


@dataclass(frozen=True)
class Rumor(AbstractLattice):
    """Those who have not heard hear from neighbors who tell; who tells loses interest.

    As a user would write it: it is the example of the guide.
    """

    grid: Grid = field(default_factory=lambda: Grid((24, 24)))
    parameters = ("p_hear", "p_stop")
    outputs = ("telling", "heard")

    def start(self, params: Any, draw: Any) -> Any:
        """One tells."""
        nobody = jnp.zeros(self.grid.shape)
        return {"tells": nobody.at[self.grid.center].set(1.0), "done": nobody}

    def step(self, state: Any, params: Any, draw: Any) -> Any:
        """Hear and stop."""
        tells, done = state["tells"], state["done"]
        chance = 1 - (1 - params["p_hear"]) ** self.grid.sum_neighbors(tells)
        hears = draw.flip((1 - tells - done) * chance)
        stops = draw.flip(tells * params["p_stop"])
        return {"tells": tells + hears - stops, "done": done + stops}

    def observe(self, state: Any) -> Any:
        """Count."""
        return {"telling": state["tells"].sum(), "heard": (state["tells"] + state["done"]).sum()}


_TRUTH = {"p_hear": 0.25, "p_stop": 0.2}


def own_model(page: Page, repeats: int) -> None:
    """Fit a model of a user with default settings."""
    unknown = {name: tb.Parameter(0.01, 0.99, scale="logit") for name in _TRUTH}
    found = []
    for seed in range(repeats):
        seen = tb.simulate(Rumor(), _TRUTH, times=[2, 4, 6, 8], num_samples=40, seed=seed)
        problem = tb.Problem(Rumor(), data=seen, parameters=unknown)
        began = time.process_time()
        fit = tb.fit(problem, seed=seed)
        found.append((fit, time.process_time() - began))
        progress(f"{fit}")
    rows = []
    for k, (name, truth) in enumerate(_TRUTH.items()):
        estimates = [fit.estimates[k] for fit, *_ in found]
        values = np.array([e.value for e in estimates])
        held = sum(e.interval[0] < truth < e.interval[1] for e in estimates)
        widths = [e.interval[1] - e.interval[0] for e in estimates]
        rows.append([name, truth, f"{values.mean():.4f}", f"{values.std(ddof=1):.4f}",
                     f"{np.mean(widths):.4f}", f"{held} of {repeats}"])  # fmt: skip
    steps = [len(fit.history) for fit, *_ in found]
    chosen = sorted({fit.gradient.split(" (")[0] for fit, *_ in found})
    seconds = float(np.median([seconds for _, seconds in found]))
    page.heading("A model of your own")
    page.text(
        f"""The rumor of the [guide](../lattices.md#write-your-own-in-30-lines), which the library
        does not have: 40 runs seen at four times, on 24 × 24 sites, `fit(problem)` without an
        option, {repeats} data sets. Steps {min(steps)} to {max(steps)}; processor seconds (median)
        {seconds:.1f}; estimators that `Auto` took: {", ".join(chosen)}.
        """
    )
    page.table(["", "truth", "mean", "sd", "mean width", "95 % intervals that hold it"], rows)


def coverage(page: Page, repeats: int) -> None:
    """Count how often intervals hold the truth, on a small lattice."""
    unknown = {name: tb.Parameter(0.01, 0.99, scale="logit") for name in _TRUTH}
    model, found = Rumor(Grid((10, 10))), []
    for seed in range(repeats):
        seen = tb.simulate(model, _TRUTH, times=[2, 4, 6], num_samples=40, seed=seed)
        fit = tb.fit(tb.Problem(model, data=seen, parameters=unknown), seed=seed)
        found.append(fit)
        if seed % 20 == 19:
            progress(f"{seed + 1} of {repeats}")
    z_true = np.array([np.log(p / (1 - p)) for p in _TRUTH.values()])
    off = np.array([fit.fit_scale for fit in found]) - z_true
    errors = np.array([np.sqrt(np.diag(fit.covariance)) for fit in found])
    low, high = binom.ppf([0.005, 0.995], repeats, 0.95).astype(int)
    page.heading("Do intervals hold the truth?")
    page.text(
        f"""The same model on 10 × 10 sites, 40 runs seen at three times, {repeats} data sets;
        errors on the logit scale. Of {repeats} intervals of 95 %, {low} to {high} hold the truth
        (the central 99 % of the binomial law). {sum(fit.result.ok for fit in found)} fits ended
        well."""
    )
    page.table(
        ["", "mean error", "sd", "mean stated error", "intervals that hold the truth"],
        [[name, f"{off[:, k].mean():+.4f}", f"{off[:, k].std(ddof=1):.4f}",
          f"{errors[:, k].mean():.4f}",
          f"{int(np.sum(np.abs(off[:, k]) < 1.96 * errors[:, k]))} of {repeats}"]
         for k, name in enumerate(_TRUTH)],
    )  # fmt: skip


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
    parser.add_argument("--repeats", type=int, default=6, help="fits of a model of one's own")
    parser.add_argument("--refits", type=int, default=200, help="of it on a small lattice")
    parser.add_argument("--parts", nargs="*", default=["own", "coverage", "speed"])
    options = parser.parse_args()
    page = Page("lattices", "Lattices")
    page.text(f"Options: `{settings(options)}`.")
    if "own" in options.parts:
        own_model(page, options.repeats)
    if "coverage" in options.parts:
        coverage(page, options.refits)
    if "speed" in options.parts:
        speed(page, 256, 500)
    page.finish(options.save)


if __name__ == "__main__":
    main()

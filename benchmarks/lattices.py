"""Lattice models: a model of one's own, fitted with defaults, and the speed of steps."""

from __future__ import annotations

import json
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
from _ssa_engines import ONE_THREAD
from _workers import PEERS_PYTHON
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


_ROUNDS, _BETA = 5, 0.1
_FEW_STEPS, _SMALL, _RUNS = 40, 96, 3000  # of the comparison of laws
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


def speed(page: Page, size: int, steps: int, peers_python: Path) -> None:
    """Print site updates a second beside NumPy, C and cax."""
    page.heading("Speed")
    infection = SusceptibleInfected(Grid((size, size)))
    spins = Ising(Grid((size, size), VonNeumann()))
    seconds = {
        "tumble, infection": _of_tumble(infection, [_BETA], steps),
        "tumble, Ising (a sweep)": _of_tumble(spins, [2.3, 0.0], steps),
        "NumPy, infection": _of_numpy(size, steps),
        "scalar C, infection": _of_c(size, steps),
    }
    there = peers_python.exists()
    beside = _of_cax(peers_python, size, steps) if there else {}
    seen = beside.pop("infected", [])
    seconds |= {f"cax, {name}": taken for name, taken in beside.items()}
    rows = [[name, size**2 * steps / taken / 1e6] for name, taken in seconds.items()]
    page.text(
        f"""Million site updates a second of processor time, {size} × {size} sites, {steps} steps,
        one run, one core, the median of {_ROUNDS} rounds without compilation. Every site draws a
        number in every step (but in Life); C draws from a smaller generator (xoroshiro128+) than
        tumble (Philox4x32-10, a pure function of run, step and site)."""
    )
    page.table(["", "million a second"], rows)
    if there:
        page.text(_about_cax(np.array(seen)))


def _of_tumble(model: Any, params: list[float], steps: int) -> float:
    simulator, taken = LatticeSteps(), []
    for seed in range(_ROUNDS + 1):
        batch = Batch(np.array([params]), np.zeros((1, 0)), np.array([steps]),
                      Stream.from_seed(seed), run_ids(1))  # fmt: skip
        began = time.process_time()
        simulator.sample(model, batch)
        taken.append(time.process_time() - began)
    return float(np.median(taken[1:]))


def _of_numpy(size: int, steps: int) -> float:
    """Return the seconds that NumPy would take, of a tenth of the steps."""
    rng, taken, few = np.random.default_rng(0), [], max(steps // 10, 1)
    for _ in range(_ROUNDS):
        x = np.zeros((size, size), bool)
        x[size // 2, size // 2] = True
        began = time.process_time()
        for _ in range(few):
            wide = np.pad(x.astype(np.int8), 1, mode="wrap")
            rows = wide[:-2] + wide[1:-1] + wide[2:]
            around = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - x
            x |= rng.random(x.shape) < 1 - (1 - _BETA) ** around
        taken.append((time.process_time() - began) * steps / few)
    return float(np.median(taken))


def _of_c(size: int, steps: int) -> float:
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "si.c", Path(folder) / "si"
        source.write_text(_C)
        subprocess.run(["cc", "-O3", "-march=native", "-o", program, source], check=True)
        for _ in range(_ROUNDS):
            began = os.times().children_user
            command = [program, str(size), str(steps), str(_BETA)]
            subprocess.run(command, check=True, capture_output=True)
            taken.append(os.times().children_user - began)
    return float(np.median(taken))


def _of_cax(python: Path, size: int, steps: int) -> dict[str, Any]:
    """Return the seconds of cax's automata, and the infected sites of runs of a few steps."""
    ask = {"size": size, "steps": steps, "rounds": _ROUNDS, "beta": _BETA, "few_steps": _FEW_STEPS,
           "small": _SMALL, "runs": _RUNS}  # fmt: skip
    script = Path(__file__).resolve().parent / "peers" / "lattice_cax.py"
    done = subprocess.run(
        [str(python), str(script)], input=json.dumps(ask), check=True, capture_output=True,
        text=True, env={**os.environ, **ONE_THREAD},
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def _about_cax(seen: np.ndarray) -> str:
    infection = SusceptibleInfected(Grid((_SMALL, _SMALL)))
    kept = tb.simulate(infection, {"beta": _BETA}, times=[_FEW_STEPS], num_samples=_RUNS, seed=0)
    own = kept.valid.sel(species="infected").values.ravel()
    ours, theirs = (f"{x.mean():.1f} ± {x.std(ddof=1) / np.sqrt(len(x)):.1f}" for x in (own, seen))
    return f"""cax 0.3.3 has automata without draws (Elementary, Life, Lenia …); a stochastic one is
        what neural automata are that leave out sites. The infection is therefore written of its own
        parts (`peers/lattice_cax.py`): cells are 32-bit numbers and draws 32-bit words of
        Threefry, where tumble has 64-bit numbers and takes two words of Philox a draw. It is the
        same automaton: after {_FEW_STEPS} steps {ours} sites are infected by tumble, {theirs} by
        cax ({_RUNS} runs on {_SMALL} × {_SMALL} sites, mean ± standard error). Its perception is a
        convolution in Life, and eight shifts where one takes `MoorePerceive`. Life is timed as it
        comes, and draws nothing. cax has no likelihood, no scores and no observations along a run:
        it returns the last state, or all of them."""


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=6, help="fits of a model of one's own")
    parser.add_argument("--refits", type=int, default=200, help="of it on a small lattice")
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    parser.add_argument("--parts", nargs="*", default=["own", "coverage", "speed"])
    options = parser.parse_args()
    page = Page("lattices", "Lattices")
    page.text(f"Options: `{settings(options)}`.")
    if "own" in options.parts:
        own_model(page, options.repeats)
    if "coverage" in options.parts:
        coverage(page, options.refits)
    if "speed" in options.parts:
        speed(page, 256, 500, options.peers_python)
    page.finish(options.save)


if __name__ == "__main__":
    main()

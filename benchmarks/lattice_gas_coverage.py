"""How often the intervals of a lattice gas, fitted to movies, hold the truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _lattice_gas_kernel import movie
from _lattice_gas_movies import TRUTH
from _report import Page, arguments, settings
from _rows import Rows
from scipy.stats import binom

from tumble.models import FitzHughNagumoLatticeGas, Grid, LatticeGasMovie

_NORMAL = 1.96


def fitted(seed: int, size: int) -> dict[str, Any]:
    """Return what a fit of one movie says, in logarithms."""
    model = FitzHughNagumoLatticeGas(Grid((size, size)), stripe=(size // 2 - 3, size // 2 + 2))
    problem = LatticeGasMovie(model, movie(list(TRUTH.values()), 20, 500, seed, size), 500)
    began = time.process_time()
    found = problem.fit(num_starts=2, seed=seed)
    seconds = time.process_time() - began
    return {
        "seconds": round(seconds, 1),
        "off": [round(float(np.log(found.params[n] / TRUTH[n])), 4) for n in TRUTH],
        "stated": [round(found.standard_errors[n], 4) for n in TRUTH],
    }  # fmt: skip


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--size", type=int, default=24)
    parser.add_argument(
        "--rows", type=Path, help="a file of rows, from which a stopped run goes on"
    )
    options = parser.parse_args()
    name = "lattice_gas_coverage" + ("" if options.size == 24 else f"_{options.size}")
    page = Page(name, "Coverage for a lattice gas")
    kept = Rows(options.rows)
    rows = [
        kept.get(("coverage", seed), lambda seed=seed: fitted(seed, options.size))
        for seed in range(options.repeats)
    ]
    low, high = binom.ppf([0.005, 0.995], len(rows), 0.95)
    page.text(
        f"""{len(rows)} movies of {options.size} × {options.size} sites, 20 frames 500 steps apart
        after a stripe, at the published parameters, by a simulator that shares no code with the
        library; fitted by `LatticeGasMovie` with default errors, by repeats of each transition at
        the parameters found, and two starts. Intervals of 95 % are ± 1.96 standard errors about the
        logarithm of a parameter; of {len(rows)} right ones, {low:.0f} to {high:.0f} hold the truth
        in 99 % of such tables. Options: `{settings(options)}`."""
    )
    errors = np.array([row["off"] for row in rows])
    table = []
    for p, name in enumerate(TRUTH):
        claims = np.array([row["stated"][p] for row in rows])
        held = int((np.abs(errors[:, p]) < _NORMAL * claims).sum())
        table.append(
            [name, f"{errors[:, p].std(ddof=1):.3f}", f"{np.median(claims):.3f}",
             f"{errors[:, p].mean():+.3f}", f"{held} of {len(rows)}"]
        )  # fmt: skip
    page.table(
        [
            "",
            "sd of log estimates",
            "median error stated",
            "mean error",
            "95 % intervals that hold",
        ],
        table,
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()

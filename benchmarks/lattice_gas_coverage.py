"""How often the intervals of a lattice gas, fitted to movies, hold the truth."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from _lattice_gas_kernel import movie
from _lattice_gas_movies import TRUTH
from _report import Page, arguments, progress, settings

from tumble.models import FitzHughNagumoLatticeGas, Grid, LatticeGasMovie

_NORMAL = 1.96


def fitted(seed: int, size: int) -> dict[str, Any]:
    """Return what a fit of one movie says, in logarithms."""
    model = FitzHughNagumoLatticeGas(Grid((size, size)), stripe=(size // 2 - 3, size // 2 + 2))
    problem = LatticeGasMovie(model, movie(list(TRUTH.values()), 20, 500, seed, size), 500)
    began = time.perf_counter()
    found = problem.fit(seed=seed)
    seconds = time.perf_counter() - began
    # From where the fit ended, for the errors alone.
    waves = problem.fit(found.params, repeats=0)
    return {
        "seed": seed, "seconds": round(seconds, 1),
        "off": [round(float(np.log(found.params[n] / TRUTH[n])), 4) for n in TRUTH],
        "stated": [round(found.standard_errors[n], 4) for n in TRUTH],
        "of waves": [round(waves.standard_errors[n], 4) for n in TRUTH],
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
    kept = options.rows
    rows = [json.loads(r) for r in kept.read_text().splitlines()] if kept and kept.exists() else []
    for seed in range(len(rows), options.repeats):
        rows.append(fitted(seed, options.size))
        progress(json.dumps(rows[-1]))
        if kept:
            with kept.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    rows = rows[: options.repeats]
    page = Page("lattice_gas_coverage", "Coverage for a lattice gas")
    page.text(
        f"""{len(rows)} movies of {options.size} × {options.size} sites, 20 frames 500 steps apart
        after a stripe, at the published parameters, by a simulator that shares no code with the
        library; fitted by `LatticeGasMovie` with default settings. Intervals of 95 % are ± 1.96
        standard errors about the logarithm of a parameter; of 200 right ones, 181 to 197 hold the
        truth in 99 % of such tables. *By simulation* are the default errors, by repeats of each
        transition at the parameters found; *of waves* those with `repeats=0`, as if waves were
        independent. Options: `{settings(options)}`."""
    )
    errors = np.array([row["off"] for row in rows])
    table = []
    for p, name in enumerate(TRUTH):
        line = [name, f"{errors[:, p].std(ddof=1):.3f}", f"{errors[:, p].mean():+.3f}"]
        for kind in ("stated", "of waves"):
            claims = np.array([row[kind][p] for row in rows])
            held = int((np.abs(errors[:, p]) < _NORMAL * claims).sum())
            line += [f"{held} of {len(rows)}", f"{np.median(claims):.3f}"]
        table.append(line)
    page.table(
        ["", "sd of log estimates", "mean error", "held, by simulation", "median error stated",
         "held, of waves", "median error stated"],
        table,
    )  # fmt: skip
    page.finish(options.save)


if __name__ == "__main__":
    main()

"""A lattice gas by its mean equations, beside searches by simulation alone at equal budgets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _lattice_gas_kernel import movie
from _lattice_gas_movies import START, TRUTH
from _report import Page, arguments, progress, settings
from _workers import PEERS_PYTHON, Worker

from tumble.models import FitzHughNagumoLatticeGas, Grid, LatticeGasMovie

_WAYS = {
    "coupled": "Gauss–Newton, coupled differences",
    "cma": "CMA-ES (cma)",
    "abc": "ABC-SMC (pyABC)",
}


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--budget", type=float, default=60.0, help="processor seconds")
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    options = parser.parse_args()
    page = Page("lattice_gas_rivals", "A lattice gas by simulation alone")
    size, frames = options.size, options.frames
    model = FitzHughNagumoLatticeGas(Grid((size, size)), stripe=(size // 2 - 3, size // 2 + 2))
    seen = movie(list(TRUTH.values()), frames, 500, 0, size)
    began = time.process_time()
    found = LatticeGasMovie(model, seen, 500).fit()
    seconds = time.process_time() - began
    rows: list[list[Any]] = [_row("mean equations, with errors", found.params, seconds, "")]
    worker = Worker("peers.lattice_gas_search", options.peers_python.absolute())
    for way, name in _WAYS.items():
        reply = worker.ask(
            {"task": "search", "way": way, "size": size, "frames": frames, "interval": 500,
             "truth": list(TRUTH.values()), "start": [START[n] for n in TRUTH], "seed": 0,
             "budget": options.budget},
            60 * options.budget,
        )  # fmt: skip
        if not reply.lines:
            progress(f"{way}: {reply.failure}")
            continue
        last = reply.last
        params = dict(zip(TRUTH, last["params"], strict=True))
        rows.append(_row(name, params, last["seconds"], last["evaluations"]))
    page.text(
        f"""One movie of {size} × {size} sites, {frames} frames 500 steps apart, at the published
        parameters. `LatticeGasMovie` with default settings, simulated errors and compilation
        included, beside searches that see eight statistics of each frame that follows another
        (means, variances, covariance, roughness, wall length, stability), simulated once from the
        frame before it, in units of their noise, and stop after the step in which
        {options.budget:.0f} processor seconds are over. CMA-ES and Gauss–Newton start where the
        published fit did, off by factors of 2 to 9, with the noise of runs held; ABC has a
        log-uniform prior of 0.02 to 1, and the posterior mean counts. An evaluation simulates the
        movie once. Relative errors. Options: `{settings(options)}`, with
        {worker.versions("cma", "pyabc", "numba")}."""
    )
    page.table(["", *TRUTH, "largest", "processor seconds", "evaluations"], rows)
    page.finish(options.save)


def _row(name: str, params: Any, seconds: float, evaluations: Any) -> list[Any]:
    off = [params[n] / TRUTH[n] - 1 for n in TRUTH]
    row = [name, *(f"{e:+.3f}" for e in off), f"{np.abs(off).max():.3f}", f"{seconds:.1f}"]
    progress(f"{row}")
    return [*row, evaluations]


if __name__ == "__main__":
    main()

"""Five parameters of a lattice gas from a movie of 20 frames, and three ratios from one frame."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from _lattice_gas_kernel import after, movie, stripe
from _lattice_gas_movies import TRUTH, other_truths
from _report import Page, arguments, settings
from _rows import Rows

from tumble.models import FitzHughNagumoLatticeGas, LatticeGasFrame, LatticeGasMovie

_WITHIN = 0.1
_RATIOS = {"k2/k1": 0.1 / 0.98, "D_A/k1": 0.1 / 0.98, "D_B/k3": 2.0}
_TARGETS = {"k2/k1": 0.03, "D_A/k1": 0.08, "D_B/k3": 0.06}


def fitted(truth: dict[str, float], seed: int) -> dict[str, Any]:
    """Return what a fit of one movie says, with errors of waves, which take no simulation."""
    frames = movie(list(truth.values()), 20, 500, seed)
    began = time.process_time()
    found = LatticeGasMovie(FitzHughNagumoLatticeGas(), frames, 500).fit(repeats=0)
    return {
        "seconds": round(time.process_time() - began, 2),
        "off": [round(found.params[n] / truth[n] - 1, 4) for n in TRUTH],
        "converged": found.converged,
        "agree": found.num_agreeing == found.num_starts,
    }


def row_of(name: str, rows: list[dict[str, Any]]) -> list[Any]:
    """Return a row of the table of movies."""
    errors = np.array([row["off"] for row in rows])
    count = len(rows)
    return [
        name, *(f"{e:.3f}" for e in np.sqrt((errors**2).mean(0))),
        f"{int((np.abs(errors) < _WITHIN).all(1).sum())} of {count}",
        sum(not row["converged"] for row in rows),
        f"{sum(row['agree'] for row in rows)} of {count}",
    ]  # fmt: skip


def with_errors(seed: int) -> dict[str, Any]:
    """Return the processor seconds of a fit without and with errors by simulation."""
    frames = movie(list(TRUTH.values()), 20, 500, seed)
    problem, seconds = LatticeGasMovie(FitzHughNagumoLatticeGas(), frames, 500), []
    for options in ({"repeats": 0}, {}):
        began = time.process_time()
        problem.fit(**options)
        seconds.append(round(time.process_time() - began, 2))
    return {"seconds": seconds}


def of_frame(seed: int, repeats: int) -> dict[str, Any]:
    """Return what a frame after 50,000 steps says."""
    frame = after(stripe(64), list(TRUTH.values()), 50_000, (7, seed))
    found = LatticeGasFrame(FitzHughNagumoLatticeGas(), frame).fit(repeats=repeats)
    return {
        "off": [round(found.ratios[n] / _RATIOS[n] - 1, 4) for n in _RATIOS],
        "stated": [round(found.standard_errors[n], 4) for n in _RATIOS],
        "printed": str(found),
    }


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--movies", type=int, default=20)
    parser.add_argument("--random", type=int, default=30, help="movies at random truths")
    parser.add_argument("--errors", type=int, default=3, help="fits with errors, to be timed")
    parser.add_argument("--frames", type=int, default=12, help="single frames")
    parser.add_argument(
        "--rows", type=Path, help="a file of rows, from which a stopped run goes on"
    )
    options = parser.parse_args()
    page = Page("lattice_gas", "A lattice gas in movies")
    kept = Rows(options.rows)
    same = [kept.get(("published", k), lambda k=k: fitted(TRUTH, k)) for k in range(options.movies)]
    others = [
        kept.get(("others", k), lambda k=k, truth=truth: fitted(truth, 1000 + k))
        for k, truth in enumerate(other_truths(options.random))
    ]
    page.text(
        f"""Movies of the FitzHugh–Nagumo lattice gas on 64 × 64 sites from a stripe, 20 frames 500
        steps apart, by a simulator that shares no code with the library; g and N known. Fits are by
        `LatticeGasMovie` with its own starts. Root mean square of relative errors; how many movies
        have all five within {100 * _WITHIN:.0f} %; how many fits did not converge; in how many
        movies all four starts ended alike. Options: `{settings(options)}`."""
    )
    page.table(
        ["movies", *TRUTH, "all within 10 %", "not converged", "starts agree"],
        [row_of("published truth", same), row_of("truths × U(0.7, 1.3)", others)],
    )
    timed = [kept.get(("errors", k), lambda k=k: with_errors(k)) for k in range(options.errors)]
    plain, errors = np.median([row["seconds"] for row in timed], axis=0)
    page.text(
        f"""A fit takes {plain:.1f} processor seconds, with errors by simulated repeats, the
        default, {errors:.1f} (medians of {options.errors} on one core, the first of which compiles:
        {timed[0]["seconds"][0]:.1f} and {timed[0]["seconds"][1]:.1f}). Whether these errors are
        right is on [a page of its own](lattice_gas_coverage.md)."""
    )
    page.heading("One frame")
    # The ratios do not depend on the repeats, of which two are the fewest.
    found = [
        kept.get(("frame", k), lambda k=k: of_frame(k, 8 if k < options.errors else 2))
        for k in range(options.frames)
    ]
    page.text(
        f"""{options.frames} frames 50,000 steps after the stripe, at the published parameters:
        three ratios by `LatticeGasFrame`. Relative errors: their standard deviation, what was
        aimed at, their mean, their root mean square, and the standard error that a fit states
        (median of {options.errors}). The pattern still grows after 50,000 steps, which shows in
        the means."""
    )
    off = np.array([row["off"] for row in found])
    stated = np.array([row["stated"] for row in found[: options.errors]])
    page.table(
        ["", "sd", "target", "mean", "rms", "stated"],
        [
            [name, f"{off[:, p].std(ddof=1):.3f}", _TARGETS[name], f"{off[:, p].mean():+.3f}",
             f"{np.sqrt((off[:, p] ** 2).mean()):.3f}", f"{np.median(stated[:, p]):.3f}"]
            for p, name in enumerate(_RATIOS)
        ],
    )  # fmt: skip
    page.text("What a fit prints:")
    for line in found[0]["printed"].splitlines():
        page.text(f"- {line}")
    page.finish(options.save)


if __name__ == "__main__":
    main()

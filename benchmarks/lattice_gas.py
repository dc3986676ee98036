"""Five parameters of a lattice gas from a movie of 20 frames, and three ratios from one frame."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _lattice_gas_kernel import after, movie, stripe
from _lattice_gas_movies import START, TRUTH, other_truths
from _report import Page, arguments, progress, settings

from tumble.models import FitzHughNagumoLatticeGas, LatticeGasFrame, LatticeGasMovie

_WITHIN = 0.1
_TARGETS = {"k2/k1": 0.03, "D_A/k1": 0.08, "D_B/k3": 0.06}


def of_truths(name: str, truths: list[dict[str, float]], first: int, published: bool) -> list[Any]:
    """Return a row of the table: fits with errors of waves, which take no simulation."""
    model = FitzHughNagumoLatticeGas()
    off, seconds, failed, agreed = [], [], 0, 0
    for k, truth in enumerate(truths):
        frames = movie(list(truth.values()), 20, 500, first + k)
        began = time.perf_counter(), time.process_time()
        problem = LatticeGasMovie(model, frames, 500)
        found = problem.fit(START if published else None, repeats=0)
        seconds.append((time.perf_counter() - began[0], time.process_time() - began[1]))
        off.append([found.params[k] / truth[k] - 1 for k in TRUTH])
        failed += not found.converged
        agreed += found.num_agreeing == found.num_starts
        progress(f"{name} {k}: {np.round(off[-1], 3)} in {seconds[-1][1]:.1f} s")
    errors = np.array(off)
    good = int((np.abs(errors) < _WITHIN).all(1).sum())
    return [
        name, *(f"{e:.3f}" for e in np.sqrt((errors**2).mean(0))), f"{good} of {len(truths)}",
        f"{np.median(seconds, 0)[1]:.1f}", f"{np.max(seconds, 0)[1]:.1f}", failed,
        f"{agreed} of {len(truths)}" if not published else "",
    ]  # fmt: skip


def with_errors(count: int) -> list[float]:
    """Return the processor seconds of fits with the default errors."""
    model, seconds = FitzHughNagumoLatticeGas(), []
    for k in range(count):
        frames = movie(list(TRUTH.values()), 20, 500, k)
        began = time.process_time()
        LatticeGasMovie(model, frames, 500).fit()
        seconds.append(time.process_time() - began)
        progress(f"with errors: {seconds[-1]:.1f} s")
    return seconds


def of_frames(count: int, with_error: int) -> tuple[list[list[Any]], str]:
    """Return rows for single frames after 50,000 steps, and what one fit prints."""
    model, off, claims, printed = FitzHughNagumoLatticeGas(), [], [], ""
    truth = {"k2/k1": 0.1 / 0.98, "D_A/k1": 0.1 / 0.98, "D_B/k3": 2.0}
    for k in range(count):
        frame = after(stripe(64), list(TRUTH.values()), 50_000, (7, k))
        # Two repeats are the fewest: the ratios do not depend on them.
        found = LatticeGasFrame(model, frame).fit(repeats=8 if k < with_error else 2)
        off.append([found.ratios[n] / truth[n] - 1 for n in truth])
        if k < with_error:
            claims.append([found.standard_errors[n] for n in truth])
            printed = printed or str(found)
        progress(f"frame {k}: {np.round(off[-1], 3)}")
    errors, stated = np.array(off), np.array(claims)
    rows = [
        [n, f"{errors[:, p].std(ddof=1):.3f}", _TARGETS[n], f"{errors[:, p].mean():+.3f}",
         f"{np.sqrt((errors[:, p]**2).mean()):.3f}", f"{np.median(stated[:, p]):.3f}"]
        for p, n in enumerate(truth)
    ]  # fmt: skip
    return rows, printed


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--movies", type=int, default=20)
    parser.add_argument("--random", type=int, default=30, help="movies at random truths")
    parser.add_argument("--errors", type=int, default=3, help="fits with errors, to be timed")
    parser.add_argument("--frames", type=int, default=12, help="single frames")
    options = parser.parse_args()
    page = Page("lattice_gas", "A lattice gas in movies")
    rows = [
        of_truths("published truth", [TRUTH] * options.movies, 0, False),
        of_truths("truths × U(0.7, 1.3)", other_truths(options.random), 1000, False),
    ]
    page.text(
        f"""Movies of the FitzHugh–Nagumo lattice gas on 64 × 64 sites from a stripe, 20 frames 500
        steps apart, by a simulator that shares no code with the library; g and N known. Fits are by
        `LatticeGasMovie` with its own starts. Root mean square of relative errors; how many movies
        have all five within {100 * _WITHIN:.0f} %; processor seconds of a fit without simulated
        errors (median and longest, which holds compilation); how many fits did not converge; in how
        many movies all four starts ended alike. Options: `{settings(options)}`."""
    )
    page.table(
        ["movies", *TRUTH, "all within 10 %", "seconds", "longest", "not converged",
         "starts agree"],
        rows,
    )  # fmt: skip
    seconds = with_errors(options.errors)
    page.text(
        f"""With errors by simulated repeats, the default, a fit takes {np.median(seconds):.1f}
        processor seconds (median of {options.errors}). Whether these errors are right is on
        [a page of its own](lattice_gas_coverage.md)."""
    )
    page.heading("One frame")
    rows, printed = of_frames(options.frames, options.errors)
    page.text(
        f"""{options.frames} frames 50,000 steps after the stripe, at the published parameters:
        three ratios by `LatticeGasFrame`. Relative errors: their standard deviation, what was
        aimed at, their mean, their root mean square, and the standard error that a fit states
        (median of {options.errors}). The pattern still grows after 50,000 steps, which shows in
        the means."""
    )
    page.table(["", "sd", "target", "mean", "rms", "stated"], rows)
    page.text("What a fit prints:")
    for line in printed.splitlines():
        page.text(f"- {line}")
    page.finish(options.save)


if __name__ == "__main__":
    main()

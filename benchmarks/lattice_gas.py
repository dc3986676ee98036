"""Five parameters of a lattice gas from a movie of 20 frames, 500 steps apart."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble.models import FitzHughNagumoLatticeGas, LatticeGasMovie

_TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}
_START = {"k1": 0.355, "k2": 0.91, "k3": 0.059, "D_A": 0.35, "D_B": 0.73}
_WITHIN = 0.1


def movies(
    model: FitzHughNagumoLatticeGas, truths: list[dict[str, float]], frames: int, interval: int
) -> np.ndarray:
    """Return a movie [frames, 2, rows, columns] for each truth."""
    kept = tb.simulate(
        model, {name: np.array([t[name] for t in truths]) for name in model.parameters},
        times=[float(interval * k) for k in range(frames + 1)], seed=0,
        outputs=tb.outputs.Frames(),
    )  # fmt: skip
    return np.stack([kept.states["A"][:, 0], kept.states["B"][:, 0]], axis=2)


def of_truths(
    name: str, truths: list[dict[str, float]], frames: int, interval: int
) -> tuple[list[Any], list[Any]]:
    """Return rows of the two tables."""
    model = FitzHughNagumoLatticeGas()
    off, stated, seconds, failed = [], [], [], 0
    for truth, movie in zip(truths, movies(model, truths, frames, interval), strict=True):
        began = time.perf_counter()
        found = LatticeGasMovie(model, movie, interval).fit(_START)
        seconds.append(time.perf_counter() - began)
        off.append([found.params[k] / truth[k] - 1 for k in _TRUTH])
        stated.append([found.standard_errors[k] for k in _TRUTH])
        failed += not found.converged
        progress(f"{name}: {np.round(off[-1], 3)} in {seconds[-1]:.1f} s")
    errors, claims = np.array(off), np.array(stated)
    held = (np.abs(errors) < 1.96 * claims).sum(0)
    good = int((np.abs(errors) < _WITHIN).all(1).sum())
    row = [name, *(f"{e:.3f}" for e in np.sqrt((errors**2).mean(0))),
           f"{good} of {len(truths)}", f"{np.median(seconds):.1f}", failed]  # fmt: skip
    sizes = np.median(claims, axis=0)
    shown = [f"{h} of {len(truths)} (± {c:.3f})" for h, c in zip(held, sizes, strict=True)]
    return row, [name, *shown]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--movies", type=int, default=20)
    parser.add_argument("--random", type=int, default=30, help="movies at random truths")
    options = parser.parse_args()
    page = Page("lattice_gas", "A lattice gas in movies")
    rng = np.random.default_rng(1)
    others = [
        {k: float(v * rng.uniform(0.7, 1.3)) for k, v in _TRUTH.items()}
        for _ in range(options.random)
    ]
    cases = [
        ("20 frames, 500 steps apart", [_TRUTH] * options.movies, 20, 500),
        ("the same, truths × U(0.7, 1.3)", others, 20, 500),
        ("20 frames, 250 steps apart", [_TRUTH] * options.movies, 20, 250),
    ]
    rows = [of_truths(*case) for case in cases]
    page.text(
        f"""Movies of the FitzHugh–Nagumo lattice gas on 64 × 64 sites from a stripe, with g and N
        known, fitted by `LatticeGasMovie` from a start that is off by factors of 2 to 9. Root mean
        square of relative errors; how many movies have all five within {100 * _WITHIN:.0f} %;
        median seconds of a fit, with compilation; how many fits did not converge. Options:
        `{settings(options)}`."""
    )
    page.table(["movies", *_TRUTH, "all within 10 %", "seconds", "not converged"],
               [row for row, _ in rows])  # fmt: skip
    page.text("How many 95 % intervals hold the truth, and the median standard error.")
    page.table(["movies", *_TRUTH], [row for _, row in rows])
    page.finish(options.save)


if __name__ == "__main__":
    main()

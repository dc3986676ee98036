"""A Cellular Potts model: its speed and its law, beside C and glazier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from _cellular_engines import Engine, Tissue, by_c, by_glazier, by_tumble, steps_a_second
from _report import Page, arguments, progress, settings
from _workers import PEERS_PYTHON

import tumble as tb
from tumble.models import Cells, CellularPotts
from tumble.simulators import Checkerboard

_TRUTH = {"J_0_1": 0.83, "J_1_1": 0.21, "J_0_2": 0.77, "J_1_2": 0.86, "J_2_2": 0.19,
          "lambda_volume": 0.052, "target_volume": 50.0}  # fmt: skip
_MARGIN = 0.02
_Z95 = 1.96
_PIECE = 100
_TIMES_AS_MANY = {"tumble": 3, "glazier": 5}  # runs: the reference, and last frames alone
_PICTURE = Path(__file__).resolve().parents[1] / "docs" / "results" / "cellular_potts.png"


def speed(page: Page, engines: dict[str, Engine], rounds: int) -> None:
    """Print Monte Carlo steps a second of each program."""
    cases = {
        "64 cells fill 200 × 200": Tissue(200, 8, 25, 0.8, 0.8, 0.05, 625.0, 200),
        "the same, low adhesion": Tissue(200, 8, 25, 0.3, 0.3, 0.05, 625.0, 200),
        "with medium, 20 sites wide": Tissue(200, 8, 20, 0.8, 0.8, 0.05, 400.0, 200),
    }
    rows = []
    for name, tissue in cases.items():
        rates = steps_a_second(engines, tissue, rounds)
        ratios = [rates["tumble"] / rates[k] for k in engines if k != "tumble"]
        rows.append([name, *(f"{rates[k]:,.0f}" for k in engines), *(f"{r:.2f}" for r in ratios)])
        progress(f"{rows[-1]}")
    page.heading("Speed")
    page.text(
        f"""Monte Carlo steps a second of processor time on one core, the median of {rounds} rounds
        of 200 steps, in which the programs take turns; processor time, so that what else runs on
        the machine counts little. C is what one writes by hand (`peers/cellular_potts.c`, gcc
        -O3 -march=native), glazier 0.3.0 the serial engine of that package, in Rust."""
    )
    head = [f"tumble / {k}" for k in engines if k != "tumble"]
    page.table(["cells", *engines, *head], rows)


def law(page: Page, engines: dict[str, Engine], runs: int) -> None:
    """Print ratios of means, with 95 % intervals, to those of tumble."""
    tissue = Tissue(64, 4, 12, 0.5, 0.5, 0.05, 130.0, 60, frames=40, every=2)
    seen = {}
    for name, engine in engines.items():
        seen[name] = _means(engine, tissue, runs * _TIMES_AS_MANY.get(name, 1))
        progress(f"{name}: { ({k: float(v.mean()) for k, v in seen[name].items()}) }")
    others = [name for name in engines if name != "tumble"]
    rows = [
        [what, f"{own.mean():.4g}", *(_compared(own, seen[name][what]) for name in others)]
        for what, own in seen["tumble"].items()
    ]
    page.heading("The same process")
    page.text(
        f"""Means of {runs} runs of 16 cells, 12 sites wide, with medium around on 64 × 64 sites,
        over {tissue.frames} frames at steps {tissue.times[0]}, {tissue.times[1]}, …,
        {tissue.times[-1]}, relative to those of tumble's `Metropolis`, the sequential definition,
        with 95 % intervals; of `Metropolis` {len(seen["tumble"]["mean volume"])} runs. glazier
        shows last frames only: {runs * _TIMES_AS_MANY["glazier"]} runs that end in turn at each of
        these steps. Equivalent: the interval lies within {100 * _MARGIN:.0f} %;
        different: wholly outside."""
    )
    page.table(["mean of", "tumble", *others], rows)
    page.text(
        """What is different by definition, whatever the table says. `Checkerboard` is the
        approximation for accelerators, here on a CPU: all sites of a color make an attempt at once,
        at the volumes of the beginning of the round, and within a step a site of the color drawn
        makes exactly one, where the definition draws every site by itself. Its sites are `apart`
        from each other, default 8: the more of a cell are in a round, the more its volume
        varies."""
    )
    page.text(
        """glazier refuses a copy that would empty a cell, of no consequence for cells of a hundred
        sites. And its serial engine takes the medium for a cell of type 1 where it looks up
        contacts: the energy that is given for contact with the medium has no effect (runs at 0.5
        and 0.8 are the same, bit for bit), that between cells of type 1 is used instead. So both
        are 0.5 here, and equal in the table of speed. C is the definition, written a second time,
        with random numbers of its own."""
    )


def _means(engine: Engine, tissue: Tissue, runs: int) -> dict[str, np.ndarray]:
    """Return what is compared, a number a run, of runs in pieces that fit into memory."""
    pieces = []
    for seed in range(1, runs // _PIECE + 1):
        pieces.append(tissue.seen(engine(replace(tissue, runs=_PIECE), seed)[1]))
    return {what: np.concatenate([piece[what] for piece in pieces]) for what in pieces[0]}


def _compared(own: np.ndarray, other: np.ndarray) -> str:
    """Return the ratio of means with its interval, and what follows of it."""
    ratio = other.mean() / own.mean()
    parts = [x.std(ddof=1) / x.mean() / np.sqrt(len(x)) for x in (own, other)]
    half = _Z95 * ratio * float(np.hypot(*parts))
    inside = abs(ratio - 1) + half < _MARGIN
    outside = abs(ratio - 1) - half > _MARGIN
    verdict = "equivalent" if inside else "different" if outside else "undecided"
    return f"{ratio:.4f} ± {half:.4f}, {verdict}"


def picture(page: Page, save: bool) -> None:
    """Draw cells before and after they have sorted out."""
    model = CellularPotts(Cells.blocks((100, 100), (8, 8), 7, types=[1, 2]))
    kept = tb.simulate(
        model, _TRUTH, times=[20.0, 400.0, 4000.0], seed=0, outputs=tb.outputs.Frames()
    )
    page.text("![Cells after 20, 400 and 4000 steps](cellular_potts.png)")
    page.text("Cells of two types after 20, 400 and 4,000 Monte Carlo steps.")
    if save:
        import matplotlib.image

        images = [tb.plot.render(Cells(f, model.start.types), scale=2) for f in kept.states[0]]
        gap = np.full((images[0].shape[0], 8, 3), 255, np.uint8)
        both = np.concatenate([images[0], gap, images[1], gap, images[2]], axis=1)
        matplotlib.image.imsave(_PICTURE, both)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    options = parser.parse_args()
    page = Page("cellular_potts", "A Cellular Potts model")
    serial: dict[str, Engine] = {"tumble": by_tumble(), "C": by_c}
    if options.peers_python.exists():
        serial["glazier"] = by_glazier(options.peers_python)
    parallel = {
        "Checkerboard()": by_tumble(Checkerboard()),
        "Checkerboard(apart=4)": by_tumble(Checkerboard(apart=4)),
        "Checkerboard(apart=2)": by_tumble(Checkerboard(apart=2)),
    }
    page.text(f"Options: `{settings(options)}`.")
    picture(page, options.save)
    speed(page, {**serial, "Checkerboard()": parallel["Checkerboard()"]}, options.rounds)
    law(page, {**serial, **parallel}, options.runs)
    page.finish(options.save)


if __name__ == "__main__":
    main()

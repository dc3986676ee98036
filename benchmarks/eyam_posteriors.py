"""Plague in Eyam: the posterior by every way there is, beside the exact one."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress
from eyam import make_problem
from scipy.interpolate import RectBivariateSpline

import tumble as tb
from tumble.diagnostics import c2st
from tumble.posteriors import (
    SMCABC,
    TSNPE,
    AdaptiveMetropolis,
    ParticleMCMC,
    RejectionABC,
    SyntheticLikelihood,
)
from tumble.simulators import FiniteStateProjection

_EXACT = FiniteStateProjection(max_states=60_000)
_DRAWS = 10_000
_SIDE, _FINE, _WIDE = 25, 1000, 5.5  # points of the grid a side, of the finer one; its half-width
_PICTURE = Path(__file__).resolve().parent.parent / "docs" / "results" / "eyam_posteriors.png"
_DRAWN = ("SMC-ABC, adjusted (the default)", "particles, screened by linear noise", "linear noise")
_WAYS = {
    "SMC-ABC, adjusted (the default)": SMCABC(),
    "SMC-ABC, not adjusted": SMCABC(adjustment=None),
    "rejection ABC, adjusted": RejectionABC(),
    "synthetic likelihood": SyntheticLikelihood(),
    "a learnt density (TSNPE)": TSNPE(),
    "linear noise": AdaptiveMetropolis(),
    "particles, screened by linear noise": ParticleMCMC(),
}


def exact_draws(problem: tb.Problem, around: np.ndarray) -> tuple[np.ndarray, float]:
    """Return draws of logarithms [N, 2] by the exact likelihood on a grid, and seconds.

    ``around``: draws of logarithms that say where the grid has to be.
    """
    began = time.perf_counter()
    bound = tb.objectives.PathLikelihood(_EXACT).bind(problem)
    low, high = problem.space.lower, problem.space.upper
    middle, spread = around.mean(0), around.std(0)
    axes = [
        np.linspace(max(m - _WIDE * s, a), min(m + _WIDE * s, b), _SIDE)
        for m, s, a, b in zip(middle, spread, low, high, strict=True)
    ]
    logs = np.empty((_SIDE, _SIDE))
    for i, first in enumerate(axes[0]):
        logs[i] = -bound.values(np.stack([np.full(_SIDE, first), axes[1]], axis=1))
        progress(f"exact likelihood: row {i + 1} of {_SIDE}")
    logs = np.maximum(logs, logs.max() - 200)
    fine = [np.linspace(a[0], a[-1], _FINE) for a in axes]
    density = RectBivariateSpline(*axes, logs)(*fine)
    weights = np.exp(density - density.max()).ravel()
    rng = np.random.default_rng(0)
    cells = rng.choice(weights.size, _DRAWS, p=weights / weights.sum())
    z = np.stack([fine[0][cells // _FINE], fine[1][cells % _FINE]], axis=1)
    width = np.array([a[1] - a[0] for a in fine])
    return z + width * (rng.random(z.shape) - 0.5), time.perf_counter() - began


def row_of(name: str, z: np.ndarray, exact: np.ndarray, cost: list[Any]) -> list[Any]:
    """Return a row of the table."""
    cells = []
    for column in np.exp(z).T:
        low, median, high = np.quantile(column, [0.025, 0.5, 0.975])
        cells.append(f"{median:.4f} ({low:.4f} … {high:.4f})")
    return [name, *cells, f"{c2st(exact, z):.3f}", *cost]


def draw(found: dict[str, tb.Posterior], exact: np.ndarray) -> None:
    """Write a picture of some of them over the exact one."""
    import matplotlib

    matplotlib.use("Agg")
    first = next(iter(found.values()))
    known = replace(first, theta=np.exp(exact), weights=np.full(len(exact), 1 / len(exact)))
    axes = tb.plot.posteriors({"exact": known} | {name: found[name] for name in _DRAWN})
    axes[0, 0].figure.savefig(_PICTURE, dpi=100)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    page = Page("eyam_posteriors", "Posteriors of the plague in Eyam")
    problem = make_problem()
    found = {}
    for name, method in _WAYS.items():
        found[name] = tb.sample_posterior(problem, method=method, seed=options.seed)
        progress(f"{name}: {found[name].reason}, {found[name].stats['seconds']:.0f} s")
    exact, seconds = exact_draws(problem, np.log(found["linear noise"].theta))
    half = _DRAWS // 2
    rows = [row_of("exact likelihood on a grid", exact[:half], exact[half:], ["–", "–", seconds])]
    for name, posterior in found.items():
        stats = posterior.stats
        made = stats.get("data_sets", stats.get("evaluations", 0.0))
        cost = [f"{made:,.0f}", f"{posterior.effective_sample_size:.0f}", stats["seconds"]]
        z = np.log(posterior.sample(_DRAWS))
        rows.append(row_of(name, z, exact, cost))
    page.text(
        f"""The SIR model and data of [Eyam](eyam.md), β and γ log-uniform within bounds of three
        and two decades; default settings, seed {options.seed}. Medians with 95 % intervals.
        *C2ST*: how often a perceptron tells {_DRAWS:,} draws from as many of the exact posterior,
        0.5 where it cannot; in the first row halves of the exact draws. Data sets, or evaluations
        of the likelihood, until it ended by itself; how many independent draws they are worth;
        seconds with compilation. The exact likelihood is that of finite state projection over
        34,000 states, on {_SIDE} × {_SIDE} points, between which its logarithm is interpolated."""
    )
    head = ["posterior by", "β", "γ", "C2ST", "data sets or likelihoods", "draws worth", "seconds"]
    page.table(head, rows)
    if options.save:
        draw(found, exact)
        page.text("![Densities of β and γ, and lines that hold half and 95 %](eyam_posteriors.png)")
    page.finish(options.save)


if __name__ == "__main__":
    main()

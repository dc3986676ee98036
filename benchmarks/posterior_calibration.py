"""Do posteriors and intervals mean what they say? Simulation-based calibration of every way."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _rows import Rows

import tumble as tb
from tumble.diagnostics import check_calibration
from tumble.models.lattices import Grid, SusceptibleInfected
from tumble.posteriors import (
    SMCABC,
    AdaptiveMetropolis,
    ParticleMCMC,
    SyntheticLikelihood,
)
from tumble.priors import LogNormal

_DRAWS = 300  # effective ones of a chain: ranks need no more


def _series(text: str, initial: dict[str, int], seen: list[str], end: float, count: int,
            rates: dict[str, tuple[float, float]]) -> tb.Problem:  # fmt: skip
    """Return a problem of a series; of its data the shape counts. ``rates``: median, log sd."""
    network = tb.ReactionNetwork.from_text(text, species=tuple(initial))
    times = np.linspace(0, end, count + 1)[1:]
    truth = {name: median for name, (median, _) in rates.items()}
    run = tb.simulate(network, truth, initial=initial, times=times, seed=0)
    data = {"time": times, **{s: run.data.sel(species=s).values[0] for s in seen}}
    parameters = {
        name: tb.Parameter(median * np.exp(-4 * sd), median * np.exp(4 * sd),
                           prior=LogNormal(float(np.log(median)), sd))
        for name, (median, sd) in rates.items()
    }  # fmt: skip
    return tb.Problem(network, data=data, initial=initial, parameters=parameters)


def _lattice() -> tb.Problem:
    """Return a problem of an infection on a lattice, of which the infected sites are counted."""
    lattice = SusceptibleInfected(Grid((16, 16)))
    times = np.arange(1.0, 11.0)
    run = tb.simulate(lattice, {"beta": 0.3}, times=times, seed=0)
    prior = LogNormal(float(np.log(0.3)), 0.3)
    return tb.Problem(
        lattice, data={"time": times, "infected": run.data.values[0, :, 0]},
        parameters={"beta": tb.Parameter(0.09, 0.999, scale="logit", prior=prior)},
    )  # fmt: skip


MODELS: dict[str, Callable[[], tb.Problem]] = {
    "immigration-death, 10 counts": lambda: _series(
        "0 -> X ; k\nX -> 0 ; gamma", {"X": 0}, ["X"], 5.0, 10, {"k": (30, 0.5), "gamma": (1, 0.5)}
    ),
    "SIR of 300, I at 10 times": lambda: _series(
        "S + I -> 2 I ; beta\nI -> R ; gamma", {"S": 290, "I": 10, "R": 0}, ["I"], 1.0, 10,
        {"beta": (0.04, 0.3), "gamma": (4, 0.3)},
    ),
    "Lotka–Volterra, both at 10 times": lambda: _series(
        "X -> 2 X ; a\nX + Y -> 2 Y ; b\nY -> 0 ; c", {"X": 100, "Y": 100}, ["X", "Y"], 6.0, 10,
        {"a": (0.8, 0.2), "b": (0.006, 0.2), "c": (0.6, 0.2)},
    ),
    "SI on 16 × 16 sites, infected at 10 times": _lattice,
}  # fmt: skip
WAYS: dict[str, Any] = {
    "fit": lambda problem: tb.fit(problem, progress=False),
    "SMC-ABC": SMCABC(),
    "synthetic likelihood": SyntheticLikelihood(num_draws=_DRAWS),
    "linear noise": AdaptiveMetropolis(num_draws=_DRAWS),
    "particles": ParticleMCMC(num_draws=_DRAWS),
}
_OF_NETWORKS = {"linear noise", "particles"}


def checked(model: str, way: str, repeats: int) -> dict[str, Any]:
    """Check one way on one model."""
    began = time.perf_counter()
    found = check_calibration(
        MODELS[model](), method=WAYS[way], num_repeats=repeats, seed=1, progress=False
    )
    seconds = time.perf_counter() - began
    progress(found.summary())
    return {**found.to_dict(), "seconds": seconds}


def row_of(model: str, way: str, found: dict[str, Any]) -> list[str]:
    """Return a row of the table."""
    parameters = found["parameters"]
    count = found["repeats"]
    held = [
        " ".join(f"{round(count * p['coverage'][level])}" for p in parameters)
        for level in ("0.5", "0.8", "0.95")
    ]
    verdicts = ", ".join(f"{p['name']} {p['verdict']}" for p in parameters)
    if all(p["verdict"] == "calibrated" for p in parameters):
        verdicts = "calibrated" if found["calibrated"] else "NOT calibrated jointly"
    worst = min([found["p_value_jointly"], *(p["p_value"] for p in parameters)])
    each = found["seconds"] / (count + len(found["failed"]))
    return [model, way, str(count), *held, verdicts, f"{worst:.2g}", f"{each:.2g}"]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--models", nargs="*", type=int, default=[*range(len(MODELS))])
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--rows", type=Path, help="a file, from which a stopped run goes on")
    options = parser.parse_args()
    page = Page("posterior_calibration", "Do posteriors mean what they say?")
    page.text(
        f"""Parameters are drawn from the prior (log-normal, with standard deviations of 0.2 to 0.5
        in the logarithm), a series is simulated at each, and every way answers it, with default
        settings but for the number of draws of chains ({_DRAWS} effective ones). *Holds*: in how
        many repeats the central intervals of 50, 80 and 95 % hold the truth, for each parameter.
        Verdicts of `check_calibration`: a way that is right is called otherwise in one of a
        thousand cases. The p-value is the least of all parameters and of the joint test, of which
        there are three or four. Linear noise and particles are for networks. A fit does not know
        its interval to be other than normal, and knows the prior only through its mode. Seconds are
        those of an answer. {settings(options)}"""
    )
    kept = Rows(options.rows)
    names = [list(MODELS)[m] for m in options.models]
    rows = [
        row_of(
            model, way,
            kept.get((f"{model}: {way}", options.repeats),
                     lambda model=model, way=way: checked(model, way, options.repeats)),
        )
        for model in names
        for way in options.ways
        if MODELS[model] is not _lattice or way not in _OF_NETWORKS
    ]  # fmt: skip
    head = ["data", "way", "repeats", "50 % holds", "80 %", "95 %", "verdict", "least p", "seconds"]
    page.table(head, rows)
    page.finish(options.save)


if __name__ == "__main__":
    main()

"""Straight-through derivatives of lattice models after several steps, beside unbiased ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings

import tumble as tb
from tumble._random import Stream
from tumble.diagnostics import audit_gradient
from tumble.gradients import Auto, CoupledDifference, Pathwise, ScoreFunction
from tumble.models import (
    FitzHughNagumoLatticeGas,
    ForestFire,
    Grid,
    Ising,
    PersistentWalk,
    PlainWalk,
    PredatorPrey,
    RestrictedPottsWalk,
    SusceptibleInfected,
    SusceptibleInfectedRecovered,
    VonNeumann,
)
from tumble.objectives import MomentMatching

_TIMES = (1.0, 2.0, 5.0, 10.0, 20.0)
_SIDE = (16, 16)
_REFERENCES = (ScoreFunction(), CoupledDifference(0.1))
_FAIR = 0.1  # relative error of a reference below which a number is printed
# Model, parameters, and the output that is looked at.
_CASES: dict[str, tuple[Any, dict[str, float], str]] = {
    "susceptible–infected": (SusceptibleInfected(Grid(_SIDE)), {"beta": 0.3}, "infected"),
    "with recovery": (SusceptibleInfectedRecovered(Grid(_SIDE)),
                      {"beta": 0.3, "gamma": 0.2}, "infected"),
    "forest fire": (ForestFire(Grid(_SIDE)), {"p_growth": 0.1, "p_lightning": 0.02}, "trees"),
    "predator and prey": (PredatorPrey(Grid(_SIDE)),
                          {"p_birth": 0.2, "p_meal": 0.4, "p_death": 0.2}, "prey"),
    "Ising": (Ising(Grid(_SIDE, VonNeumann())), {"T": 2.5, "field": 0.1}, "energy"),
    "lattice gas, mean": (FitzHughNagumoLatticeGas(Grid(_SIDE), stripe=(6, 9), rate=0.05),
                          {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}, "A"),
    "lattice gas, variance": (FitzHughNagumoLatticeGas(Grid(_SIDE), stripe=(6, 9), rate=0.05),
                              {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}, "var_A"),
    "plain walk": (PlainWalk(), {"p_stay": 0.3}, "msd"),
    "persistent walk": (PersistentWalk(), {"p_start": 0.3, "p_stop": 0.3, "p_turn": 0.1}, "msd"),
    "cell of two pixels": (RestrictedPottsWalk(), {"p": 0.3}, "msd"),
}  # fmt: skip


def slopes_of(estimator: Any, bound: Any, z: np.ndarray, runs: int) -> tuple[np.ndarray, Any]:
    """Return means and errors [T, P] of the derivatives of the one output."""
    size = max(runs // estimator.runs_per_sample(bound), 16)
    found = estimator.sample(bound, z, size, Stream.from_seed(0)).jacobians
    return found.mean(0), found.std(0, ddof=1) / np.sqrt(size)


def bound_of(model: Any, params: dict[str, float], output: str, times: tuple[float, ...]) -> Any:
    """Return the objective of one output at some times."""
    unknown = {
        name: tb.Parameter(value / 3, min(3 * value, 0.99) if value < 0.9 else 3 * value)
        for name, value in params.items()
    }
    seen = tb.Experiment({"time": list(times), output: [1.0] * len(times)}, kind="mean",
                         num_averaged=100)  # fmt: skip
    return MomentMatching(order=1).bind(tb.Problem(model, [seen], unknown))


def ratios(page: Page, runs: int) -> None:
    """Print straight-through beside the better of two references."""
    rows = []
    for name, (model, params, output) in _CASES.items():
        bound = bound_of(model, params, output, _TIMES)
        z = bound.problem.space.to_fit(np.array(list(params.values())))
        means, errors = zip(*(slopes_of(e, bound, z, runs) for e in _REFERENCES), strict=True)
        best = np.argmin(errors, axis=0)
        exact = np.take_along_axis(np.array(means), best[None], 0)[0]
        error = np.take_along_axis(np.array(errors), best[None], 0)[0]
        biased, own = slopes_of(Pathwise(), bound, z, runs)
        for q, parameter in enumerate(params):
            cells = [
                _cell(biased[t, q], own[t, q], exact[t, q], error[t, q]) for t in range(len(_TIMES))
            ]
            rows.append([name, parameter, output, *cells])
            progress(f"{rows[-1]}")
    page.heading("By how much it is off")
    page.text(
        f"""∂ E[output] / ∂ log parameter by `Pathwise(StraightThrough())`, divided by the unbiased
        derivative (scores, or coupled differences with a step of 0.1, whichever knows it better),
        after 1 to 20 steps on 16 × 16 sites, by {runs} runs. 1 is right, a minus a wrong sign. In
        brackets where the reference itself is uncertain by more than 10 %; *none* where neither is
        told from zero."""
    )
    page.table(["model", "parameter", "output", *(f"{int(t)} steps" for t in _TIMES)], rows)


def _cell(biased: float, own: float, exact: float, error: float) -> str:
    if abs(exact) <= 3 * error and abs(biased) <= 3 * own:
        return "none"
    if abs(exact) <= 3 * error:
        return f"({biased:.2g} for {exact:.2g} ± {error:.1g})"
    ratio = biased / exact
    text = f"{ratio:.2f}" if abs(ratio) < 100 else f"{ratio:.1e}"
    return text if error < _FAIR * abs(exact) else f"({text})"


def verdicts(page: Page) -> None:
    """Print what the audit says, and what a fit would take."""
    rows = []
    for steps in (1.0, 10.0):
        for name in ("susceptible–infected", "plain walk", "cell of two pixels"):
            model, params, output = _CASES[name]
            bound = bound_of(model, params, output, (steps,))
            z = bound.problem.space.to_fit(np.array(list(params.values())))
            audit = audit_gradient(
                bound.problem, params, objective=MomentMatching(order=1), gradients=[Pathwise()],
                budget=tb.Budget(simulations=50_000), progress=False,
            )  # fmt: skip
            auto = Auto(candidates=[Pathwise(), ScoreFunction(), CoupledDifference()])
            choice = auto.choose(bound, z, Stream.from_seed(0), num_each=1_000)
            rows.append(
                [name, int(steps), next(iter(audit.verdicts.values())), choice.estimator.label]
            )
            progress(f"{rows[-1]}")
    page.heading("What tumble does about it")
    page.text(
        """`audit_gradient` compares with an unbiased reference and calls an estimator right only
        where it is within 10 %. `Auto` takes estimators with a proof; one without, if it is among
        the candidates, only where the same test calls it right. By default it is not among them."""
    )
    page.table(["model", "steps", "the audit of straight-through", "Auto, offered it, takes"], rows)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=4_000, help="of a derivative")
    options = parser.parse_args()
    page = Page("straight_through", "Straight-through derivatives")
    page.text(f"Options: `{settings(options)}`.")
    ratios(page, options.runs)
    verdicts(page)
    page.finish(options.save)


if __name__ == "__main__":
    main()

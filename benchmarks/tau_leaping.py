"""Tau-leaping and the Langevin equation against exact distributions, and what they save.

Bias of mean and variance by ε or step, in four networks whose moments are known, and the processor
time beside that of the direct method.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _report import Page, arguments, progress

import tumble as tb
from tumble._random import Stream, run_ids
from tumble.simulators import (
    AbstractSimulator,
    Batch,
    DirectMethod,
    FiniteStateProjection,
    Langevin,
    TauLeaping,
)


@dataclass(frozen=True)
class Case:
    """A network at a point, and the species and time to look at; ``steps`` for Langevin.

    ``moments`` are mean and variance where they have a closed form.
    """

    name: str
    network: str
    rates: Mapping[str, float]
    initial: Mapping[str, int]
    species: str
    at: float
    steps: tuple[float, ...]
    moments: tuple[float, float] | None = None


def isomers(count: int, forth: float, back: float, at: float) -> tuple[float, float]:
    """Return the moments of B in A <-> B from ``count`` of A: each is B with the same chance."""
    chance = forth / (forth + back) * (1 - np.exp(-(forth + back) * at))
    return count * chance, count * chance * (1 - chance)


CASES = [
    Case("SIR of 300", "S + I -> 2 I ; beta\nI -> R ; gamma", {"beta": 0.004, "gamma": 0.4},
         {"S": 285, "I": 15, "R": 0}, "I", 4.0, (0.5, 0.1, 0.02)),
    Case("Schlögl, about 80 or 560", "2 X -> 3 X ; a\n3 X -> 2 X ; b\n0 -> X ; k\nX -> 0 ; d",
         {"a": 0.03, "b": 1e-4, "k": 200.0, "d": 3.5}, {"X": 250}, "X", 4.0, (0.1, 0.02, 0.004)),
    Case("dimerization of 20,000", "2 P -> P2 ; bind\nP2 -> 2 P ; part",
         {"bind": 1e-4, "part": 0.5}, {"P": 20_000, "P2": 0}, "P2", 2.0, (0.2, 0.05, 0.01)),
    Case("isomerization of 200,000", "A -> B ; forth\nB -> A ; back",
         {"forth": 1.0, "back": 0.5}, {"A": 200_000, "B": 0}, "B", 1.0, (0.2, 0.05, 0.01),
         isomers(200_000, 1.0, 0.5, 1.0)),
]  # fmt: skip

EPSILONS = (0.3, 0.1, 0.01, 0.03)  # the last one again with `max_step`


def exact_moments(case: Case, model: Any) -> tuple[float, float]:
    """Return mean and variance of the species at the time: closed form, or projection."""
    if case.moments is not None:
        return case.moments
    rates, initial = vectors(case, model)
    projection = FiniteStateProjection(max_states=60_000)
    got = projection.distribution(model, rates, initial, [case.at])
    at = model.species.index(case.species)
    mean = got.expectation(lambda n: n[:, at])[0]
    return float(mean), float(got.expectation(lambda n: (n[:, at] - mean) ** 2)[0])


def vectors(case: Case, model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return rates and counts in the order of the model."""
    return model.params_vector(case.rates), np.array([case.initial[s] for s in model.species])


def measure(
    case: Case, model: Any, simulator: AbstractSimulator, num_runs: int
) -> tuple[np.ndarray, float]:
    """Return the species in each run [n], and microseconds of processor time a run."""
    rates, initial = vectors(case, model)

    def run(n: int, stream: Stream) -> Any:
        batch = Batch(
            np.broadcast_to(rates, (n, len(rates))), np.broadcast_to(initial, (n, len(initial))),
            np.array([case.at]), stream, run_ids(n),
        )  # fmt: skip
        return simulator.sample(model, batch)

    stream = Stream.from_seed(0).child(case.name, str(simulator))
    run(200, stream.child("warm"))
    began = time.process_time()
    sample = run(num_runs, stream)
    seconds = time.process_time() - began
    if np.any(sample.codes):
        raise RuntimeError(f"{case.name}: runs of {simulator} failed.")
    column = sample.states[:, 0, model.species.index(case.species)]
    return np.asarray(column, dtype=float), 1e6 * seconds / num_runs


def rows_of(case: Case, num_runs: int) -> list[list[Any]]:
    """Return a row for the direct method and for each setting of the others."""
    model = tb.ReactionNetwork.from_text(case.network)
    mean, variance = exact_moments(case, model)
    simulators: list[tuple[str, AbstractSimulator]] = [("DirectMethod", DirectMethod())]
    simulators += [(f"TauLeaping, ε = {e:g}", TauLeaping(epsilon=e)) for e in EPSILONS]
    simulators.append(("… with max_step = 0.05", TauLeaping(epsilon=0.03, max_step=0.05)))
    simulators += [(f"Langevin, step = {h:g}", Langevin(step=h)) for h in case.steps]
    rows, direct = [], 0.0
    for name, simulator in simulators:
        x, cost = measure(case, model, simulator, num_runs)
        direct = direct or cost
        squares = (x - x.mean()) ** 2
        rows.append(
            [case.name, name,
             percent(x.mean() / mean - 1, x.std() / np.sqrt(num_runs) / mean),
             percent(x.var() / variance - 1, squares.std() / np.sqrt(num_runs) / variance),
             f"{cost:.3g}", f"{direct / cost:.2g}"]
        )  # fmt: skip
        progress(f"{case.name}: {name}")
    return rows


def percent(value: float, error: float) -> str:
    """Write a share with its standard error."""
    return f"{100 * value:+.2f} ± {100 * error:.2f} %"


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=20_000, help="runs of each; default 20,000")
    options = parser.parse_args()
    page = Page("tau_leaping", "Errors of tau-leaping and of the Langevin equation")
    page.text(
        f"""Mean and variance of one species at one time, from {options.runs:,} runs, beside the
        exact ones, by finite state projection, or of a binomial distribution for the last network:
        relative bias, with the standard error of the simulation. Processor time is that of all
        threads together, after compilation; the last column says how many times less it is than
        that of the direct method."""
    )
    rows = [row for case in CASES for row in rows_of(case, options.runs)]
    page.table(
        ["network", "simulator", "bias of the mean", "bias of the variance", "µs a run",
         "times faster"],
        rows,
    )  # fmt: skip
    page.text(
        """The bias of the mean falls in proportion to ε, or to the step of the Langevin equation.
        That of the variance is another matter. ε bounds the relative change of propensities;
        fluctuations around an equilibrium of x copies are of the relative size 1/√x, and once ε is
        larger than that, steps may be longer than the time in which they relax. A variance that
        matters asks for a bound on the step: `max_step`."""
    )
    page.text(
        """Where counts are in the hundreds a small ε leaves nothing to leap over: runs are then
        exact, and several times slower than with the direct method, which fires some hundred
        million reactions a second. Leaps pay from about a hundred thousand copies."""
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()

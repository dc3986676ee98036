"""Networks by descents over choices and over coefficients: what one random start finds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optax
from _report import Page, arguments, progress
from structure import CASES, Case

import tumble as tb
from tumble import structure

_PICTURES = Path(__file__).resolve().parents[1] / "docs" / "results"
_SIR, _COARSE, _SIRS, _LOTKA = CASES[0], CASES[1], CASES[4], CASES[5]
_SLOTS = {_SIR.name: 2, _COARSE.name: 2, _SIRS.name: 3, _LOTKA.name: 3}


@dataclass
class Tally:
    """What starts came to: of each repeat, of each start, whether it ended in the truth, and had it
    as the most probable network on its way; of each repeat, whether all starts together had.
    """

    ended: list[list[bool]] = field(default_factory=list)
    best: list[list[bool]] = field(default_factory=list)
    together: list[bool] = field(default_factory=list)
    passed: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def row(self) -> list[str]:
        """Return the cells of a table."""
        ended, best = np.array(self.ended), np.array(self.best)
        return [
            f"{best[:, 0].sum()} of {len(best)}",
            f"{ended[:, 0].sum()} of {len(ended)}",
            f"{best.sum()} of {best.size}",
            f"{sum(self.together)} of {len(self.together)}",
            f"{np.median(self.passed):.0f}",
            f"{np.median(self.seconds):.1f}",
        ]


_HEAD = ["first start", "it ended there", "any one start", "all starts together",
         "networks on a path", "s a start"]  # fmt: skip


def problem_of(case: Case, seed: int) -> tuple[tb.Problem, Any, set[str]]:
    """Return a problem with data of a seed, its library and the true equations."""
    network = tb.ReactionNetwork.from_text(case.text)
    times = np.linspace(0, case.end, case.num_times + 1)[1:]
    seen = tb.simulate(
        network, case.rates, initial=case.initial, times=times, num_samples=case.num_samples,
        seed=seed,
    )  # fmt: skip
    library = structure.mass_action(list(case.initial))
    data = seen.data.rename(sample="replicate", species="observable").astype(float)
    problem = tb.Problem(
        library.network, data=data, initial=case.initial, parameters=library.parameters(1e-9, 1e6)
    )
    return problem, library, {structure.equation(r) for r in network.reactions}


def note(tally: Tally, found: structure.StructureResult, truth: set[str], seconds: float) -> None:
    """Add a result to a tally."""
    names = found.library.equations
    true = frozenset(names.index(e) for e in truth)
    rank = {frozenset(names.index(e) for e in n.equations): k for k, n in enumerate(found.networks)}
    ended, best = [], []
    for descent in found.descents:
        ended.append(descent.last == true)
        best.append(min(set(descent.networks), key=rank.__getitem__) == true)
        tally.passed.append(len(set(descent.networks)))
        tally.seconds.append(seconds / len(found.descents))
    tally.ended.append(ended)
    tally.best.append(best)
    tally.together.append(set(found.networks[0].equations) == truth)


def tallied(case: Case, method: Any, repeats: int, label: str) -> Tally:
    """Return what became of a method on the data of seeds 0, 1, 2, …, one search seed each."""
    from dataclasses import replace

    tally = Tally()
    for seed in range(repeats):
        problem, library, truth = problem_of(case, seed)
        began = time.process_time()
        found = tb.learn_structure(problem, library=library, method=replace(method, seed=seed))
        note(tally, found, truth, time.process_time() - began)
        progress(f"{label}, {case.name}, {seed}: {tally.best[-1]} {tally.seconds[-1]:.1f} s")
    return tally


def by_likelihood(page: Page, cases: Sequence[Case], repeats: int, starts: int) -> None:
    """Write how often each formulation finds each network."""
    rows = []
    for case in cases:
        slots = _SLOTS[case.name]
        for name, method in (
            ("coefficients", structure.CoefficientSearch(slots, starts=starts)),
            ("choice", structure.ChoiceSearch(slots, starts=starts)),
        ):
            tally = tallied(case, method, repeats, name)
            rows.append([case.name, name, slots, *tally.row()])
    page.heading("From one random start, and from several")
    page.table(["data", "formulation", "slots", *_HEAD], rows)


def by_gradient(page: Page, repeats: int, simulated: int) -> None:
    """Write what other gradients come to, on one epidemic."""
    rows = []
    through = structure.StraightThroughCoefficients()
    pick = structure.StraightThroughChoice()
    runs = structure.SimulatedLoss()
    smooth = structure.SimulatedLoss(tb.gradients.SmoothedReinforce(0.1))
    for name, gradient, method, count in (
        ("coefficients", "straight through, likelihood",
         structure.CoefficientSearch(2, 1, gradient=through), repeats),
        ("choice", "Gumbel straight through, likelihood",
         structure.ChoiceSearch(2, 1, gradient=pick), repeats),
        ("coefficients", "SmoothedReinforce, simulated loss",
         structure.CoefficientSearch(2, 1, gradient=runs), simulated),
        ("choice", "ScoreFunction, simulated loss",
         structure.ChoiceSearch(2, 1, gradient=runs), simulated),
        ("choice", "SmoothedReinforce, simulated loss",
         structure.ChoiceSearch(2, 1, gradient=smooth), simulated),
    ):  # fmt: skip
        if count:
            cells = tallied(_SIR, method, count, gradient).row()
            rows.append([name, gradient, *cells[:2], *cells[4:]])
    page.heading("Other gradients, one epidemic")
    page.table(["formulation", "gradient", *_HEAD[:2], *_HEAD[4:]], rows)


def way_of_fit(seed: int) -> tuple[list[tb.ReactionNetwork], tb.FitResult]:
    """Return the networks along a fit of both rates by their likelihood, from a far start."""
    network = tb.ReactionNetwork.from_text(_SIR.text)
    problem, _, _ = problem_of(_SIR, seed)
    unknown = {name: tb.Parameter(rate / 300, rate * 300) for name, rate in _SIR.rates.items()}
    known = tb.Problem(network, problem.experiments, parameters=unknown)
    start = {name: rate * factor for (name, rate), factor in zip(_SIR.rates.items(), (0.1, 8.0),
                                                                strict=True)}  # fmt: skip
    fit = tb.fit(known, start=start, optimizer=optax.adam(0.1), max_steps=150, progress=False)
    names = fit.problem.space.names
    text = _SIR.text
    networks = []
    for step in fit.history:
        line = text
        for name, value in zip(names, step.params, strict=True):
            line = line.replace(f"; {name}", f"; {value:.9g}")
        networks.append(tb.ReactionNetwork.from_text(line))
    return networks, fit


def way_of_search(problem: tb.Problem, library: Any) -> list[tb.ReactionNetwork]:
    """Return the best network so far, each time that a `WindowSearch` had weighed another."""
    kept = library.within([{"S": 1, "I": 1, "R": 1}])
    posterior = structure.NetworkPosterior(
        structure.NetworkLikelihood(problem, kept), structure.NetworkPrior()
    )
    found, best, networks = structure.WindowSearch().run(posterior), None, []
    for weighed in found.weighed.values():
        if best is None or weighed.log_posterior > best.log_posterior:
            best = weighed
            rates = np.exp(weighed.log_rates).tolist()
            reactions = tuple(
                tb.models.Reaction(kept.reactions[r].reactants, kept.reactions[r].products, rate)
                for r, rate in zip(weighed.members, rates, strict=True)
            )
        networks.append(tb.ReactionNetwork(reactions, kept.species))
    return networks


def pictures(page: Page, save: bool) -> None:
    """Draw surfaces, ways and choices, for the data of seed 0."""
    import matplotlib as mpl

    mpl.use("agg")
    problem, library, _ = problem_of(_SIR, 0)
    networks, fit = way_of_fit(0)
    choice = tb.learn_structure(problem, library=library, method=structure.ChoiceSearch(2, 1))
    free = tb.learn_structure(problem, library=library, method=structure.CoefficientSearch(2, 1))
    axes = tb.plot.response_surface(fit, objective=tb.objectives.ExpectedLoss(), num_runs=8)
    ways = {
        "parameters": networks,
        "library": way_of_search(problem, library),
        "coefficients": free.path(),
        "choice": choice.path(),
    }
    figures = {
        "surface": axes[0].figure,
        "paths": tb.plot.loss_paths(problem, ways).figure,
        "choices": tb.plot.chosen_reactions(choice).figure,
    }
    page.heading("Pictures")
    for name, words in (
        ("surface", """The expected squared error over the two rates of the epidemic, before and
            after their logarithms are taken, with the way of a fit (Adam on the path
            likelihood)."""),
        ("paths", """The absolute error of plain runs, as a share of the population, along the way
            of the four formulations. The library's is that of the best network among those
            weighed so far; single runs of the truth have about .01 of this kind between them."""),
        ("choices", "What two slots chose, by iteration, from one random start."),
    ):  # fmt: skip
        page.text(f"![{name}](structure_formulations_{name}.png)")
        page.text(words)
        if save:
            figures[name].savefig(_PICTURES / f"structure_formulations_{name}.png", dpi=80)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--starts", type=int, default=4)
    parser.add_argument("--simulated", type=int, default=5)
    options = parser.parse_args()
    page = Page("structure_formulations", "Networks by descents")
    by_likelihood(page, [_SIR, _COARSE, _SIRS, _LOTKA], options.repeats, options.starts)
    by_gradient(page, options.repeats, options.simulated)
    pictures(page, options.save)
    page.finish(options.save)


if __name__ == "__main__":
    main()

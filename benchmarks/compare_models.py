"""Which of five epidemic models: two real outbreaks, and simulated ones with a known answer."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress
from _rows import Rows

import tumble as tb
from tumble.simulators import FiniteStateProjection, ParticleFilter
from tumble.structure import Evidence, HeldOut, ModelComparison

_ROOT = Path(__file__).resolve().parents[1]
_EXAMPLES = _ROOT / "examples"
_PICTURES = _ROOT / "docs" / "results"
MODELS = {
    "SI": "S + I -> 2 I ; beta",
    "SIS": "S + I -> 2 I ; beta\nI -> S ; gamma",
    "SIR": "S + I -> 2 I ; beta\nI -> R ; gamma",
    "SIRS": "S + I -> 2 I ; beta\nI -> R ; gamma\nR -> S ; waning",
    "SEIR": "S + I -> E + I ; beta\nE -> I ; sigma\nI -> R ; gamma",
}
_PARTS = ("influenza", "eyam", "exact", "simulated")
_LIKELY = ("SIR", "SIRS", "SEIR")
_BOYS, _VILLAGERS = 763, 261


def problems_of(
    experiments: Any,
    parameters: dict[str, tb.Parameter],
    observables: dict[str, tb.Observable] | None = None,
    models: Sequence[str] = tuple(MODELS),
) -> dict[str, tb.Problem]:
    """Return a problem for each model, of ``experiments(species)``; each takes what it knows."""
    found = {}
    for name in models:
        network = tb.ReactionNetwork.from_text(MODELS[name])
        known = {k: p for k, p in parameters.items() if k in (*network.parameters, "phi")}
        found[name] = tb.Problem(
            network, experiments(network.species), known, observables=observables
        )
    return found


def influenza(**ranges: tb.Parameter) -> dict[str, tb.Problem]:
    """Return the models of the boarding school: boys in bed, with noise of unknown size."""
    table = np.genfromtxt(_EXAMPLES / "influenza" / "influenza.csv", delimiter=",", dtype=str)
    days, counts = table[1:].astype(float).T
    start = {"S": _BOYS - 1, "I": 1, "R": 0, "E": 0}

    def experiments(species: Sequence[str]) -> list[tb.Experiment]:
        initial = {s: start[s] for s in species}
        return [tb.Experiment({"time": days, "in_bed": counts}, initial)]

    rates = {
        "beta": tb.Parameter(1e-4, 0.1), "gamma": tb.Parameter(0.05, 5),
        "sigma": tb.Parameter(0.1, 10), "waning": tb.Parameter(1e-3, 1),
        "phi": tb.Parameter(1, 1000),
    }  # fmt: skip
    noise = {"in_bed": tb.Observable("I", tb.noise.NegativeBinomial("phi"))}
    return problems_of(experiments, rates | ranges, noise)


def eyam(models: Sequence[str] = tuple(MODELS), **ranges: tb.Parameter) -> dict[str, tb.Problem]:
    """Return the models of Eyam: S and I counted without error, months."""
    data = tb.read_data(
        _EXAMPLES / "eyam" / "eyam_plague.csv", time="month", columns=["S", "I"],
        say=lambda line: None,
    ).isel(time=slice(1, None))  # fmt: skip
    start = {"S": 254, "I": 7, "R": 0, "E": 0}

    def experiments(species: Sequence[str]) -> list[tb.Experiment]:
        return [tb.Experiment(data, {s: start[s] for s in species})]

    rates = {
        "beta": tb.Parameter(1e-3, 1), "gamma": tb.Parameter(0.1, 20),
        "sigma": tb.Parameter(1, 100), "waning": tb.Parameter(1e-3, 10),
    }  # fmt: skip
    return problems_of(experiments, rates | ranges, models=models)


_INFLUENZA_TELLS = """
SI and SIS are out of the question: boys leave their beds, and do not fall ill anew. Between SIR
and SEIR the evidence for a latent time of about a day is positive and no more. It depends on what
is thought of σ beforehand: a range of six decades, nearly all of which the data exclude, takes
two thirds of it away, and a range that medicine would give makes it three times as firm. Waning
is not asked for: the best fit has it at its lower bound, where no curvature exists, and the
evidence is that of SIR times the share of the range in which waning is too slow to be seen. So
SIRS comes the nearer to SIR the further down its range goes. The linear-noise likelihood and the
exact one, by particle filters, say the same.
"""
_EYAM_TELLS = """
The seven pairs of numbers do not tell whether there was a latent time, as its range of a few
hours to a month allows for; waning, of which there can have been none among the dead, is less
probable, and again as much so as its range is wide. What is firm is that villagers were removed.
S and I were reconstructed from the register of deaths, and are taken here as counts without
error, so that probabilities are those of a village that was observed better than Eyam was.
"""

# -- simulated outbreaks -----------------------------------------------------------------------

_PEOPLE, _FIRST = 500, 5
_TIMES = np.arange(2.0, 21.0, 2.0)
_RANGES = {
    "beta": (1.0 / _PEOPLE, 4.0 / _PEOPLE), "gamma": (0.2, 1.0), "sigma": (0.2, 2.0),
    "waning": (0.05, 0.5), "phi": (10.0, 100.0),
}  # fmt: skip


def simulated(truth: str, seed: int) -> dict[str, tb.Problem]:
    """Return the five models of an outbreak that one of them made.

    The parameters of the truth are drawn from the prior under which models are compared.
    """
    rng = np.random.default_rng([seed, list(MODELS).index(truth)])
    drawn = {k: float(np.exp(rng.uniform(*np.log(ends)))) for k, ends in _RANGES.items()}
    network = tb.ReactionNetwork.from_text(MODELS[truth])
    start = {"S": _PEOPLE - _FIRST, "I": _FIRST, "R": 0, "E": 0}
    run = tb.simulate(
        network, {k: drawn[k] for k in network.parameters}, times=_TIMES,
        initial={s: start[s] for s in network.species}, num_samples=1,
        seed=int(rng.integers(2**32)),
    )  # fmt: skip
    infected = run.data.sel(species="I").values[0]
    phi = drawn["phi"]
    cases = rng.poisson(infected * rng.gamma(phi, 1 / phi, len(infected))).astype(float)

    def experiments(species: Sequence[str]) -> list[tb.Experiment]:
        data = {"time": _TIMES, "cases": cases}
        return [tb.Experiment(data, {s: start[s] for s in species})]

    rates = {k: tb.Parameter(*ends) for k, ends in _RANGES.items()}
    return problems_of(
        experiments, rates, {"cases": tb.Observable("I", tb.noise.NegativeBinomial("phi"))}
    )


def calibration_error(top: np.ndarray, right: np.ndarray, num_bins: int = 5) -> float:
    """Return the expected calibration error of the probabilities of the chosen models."""
    place = np.clip((top * num_bins).astype(int), 0, num_bins - 1)
    parts = [
        np.mean(place == b) * abs(np.mean(right[place == b]) - np.mean(top[place == b]))
        for b in range(num_bins) if np.any(place == b)
    ]  # fmt: skip
    return float(sum(parts))


def expected_by_chance(tops: np.ndarray, num_draws: int = 2000) -> tuple[float, float]:
    """Return mean and 95 % quantile of the error if the probabilities were exactly right."""
    rng = np.random.default_rng(0)
    draws = [calibration_error(tops, rng.random(len(tops)) < tops) for _ in range(num_draws)]
    return float(np.mean(draws)), float(np.quantile(draws, 0.95))


# -- the page ----------------------------------------------------------------------------------


def compared(problems: dict[str, tb.Problem], by: Any) -> tuple[ModelComparison, float]:
    """Return the comparison, and the seconds of processor time."""
    began = time.process_time()
    found = tb.compare_models(problems, by=by, progress=False)
    spent = time.process_time() - began
    progress(f"{found}\n{spent:.1f} s")
    return found, spent


def score_of(found: ModelComparison, name: str) -> str:
    """Return the score with its error."""
    if name not in found.names or not found[name].weighed:
        return "–"
    score = found[name].score
    if score.log_score == -np.inf:
        return "impossible"
    mark = "" if score.result.ok else " (not settled)"
    return f"{score.log_score:.2f} ± {score.standard_error:.2f}{mark}"


def probability_of(found: ModelComparison, name: str) -> str:
    """Return the probability."""
    return f"{found.probabilities[name]:.3f}" if name in found.names else "–"


def columns(page: Page, named: dict[str, ModelComparison]) -> None:
    """Write score and probability of all models, a pair of columns for each comparison."""
    head = ["model"]
    for name in named:
        head += [name, "probability"]
    rows = []
    for model in MODELS:
        row = [model]
        for found in named.values():
            row += [score_of(found, model), probability_of(found, model)]
        rows.append(row)
    page.table(head, rows)


def estimates(page: Page, found: ModelComparison) -> None:
    """Write the posterior of the parameters of each model that matters."""
    names = list(dict.fromkeys(e.name for m in found.models for e in m.score.posterior))
    rows = []
    for m in found.models:
        if m.probability < 1e-3 or not m.score.posterior:
            continue
        by_name = {e.name: e for e in m.score.posterior}
        cells = [
            f"{by_name[n].value:.3g} ({by_name[n].interval[0]:.2g} … {by_name[n].interval[1]:.2g})"
            if n in by_name else ""
            for n in names
        ]  # fmt: skip
        rows.append([m.name, *cells, "" if m.fit is None else m.fit.result.value])
    page.table(["model", *names, "best fit"], rows)


def real_influenza(page: Page) -> None:
    """Write what the boarding school tells."""
    page.heading("Influenza in a boarding school, 1978")
    problems = influenza()
    linear, s_linear = compared(problems, Evidence())
    few = {name: problems[name] for name in _LIKELY}
    exact, s_exact = compared(few, Evidence(through=ParticleFilter(300), max_draws=512))
    later, s_later = compared(problems, HeldOut(last=0.3))
    columns(page, {"log evidence, linear noise": linear,
                   "log evidence, particle filter (exact)": exact,
                   "last 30 % of the times, linear noise": later})  # fmt: skip
    page.text(
        f"""{_BOYS} boys, 14 daily counts in bed, one boy the day before; negative binomial around
        the number ill. Priors log-uniform: β 0.0001 … 0.1 a boy and day, γ 0.05 … 5 and σ 0.1 … 10
        a day, waning 0.001 … 1 a day, φ 1 … 1000. The particle filter has 300 particles, and the
        three models that linear noise leaves. Processor time with compilation:
        {s_linear:.0f}, {s_exact:.0f} and {s_later:.0f} s."""
    )
    page.text("By linear noise: " + ". ".join(linear.differences) + ".")
    page.text("By the particle filter: " + ". ".join(exact.differences) + ".")
    estimates(page, linear)
    page.text("Medians and central 95 % of the posterior, linear noise.")
    prior_table(page, influenza, {
        "waning 10⁻⁶ … 1": {"waning": tb.Parameter(1e-6, 1)},
        "σ 0.001 … 1000": {"sigma": tb.Parameter(1e-3, 1e3)},
        "σ 0.5 … 2, an incubation of half a day to two": {"sigma": tb.Parameter(0.5, 2)},
    }, linear)  # fmt: skip
    page.text(_INFLUENZA_TELLS)
    draw(page, linear, "influenza")


def prior_table(page: Page, make: Any, changes: dict[str, Any], base: ModelComparison) -> None:
    """Write what other ranges of the rates that models have in excess do to the probabilities."""
    names = list(_LIKELY)
    rows = [["as above", *(probability_of(base, n) for n in names)]]
    for words, ranges in changes.items():
        made = make(**ranges)
        found, _ = compared({n: made[n] for n in names}, Evidence())
        rows.append([words, *(probability_of(found, n) for n in names)])
    page.table(["range", *names], rows)
    page.text("What the ranges of the further rates do; the other ranges as above, linear noise.")


def real_eyam(page: Page) -> None:
    """Write what the village tells."""
    page.heading("Plague in Eyam, 1666")
    linear, s_linear = compared(eyam(), Evidence())
    later, s_later = compared(eyam(), HeldOut(last=0.3))
    columns(page, {"log evidence, linear noise": linear,
                   "last 30 % of the times, linear noise": later})  # fmt: skip
    page.text(
        f"""{_VILLAGERS} villagers, S and I at seven times, counted without error. Priors
        log-uniform: β 0.001 … 1 a villager and month, γ 0.1 … 20, σ 1 … 100 and waning 0.001 … 10 a
        month. In SI and SIS nobody leaves, so that S + I would have stayed 261: impossible, which
        linear noise can only call very improbable. Processor time: {s_linear:.0f} and
        {s_later:.0f} s."""
    )
    page.text("By linear noise: " + ". ".join(linear.differences) + ".")
    estimates(page, linear)
    page.text(_EYAM_TELLS)
    draw(page, linear, "eyam", "I")


def exact_eyam(page: Page) -> None:
    """Write what an exact likelihood, and other ranges, make of the village."""
    page.heading("Eyam by the exact likelihood")
    linear, s_linear = compared(eyam(), Evidence())
    few = ("SI", "SIS", "SIR", "SIRS")
    method = FiniteStateProjection(max_states=60_000)
    exact, s_exact = compared(eyam(few), Evidence(through=method))
    columns(page, {"log evidence, linear noise": linear,
                   "log evidence, finite state projection (exact)": exact})  # fmt: skip
    gap = exact["SIRS"].score.log_score - exact["SIR"].score.log_score
    same = linear["SIRS"].score.log_score - linear["SIR"].score.log_score
    page.text(
        f"""The log odds of SIRS to SIR are {gap:+.2f} by the exact likelihood and {same:+.2f} by
        linear noise. For SEIR it would take three million states. Processor time: {s_linear:.0f}
        and {s_exact:.0f} s."""
    )
    prior_table(page, eyam, {
        "σ 0.01 … 10,000": {"sigma": tb.Parameter(1e-2, 1e4)},
        "σ 4 … 15, an incubation of two to eight days": {"sigma": tb.Parameter(4, 15)},
    }, linear)  # fmt: skip


def weighed(truth: str, seed: int) -> dict[str, Any]:
    """Return what the comparison says of one simulated outbreak."""
    found, seconds = compared(simulated(truth, seed), Evidence())
    return {
        "chosen": found.best.name,
        "top": found.best.probability,
        "of_truth": found.probabilities[truth],
        "unsettled": sum(not m.score.result.ok for m in found.models),
        "seconds": seconds,
    }


def known_truth(page: Page, num_sets: int, kept: Rows) -> None:
    """Write how often the right model is chosen, and how firmly."""
    page.heading("Simulated outbreaks")
    names = list(MODELS)
    rows = []
    for seed in range(num_sets):
        for truth in names:
            rows.append(kept.get((truth, seed), lambda t=truth, s=seed: weighed(t, s)))
    table = []
    for truth in names:
        own = [row for row in rows if row["key"][0] == truth]
        counts = [sum(row["chosen"] == name for row in own) for name in names]
        table.append([truth, *counts, f"{np.mean([row['of_truth'] for row in own]):.2f}"])
    page.table(["made by", *(f"{n} chosen" for n in names), "probability of the truth"], table)
    tops = np.array([row["top"] for row in rows])
    hits = np.array([row["chosen"] == row["key"][0] for row in rows])
    of_truth = np.array([row["of_truth"] for row in rows])
    unsettled = sum(row["unsettled"] for row in rows)
    spent = [row["seconds"] for row in rows]
    error = calibration_error(tops, hits)
    mean, high = expected_by_chance(tops)
    page.text(
        f"""{num_sets} outbreaks of each model among {_PEOPLE} people, {_FIRST} of them ill at
        first: the number ill at {len(_TIMES)} times, with negative binomial noise. Rates and noise
        are drawn from the prior of the comparison (log-uniform: β 1 … 4 over the number of people,
        γ 0.2 … 1, σ 0.2 … 2, waning 0.05 … 0.5, φ 10 … 100), so that probabilities would be exactly
        right if the likelihood were. Linear noise, default settings; outbreaks that died out at
        once are among them. The right model was chosen in {hits.sum()} of {len(hits)}, with a mean
        probability of {tops.mean():.2f}. Expected calibration error of the chosen model's
        probability, five bins: {error:.3f}; probabilities that are exactly right would give
        {mean:.3f} on average and less than {high:.3f} in 95 of 100 studies of this size. Mean log
        score of the truth {np.mean(np.log(np.maximum(of_truth, 1e-300))):.2f} (a guess:
        {np.log(0.2):.2f}). {unsettled} of {5 * len(hits)} integrals did not settle. Processor time
        for the five models, median: {np.median(spent):.1f} s."""
    )


def draw(page: Page, found: ModelComparison, name: str, observable: str | None = None) -> None:
    """Draw probabilities and fits, and write where the picture is."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained")
    tb.plot.model_probabilities(found, ax=axes[0])
    likely = tuple(m for m in found.models if m.probability > 0.01)
    tb.plot.model_fits(replace(found, models=likely), observable=observable, ax=axes[1])
    file = f"compare_models_{name}.png"
    figure.savefig(_PICTURES / file, dpi=100)
    page.text(f"![Probabilities of the models, and runs at the best fits]({file})")


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--sets", type=int, default=20, help="simulated outbreaks of each model")
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=_PARTS)
    parser.add_argument("--keep", type=Path, help="a folder of parts that are done, to go on from")
    options = parser.parse_args()
    page = Page("compare_models", "Which model: SI, SIS, SIR, SIRS or SEIR")
    page.text(
        f"""`compare_models` with default settings. --parts {" ".join(options.parts)} --sets
        {options.sets}"""
    )
    for part, write in zip(_PARTS, (real_influenza, real_eyam, exact_eyam), strict=False):
        if part in options.parts:
            page.part(write, options.keep and options.keep / f"{part}.md")
    if "simulated" in options.parts:
        known_truth(page, options.sets, Rows(options.keep and options.keep / "rows.jsonl"))
    page.finish(options.save)


if __name__ == "__main__":
    main()

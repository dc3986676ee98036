"""Which reactions there are: epidemics and other networks found among all candidates."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from _report import Page, arguments, progress, settings

import tumble as tb

_SIR = "S + I -> 2 I ; beta\nI -> R ; gamma"
_RATES = {"beta": 0.02, "gamma": 5.0}
_START = {"S": 1980, "I": 20, "R": 0}


@dataclass(frozen=True)
class Case:
    """A way to watch a network: ``observables`` None for all species, exactly."""

    name: str
    text: str
    rates: dict[str, float]
    initial: dict[str, int]
    end: float
    num_times: int
    num_samples: int
    observables: dict[str, tb.Observable] | None = None
    is_long: bool = False


def _sir(
    name: str, num_samples: int, num_times: int, observables: dict[str, tb.Observable] | None = None
) -> Case:
    return Case(name, _SIR, _RATES, _START, 1.0, num_times, num_samples, observables)


def _random(seed: int) -> Case:
    """Return a network of 2 to 4 reactions of which each fires often, and no run explodes."""
    rng = np.random.default_rng(seed)
    library = tb.structure.mass_action(["A", "B", "C"])
    prior = tb.structure.NetworkPrior(largest=4, spread=1.0)
    start = {"A": 600, "B": 300, "C": 100}
    while True:
        network = prior.sample(library, 1000.0, 1.0, rng)
        if len(network.reactions) < 2:
            continue
        named = "\n".join(
            f"{tb.structure.equation(r)} ; k{i}" for i, r in enumerate(network.reactions)
        )
        rates = {f"k{i}": float(str(r.rate)) for i, r in enumerate(network.reactions)}
        mean = tb.simulate(
            network, {}, initial=start, times=np.linspace(0, 1, 201),
            simulator=tb.simulators.MeanField(),
        ).data.values[0]  # fmt: skip
        if not np.isfinite(mean).all() or mean.max() > _MOST_COPIES:
            continue
        fired = network.combinations(mean).mean(0) * np.array(list(rates.values()))
        if fired.min() >= _FEWEST_EVENTS:
            return Case(f"random network {seed}", named, rates, start, 1.0, 40, 5)


_FEWEST_EVENTS, _MOST_COPIES = 100, 5_000

CASES = [
    _sir("SIR, 1 epidemic at 100 times", 1, 100),
    _sir("SIR, 20 epidemics at 20 times", 20, 20),
    _sir("SIR, I alone, 20 epidemics at 50 times", 20, 50, {"I": tb.Observable("I")}),
    Case(
        "SIR, all with noise (sd 20), 20 epidemics at 50 times", _SIR, _RATES, _START, 1.0, 50, 20,
        {s: tb.Observable(s, noise=tb.noise.Normal(20.0)) for s in "SIR"}, is_long=True,
    ),
    Case(
        "SIRS, 1 series at 100 times", _SIR + "\nR -> S ; w",
        {"beta": 0.004, "gamma": 1.0, "w": 0.5}, {"S": 980, "I": 20, "R": 0}, 10.0, 100, 1,
    ),
    Case(
        "Lotka–Volterra, 1 series at 100 times",
        "X -> 2 X ; a\nX + Y -> 2 Y ; b\nY -> 0 ; c", {"a": 1.0, "b": 0.002, "c": 1.0},
        {"X": 500, "Y": 400}, 8.0, 100, 1,
    ),
    Case(
        "dimerization, 5 series at 30 times", "2 P -> D ; k1\nD -> 2 P ; k2",
        {"k1": 0.002, "k2": 0.3}, {"P": 500, "D": 0}, 8.0, 30, 5,
    ),
    Case(
        "enzyme, 5 series at 30 times", "E + S -> C ; k1\nC -> E + S ; k2\nC -> E + P ; k3",
        {"k1": 0.002, "k2": 0.2, "k3": 0.5}, {"E": 100, "S": 500, "C": 0, "P": 0}, 10.0, 30, 5,
    ),
    Case(
        "SEIR, 5 epidemics at 60 times", "S + I -> E + I ; beta\nE -> I ; s\nI -> R ; gamma",
        {"beta": 0.02, "s": 8.0, "gamma": 5.0}, {"S": 1980, "E": 0, "I": 20, "R": 0}, 2.0, 60, 5,
    ),
    Case(
        "toggle switch on plasmids, 5 series at 60 times",
        "G -> G + A ; ka\nH -> H + B ; kb\nA -> 0 ; da\nB -> 0 ; db\n"
        "G + B -> Gb ; on\nGb -> G + B ; off\nH + A -> Ha ; on2\nHa -> H + A ; off2",
        {"ka": 10.0, "kb": 10.0, "da": 1.0, "db": 1.0, "on": 0.01, "off": 1.0, "on2": 0.01,
         "off2": 1.0},
        {"G": 50, "Gb": 0, "H": 50, "Ha": 0, "A": 100, "B": 300}, 8.0, 60, 5, is_long=True,
    ),
]  # fmt: skip


def learnt(case: Case, seed: int) -> tuple[tb.structure.StructureResult, set[str], float, int]:
    """Return the result for data of a seed, the true equations, seconds and library's size."""
    network = tb.ReactionNetwork.from_text(case.text, species=tuple(case.initial))
    times = np.linspace(0, case.end, case.num_times + 1)[1:]
    seen = tb.simulate(
        network, case.rates, initial=case.initial, times=times, num_samples=case.num_samples,
        seed=seed,
    )  # fmt: skip
    library = tb.structure.mass_action(list(case.initial))
    data = seen.data.rename(sample="replicate", species="observable").astype(float)
    if case.observables is not None:
        rng = np.random.default_rng(seed)
        data = data.sel(observable=list(case.observables)).copy()
        noisy = [n for n, o in case.observables.items() if isinstance(o.noise, tb.noise.Normal)]
        for name in noisy:
            column = data.sel(observable=name)
            data.loc[{"observable": name}] = column + rng.normal(0, 20.0, column.shape)
    problem = tb.Problem(
        library.network, data=data, initial=case.initial, observables=case.observables,
        parameters=library.parameters(1e-9, 1e6),
    )  # fmt: skip
    truth = {tb.structure.equation(r) for r in network.reactions}
    began = time.process_time()
    found = tb.learn_structure(problem, library=library)
    return found, truth, time.process_time() - began, len(library)


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--few", type=int, default=5, help="repeats of what takes minutes")
    parser.add_argument("--cases", type=int, nargs="*", default=list(range(len(CASES))))
    parser.add_argument("--networks", type=int, default=20, help="random ones")
    parser.add_argument("--first", type=int, default=9001, help="seed of the first of them")
    options = parser.parse_args()
    page = Page("structure", "Which reactions there are")
    drawn = [_random(options.first + k) for k in range(options.networks)]
    groups = [
        (case.name, [case] * (options.few if case.is_long else options.repeats))
        for case in (CASES[c] for c in options.cases)
    ]
    groups += [("random networks, 5 series at 40 times, each", drawn)] if drawn else []
    rows = [_row(name, cases) for name, cases in groups]
    page.text(
        f"""Simulated exactly, and given with all reactions between complexes of up to two as
        candidates; default settings. *Exact*: the most probable network is the true one. *Alike*:
        it is, or nothing in the design could tell it from the true one, such as `S -> 0` from
        `S -> R` where only I is seen; with the probability of all such networks, the median.
        Precision and recall are of the most probable network up to what is alike, means. Errors of
        rates: medians, where it is the true one. Seconds of processor time, median and largest,
        without compilation but for the first. {settings(options)}"""
    )
    page.table(
        ["data", "candidates", "exact", "alike", "probability", "precision", "recall",
         "error of rates", "s", "at most"],
        rows,
    )  # fmt: skip
    page.finish(options.save)


def _row(name: str, cases: list[Case]) -> list[str]:
    """Return a row of the table, from a data set a case."""
    exact, size = 0, 0
    told: list[tb.structure.Recovery] = []
    errors: list[float] = []
    spent: list[float] = []
    for seed, case in enumerate(cases):
        found, truth, seconds, size = learnt(case, seed)
        best = set(found.networks[0].equations)
        told.append(found.recovery(sorted(truth)))
        spent.append(seconds)
        if best == truth:
            exact += 1
            errors += _errors_of_rates(found, case)
        progress(f"{case.name} {seed}: {sorted(best)} {told[-1].probability:.2f} {seconds:.1f} s")
    return [
        name, str(size), f"{exact} of {len(cases)}",
        f"{sum(t.same for t in told)} of {len(cases)}",
        f"{np.median([t.probability for t in told]):.2f}",
        f"{np.mean([t.precision for t in told]):.2f}", f"{np.mean([t.recall for t in told]):.2f}",
        f"{100 * np.median(errors):.1f} %" if errors else "–", f"{np.median(spent):.1f}",
        f"{max(spent):.0f}",
    ]  # fmt: skip


def _errors_of_rates(found: tb.structure.StructureResult, case: Case) -> list[float]:
    network = tb.ReactionNetwork.from_text(case.text, species=tuple(case.initial))
    named = dict(
        zip(map(tb.structure.equation, network.reactions), case.rates.values(), strict=True)
    )
    best = found.networks[0]
    return [
        abs(rate / named[equation] - 1)
        for equation, rate in zip(best.equations, best.rates, strict=True)
    ]


if __name__ == "__main__":
    main()

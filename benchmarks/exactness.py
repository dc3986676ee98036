"""Whether exact simulators have the exact distribution: χ² of a million runs at several times.

Each simulator runs each network, and the states at each time are counted and compared with the
probabilities that finite state projection gives, which shares no code with them. Five networks more
are drawn at random from ``--seed``. Conservation laws are checked in every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from _report import Page, arguments, progress
from scipy import stats

import tumble as tb
from tumble.simulators import (
    AbstractSimulator,
    DirectMethod,
    FiniteStateProjection,
    NextReactionMethod,
)

_SIMULATORS = (DirectMethod(), NextReactionMethod())
_CHUNK = 100_000  # runs at a time, so that memory stays small
_EXPECTED = 10.0  # runs in a class of states, at least


@dataclass(frozen=True)
class Case:
    """A network, its parameters, where it starts, and when to look."""

    name: str
    network: str
    params: Mapping[str, float]
    initial: Mapping[str, int]
    times: Sequence[float]


_CASES = [
    Case("SIR of 50", "S + I -> 2 I ; beta\nI -> R ; gamma", {"beta": 0.04, "gamma": 0.7},
         {"S": 45, "I": 5, "R": 0}, (0.5, 2.0, 50.0)),
    Case("immigration-death", "0 -> X ; k\nX -> 0 ; gamma", {"k": 12.0, "gamma": 1.0}, {"X": 3},
         (0.1, 1.0, 8.0)),
    Case("dimerization", "2 P -> P2 ; bind\nP2 -> 2 P ; part", {"bind": 0.02, "part": 0.4},
         {"P": 60, "P2": 0}, (0.2, 1.0, 10.0)),
    Case("telegraph gene", "Off -> On ; on\nOn -> Off ; off\nOn -> On + M ; make\nM -> 0 ; decay",
         {"on": 0.3, "off": 0.5, "make": 20.0, "decay": 1.0}, {"Off": 1, "On": 0, "M": 0},
         (0.5, 3.0, 20.0)),
    Case("Schlögl, bistable", "2 X -> 3 X ; a\n3 X -> 2 X ; b\n0 -> X ; k\nX -> 0 ; d",
         {"a": 0.248, "b": 0.012, "k": 6.8, "d": 1.93}, {"X": 17}, (0.5, 3.0, 15.0)),
    Case("extinction", "X -> 2 X ; birth\nX -> 0 ; death", {"birth": 0.9, "death": 1.0}, {"X": 4},
         (0.5, 3.0, 15.0)),
    Case("enzyme, Michaelis-Menten law", "S => P ; mm(S, V, K)\nP -> S ; back",
         {"V": 8.0, "K": 12.0, "back": 0.2}, {"S": 40, "P": 0}, (1.0, 4.0, 30.0)),
    Case("Hill auto-repression", "0 => X ; hillr(X, V, K, n)\nX -> 0 ; decay",
         {"V": 30.0, "K": 8.0, "n": 2.5, "decay": 1.0}, {"X": 0}, (0.2, 1.0, 8.0)),
    Case("trimers and a constant", "3 A -> B ; k\nB -> 3 A ; h\nA -> 0 ; 0.2",
         {"k": 0.002, "h": 0.8}, {"A": 36, "B": 0}, (0.5, 2.0, 6.0)),
    Case("rates of 1e-4 beside 1", "A -> B ; fast\nB -> A ; fast\nA -> C ; rare",
         {"fast": 1.0, "rare": 1e-4}, {"A": 20, "B": 0, "C": 0}, (1.0, 10.0, 30.0)),
]  # fmt: skip


def random_case(seed: int) -> Case:
    """Return a network of three species and six reactions of order one or two, all conserving."""
    rng = np.random.default_rng(seed)
    names = ["A", "B", "C"]
    complexes = [[n] for n in names] + [[a, b] for i, a in enumerate(names) for b in names[i:]]
    lines, params = [], {}
    while len(lines) < 6:
        left, right = (complexes[rng.integers(len(complexes))] for _ in range(2))
        equation = f"{' + '.join(left)} -> {' + '.join(right)}"
        if len(left) != len(right) or left == right or any(equation in line for line in lines):
            continue
        name = f"k{len(params)}"
        params[name] = float(np.exp(rng.normal()) / (12.0 if len(left) == 2 else 1.0))
        lines.append(f"{equation} ; {name}")
    counts = rng.integers(0, 12, 3)
    counts[0] += 4
    return Case(
        f"random network {seed}", "\n".join(lines), params,
        {n: int(c) for n, c in zip(names, counts, strict=True)}, (0.2, 1.0, 5.0),
    )  # fmt: skip


def main() -> None:
    """Run all cases and print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="of each network")
    parser.add_argument("--seed", type=int, default=0, help="of the runs and random networks")
    args = parser.parse_args()
    page = Page("exactness", "Do exact simulators have the exact distribution?")
    page.text(
        f"""For each network, {args.runs:,} runs at each of three times are compared with the
        probabilities of finite state projection by χ². States of fewer than {_EXPECTED:g} expected
        runs are put together. If a simulator is exact, p-values are uniform: one below 0.001 in a
        thousand. Seed {args.seed}, for the runs and for the five random networks."""
    )
    rows, values = [], []
    random_cases = [random_case(1000 * args.seed + i) for i in range(1, 6)]
    for case in [*_CASES, *random_cases]:
        for simulator in _SIMULATORS:
            found, classes, broken = _compare(case, simulator, args.runs, args.seed)
            values += [p for p in found if p == p]
            rows.append(
                [
                    case.name,
                    type(simulator).__name__,
                    classes,
                    *("one state" if p != p else f"{p:.3f}" for p in found),
                    broken,
                ]
            )
            progress(f"{case.name}, {type(simulator).__name__}: p {np.round(found, 4)}")
    head = ["network", "simulator", "classes", "p at the first time", "second", "third",
            "runs that break a law"]  # fmt: skip
    page.table(head, rows)
    uniform = stats.kstest(values, "uniform").pvalue
    page.text(
        f"""{len(values)} p-values, the smallest {min(values):.4f} (of so many, one as small is
        expected with chance {1 - (1 - min(values)) ** len(values):.2f}); {
            sum(p < 0.01 for p in values)
        } below 0.01. A Kolmogorov-Smirnov test of their uniformity gives {uniform:.2f}; the
        times of one network share their runs, so it is a rough one."""
    )
    page.heading("The random networks")
    page.table(
        ["network", "reactions", "start"],
        [
            [
                case.name,
                "; ".join(
                    line.replace(name, f"{case.params[name]:.3g}")
                    for line, name in zip(case.network.split("\n"), case.params, strict=True)
                ).replace(" ; ", " at "),
                ", ".join(f"{k} {v}" for k, v in case.initial.items()),
            ]
            for case in random_cases
        ],
    )
    page.finish(args.save)


def _compare(
    case: Case, simulator: AbstractSimulator, num_runs: int, seed: int
) -> tuple[list[float], int, int]:
    """Return the p-value at each time, the classes at the last, and runs that break a law."""
    network = tb.ReactionNetwork.from_text(case.network)
    start = [case.initial[s] for s in network.species]
    exact = FiniteStateProjection(tolerance=1e-10).distribution(
        network, network.params_vector(case.params), start, case.times
    )
    weights = [[w.weights.get(s, 0) for s in network.species] for w in network.conservation_laws]
    laws = np.array(weights).reshape(-1, len(network.species))
    base = exact.states.max(axis=0) + 2
    place = np.cumprod(np.concatenate([[1], base[:-1]]))
    order = np.argsort(exact.states @ place)
    keys = (exact.states @ place)[order]
    counts = np.zeros((len(case.times), len(keys)))
    beyond = np.zeros(len(case.times))
    broken = 0
    for chunk in range(-(-num_runs // _CHUNK)):
        run = tb.simulate(
            network, case.params, initial=case.initial, times=case.times, simulator=simulator,
            num_samples=min(_CHUNK, num_runs - chunk * _CHUNK), seed=1000 * seed + chunk,
        )  # fmt: skip
        states = run.data.values
        broken += int(np.any(states @ laws.T != np.array(start) @ laws.T, axis=(1, 2)).sum())
        for t in range(len(case.times)):
            inside = np.all(states[:, t] < base, axis=1)
            found = np.searchsorted(keys, states[:, t] @ place)
            found = np.minimum(found, len(keys) - 1)
            known = inside & (keys[found] == states[:, t] @ place)
            counts[t] += np.bincount(found[known], minlength=len(keys))
            beyond[t] += (~known).sum()
    values, classes = [], 0
    for t in range(len(case.times)):
        expected = num_runs * exact.probabilities[t][order]
        common = expected >= _EXPECTED
        got = np.append(counts[t][common], counts[t][~common].sum() + beyond[t])
        wanted = np.append(expected[common], max(num_runs - expected[common].sum(), 0.0))
        if wanted[-1] < _EXPECTED:  # too few to be a class of their own
            got, wanted = got[:-1], wanted[:-1]
        classes = len(wanted)
        if classes > 1:
            statistic = ((got - wanted) ** 2 / wanted).sum()
            values.append(float(stats.chi2.sf(statistic, classes - 1)))
        else:  # all has come to rest in one state
            values.append(float("nan"))
            broken += int(num_runs - got.sum())
    return values, classes, broken


if __name__ == "__main__":
    main()

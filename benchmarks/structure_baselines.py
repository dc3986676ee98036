"""Which reactions there are, by other ways: regression, screening, PySINDy, descent, gates."""

from __future__ import annotations

import itertools
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _report import Page, arguments, progress, settings
from _structure_rivals import descent, regression
from _workers import PEERS_PYTHON

import tumble as tb
from tumble.structure import GatePath, IncrementScreening, mass_action

_SIR = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
_RATES = {"beta": 0.02, "gamma": 5.0}
_START = {"S": 1980, "I": 20, "R": 0}
_TRUTH = {"I + S -> 2 I": 0.02, "I -> R": 5.0}
# Where R is not seen, these are the same to the data.
_UNSEEN = {"I -> 0": "I -> R", "I -> 2 R": "I -> R"}
_TERMS = {("S", "S I"): -0.02, ("I", "S I"): 0.02, ("I", "I"): -5.0, ("R", "I"): 5.0}
_STRENGTHS = (1e-6,)
_POPULATION = 2000
_STEPS, _RUNS = 150, 64


@dataclass(frozen=True)
class Setting:
    """What is observed: so many epidemics at so many times (0 among them), noise, and species."""

    name: str
    num_samples: int = 5
    num_times: int = 51
    sd: float = 0.0
    species: str = "SIR"

    @property
    def is_seen(self) -> bool:
        """Whether all species are."""
        return self.species == "SIR"

    @property
    def is_costly(self) -> bool:
        """Whether states have to be inferred, among all 90 candidates."""
        return self.sd > 0 or not self.is_seen


SETTINGS = (
    Setting("1 epidemic", num_samples=1),
    Setting("5 epidemics at 51 times, all seen"),
    Setting("20 epidemics", num_samples=20),
    Setting("at 101 times", num_times=101),
    Setting("at 21 times", num_times=21),
    Setting("at 11 times", num_times=11),
    Setting("noise of sd 5", sd=5.0),
    Setting("noise of sd 20", sd=20.0),
    Setting("S and I seen", species="SI"),
    Setting("only I seen", species="I"),
)


@dataclass
class Score:
    """What a way achieved in one setting."""

    exact: list[bool] = field(default_factory=list)
    precision: list[float] = field(default_factory=list)
    recall: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, found: dict[Any, float], truth: dict[Any, float], seconds: float) -> bool:
        """Add an answer; return whether it is exact."""
        common = found.keys() & truth.keys()
        self.exact.append(found.keys() == truth.keys())
        self.precision.append(len(common) / max(len(found), 1))
        self.recall.append(len(common) / len(truth))
        self.errors += [abs(found[e] / truth[e] - 1) for e in common]
        self.seconds.append(seconds)
        return self.exact[-1]


def data_of(setting: Setting, seed: int) -> Any:
    """Return simulated data of a setting, as an array of xarray."""
    seen = tb.simulate(
        _SIR, _RATES, initial=_START, times=np.linspace(0, 1, setting.num_times)[1:],
        num_samples=setting.num_samples, seed=seed,
    )  # fmt: skip
    data = seen.data.rename(sample="replicate", species="observable").astype(float)
    data = data.sel(observable=list(setting.species)).copy()
    rng = np.random.default_rng(seed)
    return data + rng.normal(0, setting.sd, data.shape) if setting.sd else data


def problem_of(setting: Setting, seed: int) -> tuple[tb.Problem, Any]:
    """Return the problem, and its library of 90 candidates."""
    library = mass_action(["S", "I", "R"])
    noise = tb.noise.Normal(setting.sd) if setting.sd else tb.noise.Exact()
    problem = tb.Problem(
        library.network, data=data_of(setting, seed), initial=_START,
        observables={s: tb.Observable(s, noise=noise) for s in setting.species},
        parameters=library.parameters(1e-9, 1e6),
    )  # fmt: skip
    return problem, library


def _by(method: Any) -> Callable[[Setting, int], dict[str, float]]:
    def learnt(setting: Setting, seed: int) -> dict[str, float]:
        problem, library = problem_of(setting, seed)
        best = tb.learn_structure(problem, library=library, method=method).networks[0]
        return dict(zip(best.equations, best.rates, strict=True))

    return learnt


def _regressed(laws: bool) -> Callable[[Setting, int], dict[str, float]]:
    return lambda setting, seed: regression(*problem_of(setting, seed), laws)


def _descended(setting: Setting, seed: int) -> dict[str, float]:
    """Return the best of all strengths and cutoffs, as the truth tells it."""
    problem, library = problem_of(setting, seed)
    best: tuple[float, dict[str, float]] = (-1.0, {})
    for strength in _STRENGTHS:
        rates = descent(problem, library, strength, _STEPS, _RUNS, seed)
        unit = _units(library)
        order = sorted(rates, key=lambda e: -rates[e] / unit[e])
        for size in range(1, 9):
            kept = {e: rates[e] for e in order[:size]}
            merged = _merged(kept, setting)
            if _f1(merged, _TRUTH) > best[0]:
                best = _f1(merged, _TRUTH), kept
    return best[1]


def _units(library: Any) -> dict[str, float]:
    typical = library.combinations(np.full(3, float(_POPULATION)))
    return dict(zip(library.equations, _POPULATION / typical, strict=True))


def _merged(found: dict[str, float], setting: Setting) -> dict[str, float]:
    """Return what was found, what the data cannot tell apart under one name."""
    if "R" in setting.species:
        return found
    merged: dict[str, float] = {}
    for equation, rate in found.items():
        name = _UNSEEN.get(equation, equation)
        merged[name] = merged.get(name, 0.0) + rate
    return merged


@dataclass(frozen=True)
class Way:
    """A way to find the network. It may need all species seen, and get few repeats."""

    name: str
    run: Callable[[Setting, int], dict[str, float]]
    needs_all: bool = True
    few: bool = False


WAYS = (
    Way("regression", _regressed(False)),
    Way("regression, laws", _regressed(True)),
    Way("screening", _by(IncrementScreening(window=0))),
    Way("screening, weighed", _by(IncrementScreening())),
    Way("ℓ1 descent", _descended, needs_all=False, few=True),
    Way("gates", _by(GatePath()), needs_all=False),
    Way("learn_structure", _by(None), needs_all=False),
)


def measure(way: Way, setting: Setting, seed: int) -> Row:
    """Return what a way finds."""
    began = time.process_time()
    found = way.run(setting, seed)
    spent = time.process_time() - began
    progress(f"{setting.name} {seed} {way.name} {spent:.1f} s {'; '.join(found)}")
    return Row(way.name, setting.name, seed, found, spent)


@dataclass(frozen=True)
class Row:
    """An answer: rates by equation."""

    way: str
    setting: str
    seed: int
    found: dict[str, float]
    seconds: float


def read(path: Path | None) -> list[Row]:
    """Return the rows of a run that was stopped."""
    if path is None or not path.exists():
        return []
    return [Row(**json.loads(line)) for line in path.read_text().splitlines()]


def scored(rows: list[Row], way: str, setting: Setting) -> Score | None:
    """Return how a way did in a setting, None where there is nothing."""
    score = Score()
    for row in rows:
        if (row.way, row.setting) == (way, setting.name):
            score.add(_merged(row.found, setting), _TRUTH, row.seconds)
    return score if score.exact else None


def by_sindy(python: Path, chosen: list[Setting], repeats: int) -> dict[str, Score]:
    """Return how PySINDy does with the setting that the truth tells best, by setting's name."""
    cases = {}
    for setting in (s for s in chosen if "S" in s.species):
        for seed in range(repeats):
            data = data_of(setting, seed)
            mean = data.mean("replicate").transpose("time", "observable").values
            start = [_START[s] for s in setting.species]
            cases[f"{setting.name}/{seed}"] = np.vstack([start, mean]) / _POPULATION
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "in.npz", Path(folder) / "out.json"
        grids = {f"{name}|t": np.linspace(0, 1, len(states)) for name, states in cases.items()}
        np.savez(given, **{n.replace("/", "@"): a for n, a in {**cases, **grids}.items()})
        script = Path(__file__).resolve().parent / "peers" / "sindy.py"
        subprocess.run([python, script, given, out], check=True)
        answers = json.loads(out.read_text())
    scores: dict[str, Score] = {}
    for case, answer in answers.items():
        best: tuple[float, Any, Any] = (-1.0, {}, {})
        for species in {tuple(model["species"]) for model in answer["models"]}:
            found: dict[Any, float] = {}
            for s in species:  # each equation with the setting that suits it best
                found |= max(_equations(answer["models"], species, s), key=_closeness)
            truth = {k: v for k, v in _TERMS.items() if k[0] in species}
            best = max(best, (_f1(found, truth), found, truth), key=lambda x: x[0])
        name = case.split("@")[0]
        scores.setdefault(name, Score()).add(best[1], best[2], answer["seconds"])
    return scores


def _equations(models: list[Any], species: tuple[str, ...], one: str) -> list[dict[Any, float]]:
    """Return the terms of one species' equation in every setting, with their coefficients."""
    return [
        {(s, t): c * _unscaled(t) for s, t, c in model["terms"] if s == one}
        for model in models if tuple(model["species"]) == species
    ]  # fmt: skip


def _closeness(found: dict[Any, float]) -> float:
    """Return how close an equation is to the truth of the species it is of."""
    species = {s for s, _ in found}
    return _f1(found, {k: v for k, v in _TERMS.items() if k[0] in species})


def _f1(found: dict[Any, float], truth: dict[Any, float]) -> float:
    """Return twice what is common, of all there is in both."""
    return 2 * len(found.keys() & truth.keys()) / max(len(found) + len(truth), 1)


def _unscaled(term: str) -> float:
    """Return what a coefficient is to be multiplied by, as the population was 1."""
    degree = 0 if term == "1" else sum(2 if "^2" in part else 1 for part in term.split())
    return float(_POPULATION) ** (1 - degree)


_TABLES: dict[str, Callable[[Score], str]] = {
    "Exact": lambda s: f"{sum(s.exact)} of {len(s.exact)}",
    "Precision and recall": lambda s: f"{np.mean(s.precision):.2f} / {np.mean(s.recall):.2f}",
    "Errors of rates": lambda s: f"{100 * np.median(s.errors):.1f} %" if s.errors else "–",
    "Seconds of processor time": lambda s: f"{np.median(s.seconds):.2g}",
}


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--few", type=int, default=3, help="repeats of what takes long")
    parser.add_argument("--rows", type=Path, help="where answers are kept, to go on after a stop")
    parser.add_argument("--show", action="store_true", help="only show the answers of --rows")
    parser.add_argument("--settings", type=int, nargs="+", default=list(range(len(SETTINGS))))
    parser.add_argument("--ways", type=int, nargs="+", default=list(range(len(WAYS))))
    parser.add_argument("--peers-python", type=Path, default=PEERS_PYTHON)
    options = parser.parse_args()
    chosen, ways = [SETTINGS[i] for i in options.settings], [WAYS[i] for i in options.ways]
    rows = read(options.rows)
    done = {(row.way, row.setting, row.seed) for row in rows}
    for way in ways if not options.show else []:  # compile
        if not way.few:
            way.run(SETTINGS[5], 0)
    for seed in range(options.repeats if not options.show else 0):
        for s, way in sorted(itertools.product(chosen, ways), key=lambda pair: pair[1].few):
            repeats = options.few if way.few or s.is_costly else options.repeats
            apt = s.is_seen or not way.needs_all
            if not apt or seed >= repeats or (way.name, s.name, seed) in done:
                continue
            rows.append(measure(way, s, seed))
            if options.rows is not None:
                with options.rows.open("a") as file:
                    file.write(json.dumps(asdict(rows[-1])) + "\n")
    write(Page("structure_baselines", "Which reactions there are, by other ways"), rows, options)


def _of(options: Any) -> str:
    """Return what was run."""
    if options.show:
        return "Answers that were kept; each cell of the first table says of how many data sets."
    return settings(options)


def write(page: Page, rows: list[Row], options: Any) -> None:
    """Write the page."""
    chosen, names = [SETTINGS[i] for i in options.settings], [WAYS[i].name for i in options.ways]
    table = {(n, s.name): scored(rows, n, s) for n in names for s in chosen}
    if options.peers_python.exists():
        sindy = by_sindy(options.peers_python, chosen, options.repeats)
        table |= {("PySINDy", s.name): sindy.get(s.name) for s in chosen}
        names.insert(min(4, len(names)), "PySINDy")
    shown = [s for s in chosen if any(table[n, s.name] for n in names)]
    missing = [s.name for s in chosen if s not in shown]
    missing += [n for n in (*names, "PySINDy") if not any(table.get((n, s.name)) for s in chosen)]
    names = [n for n in names if any(table[n, s.name] for s in chosen)]
    for about, paragraph in _ABOUT.items():
        if about in ("", *names):
            page.text(
                paragraph.format(
                    settings=_of(options), center=SETTINGS[1].name, grid=96, steps=_STEPS,
                    runs=_RUNS,
                )
            )  # fmt: skip
    if missing:
        page.text(f"Not run yet, and left out of the tables: {', '.join(missing)}.")
    for title, cell in _TABLES.items():
        page.heading(title)
        lines = []
        for s in shown:
            scores = [table[n, s.name] for n in names]
            lines.append([s.name, *("–" if x is None else cell(x) for x in scores)])
        page.table(["data", *names], lines)
    page.finish(options.save)


_ABOUT = {
    "": """
    An epidemic of 2,000, `S + I -> 2 I` at 0.02 and `I -> R` at 5, from 20 infected until time 1,
    simulated exactly; all 90 reactions between complexes of up to two as candidates. Each row
    changes one thing of *{center}*; the initial state is one of the times. All ways get the same
    data, and know the size of the noise. *Exact*: the network found is the true one; where R is
    not seen, `I -> 0` and `I -> 2 R` count as `I -> R`, of which the data cannot tell them.
    Errors of rates are medians over the true reactions that were found. Seconds of processor time
    are medians, one thread. Where there is noise or not all is seen, and for descent, repeats are
    fewer. A dash: does not apply, or was not run. {settings}""",
    "regression": """
    *regression*: least squares of the increments with rates of 0 or more, variances those of the
    last of six rounds, no covariance; candidates leave by their t value, BIC decides. *laws*:
    given the candidates that conserve what the data do. *screening*:
    `IncrementScreening(window=0)`, the likelihood of the increments with full covariance, after
    laws; *weighed*: its default, the last few networks weighed by the linear-noise posterior.
    *gates*: `GatePath()`.""",
    "PySINDy": """
    *PySINDy* 2.1: polynomials of degree 2, STLSQ, on the mean of the replicates, populations
    divided by 2,000. The figures favor it: of up to {grid} settings (thresholds, ridges,
    derivatives by differences and smoothed; all three species, or S and I alone, for which the
    conserved sum makes no terms collinear) that one is taken for each equation of each data set
    that comes closest to the truth, which is not known otherwise; and terms are counted, not
    reactions: {{S: SI; I: SI, I; R: I}} is exact, whatever reactions it may stand for, and
    nothing links `-SI` in one equation to `+SI` in another. Seconds are those of one setting.""",
    "ℓ1 descent": """
    *ℓ1 descent*: Adam on Gaussian-smoothed gradients (`GaussianSmoothing`, {steps} steps of
    {runs} exact runs) of the squared distance between mean simulated and mean observed
    trajectories, plus a multiple of the sum of all rates, by the logarithms of 90 rates at once.
    It is favored as well: of all numbers of reactions kept from 1 to 8, those of the largest
    rates, that one is taken which comes closest to the truth. The multiple was not searched.""",
}

if __name__ == "__main__":
    main()

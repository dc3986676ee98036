"""What a gradient costs: variance times processor time of every estimator, and of `Auto`.

The gradient is that of the squared distance between expected and observed means, in the logarithms
of the rates, at a point where it is not zero. Five networks are drawn at random (``--networks``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _report import Page, arguments, progress
from exactness import random_case

import tumble as tb
from tumble._errors import CapabilityError, SimulationError
from tumble._random import Stream
from tumble.gradients import (
    SPSA,
    AbstractEstimator,
    AlternativePath,
    Auto,
    CoupledDifference,
    GaussianSmoothing,
    GradientEstimate,
    LinearResponse,
    ScoreFunction,
    SmoothedReinforce,
)
from tumble.objectives import BoundOutputs, MomentMatching

ESTIMATORS: dict[str, AbstractEstimator] = {
    "ScoreFunction": ScoreFunction(),
    "LinearResponse": ScoreFunction(LinearResponse()),
    "CoupledDifference": CoupledDifference(),
    "AlternativePath": AlternativePath(),
    "16 phantoms": AlternativePath(16),
    "GaussianSmoothing": GaussianSmoothing(),
    "SmoothedReinforce": SmoothedReinforce(),
    "SPSA": SPSA(),
}
_REFERENCE_RUNS = 2_000


@dataclass(frozen=True)
class Case:
    """A network at the rates that made the data, and how far from them the gradient is taken."""

    name: str
    network: str
    rates: Mapping[str, float]
    initial: Mapping[str, int]
    times: Sequence[float]
    observed: Sequence[str]
    moved: Mapping[str, float] = field(
        default_factory=dict
    )  # on the log scale; default 0.3 for all

    def bound(self) -> tuple[BoundOutputs, np.ndarray]:
        """Return the objective, whose data are means of runs at ``rates``, and the point [P]."""
        model = tb.ReactionNetwork.from_text(self.network, species=tuple(self.initial))
        run = tb.simulate(
            model, dict(self.rates), initial=dict(self.initial), times=list(self.times),
            num_samples=_REFERENCE_RUNS, seed=1,
        )  # fmt: skip
        mean = run.data.mean("sample").sel(species=list(self.observed))
        problem = tb.Problem(
            model,
            experiments=[
                tb.Experiment(
                    {"time": list(self.times),
                     **{s: mean.sel(species=s).values for s in self.observed}},
                    initial=dict(self.initial), kind="mean", num_averaged=_REFERENCE_RUNS,
                )
            ],
            parameters={k: tb.Parameter(v / 100, v * 100) for k, v in self.rates.items()},
        )  # fmt: skip
        moved = [self.moved.get(k, 0.0 if self.moved else 0.3) for k in self.rates]
        return MomentMatching(order=1).bind(problem), np.log(list(self.rates.values())) + moved


@dataclass(frozen=True)
class Walk:
    """Walkers on a plane with declared draws; data are the exact mean square displacement."""

    name: str = "walk of 100 steps, declared draws"
    stay: float = 0.5

    def bound(self) -> tuple[BoundOutputs, np.ndarray]:
        """Return the objective at stay = 0.4, where data are 2 (1 − stay) t at stay = 0.5."""
        times = np.array([25.0, 50.0, 100.0])
        problem = tb.Problem(
            tb.BlackBox(_walk, ["stay"], ["msd"], choices=True, batched=True),
            experiments=[
                tb.Experiment(
                    {"time": times, "msd": 2 * (1 - self.stay) * times}, kind="mean",
                    num_averaged=_REFERENCE_RUNS,
                )
            ],
            parameters={"stay": tb.Parameter(0.01, 0.99, scale="logit")},
        )  # fmt: skip
        return MomentMatching(order=1).bind(problem), np.array([np.log(0.4 / 0.6)])


def _walk(params: Any, times: Any, c: Any) -> Any:
    """Two axes, each of which stays with a probability at every step; yields squared distances."""
    stay = params["stay"]
    place = np.zeros((np.shape(stay)[0], 2))
    done = 0
    for time_ in times:
        steps = int(time_) - done
        done = int(time_)
        rests = c.flip(stay[:, None, None], (steps, 2))
        ahead = c.flip(0.5, (steps, 2))
        place = place + (np.where(ahead, 1.0, -1.0) * ~rests).sum(1)
        yield (place**2).sum(1)


_IMMIGRATION = "0 -> X ; k\nX -> 0 ; gamma"
_SIR = "S + I -> 2 I ; beta\nI -> R ; gamma"


def library() -> Case:
    """Return every reaction between the ten complexes of at most two of S, I and R: 90 of them."""
    names = ["S", "I", "R"]
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i:]]
    complexes: list[tuple[str, ...]] = [(), *((n,) for n in names), *pairs]
    lines, rates = [], {}
    for left in complexes:
        for right in complexes:
            if left == right:
                continue
            name = f"k{len(rates)}"
            rates[name] = (0.02, 2e-3, 2e-5)[len(left)]
            if (left, right) == (("S", "I"), ("I", "I")):
                rates[name], infection = 0.01, name
            if (left, right) == (("I",), ("R",)):
                rates[name], recovery = 0.5, name
            lines.append(f"{' + '.join(left) or '0'} -> {' + '.join(right) or '0'} ; {name}")
    return Case(
        "library of 90 reactions, SIR of 200", "\n".join(lines), rates,
        {"S": 190, "I": 10, "R": 0}, np.linspace(1, 6, 6), names,
        {infection: 0.3, recovery: -0.3},
    )  # fmt: skip


CASES = [
    Case("immigration-death, T = 2", _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, {"X": 0},
         [0.5, 1.0, 2.0], ["X"]),
    Case("immigration-death, T = 20", _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, {"X": 0},
         [5.0, 10.0, 20.0], ["X"]),
    Case("SIR of 200", _SIR, {"beta": 0.005, "gamma": 0.5}, {"S": 198, "I": 2, "R": 0},
         np.linspace(2, 14, 7), ["I", "R"]),
    Case("SIR of 2,000", _SIR, {"beta": 0.02, "gamma": 5.0}, {"S": 1980, "I": 20, "R": 0},
         np.linspace(0.1, 0.7, 7), ["I", "R"]),
    Case("dimerization of 100", "2 P -> P2 ; bind\nP2 -> 2 P ; part", {"bind": 0.02, "part": 0.4},
         {"P": 100, "P2": 0}, [0.25, 0.5, 1.0, 2.0], ["P", "P2"]),
    Case("Schlögl, bistable", "2 X -> 3 X ; a\n3 X -> 2 X ; b\n0 -> X ; k\nX -> 0 ; d",
         {"a": 0.248, "b": 0.012, "k": 6.8, "d": 1.93}, {"X": 17}, [1.0, 3.0, 6.0], ["X"]),
    Case("toggle switch", "0 => A ; hillr(B, a, K, n)\n0 => B ; hillr(A, b, K, n)\nA -> 0 ; d\n"
         "B -> 0 ; d", {"a": 20.0, "b": 18.0, "K": 6.0, "n": 2.5, "d": 1.0}, {"A": 5, "B": 5},
         [1.0, 3.0, 6.0], ["A", "B"]),
    library(),
]  # fmt: skip


def random_cases(seeds: Sequence[int]) -> list[Case | Walk]:
    """Return networks of three species and six reactions that nobody chose."""
    cases: list[Case | Walk] = []
    for seed in seeds:
        drawn = random_case(seed)
        cases.append(
            Case(drawn.name, drawn.network, drawn.params, drawn.initial, drawn.times,
                 list(drawn.initial))
        )  # fmt: skip
    return cases


@dataclass(frozen=True)
class Cost:
    """Summed variance of the gradient × processor seconds, as spent; and what it was spent on."""

    product: float
    seconds: float
    gradient: np.ndarray
    variance: float

    @property
    def relative_error(self) -> float:
        """The root of the summed variance, relative to the length of the gradient."""
        return float(np.sqrt(self.variance) / np.linalg.norm(self.gradient))


def measure(estimate: Any, bound: BoundOutputs, z: np.ndarray, runs: int, stream: Stream) -> Cost:
    """Estimate once and say what it cost."""
    began = time.process_time()
    found: GradientEstimate = estimate(bound, z, runs, stream)
    seconds = time.process_time() - began
    variance = float(np.trace(found.covariance))
    return Cost(variance * seconds, seconds, found.gradient, variance)


def biased_gain(biased: Sequence[Cost], sound: Sequence[Cost]) -> float:
    """Return mean square error × seconds of estimates that may be biased, relative to sound ones.

    The squared bias is the squared distance of the averages less the variance of both.
    """
    apart = np.mean([c.gradient for c in biased], 0) - np.mean([c.gradient for c in sound], 0)
    noise = sum(float(np.mean([c.variance for c in cs])) / len(cs) for cs in (biased, sound))
    square = max(float(apart @ apart) - noise, 0.0)
    own = float(np.median([(c.variance + square) * c.seconds for c in biased]))
    return own / float(np.median([c.product for c in sound]))


def of_case(case: Case | Walk, runs: int, seeds: int) -> list[Any]:
    """Return a row: each estimator beside the best, then Auto."""
    bound, z = case.bound()
    stream = Stream.from_seed(0).child("variance", case.name)
    products: dict[str, float] = {}
    for i, (name, estimator) in enumerate(ESTIMATORS.items()):
        branch = stream.child("estimator", i)
        try:
            estimator.estimate(bound, z, 200, branch)  # compiled before it is timed
            costs = [
                measure(estimator.estimate, bound, z, runs // 3, branch.child(k)) for k in range(3)
            ]
        except (CapabilityError, SimulationError) as error:
            progress(f"{case.name}: {name}: {error}")
            continue
        products[name] = float(np.median([c.product for c in costs]))
    best = min(
        (name for name in products if ESTIMATORS[name].proven), key=lambda name: products[name]
    )
    auto = Auto()
    spent = [
        measure(auto.estimate, bound, z, runs, stream.child("auto", seed)) for seed in range(seeds)
    ]
    own = float(np.median([c.product for c in spent]))
    chosen = auto.choose(bound, z, stream.child("auto", 0, "auto"), num_runs=runs)
    progress(f"{case.name}: best {best}, Auto {own / products[best]:.2f}")
    whole = [
        measure(GaussianSmoothing().estimate, bound, z, runs, stream.child("smoothing", k))
        for k in range(3)
    ]
    smoothing = float(np.median([c.product for c in whole]))
    return [
        case.name,
        *(f"{products[n] / products[best]:.3g}" if n in products else "–" for n in ESTIMATORS),
        f"{own / products[best]:.2f}",
        chosen.estimator.label,
        f"{smoothing / own:.3g}",
        f"{biased_gain(whole, spent):.3g}",
        f"{100 * float(np.median([c.relative_error for c in spent])):.2g} %",
    ]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=100_000, help="of the simulator, in all")
    parser.add_argument("--seeds", type=int, default=20, help="repeats of Auto")
    parser.add_argument("--networks", type=int, nargs="*", default=[7001, 7002, 7003, 7004, 7005])
    parser.add_argument("--cases", type=int, nargs="*", help="numbers of those to do; default all")
    options = parser.parse_args()
    cases = [*CASES, Walk(), *random_cases(options.networks)]
    if options.cases is not None:
        cases = [cases[i] for i in options.cases]
    page = Page("gradient_variance", "What a gradient costs")
    page.text(
        f"""The summed variance of the gradient times the processor seconds it took, from
        {options.runs:,} runs of the simulator; all members of a pair and all phantoms count as
        runs. Such a product does not depend on how many runs were spent. It is shown relative to
        the best estimator of each problem whose guarantee is proven: 1 is best, 10 needs ten times
        the time for the same error. `GaussianSmoothing`, `SmoothedReinforce` and `SPSA` are biased
        by the order of their step squared, which is not in these figures, so that a figure below 1
        is not the same achievement. The loss is the squared distance of the means
        (`MomentMatching(order=1)`), its gradient is taken in the logarithms of all rates, away from
        the minimum. Every estimator has its default settings."""
    )
    rows = [of_case(case, options.runs, options.seeds) for case in cases]
    page.table(
        ["problem", *ESTIMATORS, "Auto", "it chose", "smoothing / Auto", "… with its bias",
         "error of Auto"],
        rows,
    )  # fmt: skip
    ratios = [float(row[-5]) for row in rows]
    gains, fair = ([float(row[k]) for row in rows] for k in (-3, -2))
    page.text(
        f"""*Auto* has {options.runs:,} runs for its pilots and the estimate together; the figure is
        the median of {options.seeds} seeds, with the time of the pilots in it. It is within a
        factor of 2 of the best of these in {sum(r <= 2 for r in ratios)} of {len(ratios)} problems
        (the largest factor is {max(ratios):.2f}), and better than `GaussianSmoothing` with common
        seeds by a factor of {np.median(gains):.3g} in the median, and of {np.median(fair):.3g}
        where the variance is replaced by the mean square error: the smoothed gradient is that of
        another function, and no number of runs with the same step will bring it nearer. *Error*
        is the root of the summed variance relative to the length of the gradient."""
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()

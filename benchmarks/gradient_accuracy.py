"""Estimated gradients against exact ones, and what they cost.

Four tables: many runs against the exact gradient, in standard errors; batches of eight, averaged
over many, against the exact gradient (bias that large batches hide); the work-normalized variance
of ∂E[X]/∂θ, variance times microseconds a run; and that of the gradients of losses, in events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from _report import Page, arguments, progress

import tumble as tb
from tumble._random import Stream
from tumble.diagnostics._references import exact_loss_and_gradient
from tumble.gradients import (
    SPSA,
    AlternativePath,
    ConstantStep,
    CoupledDifference,
    CrossFitted,
    GaussianSmoothing,
    LinearResponse,
    RademacherDirections,
    ScoreFunction,
    SmoothedReinforce,
)
from tumble.losses import Linear
from tumble.objectives import (
    AbstractOutputObjective,
    BoundOutputs,
    ExpectedLoss,
    MomentMatching,
)
from tumble.objectives._base import FeatureData
from tumble.simulators import FiniteStateProjection

_ESTIMATORS = {
    "ScoreFunction": ScoreFunction(),
    "CoupledDifference": CoupledDifference(),
    "AlternativePath": AlternativePath(),
    "ScoreFunction, CrossFitted": ScoreFunction(CrossFitted()),
    "ScoreFunction, LinearResponse": ScoreFunction(LinearResponse()),
    "CoupledDifference, RademacherDirections": CoupledDifference(directions=RademacherDirections()),
}
# Biased by design: compared in cost, and in bias with their step fixed, but not in z.
_STEP = 0.1
_PERTURBED = {
    "GaussianSmoothing": GaussianSmoothing(_STEP, ConstantStep()),
    "GaussianSmoothing, common=False": GaussianSmoothing(_STEP, ConstantStep(), common=False),
    "SPSA": SPSA(_STEP, ConstantStep()),
    "SmoothedReinforce": SmoothedReinforce(_STEP, ConstantStep()),
}
_SIR = "S + I -> 2 I ; beta\nI -> R ; gamma"
_IMMIGRATION = "0 -> X ; k\nX -> 0 ; gamma"


@dataclass(frozen=True)
class Expectation(AbstractOutputObjective):
    """E[X] itself, summed over times and observables: linear, for the table of costs."""

    loss_name = "expectation"
    citations = ()

    def bind(self, problem: tb.Problem) -> BoundOutputs:
        """See `AbstractOutputObjective.bind`."""
        values = problem.experiments[0].data.values[0]
        data = FeatureData(values, np.zeros_like(values), np.ones_like(values))
        return BoundOutputs(self, problem, [data], Linear(data.weight.ravel()))

    def features(self, law: Any, data: FeatureData, xp: Any) -> Any:
        """See `AbstractOutputObjective.features`."""
        return law.mean

    def gaussian_features(self, mean: Any, covariance: Any, data: FeatureData, xp: Any) -> Any:
        """See `AbstractOutputObjective.gaussian_features`."""
        return mean


@dataclass(frozen=True)
class Case:
    """A network at a point, data to compare with, and its mean where that has a closed form.

    ``mean``: rates -> E[X] and its derivatives [P] in the logarithms of the rates, for a count that
    is Poisson at the single observation time.
    """

    name: str
    network: str
    rates: Mapping[str, float]
    initial: Mapping[str, int]
    data: Mapping[str, list[float]]
    mean: Callable[..., tuple[float, np.ndarray]] | None = None

    @property
    def problem(self) -> tb.Problem:
        """The problem, with bounds of a factor ten to either side of the rates.

        Three replicates: the data, and one count less and more.
        """
        import xarray as xr

        names = [name for name in self.data if name != "time"]
        middle = np.array([self.data[name] for name in names], dtype=float).T
        return tb.Problem(
            tb.ReactionNetwork.from_text(self.network),
            data=xr.DataArray(
                np.stack([middle - 1, middle, middle + 1]),
                dims=("replicate", "time", "observable"),
                coords={"time": np.array(self.data["time"], dtype=float), "observable": names},
            ),
            initial=self.initial,
            parameters={k: tb.Parameter(v / 10, v * 10) for k, v in self.rates.items()},
        )

    @property
    def point(self) -> np.ndarray:
        """The rates on the fit scale [P]."""
        return np.log(list(self.rates.values()))


def arrival_mean(k: float) -> tuple[float, np.ndarray]:
    """Return k T at T = 10 and its derivative in log k."""
    return 10 * k, np.array([10 * k])


def immigration_mean(time: float) -> Callable[..., tuple[float, np.ndarray]]:
    """Return the function of k and γ that gives k/γ (1 − e^{−γt}) and its log derivatives."""

    def mean(k: float, gamma: float) -> tuple[float, np.ndarray]:
        e = np.exp(-gamma * time)
        m = k / gamma * (1 - e)
        return m, np.array([m, -m + k * time * e])

    return mean


CASES = [
    Case("arrival, T = 10", "0 -> X ; k", {"k": 2.0}, {"X": 0}, {"time": [10], "X": [15]},
         arrival_mean),
    Case("immigration-death, T = 2", _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, {"X": 0},
         {"time": [2], "X": [6]}, immigration_mean(2.0)),
    Case("immigration-death, T = 20", _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, {"X": 0},
         {"time": [20], "X": [14]}, immigration_mean(20.0)),
    Case("SIR of 20", _SIR, {"beta": 0.1, "gamma": 0.7}, {"S": 18, "I": 2, "R": 0},
         {"time": [1.0, 2.0, 4.0], "S": [14, 8, 5], "I": [5, 9, 6], "R": [1, 3, 9]}),
    Case("dimerization of 20", "2 P -> P2 ; bind\nP2 -> 2 P ; part", {"bind": 0.05, "part": 0.4},
         {"P": 20, "P2": 0}, {"time": [0.5, 2.0], "P": [13, 6], "P2": [3, 7]}),
]  # fmt: skip

LOSSES = {
    "(i) expected squared error": ExpectedLoss(),
    "(ii) means": MomentMatching(order=1),
    "(ii) means and mean squares": MomentMatching(order=2),
}


def exact_gradient(case: Case, bound: BoundOutputs) -> tuple[np.ndarray, str]:
    """Return the exact gradient [P] and where it comes from.

    A Poisson count of mean m has E[(X − y)²] = m + (m − y)². With one datum y both losses divide by
    y²; the closed form is used for them, and the projection of the master equation otherwise.
    """
    projected = exact_loss_and_gradient(bound, case.point, FiniteStateProjection())[1]
    order = getattr(bound.objective, "order", None)
    if case.mean is None or order == 2:
        return projected, "projection"
    m, slope = case.mean(*case.rates.values())
    y = float(case.data["X"][0])
    outer = 2 * (m - y) + (1.0 if isinstance(bound.objective, ExpectedLoss) else 0.0)
    closed = outer * slope / y**2
    if not np.allclose(closed, projected, rtol=1e-6, atol=1e-12):
        raise AssertionError(f"{case.name}: closed form {closed}, projection {projected}")
    return closed, "closed form"


def accuracy(num_runs: int) -> list[list[Any]]:
    """Return a row for each case, loss, estimator and parameter."""
    rows = []
    for case in CASES:
        for loss, objective in LOSSES.items():
            bound = objective.bind(case.problem)
            exact, source = exact_gradient(case, bound)
            for i, (label, estimator) in enumerate(_ESTIMATORS.items()):
                runs = num_runs * estimator.runs_per_sample(bound)
                stream = Stream.from_seed(0).child("accuracy", case.name, loss, i)
                found = estimator.estimate(bound, case.point, runs, stream)
                for j, name in enumerate(case.rates):
                    error = found.standard_errors[j]
                    rows.append(
                        [case.name, loss, label, name, float(exact[j]), source,
                         float(found.gradient[j]), float(error),
                         f"{(found.gradient[j] - exact[j]) / error:+.2f}"]
                    )  # fmt: skip
        progress(f"accuracy: {case.name}")
    return rows


def small_batches(num_batches: int) -> list[list[Any]]:
    """Return rows of the mean gradient over many batches of eight joint samples."""
    rows = []
    chosen = [CASES[0], CASES[1], CASES[3]]
    for case in chosen:
        for loss in ("(i) expected squared error", "(ii) means"):
            bound = LOSSES[loss].bind(case.problem)
            exact, _ = exact_gradient(case, bound)
            for i, label in enumerate(_ESTIMATORS):
                if "LinearResponse" in label:  # LeaveOneOut, at eight runs
                    continue
                rows += batches_of_eight(case, loss, bound, exact, label, i, num_batches)
        progress(f"batches of eight: {case.name}")
    return rows


def batches_of_eight(
    case: Case,
    loss: str,
    bound: BoundOutputs,
    exact: np.ndarray,
    label: str,
    index: int,
    num_batches: int,
) -> list[list[Any]]:
    """Call the estimator itself once a batch, and compare the mean with the exact gradient.

    Beside it stands the ratio of the covariance that the batches state to the one they have.
    """
    estimator = _ESTIMATORS[label]
    runs = 8 * estimator.runs_per_sample(bound)
    stream = Stream.from_seed(0).child("batches", case.name, loss, index)
    gradients = np.empty((num_batches, len(exact)))
    stated = np.zeros(len(exact))
    for b in range(num_batches):
        estimate = estimator.estimate(bound, case.point, runs, stream.child(b))
        gradients[b] = estimate.gradient
        stated += estimate.standard_errors**2 / num_batches
    mean = gradients.mean(0)
    spread = gradients.std(0, ddof=1)
    error = spread / np.sqrt(num_batches)
    return [
        [case.name, loss, label, name, float(exact[j]), float(mean[j]),
         f"{(mean[j] - exact[j]) / error[j]:+.2f}",
         f"{100 * error[j] / abs(exact[j]):.2f} %", f"{stated[j] / spread[j] ** 2:.2f}"]
        for j, name in enumerate(case.rates)
    ]  # fmt: skip


COSTS = [
    ("immigration-death, E[X(2)], k", _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, "k", {"X": 0},
     "X", 2.0, {"ScoreFunction": "3.6", "CoupledDifference": "8.0", "AlternativePath": "2.2"},
     400_000),
    ("immigration-death, E[X(20)], k", _IMMIGRATION, {"k": 10.0, "gamma": 1.0}, "k", {"X": 0},
     "X", 20.0, {"ScoreFunction": "348", "CoupledDifference": "96", "AlternativePath": "290"},
     200_000),
    ("SIR of 200, E[I(4)], β", _SIR, {"beta": 0.005, "gamma": 0.5}, "beta",
     {"S": 198, "I": 2, "R": 0}, "I", 4.0,
     {"ScoreFunction": "2.9e9 *", "CoupledDifference": "6.0e9 *", "AlternativePath": "1.1e10 *"},
     100_000),
    ("SIR of 2,000, E[I(0.3)], β", _SIR, {"beta": 0.02, "gamma": 5.0}, "beta",
     {"S": 1980, "I": 20, "R": 0}, "I", 0.3,
     {"ScoreFunction": "9.9e11", "CoupledDifference": "3.7e10", "AlternativePath": "2.3e12"},
     10_000),
]  # fmt: skip


def costs() -> list[list[Any]]:
    """Return rows of the variance of ∂E[X]/∂θ, in natural units, times microseconds a run."""
    rows = []
    for name, network, rates, fitted, initial, species, at, known, num_runs in COSTS:
        model = tb.ReactionNetwork.from_text(network)
        value = rates[fitted]
        problem = tb.Problem(
            model,
            data={"time": [at], species: [1]},
            initial=initial,
            parameters={**rates, fitted: tb.Parameter(value / 10, value * 10)},
        )
        bound = Expectation().bind(problem)
        z = np.log([value])
        for i, (label, estimator) in enumerate({**_ESTIMATORS, **_PERTURBED}.items()):
            stream = Stream.from_seed(0).child("costs", name, i)
            estimator.estimate(bound, z, 100, stream)
            began, cpu = time.perf_counter(), time.process_time()
            found = estimator.estimate(bound, z, num_runs, stream)
            wall = time.perf_counter() - began
            cpu = time.process_time() - cpu
            micro = 1e6 * cpu / found.num_runs
            variance = float(found.covariance[0, 0]) * found.num_runs / value**2
            published = known.get(label, "")
            rows.append(
                [name, label, float(found.gradient[0] / value),
                 float(found.standard_errors[0] / value), f"{variance:.2e}", f"{micro:.2f}",
                 f"{variance * micro:.2g}", published,
                 f"{1e6 * wall / found.num_runs:.2f}"]
            )  # fmt: skip
        progress(f"costs: {name}")
    return rows


def losses(num_runs: int) -> list[list[Any]]:
    """Return a row for each case and loss: work-normalized variances over that of scores."""
    rows = []
    for case in CASES:
        for loss, objective in LOSSES.items():
            bound = objective.bind(case.problem)
            costs = []
            for i, estimator in enumerate({**_ESTIMATORS, **_PERTURBED}.values()):
                stream = Stream.from_seed(0).child("losses", case.name, loss, i)
                costs.append(estimator.estimate(bound, case.point, num_runs, stream).work_variance)
            rows.append([case.name, loss, *(f"{c / costs[0]:.2g}" for c in costs)])
        progress(f"losses: {case.name}")
    return rows


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--runs", type=int, default=200_000, help="joint samples an estimate")
    parser.add_argument("--batches", type=int, default=100_000)
    options = parser.parse_args()
    page = Page("gradient_accuracy", "Gradients against exact ones")
    page.text(
        f"""Gradients on the fit scale (logarithms of the rates) at the rates of each model, from
        {options.runs:,} joint samples each. Exact values are closed forms where the count is
        Poisson (there the projection agrees with them to six digits), and otherwise come from the
        finite state projection of the master equation, which shares no code with the estimators."""
    )
    page.heading("Many runs")
    rows = accuracy(options.runs)
    page.table(
        ["model", "loss", "estimator", "parameter", "exact", "by", "estimate", "standard error",
         "z"],
        rows,
    )  # fmt: skip
    z = np.abs([float(row[-1]) for row in rows])
    page.text(
        f"""Of {len(z)} values of z, {np.sum(z > 2)} are beyond 2, {np.sum(z > 3)} beyond 3 and
        {np.sum(z > 4)} beyond 4; the largest is {z.max():.2f}. The root mean square is
        {np.sqrt(np.mean(z**2)):.2f}, where 1 is expected. The bias of the coupled difference is of
        the order of its step squared (0.02² on the fit scale) and is below the noise here."""
    )
    page.heading("Batches of eight")
    rows = small_batches(options.batches)
    page.table(
        ["model", "loss", "estimator", "parameter", "exact", "mean of the batches", "z",
         "error of the mean", "variance stated / found"],
        rows,
    )  # fmt: skip
    z = np.abs([float(row[6]) for row in rows])
    page.text(
        f"""The estimator is called {options.batches:,} times with eight joint samples each, and the
        gradients are averaged. A baseline or a product of two expectations that reuses its own runs
        would show as a bias of about an eighth. The largest |z| of {len(z)} is {z.max():.2f}. The
        last column compares the mean variance that a batch states of itself with the variance
        between batches: 1 is right, and above 1 eight samples overstate their error."""
    )
    page.heading("Cost")
    page.table(
        ["∂E[X]/∂θ", "estimator", "estimate", "standard error", "variance of one run",
         "CPU µs a run", "variance × µs", "prototype", "wall µs a run"],
        costs(),
    )  # fmt: skip
    page.text(
        """Derivatives with respect to the rate itself, not its logarithm. The variance is that of
        the mean times the runs of the simulator, so that the two runs of a coupled pair count as
        two, and a run with its four phantoms as nine, though these begin midway and end when they
        meet. Lower is better. *Prototype* is what an earlier stand-alone implementation of the same
        estimators reached on one core; (*) the rates and the start of that run are not recorded,
        so only the ratio of its two rows compares. Here β = 0.005, γ = 0.5, from 198 susceptible
        and 2 infected. The last four rows of each are biased by the order of their step squared,
        here 0.1² of the logarithm of the rate."""
    )
    page.heading("Losses")
    page.table(
        ["model", "loss", *_ESTIMATORS, *_PERTURBED],
        losses(options.runs),
    )
    page.text(
        f"""Work-normalized variance of the gradient in all parameters, summed variance times events
        fired, as a multiple of that of ScoreFunction, from {options.runs:,} runs each. It does not
        count the time of the regression of LinearResponse."""
    )
    page.finish(options.save)


if __name__ == "__main__":
    main()

"""How often the gradient audit is right about gradients whose truth is known.

Audits of sound estimators, which must not be called WRONG; of planted wrong ones, which must; and
of the linear-noise likelihood where counts are few.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from _report import Page, arguments, progress
from scipy.stats import binom

import tumble as tb
from tumble._random import Stream
from tumble.diagnostics._references import (
    AbstractReference,
    ProvenEstimator,
    ReferenceGradient,
    moments_reference,
)
from tumble.gradients import (
    AbstractEstimator,
    CoupledDifference,
    SampledJacobian,
    ScoreFunction,
)
from tumble.objectives import BoundOutputs, MomentMatching
from tumble.simulators import SupportsScore

_VERDICTS = ("RIGHT", "UNDECIDED", "WRONG")
_LEVEL = 0.01


@dataclass(frozen=True)
class Planted(AbstractEstimator):
    """The score function estimator with its Jacobian multiplied by ``factors`` [P]."""

    factors: tuple[float, ...]
    requires: ClassVar[type] = SupportsScore
    unbiased: ClassVar[bool] = False
    guarantee: ClassVar[str] = "none: it is wrong on purpose"

    def runs_per_sample(self, objective: BoundOutputs) -> int:
        """See `AbstractEstimator.runs_per_sample`."""
        return 1

    def sample(
        self,
        objective: BoundOutputs,
        z: np.ndarray,
        num_samples: int,
        stream: Stream,
        executor: Any = None,
    ) -> SampledJacobian:
        """See `AbstractEstimator.sample`."""
        sampled = ScoreFunction().sample(objective, z, num_samples, stream, executor)
        return replace(sampled, jacobians=sampled.jacobians * np.array(self.factors))


@dataclass(frozen=True)
class Known(AbstractReference):
    """A reference computed once, for the many audits at one point."""

    value: np.ndarray
    origin: str

    @property
    def name(self) -> str:
        """See `AbstractReference.name`."""
        return self.origin

    def gradient(self, z: np.ndarray, num_runs: int, stream: Stream) -> ReferenceGradient:
        """See `AbstractReference.gradient`."""
        return ReferenceGradient(self.value, np.zeros(len(z)), 0)


def immigration_death() -> tuple[tb.Problem, dict[str, float]]:
    """Return a problem whose gradient needs some tens of thousands of runs."""
    model = tb.ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma")
    problem = tb.Problem(
        model,
        data={"time": [1.0, 2.0, 4.0], "X": [4, 6, 7]},
        initial={"X": 0},
        parameters={"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)},
    )
    return problem, {"k": 10.0, "gamma": 1.0}


def epidemic() -> tuple[tb.Problem, dict[str, float]]:
    """Return an SIR model of 20."""
    model = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    problem = tb.Problem(
        model,
        data={"time": [1.0, 2.0, 4.0], "I": [3, 3, 2]},
        initial={"S": 18, "I": 2, "R": 0},
        parameters={"beta": tb.Parameter(0.01, 1), "gamma": tb.Parameter(0.07, 7)},
    )
    return problem, {"beta": 0.1, "gamma": 0.7}


def audits(
    problem: tb.Problem,
    params: Mapping[str, float],
    estimator: AbstractEstimator,
    count: int,
    budget: float,
    sampled: bool = False,
) -> tuple[list[tb.diagnostics.GradientAudit], float]:
    """Audit one estimator ``count`` times, with seeds 0 …; return the audits and seconds each.

    The reference is exact, or with ``sampled`` a coupled difference of a small step.
    """
    objective = MomentMatching(order=1)
    bound = objective.bind(problem)
    z = problem.space.to_fit(np.array(list(params.values())))
    reference: AbstractReference
    if sampled:
        reference = ProvenEstimator(bound, CoupledDifference(step=0.005))
    else:
        exact = moments_reference(bound, z)
        assert exact is not None
        reference = Known(exact.gradient(z, 0, Stream(0)).gradient, exact.name)
    began = time.perf_counter()
    done = [
        tb.audit_gradient(
            problem, params, objective=objective, gradients=[estimator], reference=reference,
            budget=tb.Budget(simulations=budget), level=_LEVEL, seed=seed, progress=False,
        )
        for seed in range(count)
    ]  # fmt: skip
    return done, (time.perf_counter() - began) / count


def row(name: str, done: list[tb.diagnostics.GradientAudit], seconds: float) -> list[Any]:
    """Return the shares of the verdicts of whole audits."""
    verdicts = Counter(next(iter(audit.verdicts.values())) for audit in done)
    runs = np.median([audit.num_runs for audit in done])
    shares = [f"{100 * verdicts[v] / len(done):.1f} %" for v in _VERDICTS]
    return [name, len(done), *shares, f"{runs:,.0f}", f"{seconds:.2f}"]


def main() -> None:
    """Print the page."""
    parser = arguments(__doc__)
    parser.add_argument("--sound", type=int, default=1000, help="audits of each sound estimator")
    parser.add_argument("--planted", type=int, default=100, help="audits of each planted error")
    parser.add_argument("--budget", type=float, default=300_000, help="runs an audit")
    options = parser.parse_args()
    page = Page("audit_calibration", "How often the audit is right")
    page.text(
        f"""`audit_gradient` compares an estimator with a reference and says RIGHT (within 10 %),
        WRONG (outside) or UNDECIDED. It promises a wrong verdict in at most {100 * _LEVEL:g} % of
        audits. Here each audit has fresh runs (seeds 0, 1, 2, …), at most about
        {options.budget:,.0f} of them, and the exact gradient as reference (in the row *reference
        sampled* a coupled difference with its own noise). The loss is
        `MomentMatching(order=1)`."""
    )
    sound(page, options.sound, options.budget)
    planted(page, options.planted, options.budget)
    linear_noise(page)
    page.finish(options.save)


def sound(page: Page, count: int, budget: float) -> None:
    """Write the section on sound estimators."""
    page.heading("Sound estimators")
    rows, wrong = [], []
    for name, (problem, params), estimator, sampled in (
        ("ScoreFunction, immigration-death", immigration_death(), ScoreFunction(), False),
        ("CoupledDifference, SIR of 20", epidemic(), CoupledDifference(), False),
        ("ScoreFunction, immigration-death, reference sampled", immigration_death(),
         ScoreFunction(), True),
    ):  # fmt: skip
        done, seconds = audits(problem, params, estimator, count, budget, sampled)
        rows.append(row(name, done, seconds))
        wrong.append(sum("WRONG" in audit.verdicts.values() for audit in done))
        progress(f"sound: {rows[-1]}")
    page.table(["estimator", "audits", *_VERDICTS, "median runs", "seconds an audit"], rows)
    limit = int(binom.ppf(0.99, count, _LEVEL))
    worst = max(wrong)
    held = "is kept" if worst <= limit else "is **broken**"
    page.text(
        f"""At a chance of {100 * _LEVEL:g} % up to {limit} of {count} audits may say WRONG; the
        most found is {worst}: the promise {held}. UNDECIDED means that more runs would tell; it is
        no error."""
    )


def planted(page: Page, count: int, budget: float) -> None:
    """Write the section on planted errors."""
    page.heading("Planted errors")
    problem, params = immigration_death()
    errors = {
        "zero": (0.0, 0.0),
        "three times too large": (3.0, 3.0),
        "wrong sign": (-1.0, -1.0),
        "γ alone half as large again": (1.0, 1.5),
        "11 %, just outside the margin": (1.11, 1.11),
        "10 %, on the margin": (1.1, 1.1),
    }
    rows = []
    for name, factors in errors.items():
        done, seconds = audits(problem, params, Planted(factors), count, budget)
        by_name = {
            p: Counter(r.verdict for audit in done for r in audit.rows if r.parameter == p)
            for p in params
        }
        named = all(f != 1.0 for f in factors)
        misnamed = "" if named else f"{by_name['k']['WRONG']} of {count}"
        sentence = done[0].words
        rows.append([*row(name, done, seconds)[:-1], misnamed, sentence])
        progress(f"planted: {rows[-1]}")
    page.table(
        ["error", "audits", *_VERDICTS, "median runs", "the right parameter called WRONG",
         "the first audit in words"],
        rows,
    )  # fmt: skip
    page.text(
        """The estimators are the score function with its Jacobian multiplied; the model is
        immigration-death. An error exactly on the margin is the hardest case for the promise:
        neither RIGHT nor WRONG may be said of it in more than 1 % of audits."""
    )


def series(
    network: str, params: Mapping[str, float], initial: Mapping[str, int], times: Any
) -> Any:
    """Return a problem with one exact series, seed 0."""
    model = tb.ReactionNetwork.from_text(network)
    runs = tb.simulate(model, params, initial=initial, times=times, num_samples=1, seed=0)
    return tb.Problem(
        model,
        data=runs,
        initial=initial,
        parameters={k: tb.Parameter(v / 10, v * 10) for k, v in params.items()},
    )


def linear_noise(page: Page) -> None:
    """Write the section on the default likelihood where counts are few, and where not."""
    page.heading("The default likelihood")
    sir = "S + I -> 2 I ; beta\nI -> R ; gamma"
    cases = {
        "SIR of 20 from one infected": (
            sir, {"beta": 0.1, "gamma": 0.7}, {"S": 19, "I": 1, "R": 0}, np.arange(1, 11) * 0.7,
        ),
        "dimerization of 6": (
            "2 P -> P2 ; bind\nP2 -> 2 P ; part", {"bind": 0.3, "part": 0.5}, {"P": 6, "P2": 0},
            np.arange(1, 11) * 0.5,
        ),
        "immigration-death around 2": (
            "0 -> X ; k\nX -> 0 ; gamma", {"k": 2.0, "gamma": 1.0}, {"X": 0},
            np.arange(1, 21) * 0.5,
        ),
        "immigration-death around 100": (
            "0 -> X ; k\nX -> 0 ; gamma", {"k": 100.0, "gamma": 1.0}, {"X": 100},
            np.arange(1, 21) * 0.5,
        ),
    }  # fmt: skip
    rows = []
    for name, (network, params, initial, times) in cases.items():
        problem = series(network, params, initial, times)
        # Away from the maximum, where there is a gradient to be right about.
        point = {k: 1.5 * v for k, v in params.items()}
        audit = tb.audit_gradient(problem, point, progress=False)
        for r in audit.rows:
            rows.append([name, r.parameter, r.estimate, r.reference, r.verdict])
        progress(f"{name}: {audit}")
    page.table(["model", "parameter", "linear noise", "exact", "verdict"], rows)
    page.text(
        """One series of all species without measurement noise, drawn by exact simulation (seed 0).
        Gradient of −log likelihood at one and a half times the rates that made it, on the log
        scale. Where copies are few the linear-noise likelihood is another function than the exact
        one, and the audit says so."""
    )


if __name__ == "__main__":
    main()

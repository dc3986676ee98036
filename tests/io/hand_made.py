"""Results made by hand, so that files and pages can be tested without running a fit."""

from types import SimpleNamespace

import numpy as np

from tumble._fit_result import FitResult, FitStep
from tumble._parameters import Parameter, Ref
from tumble._problem import Problem
from tumble._results import ResultCode
from tumble.models import ReactionNetwork
from tumble.posteriors import (
    SMCABC,
    TSNPE,
    AdaptiveMetropolis,
    AdjustedChains,
    Adjustment,
    AllData,
    ChainRound,
    Chains,
    Generation,
    LearningRound,
    LearntDensity,
    LossPosterior,
    NearDataSets,
    Optimum,
    Posterior,
)

IN_BED = [3, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4]


class Loss:
    """What a result asks of an objective."""

    loss_name = "-log likelihood"
    citations = ("Somebody, Journal of Things 1 (2000), doi:10.1000/1",)

    def __str__(self):
        return "PathLikelihood()"


def make_problem(num_replicates=1, num_experiments=1):
    from tumble._experiment import Experiment, ObservedData
    from tumble._observable import Observable
    from tumble.noise import NegativeBinomial

    sir = ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    values = np.repeat(np.array(IN_BED, float)[None, :, None], num_replicates, axis=0)
    data = ObservedData(values, np.arange(1.0, 15.0), ("in_bed",))
    experiments = [
        Experiment(data, {"S": 762, "I": Ref("I0"), "R": 0}) for _ in range(num_experiments)
    ]
    return Problem(
        sir,
        experiments=experiments,
        observables={"in_bed": Observable("I", NegativeBinomial("phi"))},
        parameters={
            "beta": Parameter(1e-4, 0.1),
            "gamma": Parameter(0.05, 5),
            "I0": Parameter(0.5, 10, start=1),
            "phi": 100,
        },
        derived={"R0": "beta * 763 / gamma"},
    )


def make_fit(problem=None, *, result=ResultCode.CONVERGED, warnings=(), noise=0.0, num_steps=12):
    problem = make_problem() if problem is None else problem
    steps = [
        FitStep(
            i + 1,
            "likelihood",
            59.85 + 40 * 0.3**i,
            12 * 0.4**i,
            noise,
            100 * (noise > 0),
            0.1 * i,
            (0.0023, 0.48, 1.1),
        )
        for i in range(num_steps)
    ]
    spread = np.diag([0.03, 0.04, 0.3])
    correlation = np.array([[1, 0.5, -0.6], [0.5, 1, -0.2], [-0.6, -0.2, 1]])
    return FitResult(
        problem=problem,
        objective=Loss(),
        gradient="automatic differentiation",
        optimizer="GaussNewton",
        theta=np.array([0.00234, 0.482, 1.1]),
        covariance=spread @ correlation @ spread,
        loss=59.854,
        result=result,
        reason="no step lowers the loss any further",
        history=tuple(steps),
        starts=np.array([59.854, 59.8541, 59.856, 71.2, 340.0, 59.8543, np.inf, 61.0]),
        warnings=tuple(warnings),
        stats={"seconds": 5.8, "runs": 0.0, "steps": 12.0},
        uncertainty="observed information",
    )


def make_posterior(kind, problem=None, *, result=ResultCode.SUCCESS, warnings=(), num_draws=400):
    """Return draws about the estimate of `make_fit`, as a way of this kind would have made them."""
    problem = make_problem() if problem is None else problem
    rng = np.random.default_rng(0)
    space = problem.space
    z = (space.lower + space.upper) / 2 + 0.1 * rng.standard_normal((4, num_draws // 4, space.size))
    draws, even = z.reshape(num_draws, -1), np.full(num_draws, 1 / num_draws)
    theta = np.asarray(space.from_fit(draws))
    near = NearDataSets(AllData(), theta, even, rng.random(num_draws))
    nothing = np.zeros((space.size, space.size))
    optimum = Optimum(
        z[0, 0], nothing, ResultCode.MAX_STEPS, 10_880, nothing[0], nothing, nothing
    )  # fmt: skip
    adjustment = Adjustment(z[0, 0], 300.0, nothing, nothing)
    surface = "a surface of degree 2 over 16 places, off by 0.03"
    method, basis, rounds, stats = {
        "near": (
            SMCABC(), near,
            [Generation(np.inf, 400, 1.0, 400.0)]
            + [Generation(9.0 * 0.7**k, 500 * (k + 1), 0.8**k, 321.0) for k in range(14)],
            {"data_sets": 53_000.0, "failed": 7.0, "runs": 53_200.0},
        ),
        "chains": (
            AdaptiveMetropolis(), Chains(z),
            [ChainRound(50, 0.31, True), ChainRound(50, 0.27, False, 1.04),
             ChainRound(50, 0.26, False, 1.004)],
            {"evaluations": 4321.0},
        ),
        "loss": (
            LossPosterior(), AdjustedChains(Chains(z), optimum, adjustment, surface, 0.012),
            [ChainRound(25, 1.0, True), ChainRound(25, 1.0, True),
             ChainRound(50, 1.0, False, 1.02), ChainRound(50, 1.0, False, 1.004)],
            {"gradients": 4800.0, "runs": 25_900.0},
        ),
        "learnt": (
            TSNPE(), LearntDensity(AllData()),
            [LearningRound(500, 500, 2.5, 480, 1.0), LearningRound(500, 800, 1.25, 700, 0.123)],
            {"data_sets": 1000.0, "failed": 0.0, "runs": 1200.0},
        ),
    }[kind]  # fmt: skip
    return Posterior(
        problem, method, theta, even, basis, tuple(rounds), result, "the reason why it ended",
        stats | {"seconds": 65.0}, tuple(warnings), seed=2**63 + 1,
    )  # fmt: skip


def make_predictive(problem=None):
    problem = make_problem() if problem is None else problem
    middle = np.array(IN_BED, float)
    quantiles = np.stack([middle * f for f in (0.6, 0.85, 1.0, 1.15, 1.45)])[:, :, None]
    bands = tuple(
        SimpleNamespace(
            name=f"experiment {i + 1}",
            times=e.data.times,
            observed=e.data.values,
            observables=e.data.names,
            levels=(0.025, 0.25, 0.5, 0.75, 0.975),
            quantiles=quantiles,
            coverage=0.93,
            quiet_fraction=0.27,
        )
        for i, e in enumerate(problem.experiments)
    )
    return SimpleNamespace(
        experiments=bands,
        num_samples=1000,
        verdict="93 % of the data lie inside the 95 % band; 27 % of the runs die out early.",
        summary=lambda: "PosteriorPredictive: …",
    )


def make_audit():
    rows = []
    for estimator, shift, verdict in (
        ("ScoreFunction", 0.1, "RIGHT"),
        ("CoupledDifference", -0.4, "UNDECIDED"),
        ("LinearNoise", 7.0, "WRONG"),
    ):
        for parameter, reference in (("beta", 812.0), ("gamma", -301.0), ("I0", 55.0)):
            margin = 0.1 * abs(reference)
            rows.append(
                SimpleNamespace(
                    estimator=estimator,
                    parameter=parameter,
                    estimate=reference + shift * margin,
                    standard_error=(0.8 if verdict == "UNDECIDED" else 0.15) * margin,
                    reference=reference,
                    reference_error=0.05 * margin,
                    margin=margin,
                    verdict=verdict,
                    runs_needed=40_000.0 if verdict == "UNDECIDED" else 0.0,
                    work_variance=3.4e5,
                )
            )
    return SimpleNamespace(
        reference="exact likelihood by finite state projection",
        rows=tuple(rows),
        verdicts={
            "ScoreFunction": "RIGHT",
            "CoupledDifference": "UNDECIDED",
            "LinearNoise": "WRONG",
        },
        words="ScoreFunction is right here; LinearNoise is wrong for all three parameters, so that "
        "its fit is not to be trusted.",
        params={"beta": 0.00234, "gamma": 0.482, "I0": 1.1},
        displacement={"beta": (-0.12, 0.05), "gamma": (0.3, 0.06)},
        summary=lambda: "GradientAudit: …",
    )

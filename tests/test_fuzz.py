"""Random networks, data and settings: a result, or an error of one line, and nothing else."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tumble as tb
from tumble import distances, gradients, objectives

BUDGET = tb.Budget(simulations=1500)

REACTIONS = st.sampled_from(
    [
        "0 -> A ; k",
        "A -> 0 ; g",
        "2 A -> B ; k",
        "A + B -> 2 A ; g",
        "B -> 0 ; 1",
        "A -> 2 A ; g",
        "0 => A ; k / (1 + B)",
        "A => B ; g * A / (A - 3)",
        "A => 0 ; k * (A - 5)",
        "0 => B ; sqrt(k - A)",
        "A => 0 ; mm(A, k, g)",
        "0 => A ; k * sin(time)",
        "0 => A ; k * exp(B)",
        "A => B ; k",
        "B => A ; log(B) * g",
    ]
)
EXTRAS = st.sampled_from(
    ["", "", "", "V(0) = 1\nV' = -V * k\n0 => A ; V", "at A >= 4: A = 0", "at time >= 1: B = A + 2"]
)
TEXTS = st.builds(
    lambda lines, extra: "\n".join(["0 -> A ; k\n0 -> B ; g", *lines, extra]),
    st.lists(REACTIONS, min_size=1, max_size=3),
    EXTRAS,
)
COUNTS = st.sampled_from([0.0, 0.0, 1.0, 3.0, 7.0, 250.0, 1e7, np.nan])
BOUNDS = st.sampled_from(
    [
        tb.Parameter(0.1, 10),
        tb.Parameter(0, 5, scale="linear"),
        tb.Parameter(0.01, 0.99, scale="logit"),
        tb.Parameter(1e-8, 1e8),
    ]
)
DATA = st.integers(1, 12).flatmap(
    lambda n: st.lists(st.lists(COUNTS, min_size=4, max_size=4), min_size=n, max_size=n)
)
OBJECTIVES = st.sampled_from(
    [
        None,
        objectives.MomentMatching(order=1),
        objectives.ExpectedLoss(),
        objectives.DistributionMatching(),
        objectives.DistributionMatching(distances.WassersteinDistance()),
        objectives.DistributionMatching(distances.MaximumMeanDiscrepancy(), joint=True),
    ]
)
GRADIENTS = st.sampled_from(
    [
        None,
        gradients.ScoreFunction(gradients.LinearResponse()),
        gradients.CoupledDifference(),
        gradients.AlternativePath(1),
        gradients.SPSA(),
        gradients.Pathwise(),
        gradients.Pooled([gradients.ScoreFunction(), gradients.CoupledDifference()]),
    ]
)
PROBLEMS = st.fixed_dictionaries(
    {
        "text": TEXTS,
        "values": DATA,
        "kind": st.sampled_from(["series", "mean", "snapshots"]),
        "initial": st.sampled_from([(0, 0), (1, 2), (40, 0)]),
        "bounds": st.tuples(BOUNDS, BOUNDS),
    }
)
# Explosions are cut short, as a user would do who waits for them.
SIMULATOR = tb.simulators.DirectMethod(max_events=3000)


def problem_of(text, values, kind, initial, bounds):
    data = xr.DataArray(
        np.reshape(values, (-1, 2, 2)), dims=("replicate", "time", "observable"),
        coords={"time": [0.5, 2.0], "observable": ["A", "B"]},
    )  # fmt: skip
    options = {"num_averaged": 9} if kind == "mean" else {}
    experiment = tb.Experiment(data, dict(zip("AB", initial, strict=True)), kind=kind, **options)
    return tb.Problem(
        tb.ReactionNetwork.from_text(text), [experiment],
        dict(zip("kg", bounds, strict=True)), simulator=SIMULATOR,
    )  # fmt: skip


def outcome(call):
    """Return what a call gives, or its error, which has one line and says something."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        try:
            return call()
        except tb.TumbleError as error:
            assert "\n" not in str(error) and len(str(error)) > 20
            return error


def fit_random(problem, objective, gradient):
    found = outcome(
        lambda: tb.fit(
            problem_of(**problem), objective=objective, gradient=gradient, budget=BUDGET,
            max_steps=6, num_starts=2, tolerance=0.3, progress=False,
        )
    )  # fmt: skip
    if isinstance(found, tb.FitResult):
        assert np.all(np.isfinite(found.theta))
        assert len(found.summary()) > 20
    return found


def audit_random(problem, objective):
    def call():
        made = problem_of(**problem)
        middle = {name: (p.lower if p.lower == 0 else np.sqrt(p.lower * p.upper))
                  for name, p in made.space.parameters.items()}  # fmt: skip
        return tb.audit_gradient(
            made, middle, objective=objective, budget=tb.Budget(simulations=500), progress=False
        )

    found = outcome(call)
    if isinstance(found, tb.diagnostics.GradientAudit):
        assert set(found.verdicts.values()) <= {"RIGHT", "WRONG", "UNDECIDED"}
        assert len(found.summary()) > 20
    return found


def random_cases(count):
    return settings(
        derandomize=True, deadline=None, max_examples=count,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip


@random_cases(6)
@given(PROBLEMS, OBJECTIVES, GRADIENTS)
def test_a_few_random_fits(problem, objective, gradient):
    fit_random(problem, objective, gradient)


@random_cases(6)
@given(PROBLEMS, OBJECTIVES)
def test_a_few_random_audits(problem, objective):
    audit_random(problem, objective)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@random_cases(200)
@given(PROBLEMS, OBJECTIVES, GRADIENTS)
def test_random_fits(problem, objective, gradient):
    fit_random(problem, objective, gradient)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@random_cases(200)
@given(PROBLEMS, OBJECTIVES)
def test_random_audits(problem, objective):
    audit_random(problem, objective)

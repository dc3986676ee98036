"""Problems whose model is a black box: what is fitted by default, and that it is found."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tests import declared
from tests.simulators.test_black_box import BATCHED, BOX
from tumble import Experiment, Observable, Parameter, Problem, Ref, noise, objectives
from tumble._errors import CapabilityError, DataError, ModelError
from tumble._random import Stream
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.simulators import CallFunction, CallWithChoices, FiniteStateProjection, RunProgram

TIMES = [5.0, 20.0]


def _distance(params, times, c):
    """Squared distance from the start of a plain walk on two axes."""
    for position in declared._plain_walk(params, times, c):
        yield (position**2).sum(1, keepdims=True)


WALK = tb.BlackBox(_distance, ["stay"], ["msd"], choices=True, batched=True)


def walk_problem(num_samples=400, **options):
    data = tb.simulate(WALK, {"stay": 0.3}, times=TIMES, num_samples=num_samples, seed=7)
    parameters = {"stay": Parameter(0.02, 0.98, scale="logit")}
    return Problem(WALK, data=data, parameters=parameters, **options)


def test_each_kind_of_model_has_its_simulator():
    assert walk_problem().simulator == CallWithChoices()
    data = {"time": [1.0], "x": [0.4]}
    box = Problem(BOX, data=data, initial={"start": 0}, parameters={"speed": 1.0})
    assert box.simulator == CallFunction()
    program = tb.ExternalProgram(["sim"], ["k"], ["x"])
    assert Problem(program, data=data, parameters={"k": 1.0}).simulator == RunProgram()
    with pytest.raises(CapabilityError, match="RunProgram runs a ExternalProgram, but the model"):
        walk_problem(simulator=RunProgram())
    assert "BlackBox: _distance(stay) -> msd, declared choices" in repr(walk_problem())


@pytest.mark.parametrize(
    "gradient", [None, ScoreFunction(), AlternativePath(1), CoupledDifference()], ids=repr
)
def test_a_walk_is_found(gradient):
    """Moments of 400 replicates; the fit agrees with the truth within its own error."""
    fit = tb.fit(walk_problem(), gradient=gradient, seed=0, tolerance=0.02)
    assert fit.result.ok and not fit.warnings
    (estimate,) = fit.estimates
    assert abs(fit.fit_scale[0] - np.log(0.3 / 0.7)) < 4 * estimate.standard_error
    assert estimate.standard_error < 0.25


def test_the_result_of_a_fit_goes_everywhere(tmp_path):
    problem = walk_problem(100)
    fit = tb.fit(problem, seed=0, tolerance=0.05)
    assert fit.save(tmp_path / "fit.nc").exists()
    page = fit.report(tmp_path / "fit.html").read_text()
    assert "_distance(stay) -&gt; msd" in page and "rate constant" not in page
    assert "die out" not in tb.posterior_predictive(fit).verdict
    audit = tb.audit_gradient(problem, {"stay": 0.6}, seed=1)
    assert "FiniteStateProjection" not in repr(audit) and "WRONG" not in repr(audit)


def test_a_function_of_a_generator_is_fitted_by_coupled_differences():
    """x(t) − x0 has mean speed·t, and x0 is a parameter as well, observed with noise."""
    rng = np.random.default_rng(1)
    times = np.array([1.0, 4.0, 9.0])
    noises = np.cumsum(rng.normal(size=(30, 3)) * np.sqrt(np.diff(times, prepend=0)), axis=1)
    values = 5 + 0.7 * times + noises + 0.5 * rng.normal(size=(30, 3))
    import xarray as xr

    data = xr.DataArray(values, dims=("replicate", "time"), coords={"time": times}, name="seen")
    problem = Problem(
        BOX,
        [Experiment(data, {"start": Ref("x0")})],
        {"speed": Parameter(0.01, 3.0), "x0": Parameter(1.0, 20.0)},
        observables={"seen": Observable("x", noise.Normal(0.5))},
    )
    fit = tb.fit(problem, seed=0, tolerance=0.1, max_steps=40, num_starts=4)
    assert fit.gradient.startswith("CoupledDifference")
    assert len(fit.starts) == 4 and np.argmin(fit.starts) < 4
    errors = [e.standard_error for e in fit.estimates]
    assert np.all(np.abs(fit.fit_scale - np.log([0.7, 5.0])) < 4 * np.array(errors))


def test_gradients_that_need_declared_draws_say_so():
    problem = Problem(
        BOX, data={"time": [1.0], "x": [0.4]}, initial={"start": 0},
        parameters={"speed": Parameter(0.1, 1)},
    )  # fmt: skip
    with pytest.raises(
        CapabilityError, match="needs a simulator that offers SupportsScore, but Ca"
    ):
        tb.fit(problem, gradient=ScoreFunction())


def test_unknown_counts_reach_a_black_box_with_their_derivative():
    """x(t) starts at a whole number near x0: E = x0 + speed·t, by score and by differences."""
    data = {"time": [4.0], "x": [6.0]}
    parameters = {"speed": 0.5, "x0": Parameter(1.0, 20.0, scale="linear")}
    problem = Problem(BATCHED, [Experiment(data, {"start": Ref("x0")})], parameters)
    bound = objectives.MomentMatching(order=1).bind(problem)
    expected = bound.slope(np.array([3.4 + 2.0]))[0]
    for estimator in (ScoreFunction(), AlternativePath(), CoupledDifference(step=0.2)):
        found = estimator.estimate(bound, np.array([3.4]), 40_000, Stream.from_seed(2))
        assert abs(found.gradient[0] - expected) < 4 * found.standard_errors[0]


def test_few_series_are_matched_by_moments_with_a_warning():
    data = {"time": TIMES, "msd": [8.0, 25.0]}
    problem = Problem(WALK, data=data, parameters={"stay": Parameter(0.02, 0.98, scale="logit")})
    fit = tb.fit(problem, seed=0, tolerance=0.1, num_starts=2)
    assert isinstance(fit.objective, objectives.MomentMatching)
    assert (
        "the black box has no likelihood, so the mean over many of its runs was compared with 1 "
        in (fit.warnings[0])
    )


@pytest.mark.parametrize("through", [None, FiniteStateProjection()])
def test_a_likelihood_is_refused_with_what_to_do(through):
    objective = objectives.PathLikelihood(*([] if through is None else [through]))
    with pytest.raises(ModelError, match=r"can only be run; compare moments .*MomentMatching\(\)"):
        tb.fit(walk_problem(), objective=objective)


def test_outputs_of_a_black_box_may_be_any_real_numbers():
    data = {"time": [1.0], "x": [-0.4]}
    Problem(BOX, data=data, initial={"start": 0}, parameters={"speed": 1.0})
    with pytest.raises(DataError, match=r"holds -0.4, but Poisson data cannot be negative"):
        Problem(
            BOX, data=data, initial={"start": 0}, parameters={"speed": 1.0},
            observables={"x": Observable("x", noise.Poisson())},
        )  # fmt: skip
    with pytest.raises(DataError, match="`data` has column 'y', but the black box has x"):
        Problem(BOX, data={"time": [1.0], "y": [1]}, initial={"start": 0})


def test_conditions_give_experiments_parameters_of_their_own():
    experiments = [
        Experiment({"time": [10.0], "msd": [12.0]}, kind="mean", num_averaged=400),
        Experiment(
            {"time": [10.0], "msd": [4.0]}, kind="mean", num_averaged=400,
            conditions={"stay": Ref("sticky")},
        ),
    ]  # fmt: skip
    parameter = Parameter(0.02, 0.98, scale="logit")
    problem = Problem(WALK, experiments, {"stay": parameter, "sticky": parameter})
    fit = tb.fit(problem, seed=0, tolerance=0.02)
    np.testing.assert_allclose(fit.theta, [1 - 12 / 20, 1 - 4 / 20], atol=0.03)


def test_refits_of_simulated_data():
    fit = tb.fit(walk_problem(100), seed=0, tolerance=0.05)
    boot = tb.bootstrap(fit, num_datasets=8, tolerance=0.1)
    assert (
        boot.num_failed == 0 and 0.3 < boot.standard_errors[0] / fit.estimates[0].standard_error < 3
    )

"""The verb fit, from end to end."""

import numpy as np
import optax
import pytest

import tumble as tb
from tests import helpers
from tumble import ResultCode
from tumble._errors import CapabilityError, DataError, ParameterError, SimulationError
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.objectives import ExpectedLoss, MomentMatching, PathLikelihood
from tumble.optimizers import GaussNewton, StochasticGaussNewton
from tumble.simulators import DirectMethod, FiniteStateProjection

TRUTH = {"k": 20.0, "gamma": 1.0}
TIMES = np.linspace(0.25, 5, 20)
PARAMETERS = {"k": tb.Parameter(0.5, 500), "gamma": tb.Parameter(0.05, 20)}


def runs(num_samples, seed=0):
    return tb.simulate(
        helpers.immigration_death(),
        TRUTH,
        initial={"X": 5},
        times=TIMES,
        num_samples=num_samples,
        seed=seed,
    )


def problem_of(data, **options):
    experiment = tb.Experiment(data, {"X": 5}, **options)
    return tb.Problem(helpers.immigration_death(), [experiment], PARAMETERS)


def averages(num_samples=5_000):
    data = runs(num_samples).mean().rename(species="observable")
    return problem_of(data, kind="mean", num_averaged=num_samples)


def distance(fit):
    """Return the distance to the truth in standard errors, [P]."""
    truth = np.log([TRUTH["k"], TRUTH["gamma"]])
    return (fit.fit_scale - truth) / np.sqrt(np.diag(fit.covariance))


def test_one_series_is_fitted_by_its_likelihood():
    fit = tb.fit(problem_of(runs(1)))
    assert isinstance(fit.objective, PathLikelihood)
    assert fit.result is ResultCode.CONVERGED
    assert np.all(np.abs(distance(fit)) < 4)
    assert fit.uncertainty == "observed information"
    assert fit.history[-1].loss == pytest.approx(fit.loss)
    assert fit.stats["runs"] == 0
    exact = tb.fit(
        problem_of(runs(1)),
        objective=PathLikelihood(FiniteStateProjection()),
        start=fit.params,
    )
    # Linear noise is exact in mean and covariance here: the two maxima are close.
    gap = (exact.fit_scale - fit.fit_scale) / np.sqrt(np.diag(fit.covariance))
    assert np.all(np.abs(gap) < 0.3)
    assert np.allclose(np.diag(exact.covariance), np.diag(fit.covariance), rtol=0.3)


@pytest.mark.parametrize(
    ("warm_start", "gradient"),
    helpers.mostly_slow(
        [True, False], [None, ScoreFunction(), CoupledDifference(), AlternativePath()]
    ),
    ids=str,
)
def test_averages_are_fitted_by_their_moments(warm_start, gradient):
    start = {"k": 2.0, "gamma": 8.0}
    fit = tb.fit(averages(), start=start, warm_start=warm_start, gradient=gradient, seed=3)
    assert isinstance(fit.objective, MomentMatching)
    assert fit.result is ResultCode.NOISE_LIMITED
    assert np.all(np.abs(distance(fit)) < 4)
    assert np.all(np.sqrt(np.diag(fit.covariance)) < 0.02)
    searched = fit.stats["search_runs"]
    assert fit.stats["runs"] > searched >= sum(step.num_runs for step in fit.history)
    assert fit.warnings == ()


def test_many_replicates_use_means_and_variances():
    fit = tb.fit(problem_of(runs(40)), num_starts=1)
    assert isinstance(fit.objective, MomentMatching)
    assert fit.result is ResultCode.NOISE_LIMITED
    assert np.all(np.abs(distance(fit)) < 4)


def test_same_seed_same_fit():
    first = tb.fit(averages(), start={"k": 2.0, "gamma": 8.0}, warm_start=False, seed=5)
    second = tb.fit(averages(), start={"k": 2.0, "gamma": 8.0}, warm_start=False, seed=5)
    assert np.array_equal(first.theta, second.theta)
    assert np.array_equal(first.covariance, second.covariance)
    third = tb.fit(averages(), start={"k": 2.0, "gamma": 8.0}, warm_start=False, seed=6)
    assert not np.array_equal(first.theta, third.theta)


def test_any_optax_optimizer():
    fit = tb.fit(averages(), start={"k": 15.0, "gamma": 1.3}, warm_start=False,
                 optimizer=optax.adam(0.05), tolerance=0.01)  # fmt: skip
    assert fit.optimizer == "Optax"
    assert fit.result is ResultCode.NOISE_LIMITED
    assert np.allclose(fit.theta, [20, 1], rtol=0.06)


def test_the_ensemble_mean_warns_when_it_meets_one_series():
    fit = tb.fit(problem_of(runs(1)), objective=MomentMatching(order=1), num_starts=1)
    assert any("single series" in w for w in fit.warnings)
    assert "warning: moment matching compares" in fit.summary()
    assert any("10.1021/j100540a008" in text for text in fit.citations())  # its simulator


@pytest.mark.slow
def test_expected_loss_shrinks_the_variance_as_it_says():
    """Its minimum is off the truth: fluctuations of X cost, and a lower k has fewer."""
    fit = tb.fit(averages(), objective=ExpectedLoss(), num_starts=1, tolerance=0.01)
    assert fit.params["k"] < 19.5
    assert np.all(np.isnan(fit.covariance))
    assert "use tumble.bootstrap" in fit.uncertainty


def test_limits():
    spent = tb.fit(averages(), budget=tb.Budget(simulations=2_000), warm_start=False,
                   start={"k": 2.0, "gamma": 8.0})  # fmt: skip
    assert spent.result is ResultCode.OUT_OF_BUDGET
    # The budget is met to within the least that an unbiased estimate needs; errors come on top.
    assert sum(s.num_runs for s in spent.history) <= 2_000 + 32
    short = tb.fit(averages(), max_steps=2, warm_start=False, start={"k": 2.0, "gamma": 8.0})
    assert short.result is ResultCode.MAX_STEPS and len(short.history) == 2
    assert "advice: raise `max_steps`" in short.summary()


def test_at_a_bound():
    problem = problem_of(runs(1))
    narrow = {"k": tb.Parameter(0.5, 6), "gamma": tb.Parameter(0.05, 20)}
    fit = tb.fit(tb.Problem(problem.model, problem.experiments, narrow))
    assert fit.result is ResultCode.AT_BOUND
    assert "k sits at its bound" in fit.reason
    assert fit.params["k"] == pytest.approx(6)
    assert "(at its bound)" in fit.summary()
    assert fit.estimates[0].at_bound and np.isnan(fit.estimates[0].standard_error)
    assert np.isfinite(fit.estimates[1].standard_error)


def test_not_identified():
    """Only the product of rate and scale shows in X → 0 seen through an unknown share."""
    problem = tb.Problem(
        helpers.arrival(),
        data={"time": [1.0, 2.0, 3.0], "seen": [10.0, 21.0, 30.0]},
        initial={"X": 0},
        observables={"seen": tb.Observable("share * X", tb.noise.Normal(5.0))},
        parameters={"k": tb.Parameter(0.1, 1e4), "share": tb.Parameter(1e-3, 1)},
    )
    fit = tb.fit(problem)
    assert fit.result in (ResultCode.NOT_IDENTIFIED, ResultCode.AT_BOUND)
    assert not fit.result.ok


def test_interruption_keeps_what_was_found():
    def stop_at_three(step):
        if step.step == 3:
            raise KeyboardInterrupt

    fit = tb.fit(averages(), start={"k": 2.0, "gamma": 8.0}, warm_start=False,
                 callback=stop_at_three)  # fmt: skip
    assert fit.result is ResultCode.INTERRUPTED
    assert len(fit.history) == 3
    assert np.all(np.isfinite(fit.theta))


def test_several_experiments_share_parameters():
    network = helpers.immigration_death()
    experiments = []
    for seed, k in enumerate((20.0, 60.0)):
        run = tb.simulate(network, {"k": k, "gamma": 1.0}, initial={"X": 5}, times=TIMES,
                          num_samples=3, seed=seed)  # fmt: skip
        name = tb.Ref("k_low" if k == 20 else "k_high")
        experiments.append(tb.Experiment(run, {"X": 5}, conditions={"k": name}))
    parameters = {
        "k_low": tb.Parameter(0.5, 500),
        "k_high": tb.Parameter(0.5, 500),
        "gamma": tb.Parameter(0.05, 20),
    }
    problem = tb.Problem(network, experiments, parameters, derived={"ratio": "k_high / k_low"})
    fit = tb.fit(problem)
    truth = np.log([20, 60, 1])
    assert np.all(np.abs(fit.fit_scale - truth) < 4 * np.sqrt(np.diag(fit.covariance)))
    (ratio,) = fit.derived
    assert ratio.interval[0] < 3 < ratio.interval[1]


def test_explosion_is_an_error_at_the_start_and_a_shorter_step_later():
    problem = tb.Problem(
        helpers.ReactionNetwork.from_text("X -> 2 X ; birth"),
        [tb.Experiment({"time": [1.0], "X": [30.0]}, {"X": 10}, kind="mean", num_averaged=100)],
        {"birth": tb.Parameter(0.01, 100)},
        simulator=DirectMethod(max_events=2_000),
    )
    with pytest.raises(SimulationError, match=r"max_events.*Leaving runs out would bias it"):
        tb.fit(problem, start={"birth": 50.0}, warm_start=False)
    fit = tb.fit(problem, start={"birth": 0.05}, warm_start=False)
    assert fit.result is ResultCode.NOISE_LIMITED
    assert fit.params["birth"] == pytest.approx(np.log(3), rel=0.02)  # E[X(1)] = 10 e^birth


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"start": {"k": 1.0}}, ParameterError, "no value for 'gamma'"),
        ({"start": {"k": 1e9, "gamma": 1.0}}, ParameterError, r"outside the bounds \[0.5, 500\]"),
        ({"start": {"k": 1.0, "gama": 1.0}}, ParameterError, "Did you mean 'gamma'"),
        ({"optimizer": "adam"}, ParameterError, "expected a member of tumble.optimizers"),
        (
            {"optimizer": GaussNewton()},
            CapabilityError,
            r"use optimizers.StochasticGaussNewton\(\)",
        ),
        ({"gradient": "score"}, ParameterError, "expected a member of tumble.gradients"),
        ({"tolerance": 0.0}, ParameterError, "`tolerance` is 0.0, expected a number > 0"),
        ({"objective": PathLikelihood()}, DataError, "of kind 'mean'"),
        ({"seed": -1}, ParameterError, "expected 0 <= seed"),
    ],
)
def test_bad_options_are_named_before_anything_runs(options, error, message):
    with pytest.raises(error, match=message):
        tb.fit(averages(100), **options)


def test_more_bad_options():
    with pytest.raises(CapabilityError, match=r"can be computed; use optimizers.GaussNewton\(\)"):
        tb.fit(problem_of(runs(1)), optimizer=StochasticGaussNewton())
    fixed = tb.Problem(
        helpers.immigration_death(), data=runs(1), initial={"X": 5}, parameters=TRUTH
    )
    with pytest.raises(ParameterError, match="nothing to fit"):
        tb.fit(fixed)


def test_bootstrap_agrees_with_the_information():
    fit = tb.fit(problem_of(runs(4)))
    boot = tb.bootstrap(fit, num_datasets=200)
    assert boot.num_failed == 0
    ratio = boot.standard_errors / np.sqrt(np.diag(fit.covariance))
    assert np.all((ratio > 0.8) & (ratio < 1.25))  # 200 draws know a deviation to 5 %
    assert np.all(np.abs(boot.bias) < 0.5 * boot.standard_errors)
    assert "200 refits" in boot.summary()
    for name, (low, high) in boot.intervals().items():
        assert low < fit.params[name] < high


def test_bootstrap_of_moments_refits_each_data_set():
    fit = tb.fit(averages(200), num_starts=1)
    boot = tb.bootstrap(fit, num_datasets=4, tolerance=0.02)
    assert boot.thetas.shape == (4, 2)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_intervals_cover():
    """Two hundred repeats: inside the central 99 % binomial range of 95 %, 181 … 197."""
    covered = np.zeros(2)
    truth = np.log([TRUTH["k"], TRUTH["gamma"]])
    for seed in range(200):
        fit = tb.fit(problem_of(runs(1, seed=1000 + seed)), num_starts=1, start=TRUTH)
        error = np.sqrt(np.diag(fit.covariance))
        covered += np.abs(fit.fit_scale - truth) < 1.96 * error
    assert np.all((covered >= 181) & (covered <= 197))

"""Profile likelihood, against closed forms."""

import numpy as np
import pytest
from scipy import optimize, stats

import tumble as tb
from tumble._errors import CapabilityError, ParameterError
from tumble.diagnostics import profile_likelihood
from tumble.objectives import ExpectedLoss, PathLikelihood
from tumble.simulators import FiniteStateProjection

EXACT = PathLikelihood(FiniteStateProjection())
DEATH = tb.ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma")


def arrivals(count, upper=50.0):
    problem = tb.Problem(
        tb.ReactionNetwork.from_text("0 -> X ; k"), data={"time": [2.0], "X": [count]},
        initial={"X": 0}, parameters={"k": tb.Parameter(0.01, upper)},
    )  # fmt: skip
    return tb.fit(problem, objective=EXACT, progress=False)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_poisson_count_has_the_interval_of_its_likelihood_ratio(level):
    found = profile_likelihood(arrivals(6), level=level)
    wanted = stats.chi2.ppf(level, 1) / 2

    def drop(k):
        return 2 * k - 6 * np.log(2 * k / 6) - 6 - wanted

    low, high = found.intervals["k"]
    assert low == pytest.approx(optimize.brentq(drop, 0.01, 3.0), rel=5e-3)
    assert high == pytest.approx(optimize.brentq(drop, 3.0, 50.0), rel=5e-3)
    assert found.profiles[0].verdict == "identified"
    drops = found.profiles[0].drop
    assert drops.min() == 0 and np.all(np.diff(found.profiles[0].values) > 0)


def test_nothing_seen_sets_no_lower_limit():
    found = profile_likelihood(arrivals(0))
    assert found.intervals["k"][0] == -np.inf
    assert found.intervals["k"][1] == pytest.approx(1.92 / 2, abs=0.02)
    assert found.profiles[0].verdict == "no lower limit within its bounds"
    assert "no lower limit" in found.summary()


def at_rest():
    return tb.Problem(
        DEATH, data={"time": [300.0], "X": [40]}, initial={"X": 40},
        parameters={"k": tb.Parameter(4, 400), "gamma": tb.Parameter(0.1, 10)},
    )  # fmt: skip


def test_a_ratio_alone_leaves_both_rates_without_limits():
    fit = tb.fit(at_rest(), progress=False)
    found = profile_likelihood(fit)
    assert [p.verdict for p in found.profiles] == ["not identified"] * 2


def test_with_much_data_it_is_the_interval_by_standard_errors():
    times = np.arange(1.0, 41.0)
    seen = tb.simulate(DEATH, {"k": 400.0, "gamma": 1.0}, initial={"X": 0}, times=times, seed=1)
    problem = tb.Problem(
        DEATH, data={"time": times, "X": seen.data.values[0, :, 0]}, initial={"X": 0},
        parameters={"k": tb.Parameter(10, 10_000), "gamma": tb.Parameter(0.05, 20)},
    )  # fmt: skip
    fit = tb.fit(problem, progress=False)
    found = profile_likelihood(fit)
    for estimate in fit.estimates:
        ends = np.log(found.intervals[estimate.name])
        assert np.diff(ends)[0] == pytest.approx(np.diff(np.log(estimate.interval))[0], rel=0.1)


def test_only_likelihoods_are_profiled():
    fit = tb.fit(
        at_rest(), objective=ExpectedLoss(), progress=False, budget=tb.Budget(simulations=2000)
    )
    with pytest.raises(CapabilityError, match="a fit by ExpectedLoss has no likelihood"):
        profile_likelihood(fit)
    with pytest.raises(ParameterError, match="`level` is 2"):
        profile_likelihood(fit, level=2)

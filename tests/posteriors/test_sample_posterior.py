"""Draws from posteriors, against exact ones."""

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests.helpers import arrival, immigration_death
from tumble.posteriors import SMCABC, GlobalNormal, RejectionABC, Summary

COUNT = 37


def arrivals(count=COUNT, **options):
    """Return the problem of a Poisson count: with a log-uniform prior, k T ~ Gamma(count)."""
    return tb.Problem(
        arrival(), data={"time": [2.0], "X": [count]}, initial={"X": 0},
        parameters={"k": tb.Parameter(0.5, 500)}, **options,
    )  # fmt: skip


def exact(count=COUNT):
    return stats.gamma(count, scale=1 / 2.0)


def off(posterior, law):
    """Return by how many standard errors mean and variance are off."""
    size = posterior.effective_sample_size
    draws, weights = posterior.theta[:, 0], posterior.weights
    mean = weights @ draws
    variance = weights @ (draws - mean) ** 2
    kurtosis = float(law.stats("k")) + 2
    return np.array([
        (mean - law.mean()) / np.sqrt(law.var() / size),
        (variance / law.var() - 1) / np.sqrt(kurtosis / size),
    ])  # fmt: skip


@pytest.mark.parametrize("kernel", [None, GlobalNormal()], ids=["local", "global"])
def test_smc_reaches_the_exact_posterior_where_the_tolerance_reaches_zero(kernel):
    options = {} if kernel is None else {"kernel": kernel}
    method = SMCABC(num_particles=3000, adjustment=None, **options)
    found = tb.sample_posterior(arrivals(), method=method, seed=1)
    assert found.result.ok and found.rounds[-1].tolerance == 0
    assert found.effective_sample_size > 2000
    assert np.abs(off(found, exact())).max() < 4
    even = found.sample(3000, seed=2)[:, 0]
    assert stats.kstest(even, exact().cdf).statistic < 1.95 / np.sqrt(2000)


def test_weights_make_up_for_the_proposals():
    # A prior that is far from flat where the data are.
    prior = tb.priors.LogNormal(np.log(10.0), 0.2)
    problem = tb.Problem(
        arrival(), data={"time": [2.0], "X": [COUNT]}, initial={"X": 0},
        parameters={"k": tb.Parameter(0.5, 500, prior=prior)},
    )  # fmt: skip
    found = tb.sample_posterior(problem, method=SMCABC(num_particles=3000, adjustment=None), seed=3)
    grid = np.linspace(1, 60, 20_001)
    density = stats.poisson(2 * grid).pmf(COUNT) * stats.lognorm(0.2, scale=10.0).pdf(grid)
    density /= density.sum()
    mean = density @ grid
    sd = np.sqrt(density @ (grid - mean) ** 2)
    error = sd / np.sqrt(found.effective_sample_size)
    assert abs(found.mean()["k"] - mean) < 4 * error
    assert abs(found.sd()["k"] / sd - 1) < 4 * np.sqrt(0.5 / found.effective_sample_size)


def test_rejection_is_exact_at_tolerance_zero():
    method = RejectionABC(num_particles=200, num_simulations=80_000, adjustment=None)
    found = tb.sample_posterior(arrivals(), method=method)
    assert found.rounds[-1].tolerance == 0
    assert np.abs(off(found, exact())).max() < 4


def test_rejection_keeps_the_nearest():
    few = RejectionABC(num_particles=50, num_simulations=30_000, adjustment=None)
    many = RejectionABC(num_particles=5000, num_simulations=30_000, adjustment=None)
    near, far = (tb.sample_posterior(arrivals(), method=m) for m in (few, many))
    assert len(near.theta) == 50 and len(far.theta) == 5000
    assert near.basis.distances.max() <= np.sort(far.basis.distances)[49]


def test_adjustment_makes_up_for_a_coarse_tolerance():
    method = SMCABC(num_particles=4000, max_generations=2)
    found = tb.sample_posterior(arrivals(400), method=method, seed=1)
    law = exact(400)
    rough = found.basis.unadjusted_weights @ (found.basis.unadjusted[:, 0] - law.mean()) ** 2
    assert rough > 4 * law.var()
    assert abs(found.sd()["k"] / law.std() - 1) < 0.15
    assert abs(found.mean()["k"] - law.mean()) < 0.15 * law.std()


@pytest.mark.slow
def test_two_parameters_of_replicated_series_against_the_exact_likelihood():
    times = [1.0, 2.0, 3.0]
    truth = {"k": 12.0, "gamma": 1.0}
    seen = tb.simulate(
        immigration_death(), truth, initial={"X": 0}, times=times, num_samples=1, seed=5
    )
    problem = tb.Problem(
        immigration_death(), [tb.Experiment(seen, {"X": 0})],
        {"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)},
    )  # fmt: skip
    found = tb.sample_posterior(problem, method=SMCABC(num_particles=4000), seed=1)
    bound = tb.objectives.PathLikelihood(tb.simulators.FiniteStateProjection()).bind(problem)
    axes = [np.linspace(a, b, 50) for a, b in zip(problem.space.lower, problem.space.upper,
                                                  strict=True)]  # fmt: skip
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2)
    logs = -np.array([bound.evaluate(z[None]).values[0] for z in grid])
    density = np.exp(logs - logs.max())
    density /= density.sum()
    mean = density @ grid
    sd = np.sqrt(density @ (grid - mean) ** 2)
    z = np.log(found.theta)
    assert np.abs((found.weights @ z - mean) / sd).max() < 0.2
    spread = np.sqrt(found.weights @ (z - found.weights @ z) ** 2)
    assert np.abs(spread / sd - 1).max() < 0.25


# -- promises ------------------------------------------------------------------


SMALL = SMCABC(num_particles=200, max_generations=3)


def test_the_same_seed_gives_the_same_draws_whatever_the_executor():
    from concurrent.futures import ThreadPoolExecutor

    one = tb.sample_posterior(arrivals(), method=SMALL, seed=7)
    with ThreadPoolExecutor(2) as pool:
        two = tb.sample_posterior(arrivals(), method=SMALL, seed=7, executor=pool)
    np.testing.assert_array_equal(one.theta, two.theta)
    np.testing.assert_array_equal(one.weights, two.weights)
    other = tb.sample_posterior(arrivals(), method=SMALL, seed=8)
    assert not np.array_equal(one.theta, other.theta)


def test_it_ends_with_a_reason():
    over = tb.sample_posterior(arrivals(), method=SMALL)
    assert over.result is tb.ResultCode.MAX_STEPS and "3 generations are over" in over.reason
    assert len(over.rounds) == 4
    rare = tb.sample_posterior(arrivals(), method=SMCABC(num_particles=100, min_acceptance=0.5))
    assert rare.result.ok and "were accepted" in rare.reason
    reached = tb.sample_posterior(arrivals(), method=SMCABC(num_particles=100, tolerance=0.7))
    assert reached.result.ok and reached.basis.distances.max() <= 0.7


def test_a_budget_ends_it_with_what_there_is():
    found = tb.sample_posterior(arrivals(), budget=tb.Budget(simulations=5000))
    assert found.result is tb.ResultCode.OUT_OF_BUDGET
    assert len(found.theta) == 1000
    assert found.stats["runs"] <= 5000
    with pytest.raises(tb.TumbleError, match="before the first generation was full"):
        tb.sample_posterior(arrivals(), budget=tb.Budget(simulations=500))


def test_ctrl_c_keeps_the_last_whole_generation():
    seen = []

    def stop(generation):
        seen.append(generation)
        if len(seen) == 3:
            raise KeyboardInterrupt

    found = tb.sample_posterior(arrivals(), callback=stop)
    assert found.result is tb.ResultCode.INTERRUPTED
    assert found.rounds[-1] == seen[-1] and len(found.rounds) == 3


def test_data_sets_that_fail_are_far():
    explosive = tb.ReactionNetwork.from_text("X -> 2 X ; b")
    problem = tb.Problem(
        explosive, data={"time": [1.0], "X": [27]}, initial={"X": 10},
        parameters={"b": tb.Parameter(0.01, 50)},
        simulator=tb.simulators.DirectMethod(max_events=2000),
    )  # fmt: skip
    found = tb.sample_posterior(problem, method=SMALL)
    assert found.stats["failed"] > 10
    assert "failed and count as far" in found.summary()
    assert np.isfinite(found.theta).all() and found.theta.max() < 10


def test_where_nothing_can_be_simulated_it_says_so():
    explosive = tb.ReactionNetwork.from_text("X -> 2 X ; b")
    problem = tb.Problem(
        explosive, data={"time": [1.0], "X": [27]}, initial={"X": 10},
        parameters={"b": tb.Parameter(40, 50)},
        simulator=tb.simulators.DirectMethod(max_events=100),
    )  # fmt: skip
    with pytest.raises(tb.TumbleError, match="data sets failed"):
        tb.sample_posterior(problem)
    with pytest.raises(tb.TumbleError, match="data sets failed"):
        tb.sample_posterior(problem, method=RejectionABC())


def test_where_acceptance_collapses_the_generation_before_is_kept():
    method = SMCABC(num_particles=50, quantile=0.01, min_acceptance=0.9, adjustment=None)
    found = tb.sample_posterior(arrivals(), method=method, seed=1)
    assert found.result.ok and "acceptance collapsed" in found.reason
    assert len(found.theta) == 50 and len(found.rounds) == 1
    assert found.stats["data_sets"] > found.rounds[0].num_simulated


def test_a_black_box_is_sampled_as_well():
    def walk(params, times, rng):
        return rng.poisson(params["rate"] * np.asarray(times))[:, None]

    box = tb.BlackBox(walk, ["rate"], ["x"])
    problem = tb.Problem(
        box, data={"time": [2.0], "x": [COUNT]}, parameters={"rate": tb.Parameter(0.5, 500)}
    )
    method = SMCABC(num_particles=300, adjustment=None)
    found = tb.sample_posterior(problem, method=method, seed=2)
    assert np.abs(off(found, exact())).max() < 4


def test_it_is_told_on_one_screen():
    problem = arrivals(derived={"twice": "2 * k"})
    found = tb.sample_posterior(problem, method=SMALL)
    text = found.summary()
    assert "k " in text and "twice" in text and "SMCABC, 4 rounds" in text
    assert len(text.splitlines()) < 15
    cited = " ".join(found.citations())
    assert "10.1098/rsif.2008.0172" in cited and "10.1021/j100540a008" in cited
    low, high = found.intervals()["k"]
    assert low < found.quantile(0.5)["k"] < high
    np.testing.assert_allclose(found.derived()["twice"], 2 * found.theta[:, 0])


def test_a_summary_of_ones_own_decides_what_is_compared():
    nothing = Summary(lambda sets: 1.0)
    method = SMCABC(num_particles=200, max_generations=3, summary=nothing)
    found = tb.sample_posterior(arrivals(), method=method, seed=1)
    assert found.basis.distances.max() == 0
    prior = stats.uniform(np.log(0.5), np.log(1000.0))
    assert stats.kstest(np.log(found.theta[:, 0]), prior.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "smc"}, "`method` is 'smc'"),
        ({"method": SMCABC}, "`method` is"),
        ({"budget": 1000}, "`budget` is 1000"),
        ({"callback": 3}, "`callback` is 3"),
        ({"seed": -1}, "`seed` is -1"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(tb.TumbleError, match=message.replace("(", r"\(")):
        tb.sample_posterior(arrivals(), **options)


def test_a_problem_without_unknowns_is_refused():
    known = tb.Problem(
        arrival(), data={"time": [2.0], "X": [3]}, initial={"X": 0}, parameters={"k": 1.0}
    )
    with pytest.raises(tb.TumbleError, match="nothing to sample"):
        tb.sample_posterior(known)

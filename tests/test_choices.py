"""Declared draws: their laws, and the derivatives that they give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests import declared
from tumble import BlackBox, Parameter, Problem
from tumble._errors import DerivativeError, ParameterError
from tumble._random import Stream, run_ids
from tumble._results import SampleCode
from tumble.choices import Choices
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.objectives import MomentMatching
from tumble.simulators import CallWithChoices, FiniteStateProjection
from tumble.simulators._run_uniforms import RunUniforms

NUM_RUNS = 100_000
STREAM = Stream.from_seed(3)
SIMULATOR = CallWithChoices()


def choices(num_rows=1, batched=False, stream=STREAM):
    return Choices(RunUniforms(stream, run_ids(num_rows)), batched)


# -- laws ------------------------------------------------------------


def test_draws_follow_their_laws():
    c = choices()
    n = 200_000
    assert abs(c.flip(0.3, n).mean() - 0.3) < 4 * np.sqrt(0.21 / n)
    shares = np.bincount(c.choose([1.0, 0.0, 3.0], n)) / n
    assert shares[1] == 0 and abs(shares[0] - 0.25) < 4 * np.sqrt(0.1875 / n)
    assert set(np.unique(c.choose(3, 1000))) == {0, 1, 2}
    for rate in (0.2, 4.0, 50.0):
        found = np.bincount(c.count(rate, n), minlength=200)[:200]
        expected = n * stats.poisson(rate).pmf(np.arange(200))
        well = expected > 5
        assert stats.chisquare(
            np.append(found[well], n - found[well].sum()),
            np.append(expected[well], n - expected[well].sum()),
        ).pvalue > 1e-4  # fmt: skip
    assert stats.kstest(c.wait(2.0, n), "expon", args=(0, 0.5)).pvalue > 1e-4
    assert stats.kstest(c.normal(1.0, 2.0, n), "norm", args=(1, 2)).pvalue > 1e-4


@pytest.mark.parametrize("rate", [0.0, 0.7, 12.0, 45.0])
def test_single_draws_are_those_of_arrays(rate):
    one, many = choices(), choices()
    n = 300
    np.testing.assert_array_equal([one.count(rate) for _ in range(n)], many.count(rate, n))
    np.testing.assert_allclose([one.wait(rate) for _ in range(n)], many.wait(rate, n))
    np.testing.assert_array_equal([one.flip(0.4) for _ in range(n)], many.flip(0.4, n))
    weights = [0.2, 0.0, rate, 1.0]
    np.testing.assert_array_equal([one.choose(weights) for _ in range(n)], many.choose(weights, n))
    np.testing.assert_array_equal(
        [one.normal(rate, 2.0) for _ in range(n)], many.normal(rate, 2.0, n)
    )
    assert isinstance(one.flip(0.5), bool) and isinstance(one.count(3.0), int)
    assert isinstance(one.pick([0.5, 1], [1, 2]), float) and isinstance(one.pick([3, 1], 2), int)
    assert isinstance(one.choose([1, 2]), int) and isinstance(one.wait(1.0), float)


def test_pick_draws_what_choose_does():
    """The same law by the same uniforms."""
    weights, values = [0.2, 0.0, 3.0, 1.0], np.array([4.0, -1.0, 2.5, 7.0])
    one, other = choices(), choices()
    np.testing.assert_array_equal(
        one.pick(values, weights, 500), values[other.choose(weights, 500)]
    )


def test_shapes():
    c = choices()
    assert c.flip(0.5, (2, 3)).shape == (2, 3)
    assert c.flip(np.full(4, 0.5)).shape == (4,)
    assert c.choose(np.ones((4, 3))).shape == (4,)
    assert c.pick([0, 5, 7], np.ones((4, 3))).shape == (4,)
    assert c.pick([[0, 1], [1, 0]], [1, 2], 5).shape == (5, 2)
    assert c.pick([[0, 1], [1, 0]], 2).shape == (2,)
    assert c.normal(np.zeros(4), 1.0).shape == (4,)
    c = choices(7, batched=True)
    assert c.flip(0.5).shape == (7,)
    assert c.flip(np.full(7, 0.5), 4).shape == (7, 4)
    assert c.flip(np.full((7, 4), 0.5)).shape == (7, 4)
    assert c.choose([np.ones(7), 2.0], 5).shape == (7, 5)
    assert c.pick([[0, 1], [1, 0]], [np.ones(7), 2.0], 5).shape == (7, 5, 2)
    assert c.choose(np.ones(3)).shape == (7,)
    with pytest.raises(ValueError, match="expected the 7 runs of the batch as its first"):
        c.flip(np.full(4, 0.5))


def test_runs_have_their_own_numbers_whatever_they_are_batched_with():
    whole = choices(10, batched=True)
    first, second = whole.wait(1.0, 3), whole.wait(1.0, 40)
    for b in range(10):
        alone = Choices(RunUniforms(STREAM, run_ids(1, start=b)))
        np.testing.assert_array_equal(alone.wait(1.0, 3), first[b])
        np.testing.assert_allclose([alone.wait(1.0) for _ in range(40)], second[b], rtol=1e-15)


@pytest.mark.parametrize(
    "draw, text",
    [
        (lambda c: c.flip(1.2), r"flip\(p\) got p = 1.2, expected 0 to 1"),
        (lambda c: c.flip(np.array([0.5, np.nan])), r"flip\(p\) got p = nan"),
        (lambda c: c.choose([0.5, -0.1]), r"a weight of -0.1, expected finite weights ≥ 0"),
        (lambda c: c.choose([0.0, 0.0]), r"expected finite weights ≥ 0, not all 0"),
        (lambda c: c.pick([1, 2], [0.5, 0.5, 1]), r"got 2 values and 3 weights, expected as many"),
        (lambda c: c.count(-1.0), r"count\(rate\) got rate = -1.0, expected ≥ 0"),
        (lambda c: c.wait(-1.0), r"wait\(rate\) got rate = -1.0, expected ≥ 0"),
        (lambda c: c.normal(0.0, 0.0), r"normal\(mean, sd\) got sd = 0.0"),
    ],
)
def test_arguments_that_make_no_sense(draw, text):
    with pytest.raises(ValueError, match=text):
        draw(choices())


# -- derivatives -----------------------------------------------------

FUNCTIONS = {
    "identity": lambda x: x,
    "minus the square": lambda x: -(x**2),
    "cosine": np.cos,
    "two or more": lambda x: np.asarray(x >= 2, float),
}


def derivatives(model, values, method, f=lambda x: x, num_runs=NUM_RUNS, times=(1.0,)):
    """Estimate ∂E[f(outputs)] [T, O, Q] and its standard error."""
    params = np.tile(np.asarray(values, float), (num_runs, 1))
    none = np.zeros((num_runs, 0), np.int64)
    batch = declared.batch(params, none, times, STREAM)
    if method == "score":
        found = SIMULATOR.sample_with_score(model, batch)
        assert not found.codes.any()
        y = f(found.states)
        each = (y - y.mean(0))[..., None] * found.score[:, :, None]
    else:
        found = SIMULATOR.sample_with_alternatives(model, batch, np.ones(params.shape[1]), 2)
        assert not found.codes.any()
        change = f(found.pairs[:, :, 0]) - f(found.pairs[:, :, 1])
        each = np.einsum("bmto,bmq->btoq", change, found.weights)
    return each.mean(0), each.std(0) / np.sqrt(num_runs)


both = pytest.mark.parametrize("method", ["score", "alternatives"])


@both
@pytest.mark.parametrize("f", FUNCTIONS)
@pytest.mark.parametrize("case", declared.CASES)
def test_derivatives_are_exact_sums(case, f, method):
    """dE[f]/dp for laws whose probabilities can be added up, at 10⁵ runs."""
    model, values, exact = declared.CASES[case]
    expected = exact(FUNCTIONS[f])
    found, error = derivatives(model, values, method, FUNCTIONS[f])
    np.testing.assert_array_less(np.abs(found[0, 0] - expected), 4 * error[0, 0] + 1e-9)
    largest = np.abs(expected).max()
    assert largest < 1e-9 or np.abs(error[0, 0]).max() < 0.2 * largest + 0.05


@both
@pytest.mark.parametrize("stay", [0.1, 0.5, 0.9])
def test_the_walk_of_which_published_gradients_have_the_wrong_sign(stay, method):
    """Two axes, each stays with probability p: MSD(n) = 2 (1 − p) n, so d MSD/dp = −2 n."""
    times = np.array([10.0, 100.0])
    found, error = derivatives(
        declared.plain_walk(), [stay], method, lambda x: (x**2).sum(-1, keepdims=True),
        20_000 if method == "alternatives" else 50_000, times,
    )  # fmt: skip
    np.testing.assert_array_less(np.abs(found[:, 0, 0] + 2 * times), 4 * error[:, 0, 0])
    assert np.all(found < 0)


@both
def test_a_simulator_of_sir_agrees_with_the_projection_of_its_network(method):
    """The direct method, written down with declared draws."""
    network, model = declared.sir()
    values, times = [0.1, 0.7], np.array([1.0, 3.0])
    exact = FiniteStateProjection().distribution(
        network, np.array(values), np.array([8, 2, 0]), times, sensitivities=True
    )
    expected = np.einsum("tnq,ns->tsq", exact.sensitivities, exact.states[:, 1:])
    found, error = derivatives(model, values, method, num_runs=40_000, times=times)
    np.testing.assert_array_less(np.abs(found - expected), 4 * error)
    assert error.max() < 0.3 * np.abs(expected).max()


@both
def test_single_runs_have_the_same_derivatives_as_batches(method):
    """One function, in both forms; an event changes how many draws follow."""
    model, values, exact = declared.GEOMETRIC_ONE_BY_ONE
    found, error = derivatives(model, values, method, num_runs=6_000)
    assert abs(found[0, 0, 0] - exact(lambda x: x)) < 4 * error[0, 0, 0]


def test_alternatives_have_a_derivative_where_the_score_has_none():
    """Binomial(5, p) at p = 0: dE/dp = 5, from above."""
    model = declared.CASES["binomial"][0]
    found, error = derivatives(model, [0.0], "alternatives")
    assert found[0, 0, 0] == pytest.approx(5) and error[0, 0, 0] == 0
    found, error = derivatives(declared.CASES["poisson"][0], [0.0], "alternatives")
    assert found[0, 0, 0] == pytest.approx(1)
    problem, z = binomial_problem(0.0, scale="linear")
    with pytest.raises(ParameterError, match="the score is not defined at a zero rate"):
        ScoreFunction().estimate(MomentMatching(1).bind(problem), z, 100, STREAM)


def binomial_problem(p, scale="logit"):
    parameters = {"p": Parameter(0.01 if scale == "logit" else -0.1, 0.99, scale=scale)}
    data = {"time": [1.0], "x": [2.2]}
    problem = Problem(declared.CASES["binomial"][0], data=data, parameters=parameters)
    return problem, np.asarray(problem.space.to_fit(np.array([p])))


def check_batches_of_eight(estimator, num_batches):
    """X ~ Binomial(5, p), moments of order 1 and 2: m = 5p and V + (5p − ȳ)²."""
    p = 0.3
    problem, z = binomial_problem(p)
    bound = MomentMatching(order=1).bind(problem)
    slope = bound.slope(np.array([5 * p])) * 5 * p * (1 - p)
    stream = Stream.from_seed(5)
    runs = 8 * estimator.runs_per_sample(bound)
    found = np.array(
        [
            estimator.estimate(bound, z, runs, stream.child(i)).gradient[0]
            for i in range(num_batches)
        ]
    )
    assert abs(found.mean() - slope[0]) < 4 * found.std() / np.sqrt(num_batches)
    assert found.std() / np.sqrt(num_batches) < 0.1 * abs(slope[0])


each_estimator = pytest.mark.parametrize(
    "estimator", [ScoreFunction(), AlternativePath()], ids=repr
)


@each_estimator
def test_batches_of_eight_are_unbiased(estimator):
    check_batches_of_eight(estimator, 1_000)


@pytest.mark.slow
@each_estimator
def test_twenty_thousand_batches_of_eight_are_unbiased(estimator):
    check_batches_of_eight(estimator, 20_000)


def test_alternatives_share_everything_before_their_draw():
    """A run that yields its rows: before the forced draw the two are the same."""
    times = np.arange(1.0, 21.0)
    params = np.full((200, 1), 0.5)
    batch = declared.batch(params, np.zeros((200, 0), np.int64), times, STREAM)
    found = SIMULATOR.sample_with_alternatives(declared.plain_walk(), batch, np.ones(1), 3)
    differ = np.any(found.pairs[:, :, 0] != found.pairs[:, :, 1], axis=-1)
    first = np.where(differ.any(-1), differ.argmax(-1), 20)
    assert len(np.unique(first)) > 15
    np.testing.assert_array_equal(found.pairs[:, :, 1], found.states[:, None].repeat(3, 1))
    np.testing.assert_array_equal(
        found.states, SIMULATOR.sample(declared.plain_walk(), batch).states
    )


def test_rows_that_are_yielded_have_the_score_up_to_their_time():
    """A walk: the score at time t is that of t steps, with variance 2 t / (p (1 − p))."""
    times = np.array([1.0, 10.0, 40.0])
    params = np.full((20_000, 1), 0.3)
    batch = declared.batch(params, np.zeros((20_000, 0), np.int64), times, STREAM)
    score = SIMULATOR.sample_with_score(declared.plain_walk(), batch).score[..., 0]
    expected = 2 * times / 0.21
    assert np.all(np.abs(score.var(0) / expected - 1) < 4 * np.sqrt(2.2 / 20_000))


@both
def test_draws_of_nothing_cost_nothing(method):
    """At time 0 the walk draws arrays without elements."""
    found, _ = derivatives(declared.plain_walk(), [0.5], method, np.square, 2_000, (0.0, 4.0))
    assert np.all(found[0] == 0) and np.all(found[1] < 0)


def test_scales_choose_the_parameters_that_alternatives_are_for():
    model, values, _ = declared.CASES["categorical"]
    params = np.tile(values, (500, 1))
    batch = declared.batch(params, np.zeros((500, 0), np.int64), [1.0], STREAM)
    found = SIMULATOR.sample_with_alternatives(model, batch, np.array([0.0, 1.0]), 2)
    assert np.all(found.weights[..., 0] == 0) and np.any(found.weights[..., 1] != 0)
    with pytest.raises(ParameterError, match=r"`scales` has shape \(1,\)"):
        SIMULATOR.sample_with_alternatives(model, batch, np.ones(1), 2)


def test_a_lost_derivative_stops_the_estimate_and_not_the_simulation():
    import math

    def walk(params, times, c):
        return [[c.flip(math.exp(-params["p"]))]]

    model = BlackBox(walk, parameters=["p"], outputs=["x"], choices=True)
    batch = declared.batch(np.full((5, 1), 0.5), np.zeros((5, 0), np.int64), [1.0], STREAM)
    assert not SIMULATOR.sample(model, batch).codes.any()
    with pytest.raises(DerivativeError, match=r"such as np.exp \(not math.exp\)"):
        SIMULATOR.sample_with_score(model, batch)


def test_outputs_that_depend_on_parameters_by_themselves_are_an_error():
    def scaled(params, times, c):
        return [[params["p"] * c.flip(params["p"])]]

    model = BlackBox(scaled, parameters=["p"], outputs=["x"], choices=True)
    batch = declared.batch(np.full((5, 1), 0.5), np.zeros((5, 0), np.int64), [1.0], STREAM)
    with pytest.raises(DerivativeError, match="belongs in an Observable"):
        SIMULATOR.sample_with_score(model, batch)


def test_waiting_times_at_rate_zero_have_no_alternatives():
    model = declared.CASES["exponential"][0]
    batch = declared.batch(np.zeros((5, 1)), np.zeros((5, 0), np.int64), [1.0], STREAM)
    with pytest.raises(DerivativeError, match="a draw wait has a rate of 0"):
        SIMULATOR.sample_with_alternatives(model, batch, np.ones(1), 1)


def test_a_run_of_which_a_draw_makes_no_sense_fails_alone():
    model = declared.CASES["binomial"][0]
    params = np.full((50, 1), 0.5)
    params[17] = 1.5
    batch = declared.batch(params, np.zeros((50, 0), np.int64), [1.0], STREAM)
    for found in (
        SIMULATOR.sample(model, batch),
        SIMULATOR.sample_with_score(model, batch),
        SIMULATOR.sample_with_alternatives(model, batch, np.ones(1), 2),
    ):
        assert np.flatnonzero(found.codes).tolist() == [17]
        assert "got p = 1.5, expected 0 to 1" in found.messages[SampleCode.EXCEPTION]


def test_coupled_pairs_share_their_uniforms():
    """Inverse distribution functions make pairs of Poisson numbers close: monotone coupling."""
    model = declared.CASES["poisson"][0]
    n = 20_000
    params = np.tile([[[9.0], [9.2]]], (n, 1, 1))
    batch = declared.batch(params, np.zeros((n, 2, 0), np.int64), [1.0], STREAM)
    pairs = SIMULATOR.sample_pairs(model, batch).states[:, :, 0, 0]
    difference = pairs[:, 1] - pairs[:, 0]
    assert difference.min() >= 0
    assert abs(difference.mean() - 0.2) < 4 * difference.std() / np.sqrt(n)
    assert difference.var() < 0.2  # independent numbers: 18.2


def test_finite_differences_take_them():
    problem, z = binomial_problem(0.3)
    bound = MomentMatching(order=1).bind(problem)
    found = CoupledDifference().estimate(bound, z, 40_000, STREAM)
    expected = bound.slope(np.array([1.5])) * 5 * 0.21
    assert abs(found.gradient - expected)[0] < 4 * found.standard_errors[0]


def test_writing_into_an_array_is_a_lost_derivative_too():
    def stored(params, times, c):
        table = np.zeros(2)
        table[0] = params["p"]
        return [[c.flip(table[0])]]

    model = BlackBox(stored, parameters=["p"], outputs=["x"], choices=True)
    batch = declared.batch(np.full((5, 1), 0.5), np.zeros((5, 0), np.int64), [1.0], STREAM)
    with pytest.raises(DerivativeError, match=r"put arrays of them together with np.stack"):
        SIMULATOR.sample_with_score(model, batch)

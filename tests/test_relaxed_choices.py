"""Declared draws whose outcomes carry pathwise derivatives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import integrate, stats

from tests import declared
from tumble import BlackBox
from tumble._errors import CapabilityError, DerivativeError, ParameterError
from tumble._random import Stream
from tumble._results import SampleCode
from tumble.gradients import GumbelSoftmax, SecondOrder, ShrinkingStep, StraightThrough
from tumble.simulators import CallWithChoices

STREAM = Stream.from_seed(11)
SIMULATOR = CallWithChoices()
RELAXATIONS = [StraightThrough(), SecondOrder(), GumbelSoftmax(0.3)]
each_relaxation = pytest.mark.parametrize("relaxation", RELAXATIONS, ids=repr)
DRAWS = sorted(set(declared.CASES) - declared.LABELS)

FUNCTIONS = {
    "identity": (lambda x: x, lambda x: np.ones_like(x)),
    "square": (lambda x: x**2, lambda x: 2 * x),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "cosine": (np.cos, lambda x: -np.sin(x)),
}
"""Name → f, f'."""


def relaxed(model, values, relaxation, num_runs=20_000, times=(1.0,), executor=None):
    params = np.tile(np.asarray(values, float), (num_runs, 1))
    none = np.zeros((num_runs, len(model.initial)), np.int64)
    batch = declared.batch(params, none, times, STREAM)
    found = SIMULATOR.sample_relaxed(model, batch, relaxation, executor=executor)
    plain = SIMULATOR.sample(model, batch)
    np.testing.assert_array_equal(found.states, plain.states)
    np.testing.assert_array_equal(found.codes, plain.codes)
    assert np.all(np.isfinite(found.slopes))
    return found


def estimated(model, values, relaxation, name="identity", num_runs=100_000):
    """Estimate E[f'(x) ∂x] [Q] and its standard error."""
    found = relaxed(model, values, relaxation, num_runs)
    each = FUNCTIONS[name][1](found.states)[:, 0] * found.slopes[:, 0, 0]
    return each.mean(0), each.std(0) / np.sqrt(num_runs)


def assert_is(found, expected, power=0.02):
    """Within four standard errors, which are small beside the largest component.

    What is expected may come from differences, with rounding below 1e-8.
    """
    mean, error = found
    expected = np.broadcast_to(expected, np.shape(mean))
    assert np.all(np.abs(mean - expected) <= 4 * error + 1e-8)
    assert np.all(error <= power * np.abs(expected).max())


def coin(c, p):
    return c.flip(p)


# -- where it is exact -----------------------------------------------


@pytest.mark.parametrize("name", ["identity", "square", "cosine"])
@pytest.mark.parametrize("case", sorted(declared.CONTINUOUS))
@each_relaxation
def test_continuous_draws_are_exact(case, name, relaxation):
    model, values, exact = declared.CASES[case]
    assert_is(estimated(model, values, relaxation, name), exact(FUNCTIONS[name][0]))


@pytest.mark.parametrize("relaxation", RELAXATIONS[:2], ids=repr)
@pytest.mark.parametrize("case", sorted(set(DRAWS) - declared.CONTINUOUS))
def test_linear_functions_are_exact(case, relaxation):
    model, values, exact = declared.CASES[case]
    assert_is(estimated(model, values, relaxation), exact(lambda x: x))


@pytest.mark.parametrize("case", sorted(set(DRAWS) - declared.CONTINUOUS))
def test_second_order_is_exact_for_squares(case):
    """Straight-through is not: its error is beyond ten standard errors in each of the cases."""
    model, values, exact = declared.CASES[case]
    expected = exact(lambda x: x**2)
    assert_is(estimated(model, values, SecondOrder(), "square"), expected)
    mean, error = estimated(model, values, StraightThrough(), "square")
    assert np.any(np.abs(mean - expected) > 10 * error + 1e-9)


@pytest.mark.parametrize("relaxation", RELAXATIONS[:2], ids=repr)
def test_one_draw_sets_the_chance_of_another(relaxation):
    """y ~ Flip(p (1 + x) / 2), x ~ Flip(p): E[y] = p (1 + p) / 2, linear in x."""
    model = declared.of_one(lambda c, p: c.flip(p * (1 + c.flip(p)) / 2), ["p"])
    assert_is(estimated(model, [0.4], relaxation), 0.5 + 0.4)


def test_flags_keep_their_derivatives():
    """x or y, and not z, with where: linear in each flip."""

    def function(c, p):
        x, y, z = c.flip(p), c.flip(p / 2), c.flip(p)
        return np.where((x | y) & ~z, 5.0, 1.0)

    def expected(p):
        return 1 + 4 * (p + p / 2 - p * p / 2) * (1 - p)

    exact = (expected(0.4 + 1e-6) - expected(0.4 - 1e-6)) / 2e-6
    model = declared.of_one(function, ["p"])
    assert_is(estimated(model, [0.4], StraightThrough()), exact, power=0.1)


# -- where it is biased, by how much ---------------------------------


def expected_by_sum(law, weight, derivative, size=200):
    x = np.arange(size, dtype=float)
    return np.sum(law.pmf(x) * derivative(x) * weight(x))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("p", [0.2, 0.7])
def test_the_bias_of_a_flip_is_known(p, name):
    """Straight-through has Σ p(x) f'(x), second order ½ (f'(0) + f'(1)); right is f(1) − f(0)."""
    f, derivative = FUNCTIONS[name]
    model, law = declared.of_one(coin, ["p"]), stats.bernoulli(p)
    straight = expected_by_sum(law, np.ones_like, derivative, 2)
    second = np.mean(derivative(np.array([0.0, 1.0])))
    assert_is(estimated(model, [p], StraightThrough(), name), straight)
    assert_is(estimated(model, [p], SecondOrder(), name), second)
    right = float(f(np.array(1.0)) - f(np.array(0.0)))
    if name == "square":
        assert straight == pytest.approx(2 * p) and second == right == 1


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_bias_of_a_poisson_number_is_known(name):
    """For squares straight-through has 2 λ, and 2 λ + 1 is right."""
    rate, model = 3.3, declared.CASES["poisson"][0]
    derivative = FUNCTIONS[name][1]
    law = stats.poisson(rate)
    straight = expected_by_sum(law, np.ones_like, derivative)
    second = expected_by_sum(law, lambda x: (1 + x / rate) / 2, derivative)
    assert_is(estimated(model, [rate], StraightThrough(), name), straight, power=0.05)
    assert_is(estimated(model, [rate], SecondOrder(), name), second, power=0.5)
    if name == "square":
        assert straight == pytest.approx(2 * rate)
        assert second == pytest.approx(2 * rate + 1)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("name", ["identity", "cube"])
def test_a_flip_by_gumbel_softmax(name, temperature):
    """∫ f'(H(p − u)) ∂/∂p σ((logit p + logit(1 − u)) / τ) du, σ differentiated by differences."""
    p, derivative = 0.3, FUNCTIONS[name][1]

    def soft(p, u):
        return 1 / (1 + (p / (1 - p) * (1 - u) / u) ** (-1 / temperature))

    def integrand(u):
        slope = (soft(p + 1e-6, u) - soft(p - 1e-6, u)) / 2e-6
        return slope * derivative(float(u < p))

    expected = integrate.quad(integrand, 0, p)[0] + integrate.quad(integrand, p, 1)[0]
    model = declared.of_one(coin, ["p"])
    assert_is(estimated(model, [p], GumbelSoftmax(temperature), name), expected, power=0.05)


def test_a_pick_by_gumbel_softmax_is_that_of_unconditional_noise():
    """Noise drawn given the outcome, against noise from which the outcome is drawn."""
    values, p, temperature = np.array([-1.0, 0.5, 2.0]), np.array([0.5, 0.2, 0.3]), 0.7
    slopes = np.array([[1.0, 0], [0, 1], [-1, -1]])
    scores = np.log(p) + np.random.default_rng(0).gumbel(size=(200_000, 3))
    soft = np.exp(scores / temperature)
    soft /= soft.sum(1, keepdims=True)
    logs = slopes / p[:, None]
    moves = np.einsum("ni,i,niq->nq", soft, values, logs - (soft @ logs)[:, None]) / temperature
    each = 2 * values[scores.argmax(1)][:, None] * moves
    model = declared.CASES["picked"][0]
    mean, error = estimated(model, p[:2], GumbelSoftmax(temperature), "square")
    other = each.std(0) / np.sqrt(len(each))
    assert np.all(np.abs(mean - each.mean(0)) < 4 * np.hypot(error, other))
    assert np.all(np.hypot(error, other) < 0.05 * np.abs(each.mean(0)).max())


def test_a_cold_gumbel_softmax_is_of_second_order():
    """E[f'(x) ∂x] → ½ (f'(0) + f'(1)), at first order in the temperature, without any noise."""
    p, u = 0.3, (np.arange(10**6) + 0.5) / 10**6
    for derivative in ([0.0, 2.0], [1.0, 1.0], [3.0, -1.0]):
        limit = np.mean(derivative)
        gaps = []
        for temperature in (0.04, 0.02, 0.01):
            moves = GumbelSoftmax(temperature).flip(u < p, p, u)
            gaps.append(np.mean(np.where(u < p, *derivative[::-1]) * moves) - limit)
        assert abs(gaps[2]) < 0.02 and abs(gaps[0]) > 0
        if derivative[0] != derivative[1]:
            assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
            assert gaps[1] / gaps[2] == pytest.approx(2, rel=0.1)


def test_comparisons_see_the_outcome_alone():
    model = declared.of_one(lambda c, p: 2.0 * (c.count(p) > 1), ["p"])
    assert not relaxed(model, [2.0], StraightThrough()).slopes.any()


# -- what is not defined, or would be lost ---------------------------


def test_labels_have_no_derivative():
    model, values, _ = declared.CASES["categorical"]
    with pytest.raises(DerivativeError, match=r"a label, which has no pathwise .* `pick\(values"):
        relaxed(model, values, StraightThrough(), 5)
    known = declared.of_one(lambda c, p: c.choose([1.0, 2.0]) + c.flip(p), ["p"])
    np.testing.assert_array_equal(relaxed(known, [0.4], StraightThrough(), 50).slopes, 1.0)


def test_picked_values_do_not_depend_on_parameters():
    model = declared.of_one(lambda c, p: c.pick([p, 1.0], [p, 1 - p]), ["p"])
    with pytest.raises(DerivativeError, match=r"as in x \+ scale \* pick\(\[-1, 1\], weights\)"):
        relaxed(model, [0.4], StraightThrough(), 5)


def test_zero_probabilities():
    """Binomial(5, p) at 0: straight-through has the derivative 5; others have none."""
    model = declared.CASES["binomial"][0]
    np.testing.assert_array_equal(relaxed(model, [0.0], StraightThrough(), 50).slopes, 5.0)
    for relaxation in RELAXATIONS[1:]:
        with pytest.raises(DerivativeError, match=r"a draw flip has a probability of 0 or 1"):
            relaxed(model, [0.0], relaxation, 5)
        with pytest.raises(DerivativeError, match=r"a draw choose .* StraightThrough\(\) takes"):
            relaxed(declared.CASES["picked steps"][0], [0.0], relaxation, 5)
    with pytest.raises(DerivativeError, match=r"a draw count .* by SecondOrder is not defined"):
        relaxed(declared.CASES["poisson"][0], [0.0], SecondOrder(), 5)


def test_a_wait_at_rate_zero_has_no_derivative():
    def function(params, times, c):
        return [[min(c.wait(params["k"]), 1.0)]]

    model = BlackBox(function, ["k"], ["x"], choices=True)
    with pytest.raises(DerivativeError, match="a draw wait has a probability of 0 or 1, or a rate"):
        relaxed(model, [0.0], StraightThrough(), 5)


def test_infinite_derivatives_are_named():
    model = declared.of_one(lambda c, p: np.sqrt(c.flip(p)), ["p"])
    with pytest.raises(DerivativeError, match=r"of output 'x' by p is inf at time number 0"):
        relaxed(model, [0.4], StraightThrough(), 50)


@pytest.mark.parametrize(
    "function",
    [
        lambda params, times, c: [[float(c.flip(params["p"]))]],
        lambda params, times, c: [[[0, 1][c.flip(params["p"])]]],
        lambda params, times, c: [[np.arange(9)[c.count(params["p"])]]],
    ],
)
def test_a_lost_outcome_is_an_error(function):
    model = BlackBox(function, ["p"], ["x"], choices=True)
    with pytest.raises(DerivativeError, match="used where its derivative would be lost"):
        relaxed(model, [0.4], StraightThrough(), 5)


def test_it_needs_declared_draws():
    model = BlackBox(lambda params, times, rng: [[rng.random()]], ["p"], ["x"])
    with pytest.raises(CapabilityError, match="declare it with choices=True"):
        relaxed(model, [0.4], StraightThrough(), 5)


def test_temperatures_are_positive_and_fall_with_the_runs():
    with pytest.raises(ParameterError, match=r"`temperature` is 0, expected a number > 0"):
        GumbelSoftmax(0)
    cooling = GumbelSoftmax(0.5, ShrinkingStep(runs=100, power=0.25))
    assert cooling.tuned(1600).temperature == 0.25
    assert GumbelSoftmax(0.5).tuned(1600) == GumbelSoftmax(0.5)
    assert SecondOrder().tuned(1600) == SecondOrder()


# -- forms of functions ----------------------------------------------


def _walk(params, times, c):
    position, now = 0.0, 0
    for time in times.astype(int):
        for _ in range(time - now):
            position = position + c.pick([-1, 0, 1], [params["p"], 0.5, 0.5 - params["p"]])
        now = time
        yield [position, params["scale"] * position**2]


def _walks(params, times, c):
    position, now = 0.0, 0
    for time in times.astype(int):
        weights = [params["p"], 0.5, 0.5 - params["p"]]
        position = position + c.pick([-1, 0, 1], weights, time - now).sum(1)
        now = time
        yield np.stack([position, params["scale"] * position**2], axis=1)


ONE, MANY = (
    BlackBox(f, ["p", "scale"], ["x", "y"], choices=True, batched=f is _walks)
    for f in (_walk, _walks)
)


@each_relaxation
def test_single_runs_have_the_slopes_of_batches(relaxation):
    """Rows that are yielded, outputs that depend on a parameter by themselves, plain ones too."""
    times = (0.0, 3.0, 8.0)
    one = relaxed(ONE, [0.2, 1.5], relaxation, 100, times)
    many = relaxed(MANY, [0.2, 1.5], relaxation, 100, times)
    np.testing.assert_allclose(one.states, many.states)
    np.testing.assert_allclose(one.slopes, many.slopes, rtol=1e-12, atol=1e-12)
    assert one.slopes.shape == (100, 3, 2, 2) and not one.slopes[:, 0].any()
    x, y = np.moveaxis(one.slopes, 2, 0)
    np.testing.assert_allclose(y[..., 1], one.states[..., 0] ** 2)
    np.testing.assert_allclose(y[..., 0], 3.0 * one.states[..., 0] * x[..., 0], atol=1e-12)


@each_relaxation
def test_slopes_do_not_depend_on_batches_or_workers(relaxation):
    whole = relaxed(MANY, [0.2, 1.5], relaxation, 300, (5.0,))
    with ThreadPoolExecutor(3) as pool:
        parts = relaxed(MANY, [0.2, 1.5], relaxation, 300, (5.0,), pool)
    np.testing.assert_array_equal(whole.slopes, parts.slopes)


def test_a_run_that_fails_fails_alone():
    model = declared.CASES["binomial"][0]
    params = np.full((50, 1), 0.5)
    params[17] = 1.5
    batch = declared.batch(params, np.zeros((50, 0), np.int64), [1.0], STREAM)
    found = SIMULATOR.sample_relaxed(model, batch, StraightThrough())
    assert np.flatnonzero(found.codes).tolist() == [17]
    assert np.isnan(found.states[17]).all() and not found.slopes[17].any()
    assert np.all(found.slopes[np.arange(50) != 17] == 5)
    ragged = BlackBox(lambda params, times, c: [[1.0, 2.0]], ["p"], ["x"], choices=True)
    found = SIMULATOR.sample_relaxed(ragged, batch, StraightThrough())
    assert set(found.codes) == {SampleCode.WRONG_OUTPUT}
    assert "shape (1, 2), expected (1, 1)" in found.messages[SampleCode.WRONG_OUTPUT]

"""Pathwise gradients: where they are right, and how the audit finds where they are not."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest

from tests import declared, helpers
from tests.test_choices import check_batches_of_eight
from tumble import BlackBox, Experiment, Observable, Parameter, Problem, Ref, fit, noise
from tumble._budget import Budget
from tumble._errors import CapabilityError, DerivativeError
from tumble._random import Stream
from tumble.diagnostics import audit_gradient
from tumble.diagnostics._references import AbstractReference, ReferenceGradient
from tumble.gradients import (
    AlternativePath,
    Auto,
    GumbelSoftmax,
    Pathwise,
    ScoreFunction,
    SecondOrder,
    ShrinkingStep,
    StraightThrough,
)
from tumble.io._algorithms import make
from tumble.objectives import ExpectedLoss, MomentMatching
from tumble.simulators import CallWithChoices

MEANS = MomentMatching(order=1)
LOGIT = {"lower": 0.01, "upper": 0.99, "scale": "logit"}


@dataclass(frozen=True)
class Known(AbstractReference):
    """A gradient from mathematics."""

    exact: tuple[float, ...]
    name = "mathematics"

    def gradient(self, z, num_runs, stream):
        return ReferenceGradient(np.array(self.exact), np.zeros(len(self.exact)), 0)


def problem_of(function, parameters, time, datum, **options):
    """A batched model with one output x, one datum; without ``options`` on a log scale."""
    names = [parameters] if isinstance(parameters, str) else parameters
    model = BlackBox(function, names, ["x"], choices=True, batched=True)
    data = Experiment({"time": [time], "x": [datum]}, kind="mean", num_averaged=100)
    options = options or {"lower": 1e-3, "upper": 1e3}
    return Problem(model, [data], parameters={n: Parameter(**options) for n in names})


def of_mean(mean, slope, datum):
    """Return the gradient of (E[X] / y − 1)², the loss of one datum y."""
    return tuple(2 * (mean - datum) * np.atleast_1d(slope) / datum**2)


def estimated(problem, values, estimator, loss=MEANS, num_runs=40_000):
    z = np.asarray(problem.space.to_fit(np.asarray(values, float)))
    return estimator.estimate(loss.bind(problem), z, num_runs, Stream.from_seed(2))


def assert_exact(found, exact, power=0.1):
    assert np.all(np.abs(found.gradient - exact) <= 4 * found.standard_errors)
    assert np.all(found.standard_errors <= power * np.max(np.abs(exact)))


# -- right -----------------------------------------------------------


def _waiting(params, times, c):
    return c.wait(params["a"], 3).sum(1) + c.normal(params["b"], params["b"] / 2)


def _counting(params, times, c):
    return c.count(params["a"] * times[0]) + c.flip(params["b"] / 10, 5).sum(1)


@pytest.mark.parametrize(
    "relaxation", [StraightThrough(), SecondOrder()], ids=lambda r: type(r).__name__
)
def test_losses_of_means_are_exact(relaxation):
    """E = 3 / a + b of continuous draws, and 2 a + b / 2 of discrete ones, at log a and log b."""
    a, b = 1.5, 2.0
    for function, mean, slope in (
        (lambda p, t, c: _waiting(p, t, c)[:, None, None], 3 / a + b, [-3 / a, b]),
        (lambda p, t, c: _counting(p, t, c)[:, None, None], 2 * a + b / 2, [2 * a, b / 2]),
    ):
        problem = problem_of(function, ["a", "b"], 2.0, 3.0)
        found = estimated(problem, [a, b], Pathwise(relaxation))
        assert_exact(found, of_mean(mean, slope, 3.0))
        assert found.num_runs == 40_000


def test_squares_are_exact_in_second_order():
    """E[(X − y)²] = λ + (λ − y)², of X ~ Poisson(λ): at log λ, λ + 2 (λ − y) λ; straight-through
    loses the λ.
    """
    rate, y = 4.0, 5.0

    def function(params, times, c):
        return c.count(params["a"])[:, None, None]

    problem = problem_of(function, "a", 1.0, y)
    right = np.array([rate + 2 * (rate - y) * rate]) / y**2
    lost = np.array([2 * (rate - y) * rate]) / y**2
    assert_exact(estimated(problem, [rate], Pathwise(SecondOrder()), ExpectedLoss()), right)
    assert_exact(estimated(problem, [rate], Pathwise(), ExpectedLoss()), lost)


def test_observables_and_noise_with_parameters_of_their_own():
    """y = scale · X², X ~ Normal(m, 1): E = scale (m² + 1), with two experiments and a variance."""

    def function(params, times, c):
        return c.normal(params["m"], 1.0)[:, None, None]

    model = BlackBox(function, ["m"], ["x"], choices=True, batched=True)
    experiments = [
        Experiment({"time": [1.0], "y": [y]}, kind="mean", num_averaged=100) for y in (3.0, 8.0)
    ]
    problem = Problem(
        model, experiments, parameters={"m": Parameter(0.1, 10), "scale": Parameter(0.1, 10)},
        observables={"y": Observable("scale * x * x", noise=noise.Normal("scale"))},
    )  # fmt: skip
    m, scale = 1.5, 2.0
    mean, slope = scale * (m**2 + 1), [2 * scale * m**2, scale * (m**2 + 1)]
    exact = (np.array(of_mean(mean, slope, 3.0)) + of_mean(mean, slope, 8.0)) / 2
    assert_exact(estimated(problem, [m, scale], Pathwise()), exact)


@pytest.mark.parametrize(
    "relaxation",
    [pytest.param(StraightThrough(), marks=pytest.mark.slow), SecondOrder()],
    ids=repr,
)
def test_batches_of_eight_are_unbiased_where_it_is_exact(relaxation):
    """The mean of a binomial number, in a loss that is a square."""
    check_batches_of_eight(Pathwise(relaxation), 1_000)


# -- wrong, and found out --------------------------------------------


def _arrivals(params, times, c):
    arrived = np.cumsum(c.wait(params["k"], 60), axis=1)
    return (arrived[:, None, :] <= times[:, None]).sum(-1)


def _arrivals_at_once(params, times, c):
    return c.count(params["k"] * times[0])[:, None]


def audit_of_arrivals(function, gradients):
    problem = problem_of(function, "k", 10.0, 15.0)
    exact = Known(of_mean(20.0, 20.0, 15.0))
    return audit_gradient(
        problem, {"k": 2.0}, gradients=gradients, reference=exact, seed=0,
        budget=Budget(simulations=200_000),
    )  # fmt: skip


def test_the_count_of_arrivals_has_no_pathwise_derivative():
    """0 -> X at k = 2: d E[X(10)] / dk = 10, but events are counted, and each is there or not."""
    audit = audit_of_arrivals(_arrivals, [Pathwise(), ScoreFunction(), AlternativePath()])
    assert audit.verdicts == {
        "Pathwise": "WRONG", "ScoreFunction": "RIGHT", "AlternativePath": "RIGHT",
    }  # fmt: skip
    assert audit.rows[0].estimate == audit.rows[0].standard_error == 0
    assert audit.words == (
        "Pathwise is zero where it should not be for k here. ScoreFunction and AlternativePath are "
        "right; ScoreFunction is the cheapest of them."
    )


def test_the_same_count_drawn_as_one_number_has_one():
    audit = audit_of_arrivals(_arrivals_at_once, [Pathwise(), ScoreFunction(), AlternativePath()])
    assert set(audit.verdicts.values()) == {"RIGHT"} and audit.best == "Pathwise"


def _reading_the_occupied_pixel(params, times, c):
    """Squared distance of the pixel where the walker is, times how much of it is there."""
    position, here = 0.0, 1.0
    for _ in range(int(times[0])):
        stays = c.flip(params["stay"], 2)
        position = position + np.where(stays > 0, 0, np.where(c.flip(0.5, 2), 1, -1))
        here = here * np.where(stays > 0, stays, 1 - stays)
    yield (here * position**2).sum(1)


def _reading_the_position(params, times, c):
    """Squared distance, of the sum of steps."""
    shape = int(times[0]), 2
    moves, steps = ~c.flip(params["stay"], shape), np.where(c.flip(0.5, shape), 1, -1)
    yield ((moves * steps).sum(1) ** 2).sum(1)


def _reading_by_branches(params, times, c):
    position = 0.0
    for _ in range(int(times[0])):
        position = position + np.where(c.flip(params["stay"], 2) > 0, 0, c.pick([-1, 1], 2, 2))
    yield (position**2).sum(1)


STEPS, STAY = 100, 0.7
PUBLISHED = {
    # E[M (n − 2 M)] an axis, M ~ Binomial(n, 1 − stay): the wrong sign.
    "occupied pixel": (
        _reading_the_occupied_pixel,
        2 * (STEPS**2 * (1 - STAY) * (2 * STAY - 1) - 2 * STEPS * STAY * (1 - STAY)),
    ),
    # −2 E[x Σ steps] an axis, 2 (1 − stay) times too much.
    "position": (_reading_the_position, -4 * (1 - STAY) * STEPS),
    "branches": (_reading_by_branches, 0.0),
}
"""Read-outs of a plain walk, and what straight-through makes of d MSD / d stay = −2 n = −200."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_read_outs_of_a_walk(name):
    """MSD = 2 (1 − stay) n, at logit stay."""
    function, biased = PUBLISHED[name]
    datum, to_logit = 90.0, STAY * (1 - STAY)
    problem = problem_of(function, "stay", STEPS, datum, **LOGIT)
    mean = 2 * (1 - STAY) * STEPS
    right, wrong = (of_mean(mean, d * to_logit, datum) for d in (-2 * STEPS, biased))
    found = estimated(problem, [STAY], Pathwise(), num_runs=20_000)
    assert np.all(np.abs(found.gradient - wrong) <= 4 * found.standard_errors + 1e-12)
    audit = audit_gradient(
        problem, {"stay": STAY}, gradients=[Pathwise(), ScoreFunction()],
        reference=Known(right), seed=0, budget=Budget(simulations=400_000),
    )  # fmt: skip
    assert audit.verdicts == {"Pathwise": "WRONG", "ScoreFunction": "RIGHT"}
    how = {
        "occupied pixel": "of the wrong sign",
        "position": "only 0.6 of what it should be",
        "branches": "zero where it should not be",
    }
    assert audit.words == f"Pathwise is {how[name]} for stay here. ScoreFunction is right."


def test_second_order_puts_the_position_right():
    """A square, and each flip enters it linearly: exact."""
    problem = problem_of(_reading_the_position, "stay", STEPS, 90.0, **LOGIT)
    right = Known(of_mean(60.0, -200 * STAY * (1 - STAY), 90.0))
    audit = audit_gradient(
        problem, {"stay": STAY}, gradients=[Pathwise(SecondOrder()), ScoreFunction()],
        reference=right, seed=0, budget=Budget(simulations=400_000),
    )  # fmt: skip
    assert set(audit.verdicts.values()) == {"RIGHT"} and audit.best == "Pathwise"
    assert "Pathwise and ScoreFunction are right; Pathwise is the cheapest" in audit.words


SIDE = 12


def _outbreak(params, times, c):
    """One infected cell on a torus; neighbors infect with probability beta, and recover."""
    beta, now = params["beta"][:, None, None], 0
    infected = np.zeros((len(params["beta"]), SIDE, SIDE))
    infected[:, SIDE // 2, SIDE // 2] = 1.0
    susceptible = 1 - infected
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    for time in times.astype(int):
        for _ in range(time - now):
            near = sum(np.roll(infected, shift, (1, 2)) for shift in around)
            new = susceptible * c.flip(1 - (1 - beta) ** near)
            infected, susceptible = (
                infected + new - infected * c.flip(0.2, (SIDE, SIDE)),
                susceptible - new,
            )
        now = time
        yield infected.sum((1, 2))


def test_straight_through_explodes_in_what_spreads():
    """Exact for one step, d E / dβ = 8; then ever larger, and of the wrong sign when it is over."""
    model = BlackBox(_outbreak, ["beta"], ["infected"], choices=True, batched=True)
    times, beta, step, num_runs = [1, 5, 20, 40], 0.1, 0.01, 1_000
    none = np.zeros((num_runs, 2, 0), np.int64)
    stream = Stream.from_seed(5)
    params = np.full((num_runs, 2, 1), beta)
    one = declared.batch(params[:, 0], none[:, 0], times, stream)
    slopes = CallWithChoices().sample_relaxed(model, one, StraightThrough()).slopes[:, :, 0, 0]
    params = params + step * np.array([1, -1])[:, None]
    pairs = CallWithChoices().sample_pairs(model, declared.batch(params, none, times, stream))
    change = (pairs.states[:, 0, :, 0] - pairs.states[:, 1, :, 0]) / (2 * step)
    mean, error = (x.mean(0) for x in (slopes, change)), change.std(0) / np.sqrt(num_runs)
    straight, truth = mean
    assert straight[0] == pytest.approx(8.0)
    assert abs(truth[0] - 8) < 4 * error[0]
    ratio = straight / truth
    assert 1 < ratio[1] < 2 and ratio[2] > 30
    assert truth[3] < -4 * error[3] and straight[3] > 1e5


def test_auto_takes_it_only_where_it_is_right():
    """As one candidate among others it is judged beside one with a proof."""
    gradients = Auto((ScoreFunction(), Pathwise()), pilot_runs=3_000)
    z = np.log([2.0])
    wrong = MEANS.bind(problem_of(_arrivals, "k", 10.0, 15.0))
    choice = gradients.choose(wrong, z, Stream.from_seed(0))
    assert choice.estimator == ScoreFunction()
    assert choice.refused == ((Pathwise(), "WRONG beside ScoreFunction"),)
    right = MEANS.bind(problem_of(_arrivals_at_once, "k", 10.0, 15.0))
    choice = gradients.choose(right, z, Stream.from_seed(0))
    assert choice.estimator == Pathwise() and not choice.refused


# -- the contract ----------------------------------------------------


def test_a_fit_by_it():
    """A mean of 15 arrivals in 10: k = 1.5, with an error of √(15 / 100) / 15."""
    problem = problem_of(_arrivals_at_once, "k", 10.0, 15.0)
    found = fit(problem, gradient=Pathwise(), seed=0, tolerance=0.02)
    assert found.result.ok
    (estimate,) = found.estimates
    assert abs(found.fit_scale[0] - np.log(1.5)) < 4 * 0.02
    assert estimate.standard_error == pytest.approx(np.sqrt(0.15) / 15, rel=0.25)


@pytest.mark.parametrize("relaxation", [SecondOrder(), GumbelSoftmax()], ids=repr)
def test_same_stream_same_estimate_whatever_the_workers(relaxation):
    problem = problem_of(_reading_the_position, "stay", 5.0, 3.0, **LOGIT)
    bound, z = MEANS.bind(problem), np.zeros(1)
    first = Pathwise(relaxation).estimate(bound, z, 1_000, Stream.from_seed(3))
    with ThreadPoolExecutor(2) as pool:
        second = Pathwise(relaxation).estimate(bound, z, 1_000, Stream.from_seed(3), pool)
    assert np.array_equal(first.gradient, second.gradient)
    other = Pathwise(relaxation).estimate(bound, z, 1_000, Stream.from_seed(4))
    assert not np.array_equal(first.gradient, other.gradient)


def test_a_schedule_cools_with_the_runs():
    cooling = Pathwise(GumbelSoftmax(0.5, ShrinkingStep(runs=100)))
    assert cooling.tuned(1600).relaxation.temperature == 0.25
    assert Pathwise().tuned(1600) == Pathwise()


def test_unknown_counts_have_no_derivative():
    def function(params, times, c):
        return [[params["start"] + c.flip(params["p"])]]

    model = BlackBox(function, ["p"], ["x"], initial=["start"], choices=True)
    data = Experiment(
        {"time": [1.0], "x": [4.0]}, kind="mean", num_averaged=10, initial={"start": Ref("x0")}
    )
    problem = Problem(model, [data], parameters={"p": Parameter(**LOGIT), "x0": Parameter(1, 10)})
    with pytest.raises(CapabilityError, match=r"by the initial count of 'start', which is unknown"):
        estimated(problem, [0.5, 3.0], Pathwise(), num_runs=10)


def test_simulators_without_a_relaxed_step_say_so():
    problem = Problem(
        helpers.arrival(), data={"time": [1.0], "X": [4.0]}, initial={"X": 0},
        parameters={"k": Parameter(0.1, 10)},
    )  # fmt: skip
    with pytest.raises(CapabilityError, match="Pathwise needs a simulator that offers Supports"):
        estimated(problem, [1.0], Pathwise())


def test_labels_stop_it_with_advice():
    def function(params, times, c):
        return c.choose([params["k"], 1.0])[:, None, None]

    with pytest.raises(DerivativeError, match=r"Draw a number with `pick\(values, weights\)`"):
        estimated(problem_of(function, "k", 1.0, 0.5), [1.0], Pathwise())


def test_run_files_can_name_it():
    assert make("gradient", "pathwise", "gradient") == Pathwise()
    given = {"pathwise": {"relaxation": {"gumbel_softmax": {"schedule": "shrinking"}}}}
    assert make("gradient", given, "g") == Pathwise(GumbelSoftmax(schedule=ShrinkingStep()))
    assert make("gradient", {"pathwise": "second_order"}, "g") == Pathwise(SecondOrder())

"""Alternative paths: where they are special, and what they must not depend on."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests import helpers
from tests.gradients.test_exact_answers import mean_over_batches, twice
from tumble import Parameter, Problem, Ref
from tumble._errors import CapabilityError, ParameterError, SimulationError
from tumble._random import Stream
from tumble.diagnostics import audit_gradient
from tumble.diagnostics._references import exact_loss_and_gradient
from tumble.gradients import AlternativePath, ScoreFunction
from tumble.io._algorithms import make
from tumble.models import ReactionNetwork
from tumble.objectives import ExpectedLoss, MomentMatching
from tumble.simulators import DirectMethod, FiniteStateProjection, NextReactionMethod

NUM_SAMPLES = 100_000
MEANS = MomentMatching(order=1)


def estimated(problem, z, loss=MEANS, num_samples=NUM_SAMPLES, estimator=None, seed=0):
    estimator = estimator or AlternativePath()
    bound = loss.bind(problem)
    runs = num_samples * estimator.runs_per_sample(bound) * len(problem.bindings)
    return estimator.estimate(bound, np.asarray(z, dtype=float), runs, Stream.from_seed(seed))


def assert_exact(found, exact, power=0.1):
    """Within four standard errors, which are at most ``power`` of the leading component."""
    rounding = 1e-10  # of a jackknife over 20,000 runs
    assert np.all(np.abs(found.gradient - exact) <= 4 * found.standard_errors + rounding)
    assert np.all(found.standard_errors <= power * np.max(np.abs(exact)))


def of_mean(mean, slope, datum):
    """Return the gradient of (E[X] / y − 1)², the loss of one datum y; equal ones are averaged."""
    return 2 * (mean - datum) * np.asarray(slope) / datum**2


# -- exact answers --------------------------------------------------------------------------------


@pytest.mark.parametrize("num_phantoms", [1, 3, 16])
@pytest.mark.parametrize("time", [0.5, 8.0])
def test_immigration_and_death_by_hand(time, num_phantoms):
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [time], "X": [7.0]},
        initial={"X": 4},
        parameters={"k": Parameter(0.1, 100), "gamma": Parameter(0.1, 10)},
    )
    estimator = AlternativePath(num_phantoms)
    found = estimated(problem, np.log([10.0, 1.0]), num_samples=40_000, estimator=estimator)
    mean, _ = helpers.immigration_death_moments(10, 1, time, 4)
    by_k, by_gamma = helpers.immigration_death_mean_gradient(10, 1, time, 4)
    assert_exact(found, of_mean(mean, [10 * by_k, by_gamma], 7.0))


def test_birth_and_death_by_hand():
    problem = Problem(
        helpers.birth_death(),
        data={"time": [1.0], "X": [5.0]},
        initial={"X": 6},
        parameters={"birth": Parameter(0.1, 10), "death": Parameter(0.01, 0.99, scale="logit")},
    )
    z = problem.space.to_fit(np.array([1.1, 0.7]))
    found = estimated(problem, z)
    mean, _ = helpers.birth_death_moments(1.1, 0.7, 1.0, 6)
    by_birth, by_death = helpers.birth_death_mean_gradient(1.1, 0.7, 1.0, 6)
    assert_exact(found, of_mean(mean, [1.1 * by_birth, 0.7 * 0.3 * by_death], 5.0))


def test_parameters_that_share_a_reaction_and_reactions_that_share_a_parameter():
    """0 -> X at a b and X -> 0 at a: E[X(t)] = b (1 − e^{−at})."""
    problem = Problem(
        ReactionNetwork.from_text("0 -> X ; a * b\nX -> 0 ; a"),
        data={"time": [0.8], "X": [2.0]},
        initial={"X": 0},
        parameters={"a": Parameter(0.1, 10), "b": Parameter(0.1, 100)},
    )
    e = np.exp(-1.5 * 0.8)
    found = estimated(problem, np.log([1.5, 6.0]))
    assert_exact(found, of_mean(6 * (1 - e), [6 * 1.5 * 0.8 * e, 6 * (1 - e)], 2.0))


@pytest.mark.parametrize(
    "loss", [pytest.param(MEANS, marks=pytest.mark.slow), ExpectedLoss()], ids=str
)
def test_two_genes_that_repress_each_other(loss):
    network = ReactionNetwork.from_text(
        "0 => A ; hillr(B, V, K, 2)\n0 => B ; hillr(A, W, K, 2)\nA -> 0 ; d\nB -> 0 ; d"
    )
    problem = Problem(
        network,
        data={"time": [0.5, 2.0], "A": [4.0, 5.0], "B": [3.0, 1.0]},
        initial={"A": 1, "B": 0},
        parameters={
            "V": Parameter(0.5, 50),
            "W": Parameter(0.5, 50),
            "K": Parameter(0.5, 50),
            "d": Parameter(0.1, 10),
        },
    )
    z = np.log([6.0, 5.0, 1.5, 1.0])
    bound = loss.bind(twice(problem))
    _, exact = exact_loss_and_gradient(bound, z, FiniteStateProjection())
    assert_exact(estimated(twice(problem), z, loss, 30_000), exact)


# -- zero rates -----------------------------------------------------------------------------------


def gate():
    """Immigration and death with a birth that may be absent: its rate is on a linear scale."""
    return Problem(
        ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; gamma\nX -> 2 X ; birth"),
        data={"time": [0.5, 2.0], "X": [3.0, 6.0]},
        initial={"X": 2},
        parameters={
            "k": Parameter(0.1, 100),
            "gamma": 1.2,
            "birth": Parameter(0, 1, scale="linear"),
        },
    )


@pytest.mark.parametrize("loss", [MEANS, MomentMatching(order=2), ExpectedLoss()], ids=str)
def test_a_gate_that_is_closed_has_a_derivative(loss):
    problem, z = twice(gate()), np.array([np.log(4.0), 0.0])
    _, exact = exact_loss_and_gradient(loss.bind(problem), z, FiniteStateProjection())
    assert_exact(estimated(problem, z, loss), exact)
    with pytest.raises(ParameterError, match="the score is not defined at a zero rate"):
        estimated(problem, z, loss, 100, ScoreFunction())


@pytest.mark.parametrize("loss", [MEANS, ExpectedLoss()], ids=str)
def test_nothing_happens_but_its_derivative(loss):
    """Arrivals at rate 0: P(X = 1) = k T to first order, so d E[f] = T (f(1) − f(0))."""
    problem = Problem(
        helpers.arrival(),
        data={"time": [1.0, 4.0], "X": [2.0, 5.0]},
        initial={"X": 0},
        parameters={"k": Parameter(0, 10, scale="linear")},
    )
    found = estimated(problem, [0.0], loss, 20_000)
    # Squares of both deviations, from 2 and from 5, are divided by the larger square, and averaged.
    if loss is MEANS:
        exact = (2 * (0 - 2) * 1.0 + 2 * (0 - 5) * 4.0) / 50
    else:
        exact = ((1 - 4) * 1.0 + (16 - 25) * 4.0) / 50
    assert found.value == pytest.approx((4 + 25) / 50)
    assert_exact(found, exact, 1e-6)


def test_a_law_at_zero_has_the_derivative_of_its_formula():
    """S => P at V S / (K + S) with V = 0: d E[P(t)] / dV = t S / (K + S), and none in K."""
    problem = Problem(
        ReactionNetwork.from_text("S => P ; mm(S, V, K)"),
        data={"time": [0.7], "P": [2.0]},
        initial={"S": 6, "P": 0},
        parameters={"V": Parameter(0, 10, scale="linear"), "K": Parameter(0.5, 50)},
    )
    found = estimated(problem, [0.0, np.log(3.0)], num_samples=1_000)
    assert_exact(found, of_mean(0.0, [0.7 * 6 / 9, 0.0], 2.0), 1e-6)


# -- unknown initial counts -----------------------------------------------------------------------


def decay(start):
    """X decays at 0.8 from an unknown mean count; both losses are of X(0.5)."""
    return Problem(
        ReactionNetwork.from_text("X -> 0 ; gamma"),
        data={"time": [0.5], "X": [5.0]},
        initial={"X": Ref("x0")},
        parameters={"gamma": 0.8, "x0": Parameter(0, 10, scale="linear")},
    ), [start]


@pytest.mark.parametrize("start", [0.0, 3.0, 3.4, 3.999])
@pytest.mark.parametrize("loss", [MEANS, ExpectedLoss()], ids=str)
def test_the_derivative_by_an_initial_count_is_the_one_from_above(loss, start):
    problem, z = decay(start)
    found = estimated(problem, z, loss)
    e, n = np.exp(-0.4), np.floor(start)

    def loss_of(count):
        return count * e * (1 - e) + (count * e - 5) ** 2

    by_count = (loss_of(n + 1) - loss_of(n)) / 25
    assert_exact(found, of_mean(start * e, e, 5.0) if loss is MEANS else by_count, 0.05)
    bound = loss.bind(problem)
    assert AlternativePath().runs_per_sample(bound) == 1 + 2 * 4 + 2
    assert found.num_runs == NUM_SAMPLES * 11


def test_one_number_behind_two_initial_counts():
    """E[A + B] = x (e^{−ct} + 1) for A -> 0 at c and B that stays, both from x on average."""
    problem = Problem(
        ReactionNetwork.from_text("A -> 0 ; c\n0 -> B ; none"),
        data={"time": [0.5], "A": [2.0], "B": [2.0]},
        initial={"A": Ref("x"), "B": Ref("x")},
        parameters={"c": Parameter(0.1, 10), "none": 0.0, "x": Parameter(0.5, 10)},
    )
    e = np.exp(-0.5)
    found = estimated(problem, np.log([1.0, 2.5]))
    by_x = of_mean(2.5 * e, 2.5 * e, 2.0) + of_mean(2.5, 2.5, 2.0)
    assert_exact(found, np.array([of_mean(2.5 * e, -0.5 * 2.5 * e, 2.0), by_x]) / 2)


# -- small batches --------------------------------------------------------------------------------


def gate_with_unknown_start():
    problem = gate()
    start = {"x0": Parameter(0.5, 10)}
    return Problem(
        problem.model,
        data={"time": [0.5, 2.0], "X": [3.0, 6.0]},
        initial={"X": Ref("x0")},
        parameters={**problem.parameters, **start},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "num_batches", [10_000, pytest.param(100_000, marks=pytest.mark.timeout(1200))]
)
def test_batches_of_eight_are_unbiased_at_a_closed_gate(num_batches):
    """From x0 = 2.5, half of the runs at 2 and half at 3: means are averages of the two."""
    problem = twice(gate_with_unknown_start())
    z = np.array([np.log(4.0), 0.0, np.log(2.5)])
    exact = gate_from_between(problem, z)
    mean, error = mean_over_batches(AlternativePath(), MEANS.bind(problem), z, 8, num_batches)
    assert np.all(np.abs(mean - exact) < 4 * error)
    assert np.all(error < 0.02 * np.max(np.abs(exact)))


def gate_from_between(problem, z):
    """Return the gradient of the means' loss, from E[X] = x e^{−ct} + k (1 − e^{−ct}) / c with
    c = γ − birth, whose derivatives by (log k, birth, log x) are written out."""
    k, x, c = np.exp(z[0]), np.exp(z[2]), 1.2
    bound = MEANS.bind(problem)
    mean, slopes = [], []
    for t in problem.bindings[0].times:
        e = np.exp(-c * t)
        mean.append(x * e + k * (1 - e) / c)
        by_c = -x * t * e + k * (t * e / c - (1 - e) / c**2)
        slopes.append([k * (1 - e) / c, -by_c, x * e])
    return bound.slope(np.array(mean)) @ np.array(slopes)


def test_many_samples_are_right_at_a_closed_gate_from_between():
    problem, z = twice(gate_with_unknown_start()), np.array([np.log(4.0), 0.0, np.log(2.5)])
    assert_exact(estimated(problem, z), gate_from_between(problem, z))


# -- what results do not depend on ----------------------------------------------------------------


def test_pieces_and_threads_change_nothing(monkeypatch):
    problem, z = gate_with_unknown_start(), np.array([np.log(4.0), 0.1, np.log(2.5)])
    bound, stream = MomentMatching(order=1).bind(problem), Stream.from_seed(1)
    whole = AlternativePath().sample(bound, z, 500, stream)
    with ThreadPoolExecutor(3) as pool:
        threads = AlternativePath().sample(bound, z, 500, stream, pool)
    pieces = []

    def counted(self, model, batch, scales, num_phantoms, *, executor=None):
        pieces.append(len(batch.runs))
        return original(self, model, batch, scales, num_phantoms, executor=executor)

    original = DirectMethod.sample_with_alternatives
    monkeypatch.setattr(DirectMethod, "sample_with_alternatives", counted)
    monkeypatch.setattr("tumble.gradients._alternative_path.LARGEST_PIECE", 40_000)
    cut = AlternativePath().sample(bound, z, 500, stream)
    assert len(pieces) > 3 and sum(pieces) == 500
    for other in (threads, cut):
        assert np.array_equal(whole.features, other.features)
        assert np.array_equal(whole.jacobians, other.jacobians)
        assert (whole.num_runs, whole.num_events) == (other.num_runs, other.num_events)


def test_the_first_phantoms_are_drawn_alike_however_many_there_are():
    """Features are those of the run itself, whatever the phantoms, and of plain samples."""
    problem, z = gate(), np.array([np.log(4.0), 0.1])
    bound = MEANS.bind(problem)
    one, four = (AlternativePath(m).sample(bound, z, 300, Stream.from_seed(2)) for m in (1, 4))
    score = ScoreFunction().sample(bound, z, 300, Stream.from_seed(2))
    assert np.array_equal(one.features, four.features)
    assert np.array_equal(one.features, score.features)
    assert four.num_events > one.num_events > score.num_events
    assert np.mean(np.var(four.jacobians, axis=0)) < np.mean(np.var(one.jacobians, axis=0))


def test_run_files_and_audits_know_it():
    given = make("gradient", {"alternative_path": {"num_phantoms": 8}}, "fit.gradient")
    assert given == AlternativePath(8)
    assert make("gradient", "alternative_path", "fit.gradient") == AlternativePath()
    point = {"k": 4.0, "birth": 0.0}
    audit = audit_gradient(gate(), point, objective=MEANS, gradients=[AlternativePath()], seed=0)
    assert audit.verdicts == {"AlternativePath": "RIGHT"}


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, -1, 1.5])
def test_there_is_a_whole_number_of_phantoms(number):
    with pytest.raises(
        ParameterError, match=f"`num_phantoms` is {number}, expected a whole number of at least 1"
    ):
        AlternativePath(number)


def test_an_event_without_reactants_is_an_error_that_names_the_reaction():
    """With V = 0 no loss is ever seen, but its derivative at X = 0 is that of a negative count."""
    problem = Problem(
        ReactionNetwork.from_text("X => 0 ; V\nX -> 0 ; c"),
        data={"time": [2.0], "X": [1.0]},
        initial={"X": 2},
        parameters={"V": Parameter(0, 10, scale="linear"), "c": Parameter(0.1, 10)},
    )
    with pytest.raises(
        SimulationError,
        match=r"(?s)every run, but .*without enough reactants.*\(NEGATIVE_COUNT\): "
        r"reaction 'X => 0 ; V' in \d+\. Leaving",
    ):
        estimated(problem, [0.0, 0.0], num_samples=200)


def test_a_derivative_that_is_not_finite_is_an_error_that_names_the_reaction():
    problem = Problem(
        ReactionNetwork.from_text("X -> 0 ; c\n0 -> X ; sqrt(k)"),
        data={"time": [2.0], "X": [1.0]},
        initial={"X": 2},
        parameters={"k": Parameter(0, 10, scale="linear"), "c": Parameter(0.1, 10)},
    )
    with pytest.raises(
        SimulationError,
        match=r"(?s)every run, but .*or its derivative was.*\(INVALID_RATE\): "
        r"reaction '0 -> X ; sqrt\(k\)' in \d+\. Leaving",
    ):
        estimated(problem, [0.0, 0.0], num_samples=200)
    # Where k is known, its derivative is of no interest.
    known = Problem(
        problem.model,
        data={"time": [2.0], "X": [1.0]},
        initial={"X": 2},
        parameters={"k": 0.0, "c": Parameter(0.1, 10)},
    )
    e = np.exp(-2.0)
    assert_exact(estimated(known, [0.0]), of_mean(2 * e, -2 * 2 * e, 1.0))


def test_what_it_needs_is_named():
    clocked = Problem(
        ReactionNetwork.from_text("0 -> X ; k * (1 + sin(time))"),
        data={"time": [2.0], "X": [1.0]},
        initial={"X": 2},
        parameters={"k": Parameter(0.1, 10)},
    )
    with pytest.raises(
        CapabilityError,
        match="AlternativePath needs SupportsAlternative, which DirectMethod does not offer for",
    ):
        estimated(clocked, [0.0], num_samples=10)
    other = Problem(
        helpers.arrival(),
        data={"time": [2.0], "X": [1.0]},
        initial={"X": 2},
        parameters={"k": Parameter(0.1, 10)},
        simulator=NextReactionMethod(),
    )
    with pytest.raises(
        CapabilityError,
        match="AlternativePath needs a simulator that offers SupportsAlternative, but "
        "NextReactionMethod does not; choose another gradient",
    ):
        estimated(other, [0.0], num_samples=10)

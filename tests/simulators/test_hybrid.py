"""Time-dependent rates, variables and events, against exact answers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from scipy import integrate, linalg, stats

import tumble as tb
from tests import helpers
from tumble._errors import CapabilityError, ModelError, ParameterError
from tumble._random import Stream, run_ids
from tumble._results import SampleCode
from tumble.models import ReactionNetwork
from tumble.simulators import Batch, DirectMethod, FiniteStateProjection, LinearNoise

RUNS = 10_000
STREAM = Stream.from_seed(31)
TIMES = np.array([0.0, 0.7, 2.0, 5.0])


def sample(text, params=(), initial=(0,), times=TIMES, num_runs=RUNS, method=None, **options):
    network = text if isinstance(text, ReactionNetwork) else ReactionNetwork.from_text(text)
    batch = Batch(
        np.broadcast_to(np.asarray(params, dtype=float), (num_runs, len(params))),
        np.broadcast_to(np.asarray(initial, dtype=np.int64), (num_runs, len(initial))),
        np.asarray(times, dtype=float),
        options.pop("stream", STREAM),
        run_ids(num_runs),
        options.pop("start", 0.0),
    )
    got = (method or DirectMethod()).sample(network, batch, **options)
    if got.variables is None:
        assert not network.variables
    else:
        assert got.variables.shape == (num_runs, len(batch.times), len(network.variables))
    return got


def single(text, params=(), initial=(0,), times=TIMES, **options):
    """One run, which is certain: its counts and variables."""
    got = sample(text, params, initial, times, 1, **options)
    assert got.codes[0] == SampleCode.OK
    return got.states[0], got.variables[0]


def assert_moments(x, mean, variance):
    """Mean and variance are right within 4 standard errors."""
    x = x.astype(float)
    assert np.all(np.abs(x.mean(axis=0) - mean) <= 4 * np.sqrt(variance / len(x)) + 1e-9)
    squares = (x - mean) ** 2
    error = squares.std(axis=0) / np.sqrt(len(x))
    assert np.all(np.abs(squares.mean(axis=0) - variance) <= 4 * error + 1e-9)


def assert_poisson(x, mean):
    """χ² of the whole distribution, and moments."""
    assert_moments(x, mean, mean)
    assert_distribution(x, stats.poisson(mean).pmf(np.arange(x.max() + 1)))


def assert_distribution(x, chances):
    got = np.bincount(x, minlength=len(chances))[: len(chances)]
    expected = len(x) * np.asarray(chances)
    keep = expected >= 8
    got = np.append(got[keep], len(x) - got[keep].sum())
    expected = np.append(expected[keep], len(x) - expected[keep].sum())
    got, expected = got[expected > 1e-6], expected[expected > 1e-6]
    statistic = ((got - expected) ** 2 / expected).sum()
    assert 1e-4 < stats.chi2.sf(statistic, len(got) - 1) < 1 - 1e-4


# -- rates that depend on time --------------------------------------------------------------------


SHAPES = {
    "sin": ("k * (1 + sin(2 * time))", lambda t: 1 + np.sin(2 * t)),
    "step": ("k * piecewise(1, time < 1.3, 0, time < 2.2, 3)", None),
    "decay": ("k * exp(-time)", lambda t: np.exp(-t)),
    "ramp": ("k * time ^ 2 / 4", lambda t: t**2 / 4),
    "day and night": ("k * (time - floor(time) < 0.25)", None),
    "corner": ("k * max(0, time - 1.5)", lambda t: np.maximum(0, t - 1.5)),
    "both": ("k * (sin(4 * time) > 0) * time", lambda t: (np.sin(4 * t) > 0) * t),
}
INTEGRALS = {
    "step": lambda t: np.minimum(t, 1.3) + 3 * np.maximum(0, t - 2.2),
    "day and night": lambda t: 0.25 * np.floor(t) + np.minimum(t - np.floor(t), 0.25),
}


def integral(shape, t):
    if shape in INTEGRALS:
        return INTEGRALS[shape](t)
    grid = np.linspace(0, t, 200_001)
    return integrate.trapezoid(SHAPES[shape][1](grid), grid)


@pytest.mark.parametrize("arrow", [pytest.param("->", marks=pytest.mark.slow), "=>"])
@pytest.mark.parametrize("shape", SHAPES)
def test_births_at_a_rate_that_depends_on_time_are_poisson(shape, arrow):
    got = sample(
        f"0 {arrow} X ; {SHAPES[shape][0]}", [4.0], num_runs=RUNS if arrow == "->" else 2000
    )
    assert np.all(got.codes == 0)
    for i, t in enumerate(TIMES):
        mean = 4.0 * integral(shape, t)
        if mean == 0:
            assert not got.states[:, i].any()
        else:
            assert_poisson(got.states[:, i, 0], mean)
    increment = got.states[:, 3, 0] - got.states[:, 2, 0]
    assert_poisson(increment, 4.0 * (integral(shape, TIMES[3]) - integral(shape, TIMES[2])))


def test_births_start_at_the_start():
    got = sample("0 -> X ; k * time", [4.0], times=[3.0, 5.0], start=2.0)
    assert_poisson(got.states[:, 0, 0], 4 * (9 - 4) / 2)
    assert_poisson(got.states[:, 1, 0], 4 * (25 - 4) / 2)


def test_immigration_death_with_a_season():
    """X(t) from x0 is Binomial(x0, e^{−γt}) + Poisson(m), m' = k(t) − γ m."""
    k, gamma, x0 = 6.0, 0.8, 7
    got = sample(
        "0 -> X ; k * (1 + cos(3 * time))\nX -> 0 ; gamma", [k, gamma], [x0], num_runs=4000
    )
    solved = integrate.solve_ivp(
        lambda t, m: k * (1 + np.cos(3 * t)) - gamma * m, (0, 5), [0], t_eval=TIMES, rtol=1e-10
    ).y[0]
    e = np.exp(-gamma * TIMES)
    assert_moments(got.states[:, :, 0], x0 * e + solved, x0 * e * (1 - e) + solved)


def test_deaths_with_a_rate_that_depends_on_time():
    """Each of x0 survives with chance exp(−∫γ)."""
    got = sample("X => 0 ; g * X / (1 + time)", [1.5], [30])
    survival = (1 + TIMES[3]) ** -1.5
    assert_distribution(got.states[:, 3, 0], stats.binom(30, survival).pmf(np.arange(31)))


# -- variables ------------------------------------------------------------------------------------


def test_a_birth_rate_that_follows_a_variable():
    """V' = −k V and births at b V: Poisson(b V0 (1 − e^{−kt}) / k)."""
    text = "V(0) = V0\nV' = -k * V\n0 -> X ; b * V"
    got = sample(text, [3.0, 2.0, 0.7])
    model = ReactionNetwork.from_text(text)
    assert model.parameters == ("b", "V0", "k")
    exact = 2.0 * np.exp(-0.7 * TIMES)
    np.testing.assert_allclose(got.variables[:, :, 0], np.tile(exact, (RUNS, 1)), rtol=1e-8)
    for i, t in enumerate(TIMES[1:], start=1):
        assert_poisson(got.states[:, i, 0], 3 * 2 * (1 - np.exp(-0.7 * t)) / 0.7)


def test_a_variable_that_follows_a_count():
    """W' = X is the area under the path: for births at k its mean is k t²/2, variance k t³/3."""
    got = sample("W(0) = 0\nW' = X\n0 -> X ; k", [4.0])
    area = got.variables[:, :, 0]
    assert np.all(np.abs(area.mean(axis=0) - 2 * TIMES**2) <= 4 * area.std(axis=0) / np.sqrt(RUNS))
    squares = (area - 2 * TIMES**2) ** 2
    error = 4 * squares.std(axis=0) / np.sqrt(RUNS)
    assert np.all(np.abs(squares.mean(axis=0) - 4 * TIMES**3 / 3) <= error)


def test_variables_without_noise_are_solved():
    """The oscillator V'' = −V, and logistic growth."""
    text = "V(0) = 1\nV' = W\nW(0) = 0\nW' = -V\nU(0) = 0.1\nU' = U * (1 - U)\nX -> 0 ; 1e-3"
    times = np.linspace(0, 20, 41)
    _, values = single(text, [], [0], times)
    logistic = 0.1 * np.exp(times) / (0.9 + 0.1 * np.exp(times))
    exact = np.column_stack([np.cos(times), -np.sin(times), logistic])
    np.testing.assert_allclose(values, exact, rtol=1e-7, atol=1e-7)


def test_initial_values_read_parameters_and_counts():
    _, values = single("V(0) = 2 * X + p\nU(0) = time\nX -> 0 ; p", [0.5], [3], [1.5], start=1.5)
    np.testing.assert_array_equal(values, [[6.5, 1.5]])


def test_a_rate_that_switches_by_a_variable():
    """V rises to 2 at t = 2 and the births stop: Poisson(k min(t, 2))."""
    got = sample("V(0) = 0\nV' = 1\n0 -> X ; k * (V < 2)", [3.0], times=[1.5, 3.0])
    assert_poisson(got.states[:, 0, 0], 4.5)
    assert_poisson(got.states[:, 1, 0], 6.0)


# -- events by time -------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [2.0, 2.3])
def test_an_event_by_time_on_and_off_the_grid(at):
    """Immigration and death; at the time of the event X is set to 20."""
    times = np.array([1.0, np.nextafter(at, 0), at, 3.1])
    got = sample(f"0 -> X ; k\nX -> 0 ; g\nat time >= {at}: X = 20", [5.0, 0.9], [3], times)
    x = got.states[:, :, 0]
    assert_moments(x[:, :2], *helpers.immigration_death_moments(5.0, 0.9, times[:2], 3))
    assert np.all(x[:, 2] == 20)
    assert_moments(x[:, 3], *helpers.immigration_death_moments(5.0, 0.9, times[3] - at, 20))


def test_an_event_happens_without_any_reaction():
    states, _ = single("X -> 0 ; 0\nat time >= 1: X = 5\nat time > 2: X = X + 1", [], [0],
                       [0.5, 1, 1.5, 2, 2.0000001])  # fmt: skip
    np.testing.assert_array_equal(states[:, 0], [0, 5, 5, 5, 6])


def test_time_in_arithmetic():
    """The root of a comparison of more than the bare time, and a period."""
    text = """
        X -> 0 ; 0
        at (time - 3) * 0.25 >= p: X = X + 1
        at time - 4 * floor(time / 4) >= 1: X = X + 10
    """
    times = [0.9, 1.0, 4.9, 5.0, 9.0, np.nextafter(10, 0), 10.0]
    states, _ = single(text, [1.75], [0], times)
    np.testing.assert_array_equal(states[:, 0], [0, 10, 10, 20, 30, 30, 31])


def test_what_is_true_at_the_start():
    text = "X -> 0 ; 0\nat time >= 0: X = X + 1\nat time >= 0 [initially = false]: X = X + 10"
    states, _ = single(text, [], [0], [0.0, 1.0])
    np.testing.assert_array_equal(states[:, 0], [10, 10])


def test_equality_is_a_moment():
    text = "X -> 0 ; 0\nV(0) = 0\nV' = 1\nat time == 1: X = X + 1\nat V == 2: X = X + 10"
    states, _ = single(text, [], [0], [0.5, 1.0, 1.9, 2.1, 3.0])
    np.testing.assert_array_equal(states[:, 0], [0, 1, 1, 11, 11])


def test_a_pulse_ends():
    """An infusion between two times: V = 3 (t − 1) up to 2, and decays by events never after."""
    text = "V(0) = 0\nV' = 3 * (time >= 1 and time < 2)\nX -> 0 ; 0"
    _, values = single(text, [], [0], [0.5, 1.0, 1.5, 2.0, 7.0])
    np.testing.assert_allclose(values[:, 0], [0, 0, 1.5, 3, 3], atol=1e-9)


# -- events by state ------------------------------------------------------------------------------


def generator(rates, size):
    q = np.zeros((size, size))
    for i, j, rate in rates:
        q[i, j] += rate
        q[i, i] -= rate
    return q


def test_a_reset_by_state():
    """Births at k, deaths at g X, and as soon as X reaches 6 it is 2: a chain on 0 … 5."""
    k, g = 3.0, 0.4
    births = [(n, n + 1 if n < 5 else 2, k) for n in range(6)]
    deaths = [(n, n - 1, g * n) for n in range(1, 6)]
    q = generator(births + deaths, 6)
    got = sample("0 -> X ; k\nX -> 0 ; g\nat X >= 6: X = 2", [k, g], [1])
    assert np.all(got.codes == 0)
    for i, t in enumerate(TIMES[1:], start=1):
        assert_distribution(got.states[:, i, 0], linalg.expm(q * t)[1])


def test_a_cascade_by_state():
    """X reaching 4 gives Y, and Y reaching 2 empties both: a chain on (X, Y), 8 states."""
    k, g = 3.0, 0.5
    number = {(x, y): 4 * y + x for x in range(4) for y in range(2)}

    def after(x, y):
        if x == 4:
            x, y = 0, y + 1
        return (0, 0) if y == 2 else (x, y)

    rates = [(i, number[after(x + 1, y)], k) for (x, y), i in number.items()]
    rates += [(i, number[x - 1, y], g * x) for (x, y), i in number.items() if x]
    text = """
        0 -> X ; k
        X + Y -> Y ; 0
        X -> 0 ; g
        at X >= 4: X = 0, Y = Y + 1
        at Y >= 2: X = 0, Y = 0
    """
    got = sample(text, [k, g], [0, 0])
    x, y = got.states[:, :, 0], got.states[:, :, 1]
    for i, t in enumerate(TIMES[1:], start=1):
        exact = linalg.expm(generator(rates, 8) * t)[0]
        assert_distribution(4 * y[:, i] + x[:, i], exact)


def test_a_delay_by_state():
    """X: 0 → 1 at rate k, and 2 time units later it is set to 10: P(X = 10) = 1 − e^{−k(t−2)}."""
    text = "A -> X ; k\nat X >= 1 [delay = d]: X = 10"
    got = sample(text, [0.6, 2.0], [1, 0], [1.9, 3.0, 5.0])
    share = np.mean(got.states[:, :, 1] == 10, axis=0)
    exact = 1 - np.exp(-0.6 * np.array([0, 1.0, 3.0]))
    assert share[0] == 0
    assert np.all(np.abs(share - exact)[1:] <= 4 * np.sqrt(exact * (1 - exact) / RUNS)[1:])


def test_not_persistent_events_are_cancelled():
    """A dies at rate g; what would follow 1 later happens only if A is still there then."""
    text = (
        "A -> 0 ; g\nat time >= 1 and A > 0 [delay = 1, persistent = false]: X = 1\nX -> X + Y ; 0"
    )
    got = sample(text, [0.5], [1, 0, 0], [1.9, 2.0])
    happened = got.states[:, 1, 1] == 1
    np.testing.assert_array_equal(happened, got.states[:, 1, 0] == 1)
    exact = np.exp(-0.5 * 2)
    assert abs(happened.mean() - exact) <= 4 * np.sqrt(exact * (1 - exact) / RUNS)
    assert not got.states[:, 0, 1].any()
    kept = sample(text.replace("false", "true"), [0.5], [1, 0, 0], [2.0])
    exact = np.exp(-0.5)
    assert abs((kept.states[:, 0, 1] == 1).mean() - exact) <= 4 * np.sqrt(
        exact * (1 - exact) / RUNS
    )


# -- order and values of events -------------------------------------------------------------------


def test_priorities():
    text = """
        X -> 0 ; 0
        at time >= 1 [priority = 1, values_from_trigger = false]: X = 2 * X
        at time >= 1 [priority = 3, values_from_trigger = false]: X = X + 5
        at time >= 1 [priority = 2, values_from_trigger = false]: X = 3 * X
        at time >= 1 [values_from_trigger = false]: X = X + 1
    """
    states, _ = single(text, [], [1], [1.0])
    assert states[0, 0] == (1 + 5) * 3 * 2 + 1


def test_priorities_are_those_at_the_time():
    """The first event turns the order of the other two around."""
    text = """
        X -> 0 ; 0
        p(0) = 1
        at time >= 1 [priority = 10]: p = -1
        at time >= 1 [priority = p, values_from_trigger = false]: X = X + 1
        at time >= 1 [priority = -p, values_from_trigger = false]: X = 10 * X
    """
    states, _ = single(text, [], [1], [1.0])
    assert states[0, 0] == 11


def test_ties_are_in_random_order():
    """Last writer wins: each of three with chance 1/3, independent of the reactions."""
    lines = [f"at time >= 1 [priority = 2]: X = {i}" for i in range(3)]
    got = sample("0 -> Y ; 1\nX -> 0 ; 0\n" + "\n".join(lines), [], [0, 7], [1.0])
    x, y = got.states[:, 0, 1], got.states[:, 0, 0]
    assert_distribution(x, [1 / 3] * 3)
    assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(RUNS)


def test_values_are_those_at_the_trigger():
    text = """
        X -> 0 ; 0
        Y -> 0 ; 0
        at time >= 1 [delay = 1]: X = Y
        at time >= 1 [delay = 1, values_from_trigger = false]: Z = Y
        at time >= 1.5: Y = 9
        Z -> 0 ; 0
    """
    states, _ = single(text, [], [0, 4, 0], [1.9, 2.0])
    np.testing.assert_array_equal(states, [[0, 9, 0], [4, 9, 9]])


def test_assignments_are_simultaneous():
    states, _ = single("X + Y -> 0 ; 0\nat time >= 1: X = Y, Y = X", [], [3, 8], [0.9, 1.0])
    np.testing.assert_array_equal(states, [[3, 8], [8, 3]])


def test_events_may_wait_in_any_number_and_order():
    """Each birth of X is followed by one of Y, 1 later: Y(t) = X(t − 1)."""
    text = """
        n(0) = 0
        0 -> X ; 20
        Y -> 0 ; 0
        at X > n [delay = 1, values_from_trigger = false]: Y = Y + 1
        at X > n [priority = 1]: n = X
    """
    got = sample(text, [], [0, 0], [2.0, 3.0], num_runs=200)
    np.testing.assert_array_equal(got.states[:, 1, 1], got.states[:, 0, 0])


# -- events by variables --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("V' = -0.3 * V\nat V < 1", np.log(5) / 0.3),
        ("V' = 1 - 0.1 * V\nat V >= 8", 10 * np.log(5 / 2)),
        ("V' = 0\nat 5 * sin(time) <= V - 7 and time > 2", np.pi + np.arcsin(0.4)),
        ("V' = 2\nat V - X >= 10", 4.0),
        ("V' = -1\nat abs(V) < 2 and not time > 6", 3.0),
    ],
)
def test_the_time_at_which_a_variable_crosses(text, at):
    """An event takes a note of the time; X is 3 all the while."""
    text = f"X -> 0 ; 0\nnoted(0) = -1\nV(0) = 5\n{text}: noted = time"
    method = DirectMethod(tolerance=1e-12)
    _, values = single(text, [], [3], [at - 1e-6, at + 1e-6], method=method)
    noted = values[:, 0]
    assert noted[0] == -1
    assert abs(noted[1] - at) < 1e-9


def test_a_bouncing_ball():
    """Height and speed with bounces that keep 0.8 of the speed; the times of bounces are known."""
    text = """
        h(0) = 5
        h' = v
        v(0) = 0
        v' = -10
        X -> 0 ; 0
        at h <= 0 and v < 0: v = -0.8 * v, X = X + 1
    """
    bounces = 1.0 + np.cumsum([0, 2 * 0.8, 2 * 0.64, 2 * 0.512])
    times = np.sort(np.concatenate([bounces - 1e-7, bounces + 1e-7]))
    states, values = single(text, [], [0], times)
    np.testing.assert_array_equal(states[:, 0], [0, 1, 1, 2, 2, 3, 3, 4])
    np.testing.assert_allclose(values[1::2, 1], 10 * 0.8 ** np.arange(1, 5), rtol=1e-6)


def test_division_by_size():
    """V grows as e^t and halves at 2; births at k V. Between 0 and 3 ln 2: three equal cycles."""
    text = "V(0) = 1\nV' = V\n0 -> X ; k * V\nat V >= 2: V = V / 2"
    got = sample(text, [2.0], [0], [np.log(2) * 2.5])
    exact = 2.0 * (2 * 1 + np.sqrt(2) - 1)
    assert_poisson(got.states[:, 0, 0], exact)
    np.testing.assert_allclose(got.variables[:, 0, 0], np.sqrt(2), rtol=1e-8)


# -- what must hold exactly -----------------------------------------------------------------------

MIXED = """
    V(0) = 1
    V' = 0.5 * V - 0.1 * X * V
    0 -> X ; k * (1 + sin(time))
    X -> Y ; 0.4 * V
    2 Y -> 0 ; 0.2
    at X >= 8 [priority = 1]: X = 3
    at X >= 8 [priority = 1]: Y = Y + 1
    at V > 2 [delay = 0.3]: V = 0.5
    at time >= 1.7: X = X + 2
"""


def test_runs_do_not_depend_on_batches_and_threads():
    network = ReactionNetwork.from_text(MIXED)
    whole = sample(network, [3.0], [0, 0], num_runs=200)
    assert np.all(whole.codes == 0)
    assert len(np.unique(whole.states[:, 3, 0])) > 3
    with ThreadPoolExecutor(3) as pool:
        other = sample(network, [3.0], [0, 0], num_runs=200, executor=pool)
    np.testing.assert_array_equal(whole.states, other.states)
    np.testing.assert_array_equal(whole.variables, other.variables)
    batch = Batch(
        np.full((3, 1), 3.0), np.zeros((3, 2), np.int64), TIMES, STREAM,
        np.array([150, 7, 31], dtype=np.uint64),
    )  # fmt: skip
    few = DirectMethod().sample(network, batch)
    np.testing.assert_array_equal(few.states, whole.states[[150, 7, 31]])
    np.testing.assert_array_equal(few.variables, whole.variables[[150, 7, 31]])


def test_paths_do_not_depend_on_the_output_grid():
    network = ReactionNetwork.from_text(MIXED)
    fine = np.union1d(TIMES, np.linspace(0, 9, 91))
    few, many = (sample(network, [3.0], [0, 0], t, 300) for t in (TIMES, fine))
    at = np.searchsorted(fine, TIMES)
    np.testing.assert_array_equal(few.states, many.states[:, at])
    np.testing.assert_array_equal(few.variables, many.variables[:, at])


def test_without_a_cause_the_path_is_that_of_the_plain_method():
    """An event that never happens changes nothing, nor does a rate that is constant in fact."""
    plain = ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; g")
    batch = Batch(
        np.tile([5.0, 0.8], (500, 1)), np.zeros((500, 1), np.int64), TIMES, STREAM, run_ids(500)
    )
    expected = DirectMethod().sample(plain, batch).states
    for line in ("at X > 1000: X = 0", "at time > 1000: X = 0", "V(0) = 1\nV' = -V"):
        other = ReactionNetwork.from_text(f"0 -> X ; k\nX -> 0 ; g\n{line}")
        np.testing.assert_array_equal(DirectMethod().sample(other, batch).states, expected)


# -- codes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "initial", "code", "culprit"),
    [
        ("X -> 0 ; 1\n0 => X ; cos(time)", [0], SampleCode.INVALID_RATE, 1),
        ("X -> 0 ; 1\n0 => X ; 2 - X + 0 * time", [5], SampleCode.INVALID_RATE, 1),
        ("X -> 0 ; 1\n0 => X ; 1 - 2 * (time > 1)", [5], SampleCode.INVALID_RATE, 1),
        ("0 => X ; sqrt(1 - time)", [0], SampleCode.INVALID_RATE, 0),
        ("0 => X ; 1 / (1 - time)", [0], SampleCode.MAX_EVENTS, -1),
        ("X => 0 ; 1 + time", [2], SampleCode.NEGATIVE_COUNT, 0),
        ("0 -> X ; 10\nat time > 1: X = 0", [2], SampleCode.MAX_EVENTS, -1),
        ("X -> 0 ; 1\nat time > 1: X = 0.5", [2], SampleCode.INVALID_ASSIGNMENT, 1),
        ("X -> 0 ; 1\nat time > 1: X = -1", [2], SampleCode.INVALID_ASSIGNMENT, 1),
        ("X -> 0 ; 1\nat time > 1: X = 1 / 0", [2], SampleCode.INVALID_ASSIGNMENT, 1),
        ("X -> 0 ; 1\nat time > 1 [delay = 1 - time]: X = 3", [2], SampleCode.OK, -1),
        ("X -> 0 ; 1\nat time > 1 [delay = 0 - time]: X = 3", [2], 5, 1),
        ("X -> 0 ; 1\nV(0) = log(0 - 1)", [2], SampleCode.INVALID_ASSIGNMENT, -1),
        ("X -> 0 ; 1\nV(0) = 1\nat V > 2: V = 1\nat V < 2: V = 3\nat time > 1: V = 3", [0], 6, 2),
        ("X -> 0 ; 1\nV(0) = 1\nV' = V ^ 2", [0], SampleCode.INTEGRATION, -1),
        ("X -> 0 ; 1\nV(0) = 1\nV' = piecewise(1, V < 2, -1)", [0], SampleCode.INTEGRATION, -1),
    ],
)  # fmt: skip
def test_codes(text, initial, code, culprit):
    got = sample(text, [], initial, [5.0], 1, DirectMethod(max_events=20))
    assert got.codes[0] == code
    assert got.culprits[0] == culprit
    if code != SampleCode.OK:
        assert np.all(got.states == -1)
        assert got.variables is None or np.all(np.isnan(got.variables))


def test_a_rate_may_touch_zero():
    """1 + cos t is 0 at π, where rounding must not make it negative."""
    got = sample("0 -> X ; k * (1 + cos(time))", [2.0], times=[2 * np.pi])
    assert np.all(got.codes == 0)
    assert_poisson(got.states[:, 0, 0], 4 * np.pi)


def test_options_are_checked():
    with pytest.raises(ParameterError, match=r"`tolerance` is 0, expected 1e-13 to 0.1"):
        DirectMethod(tolerance=0)
    with pytest.raises(ParameterError, match=r"`max_step` is 0, expected a time > 0"):
        DirectMethod(max_step=0)


def test_a_narrow_burst_needs_max_step():
    text = "0 -> X ; 50 * exp(-100 * (time - 30) ^ 2)"
    exact = 50 * np.sqrt(np.pi / 100)
    got = sample(text, times=[60.0], num_runs=500, method=DirectMethod(max_step=0.05))
    assert_poisson(got.states[:, 0, 0], exact)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 -> X ; time", r"the rate of reaction '0 -> X ; time' depends on `time`, but .* needs"),
        ("at X > 3: X = 0", r"the network has event 'at X > 3: X = 0', but .* of reactions alone"),
        ("V(0) = 1", r"the network has variable 'V', but .* takes networks of reactions alone"),
    ],
)
def test_refusals(line, message):
    network = ReactionNetwork.from_text(f"X -> 0 ; 1\n{line}")
    batch = Batch(np.zeros((1, 0)), np.array([[5]]), TIMES, STREAM, run_ids(1))
    pairs = replace(batch, params=np.zeros((1, 2, 0)), initial=np.array([[[5], [5]]]))
    with pytest.raises(CapabilityError, match=message):
        DirectMethod().sample_with_score(network, batch)
    with pytest.raises(CapabilityError, match=message):
        DirectMethod().sample_pairs(network, pairs)
    with pytest.raises(CapabilityError, match=message):
        FiniteStateProjection().distribution(network, [], [5], TIMES)
    if "time" not in line:
        data = {"time": [1.0, 2.0], "X": [3, 2]}
        fixed = tb.Problem(network, data=data, initial={"X": 5})
        with pytest.raises(CapabilityError, match=message):
            LinearNoise().likelihood(fixed)


def test_observables_cannot_read_variables_yet():
    network = ReactionNetwork.from_text("V(0) = 1\nc = X / V\nX -> 0 ; k")
    for formula in ("X / V", "c"):
        with pytest.raises(ModelError, match=r"observable 'y' reads variable 'V', but observables"):
            tb.Problem(
                network,
                data={"time": [1.0], "y": [3]},
                initial={"X": 5},
                observables={"y": formula},
                parameters={"k": 1.0},
            ).bindings

"""Calibration: exact posteriors pass, planted errors are named."""

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests.helpers import arrival
from tumble.diagnostics import check_calibration
from tumble.posteriors import SMCABC, AllData, NearDataSets, Posterior

LOW, HIGH = np.log(0.5), np.log(500)


def arrivals():
    return tb.Problem(
        arrival(), data={"time": [2.0], "X": [37]}, initial={"X": 0},
        parameters={"k": tb.Parameter(0.5, 500)},
    )  # fmt: skip


def drawn(problem, theta, weights):
    """Return a posterior of these draws."""
    basis = NearDataSets(AllData(), theta, weights, np.zeros(len(theta)))
    return Posterior(problem, SMCABC(), theta, weights, basis, (), tb.ResultCode.SUCCESS, "", {})


def told(shift=0.0, stretch=1.0, weighted=False):
    """Return a method that draws from the exact posterior of log k, moved and stretched."""

    def method(problem):
        count = problem.experiments[0].data.values.item()
        grid = np.linspace(LOW, HIGH, 4001)
        logs = count * grid - 2 * np.exp(grid)
        density = np.exp(logs - logs.max())
        rng = np.random.default_rng(int(count))
        z = rng.choice(grid, 400, p=density / density.sum())
        z = z + rng.uniform(-0.5, 0.5, 400) * (grid[1] - grid[0])
        weights = np.full(400, 1 / 400)
        if weighted:  # draws from a wider law, weighted back
            sd = z.std()
            z = rng.normal(z.mean(), 2 * sd, 4000)
            z = z[(z > LOW) & (z < HIGH)]
            logs = count * z - 2 * np.exp(z) + (z - z.mean()) ** 2 / (8 * sd**2)
            weights = np.exp(logs - logs.max())
            weights = weights / weights.sum()
        middle = weights @ z
        sd = np.sqrt(weights @ (z - middle) ** 2)
        theta = np.exp(middle + stretch * (z - middle) + shift * sd)[:, None]
        return drawn(problem, theta, weights)

    return method


@pytest.mark.parametrize("weighted", [False, True], ids=["even", "weighted"])
def test_exact_posteriors_are_calibrated(weighted):
    found = check_calibration(arrivals(), method=told(weighted=weighted), num_repeats=600)
    assert found.is_calibrated and found.verdicts == {"k": "calibrated"}
    for level in (0.5, 0.8, 0.95):
        held = found.coverage(level)["k"] * 600
        assert stats.binomtest(round(held), 600, level).pvalue > 1e-3
    assert "calibrated, as far as" in found.summary()


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"stretch": 0.6}, "too narrow"),
        ({"stretch": 1.7}, "too wide"),
        ({"shift": 0.6}, "too high"),
        ({"shift": -0.6}, "too low"),
    ],
)
def test_planted_errors_are_named(options, verdict):
    found = check_calibration(arrivals(), method=told(**options), num_repeats=300)
    assert not found.is_calibrated
    assert found.verdicts == {"k": verdict}
    assert "NOT CALIBRATED" in found.summary() and verdict in found.summary()


def test_what_parameters_have_to_do_with_each_other_is_seen_jointly():
    """The data tell the sum of two logarithms alone; draws that forget that have right margins."""
    network = tb.ReactionNetwork.from_text("0 -> X ; a")
    problem = tb.Problem(
        network, data={"time": [1.0], "y": [30]}, initial={"X": 0},
        observables={"y": tb.Observable("X * b", noise=tb.noise.Normal(3.0))},
        parameters={"a": tb.Parameter(50, 500), "b": tb.Parameter(0.1, 1)},
    )  # fmt: skip

    def method(problem, forget):
        y = problem.experiments[0].data.values.item()
        rng = np.random.default_rng(int(1000 * abs(y)))
        a, b = rng.uniform(np.log(50), np.log(500), 8_000), rng.uniform(-np.log(10), 0, 8_000)
        # Counts of fifty and more are about normal.
        variance = np.exp(a + 2 * b) + 3.0**2
        logs = -0.5 * (y - np.exp(a + b)) ** 2 / variance - 0.5 * np.log(variance)
        weights = np.exp(logs - logs.max())
        chosen = rng.choice(8_000, 500, p=weights / weights.sum())
        z = np.stack([a[chosen], b[rng.permutation(chosen) if forget else chosen]], axis=1)
        even = np.full(500, 1 / 500)
        return drawn(problem, np.exp(z), even)

    right = check_calibration(problem, method=lambda p: method(p, False), num_repeats=2000)
    wrong = check_calibration(problem, method=lambda p: method(p, True), num_repeats=2000)
    assert right.is_calibrated and not wrong.is_calibrated
    assert wrong.p_values["jointly"] < 1e-4 < 1e-3 < min(wrong.p_values["a"], wrong.p_values["b"])


@pytest.mark.slow
def test_smc_is_calibrated_on_counts():
    found = check_calibration(
        arrivals(), method=SMCABC(num_particles=200, min_acceptance=0.05), num_repeats=200
    )
    assert found.is_calibrated


def test_fits_are_checked_too():
    found = check_calibration(
        arrivals(), method=lambda p: tb.fit(p, num_starts=1, progress=False), num_repeats=12
    )
    assert found.num_repeats + len(found.failed) == 12
    assert found.what == "the function"


def test_answers_that_fail_are_told():
    calls = iter(range(100))

    def method(problem):
        if next(calls) % 4 == 0:
            raise tb.TumbleError("no luck")
        return told()(problem)

    found = check_calibration(arrivals(), method=method, num_repeats=40)
    assert len(found.failed) == 10 and found.num_repeats == 30
    assert "10 repeats had no answer, the first: no luck" in found.summary()
    with pytest.raises(tb.TumbleError, match="only 0 repeats had an answer, the first: never"):
        check_calibration(arrivals(), method=never, num_repeats=12)


def never(problem):
    raise tb.TumbleError("never")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "smc"}, "`method` is 'smc'"),
        ({"method": SMCABC}, "`method` is"),
        ({"num_repeats": 0}, "`num_repeats` is 0"),
        ({"method": lambda p: 3, "num_repeats": 1}, "`method` returned int"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(tb.TumbleError, match=message):
        check_calibration(arrivals(), **options)

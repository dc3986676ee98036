"""Answers side by side."""

import numpy as np
import pytest

import tumble as tb
from tests.helpers import arrival, immigration_death
from tumble._compare import _score
from tumble._errors import ParameterError
from tumble.posteriors import NearDataSets, Posterior, RejectionABC

QUICK = RejectionABC(num_particles=300, num_simulations=20_000)


@pytest.fixture(scope="module")
def problem():
    return tb.Problem(
        immigration_death(), data={"time": [1.0, 2.0, 3.0, 4.0], "X": [29, 41, 43, 38]},
        initial={"X": 0}, parameters={"k": tb.Parameter(5, 200), "gamma": tb.Parameter(0.1, 10)},
    )  # fmt: skip


def drawn(problem, theta):
    """Return a posterior of these draws, whoever made them."""
    weights = np.full(len(theta), 1 / len(theta))
    basis = NearDataSets(tb.posteriors.AllData(), theta, weights, np.zeros(len(theta)))
    return Posterior(
        problem, QUICK, theta, weights, basis, (), tb.ResultCode.SUCCESS, "", {"seconds": 0.0}
    )


def test_a_fit_and_a_posterior_are_told_side_by_side(problem):
    fit = tb.fit(problem, progress=False)
    posterior = tb.sample_posterior(problem, method=QUICK)
    found = tb.compare(fit, posterior, again=posterior)
    assert [row.name for row in found.rows] == ["fit", "RejectionABC", "again"]
    assert found.rows[1].score == found.rows[2].score  # the same random numbers
    text = found.summary()
    assert "energy score" in text and "gamma" in text and len(text.splitlines()) < 25
    for row in found.rows:
        low, high = row.interval["k"]
        assert low < row.median["k"] < high
    assert found.rows[1].runs == 20_200  # 200 to see whether the data are like the model's
    axes = found.plot()
    assert len(axes[0, 0].lines) == 3
    import matplotlib.pyplot as plt

    plt.close("all")


def test_what_does_not_fit_scores_worse(problem):
    good = tb.sample_posterior(problem, method=QUICK)
    wrong = drawn(problem, good.theta * np.array([2.0, 1.0]))
    found = tb.compare(good=good, wrong=wrong)
    one, other = found.rows
    assert found.best is one
    assert other.score - one.score > 4 * np.hypot(one.error, other.error)


def test_the_score_is_that_of_the_laws():
    # Of normal draws in one dimension, E|x - y| - E|x - x'| / 2 is known.
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2000, 1))
    score, error = _score(x, np.array([0.0]), np.ones(1))
    exact = np.sqrt(2 / np.pi) - 1 / np.sqrt(np.pi)
    assert abs(score - exact) < 4 * error
    again = [_score(rng.standard_normal((500, 1)), np.zeros(1), np.ones(1)) for _ in range(200)]
    scores, errors = np.array(again).T
    assert scores.std() == pytest.approx(errors.mean(), rel=0.25)


def test_what_makes_no_sense_is_refused(problem):
    posterior = tb.sample_posterior(problem, method=QUICK)
    other = tb.Problem(
        arrival(), data={"time": [2.0], "X": [7]}, initial={"X": 0},
        parameters={"k": tb.Parameter(1, 100)},
    )  # fmt: skip
    with pytest.raises(ParameterError, match="different parameters"):
        tb.compare(posterior, tb.sample_posterior(other, method=QUICK))
    with pytest.raises(ParameterError, match="hold 1 of them"):
        tb.compare(posterior)
    with pytest.raises(ParameterError, match="hold 'fit'"):
        tb.compare(posterior, "fit")
    with pytest.raises(ParameterError, match="`num_samples` is 0"):
        tb.compare(posterior, posterior, num_samples=0)

"""Figures of posteriors."""

import matplotlib as mpl
import numpy as np
import pytest

import tumble as tb
from tests.helpers import arrival, immigration_death
from tumble._errors import ParameterError
from tumble.diagnostics import Calibration
from tumble.posteriors import RejectionABC

QUICK = RejectionABC(num_particles=200, num_simulations=2000)


@pytest.fixture(autouse=True)
def closed():
    mpl.use("Agg")
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def posterior():
    problem = tb.Problem(
        immigration_death(), data={"time": [1.0, 2.0], "X": [7, 9]}, initial={"X": 0},
        parameters={"k": tb.Parameter(1, 100), "gamma": tb.Parameter(0.1, 10)},
    )  # fmt: skip
    return tb.sample_posterior(problem, method=QUICK)


def test_every_parameter_and_every_pair_is_drawn(posterior):
    axes = posterior.plot()
    assert axes.shape == (2, 2) and not axes[0, 1].axison
    assert axes[1, 0].get_xlabel() == "k" and axes[1, 0].get_ylabel() == "gamma"
    axes[1, 0].figure.canvas.draw()
    shown = [float(t.get_text()) for t in axes[1, 0].get_xticklabels()]
    low, high = np.quantile(posterior.theta[:, 0], [0.05, 0.95])
    assert any(low < x < high for x in shown)  # natural values, not logarithms


def test_several_are_drawn_over_each_other_with_names(posterior):
    fit = tb.fit(posterior.problem, progress=False)
    axes = tb.plot.posteriors({"ABC": posterior, "fit": fit})
    assert len(axes[0, 0].lines) == 2
    texts = [t.get_text() for t in axes[0, 0].figure.legends[0].get_texts()]
    assert texts == ["ABC", "fit"]


def test_what_makes_no_sense_is_refused(posterior):
    other = tb.Problem(
        arrival(), data={"time": [2.0], "X": [7]}, initial={"X": 0},
        parameters={"k": tb.Parameter(1, 100)},
    )  # fmt: skip
    with pytest.raises(ParameterError, match="different parameters"):
        tb.plot.posteriors({"a": posterior, "b": tb.sample_posterior(other, method=QUICK)})
    with pytest.raises(ParameterError, match="expected to be a Posterior"):
        tb.plot.posteriors([posterior])
    with pytest.raises(ParameterError, match="what check_calibration returns"):
        tb.plot.ranks(posterior)


def test_ranks_are_drawn_against_their_band():
    rng = np.random.default_rng(0)
    ranks = rng.random((300, 2))
    ranks[:, 1] = ranks[:, 1] ** 0.5  # a posterior that is too low
    found = Calibration(("a", "b"), ranks, rng.random(300), ranks, (), "a method")
    ax = found.plot()
    band = ax.patches[0].get_extents().transformed(ax.transData.inverted())
    right, low, _ = (np.asarray(line.get_ydata()) for line in ax.lines[:3])
    assert np.abs(right).max() < band.y1 and low.min() < band.y0
    # The line is the empirical distribution less the diagonal.
    at = np.asarray(ax.lines[0].get_xdata())
    below = (ranks[:, 0] <= at[:, None]).mean(1)
    assert np.abs(right - (below - at)).max() <= 1 / 300 + 1e-12


def test_profiles_are_drawn_with_their_intervals():
    from tumble.diagnostics import Profile, Profiles

    values = np.linspace(0.1, 10, 21)
    found = Profiles(
        (
            Profile("k", values, (values - 5) ** 2, (3.6, 6.4)),
            Profile("gamma", values, np.zeros(21), (-np.inf, np.inf)),
        ),
        0.95,
    )
    axes = tb.plot.profiles(found)
    assert [ax.get_title() for ax in axes] == ["identified", "not identified"]
    assert axes[1].get_xscale() == "log"
    np.testing.assert_array_equal(axes[0].lines[0].get_ydata(), found.profiles[0].drop)
    with pytest.raises(ParameterError, match="profile_likelihood"):
        tb.plot.profiles(values)

"""Surfaces, ways and choices of searches for networks."""

import numpy as np
import pytest

from tumble import Parameter, Problem, ReactionNetwork, fit, learn_structure, plot, simulate
from tumble._errors import DataError
from tumble.objectives import MomentMatching, PathLikelihood
from tumble.structure import ChoiceSearch, mass_action

DECAY = ReactionNetwork.from_text("0 -> X ; k\nX -> 0 ; g")


@pytest.fixture(scope="module")
def problem():
    data = simulate(DECAY, {"k": 50.0, "g": 1.0}, initial={"X": 5}, times=[0.5, 1, 2, 4],
                    num_samples=3, seed=1)  # fmt: skip
    unknown = {"k": Parameter(1, 1e3), "g": Parameter(0.01, 10)}
    return Problem(DECAY, data=data, initial={"X": 5}, parameters=unknown)


@pytest.fixture(scope="module")
def found(problem):
    return learn_structure(
        problem, library=mass_action(["X"]), method=ChoiceSearch(2, 2, 10, series=1)
    )


@pytest.fixture
def axes():
    from matplotlib.figure import Figure

    return Figure().subplots(1, 2)


@pytest.mark.parametrize("objective", [None, PathLikelihood(), MomentMatching()])
def test_surfaces_have_their_low_where_the_way_ends(problem, axes, objective):
    done = fit(problem, num_starts=1)
    both = plot.response_surface(done, objective=objective, num_points=5, num_runs=8, ax=axes)
    for ax in both:
        way, end = ax.lines[0], ax.lines[1]
        assert len(way.get_xdata()) == len(done.history) + 1
        np.testing.assert_allclose(end.get_xdata(), done.theta[:1])
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("k", "g")
    assert [ax.get_xscale() for ax in both] == ["linear", "log"]
    swapped = plot.response_surface(done, ["g", "k"], num_points=2, num_runs=8, ax=axes)
    assert swapped[0].get_xlabel() == "g"


def test_ways_are_simulated_as_they_are(problem, found, axes):
    good = ReactionNetwork.from_text("0 -> X ; 50\nX -> 0 ; 1")
    bad = ReactionNetwork.from_text("0 -> X ; 500\nX -> 0 ; 1")
    ax = plot.loss_paths(
        problem, {"right": [bad, good], "choice": found.path(0)}, num_runs=32, ax=axes[0]
    )
    first, second = ax.lines[0].get_ydata()
    assert first > 10 * second
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["right", "choice"]


def test_choices_are_shares_by_iteration(found, axes):
    ax = plot.chosen_reactions(found, 1, most=3, ax=axes[0])
    assert 0 < len(ax.lines) <= 3
    for line in ax.lines:
        r = found.library.equations.index(line.get_label())
        np.testing.assert_array_equal(line.get_ydata(), found.descents[1].shares[:, r])


def test_what_is_wrong_is_said(problem, found):
    other = learn_structure(problem, library=mass_action(["X"], 1))
    with pytest.raises(DataError, match=r"`found` has no descents: it was not found by"):
        plot.chosen_reactions(other)
    with pytest.raises(DataError, match=r"`start` is 2, expected one of 0 … 1"):
        plot.chosen_reactions(found, 2)
    decay = ReactionNetwork.from_text("X -> 0 ; g")
    single = Problem(decay, data={"time": [1.0, 2.0], "X": [3, 1]}, initial={"X": 5},
                     parameters={"g": Parameter(0.01, 10)})  # fmt: skip
    with pytest.raises(DataError, match=r"`fit` has one parameter, but a surface needs two"):
        plot.response_surface(fit(single, num_starts=1))

"""Scores and pairs of large networks: what the kernels for small ones give, at any size."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import test_coupled_lanes, test_scored_lanes
from tumble import Experiment, Parameter, Problem
from tumble._random import Stream, run_ids
from tumble._results import SampleCode
from tumble.gradients import CoupledDifference, LinearResponse, ScoreFunction
from tumble.kernels import _coupled_lanes, _scored_lanes
from tumble.kernels._coupled_tree import coupled_pairs_in_trees
from tumble.kernels._scored_tree import direct_method_in_trees_with_exposure
from tumble.models import ReactionNetwork
from tumble.objectives import MomentMatching
from tumble.simulators import Batch, DirectMethod


def together(make, *arguments, **options):
    """Run a test's case by the lanes and by the trees, which see the same job."""
    lanes = make(*arguments, True, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(test_scored_lanes, "direct_method_with_exposure",
                      direct_method_in_trees_with_exposure)  # fmt: skip
        patch.setattr(test_coupled_lanes, "coupled_pairs_in_lanes", coupled_pairs_in_trees)
        return lanes, make(*arguments, True, **options)


@pytest.mark.parametrize("name", test_scored_lanes.CASES)
def test_scores_are_those_of_the_lanes(name):
    lanes, trees = together(test_scored_lanes.run, test_scored_lanes.CASES[name], 300)
    # Sums in another order: a path may differ where a uniform falls between them, which none does.
    test_scored_lanes.assert_same(trees, lanes)


@pytest.mark.parametrize("name", test_coupled_lanes.CASES)
def test_pairs_are_those_of_the_lanes(name):
    lanes, trees = together(test_coupled_lanes.run, test_coupled_lanes.CASES[name], 300)
    test_coupled_lanes.assert_same(trees, lanes)


def test_failures_end_with_codes():
    case = test_scored_lanes.CASES["immigration-death"]
    lanes, trees = together(test_scored_lanes.run, case, 100, max_events=70)
    assert set(trees[1]) == {SampleCode.OK, SampleCode.MAX_EVENTS}
    test_scored_lanes.assert_same(trees, lanes)
    rates = np.tile([10.0, 1.0], (40, 2, 1))
    rates[3, 0, 0], rates[5, 1, 1], rates[39, 1, 0] = np.nan, -1.0, np.inf
    case = test_coupled_lanes.CASES["immigration-death"]
    _, trees = together(test_coupled_lanes.run, case, 40, rates=rates)
    assert np.flatnonzero(trees[1]).tolist() == [3, 5, 39]
    assert np.all(trees[0][[3, 5, 39]] == -1)


def colonies(size):
    """Counts that come at k and go at g, each by itself, and one in ten by a rate law."""
    lines = []
    for i in range(size):
        lines.append(f"0 -> X{i} ; k{i}")
        lines.append(f"X{i} => 0 ; g * X{i}" if i % 10 == 0 else f"X{i} -> 0 ; g")
    return ReactionNetwork.from_text("\n".join(lines))


@pytest.mark.parametrize(
    "estimator",
    [
        ScoreFunction(),
        pytest.param(ScoreFunction(LinearResponse()), marks=pytest.mark.slow),
        CoupledDifference(),
    ],
    ids=["score", "linear response", "pairs"],
)
def test_gradients_of_many_reactions_are_exact(estimator, monkeypatch):
    """E[X_i(t)] = k_i / g (1 − e^{−g t}); two rates are unknown among 240 reactions."""

    def forbidden(*_):
        raise AssertionError("kernels for small networks are not for this one")

    monkeypatch.setattr(_scored_lanes, "direct_method_with_exposure", forbidden)
    monkeypatch.setattr(_coupled_lanes, "coupled_pairs_in_lanes", forbidden)
    network = colonies(120)
    fixed = {f"k{i}": 2.0 for i in range(1, 120)}
    problem = Problem(
        network,
        [Experiment({"time": [0.5, 2.0], "X0": [9.0, 12.0], "X7": [9.0, 12.0]},
                    {f"X{i}": 1 for i in range(120)})],
        {**fixed, "k0": Parameter(0.1, 100), "g": Parameter(0.1, 10)},
    )  # fmt: skip
    bound, z = MomentMatching(order=1).bind(problem), np.log([5.0, 0.8])
    found = estimator.estimate(bound, z, 10_000, Stream.from_seed(2))

    def value(z):
        k, g = np.exp(z)
        times = np.array([0.5, 2.0])
        decay = np.exp(-g * times)
        means = np.stack([decay + k / g * (1 - decay), decay + 2 / g * (1 - decay)], axis=-1)
        return bound.value(means.ravel())

    step = 1e-5
    exact = np.array([(value(z + step * e) - value(z - step * e)) / (2 * step) for e in np.eye(2)])
    assert np.all(np.abs(found.gradient - exact) < 4 * found.standard_errors)
    assert np.all(found.standard_errors < 0.3 * np.abs(exact))


def test_scored_paths_are_those_that_are_sampled():
    network = colonies(120)
    params = np.tile(
        network.params_vector({f"k{i}": 2.0 for i in range(120)} | {"g": 0.8}), (50, 1)
    )
    batch = Batch(
        params, np.ones((50, 120), np.int64), np.array([0.5, 2.0]), Stream.from_seed(4), run_ids(50)
    )
    scored = DirectMethod().sample_with_score(network, batch)
    assert np.array_equal(scored.states, DirectMethod().sample(network, batch).states)
    assert not scored.codes.any() and np.all(np.isfinite(scored.score))

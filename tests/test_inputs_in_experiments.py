"""Conditions of an experiment that are functions of time."""

from __future__ import annotations

import numpy as np
import pytest

import tumble as tb
from tests import helpers
from tumble._errors import ModelError
from tumble._random import Stream
from tumble.inputs import LinearInput, StepInput
from tumble.objectives import MomentMatching
from tumble.simulators import LinearNoise

TIMES = np.array([2.0, 4.0, 6.0, 8.0])
DOSE = StepInput([0.0, 5.0], [2.0, 20.0])


def mean(before, after, gamma):
    """E[X] of immigration at a rate that changes at 5, and death, from 0."""

    def relaxed(k, t):
        return k / gamma * (1 - np.exp(-gamma * t))

    early = relaxed(before, np.minimum(TIMES, 5))
    left = np.maximum(TIMES - 5, 0)
    return early * np.exp(-gamma * left) + relaxed(after, left)


def problem(dose=DOSE, **options):
    """A constant rate in one experiment, and a dose that changes at 5 in the other."""
    dosed, plain = (
        tb.Experiment(
            {"time": TIMES, "X": values}, initial={"X": 0}, conditions=conditions, kind="mean",
            num_averaged=1000,
        )
        for values, conditions in [
            (mean(2.0, 20.0, 0.5), {"k": dose}), (mean(7.0, 7.0, 0.5), {}),
        ]
    )  # fmt: skip
    return tb.Problem(
        helpers.immigration_death(),
        experiments=[dosed, plain],
        parameters={"k": tb.Parameter(0.1, 100), "gamma": tb.Parameter(0.01, 10)},
        **options,
    )


def test_each_experiment_runs_under_its_own_conditions():
    stream = Stream.from_seed(0)
    for e, expected in enumerate([mean(2.0, 20.0, 0.5), mean(7.0, 7.0, 0.5)]):
        sample = problem().simulate_binding(e, np.array([7.0, 0.5]), stream.child(e), 4_000)
        error = sample.states[..., 0].std(0) / np.sqrt(4_000)
        assert np.all(np.abs(sample.states[..., 0].mean(0) - expected) < 4 * error)


def test_the_linear_noise_moments_follow_the_dose():
    from tumble.objectives import Surrogate

    bound = MomentMatching(order=1).bind(problem())
    moments, _ = Surrogate(LinearNoise(), bound).moments(np.log([7.0, 0.5]))
    expected = np.concatenate([mean(2.0, 20.0, 0.5), mean(7.0, 7.0, 0.5)])
    assert np.allclose(moments, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_fit_finds_the_rates():
    fit = tb.fit(problem(), seed=0)
    assert fit.result.ok
    for name, truth in {"k": 7.0, "gamma": 0.5}.items():
        low, high = next(e for e in fit.estimates if e.name == name).interval
        assert low < truth < high


def test_what_a_simulator_offers_depends_on_how_inputs_change():
    """A dose that jumps leaves scores and pairs; one that rises smoothly leaves samples alone."""
    tried = {}
    for name, dose in [
        ("jump", DOSE),
        ("slope", LinearInput(TIMES, np.linspace(1, 2, len(TIMES)))),
    ]:
        choice = tb.gradients.Auto().choose(
            MomentMatching(order=1).bind(problem(dose)),
            np.log([7.0, 0.5]),
            Stream.from_seed(0),
            num_runs=600,
        )
        tried[name] = {type(e).__name__ for e, _ in choice.pilots}
        assert ("not proven" in str(choice)) == (name == "slope")
    assert tried["jump"] == {"ScoreFunction", "CoupledDifference"}
    assert tried["slope"] == {"SPSA", "GaussianSmoothing"}


def test_a_black_box_is_told_to_compute_functions_of_time_itself():
    box = tb.BlackBox(lambda params, times, rng: times * params["k"], ["k"], ["X"])
    with pytest.raises(ModelError, match=r"`conditions\['k'\]` is a function of time, which"):
        tb.Problem(
            box,
            experiments=[
                tb.Experiment({"time": TIMES, "X": TIMES}, conditions={"k": DOSE}, kind="mean",
                              num_averaged=10)
            ],
            parameters={"k": tb.Parameter(0.1, 100)},
        )  # fmt: skip

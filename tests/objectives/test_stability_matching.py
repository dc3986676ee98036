"""Stability matching: its weights, what it refuses, and that nothing frozen wins."""

import numpy as np
import pytest

import tumble as tb
from tumble._errors import DataError
from tumble._random import Stream
from tumble.models import FitzHughNagumoLatticeGas, Grid, Restarts
from tumble.objectives import LossOfExpectations, StabilityMatching

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}
GAS = FitzHughNagumoLatticeGas(Grid((24, 24)), stripe=(9, 14))
FREE = {name: tb.Parameter(1e-6, 2.0, start=value) for name, value in TRUTH.items()}


def model_of(frames, interval=100):
    times = [float(interval * k) for k in range(frames)]
    kept = tb.simulate(GAS, TRUTH, times=times, seed=1, outputs=tb.outputs.Frames())
    movie = np.stack([kept.states["A"][0], kept.states["B"][0]], axis=1)
    return Restarts(GAS, movie, interval)


def problem_of(model, names=None):
    data = model.data if names is None else model.data.sel(observable=names)
    return tb.Problem(model, [tb.Experiment(data, initial=model.starts)], FREE)


def test_weights_are_inverse_variances_of_successive_differences():
    model = model_of(5)
    names = ["var_A", "stability"]
    bound = StabilityMatching().bind(problem_of(model, names))
    seen = model.data.sel(observable=names).values[:, 0]
    s2 = (np.diff(seen, axis=0) ** 2).mean(0) / 2
    assert np.isclose(bound.value(bound.target), 0.0)
    shift = np.tile(np.sqrt(s2) * [1.0, 2.0], 4)
    assert np.isclose(bound.value(bound.target + shift), (1 + 4) / 2)


def test_the_frozen_state_is_excluded_but_wins_on_stability_alone():
    model = model_of(5)
    frozen = {**TRUTH, "D_A": 1e-5, "D_B": 1e-5}
    runs = {}
    for name, params in (("truth", TRUTH), ("frozen", frozen)):
        runs[name] = np.stack([
            tb.simulate(model, params, times=[100.0], num_samples=6, seed=2,
                        initial={"frame": float(k)}).mean()[0]
            for k in range(4)
        ])  # fmt: skip
    bound = StabilityMatching().bind(problem_of(model))
    losses = {name: bound.value(np.ravel(m)) for name, m in runs.items()}
    assert losses["frozen"] > 5 * losses["truth"]
    alone = LossOfExpectations(lambda m, y: m.mean()).bind(problem_of(model, ["stability"]))
    published = {name: alone.value(m[:, -1]) for name, m in runs.items()}
    assert published["frozen"] < published["truth"] - 0.5


def test_gradients_are_those_of_the_loss():
    """Coupled runs at the truth: the slope of the loss is 2 J W (m − y), by the same runs."""
    model = model_of(4, 20)
    bound = StabilityMatching().bind(problem_of(model))
    z = bound.problem.space.to_fit(np.array(list(TRUTH.values())))
    found = tb.gradients.CoupledDifference().estimate(bound, z, 4, Stream.from_seed(0))
    assert found.gradient.shape == (5,)
    assert np.isfinite(found.gradient).all()


@pytest.mark.parametrize(
    ("names", "frames", "message"),
    [
        (["var_A"], 5, "Restarts"),
        (["stability"], 5, "never changes"),
        (None, 3, "3 frames or more"),
    ],
)
def test_what_makes_no_sense_is_refused(names, frames, message):
    with pytest.raises(DataError, match=message):
        StabilityMatching().bind(problem_of(model_of(frames, 2), names))


def test_other_models_are_refused():
    seen = tb.simulate(GAS, TRUTH, times=[1.0], num_samples=4)
    with pytest.raises(DataError, match="stability"):
        StabilityMatching().bind(tb.Problem(GAS, data=seen, parameters=FREE))

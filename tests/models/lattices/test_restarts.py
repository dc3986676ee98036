"""Runs from frames that were seen, and how stable they are."""

import numpy as np
import pytest

import tumble as tb
from tumble._errors import DataError, ParameterError
from tumble._random import Stream, run_ids
from tumble.models import FitzHughNagumoLatticeGas, Grid, Restarts
from tumble.simulators import Batch, LatticeSteps

TRUTH = {"k1": 0.98, "k2": 0.1, "k3": 0.2, "D_A": 0.1, "D_B": 0.4}
GAS = FitzHughNagumoLatticeGas(Grid((6, 6)), capacity=10, rate=0.2, stripe=(2, 3))


class From(FitzHughNagumoLatticeGas):
    """Starts from the second frame of the movie."""

    def start(self, params, draw):
        import jax.numpy as jnp

        return {k: jnp.asarray(movie()[1, i], float) for i, k in enumerate("AB")}


def movie():
    return np.random.default_rng(0).integers(0, 11, (4, 2, 6, 6))


def batch(initial, runs, steps=7):
    count = len(initial)
    params = np.tile(list(TRUTH.values()), (count, 1))
    return Batch(params, np.asarray(initial, float), np.array([steps]), Stream(5), runs)


def test_a_run_goes_on_from_its_frame_bit_by_bit():
    model = Restarts(GAS, movie(), 7)
    plain = From(GAS.grid, capacity=10, rate=0.2, stripe=(2, 3))
    found = LatticeSteps().sample(model, batch([[1.0]] * 3, run_ids(3))).states
    expected = LatticeSteps().sample(plain, batch(np.zeros((3, 0)), run_ids(3))).states
    assert np.array_equal(found[..., :-1], expected)


def test_stability_is_the_log_of_squared_change():
    model = Restarts(GAS, movie(), 7)
    found = LatticeSteps().sample(model, batch([[1.0]], run_ids(1))).states
    plain = From(GAS.grid, capacity=10, rate=0.2, stripe=(2, 3))
    kept, _ = LatticeSteps().record_frames(plain, batch(np.zeros((1, 0)), run_ids(1)))
    after = np.stack([kept[k][0, 0] for k in "AB"])
    assert np.isclose(found[0, 0, -1], np.log(((after - movie()[1]) ** 2).sum()))
    frozen = LatticeSteps().sample(model, batch([[1.0]], run_ids(1), steps=0)).states
    assert frozen[0, 0, -1] == 0.0


def test_the_data_are_the_outputs_of_frames_that_followed():
    model = Restarts(GAS, [movie(), movie()[:2]], 7)
    assert model.starts["frame"].tolist() == [0, 1, 2, 3]
    assert model.data.dims == ("replicate", "time", "observable")
    assert model.data.time.values.tolist() == [7.0]
    a, b = movie()[2].astype(float)
    row = model.data.isel(replicate=1, time=0).to_series()
    assert np.isclose(row["A"], a.mean())
    assert np.isclose(row["var_B"], b.var())
    assert np.isclose(row["stability"], np.log(((movie()[2] - movie()[1]) ** 2).sum()))
    side = np.tanh(4 * a / 10 - 2)
    wall = sum(np.abs(side - np.roll(side, -1, axis)).mean() for axis in (0, 1)) / 2
    assert np.isclose(row["wall"], wall)
    assert np.allclose(model.data.values[3], model.data.values[0])


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ParameterError, match="interval"):
        Restarts(GAS, movie(), 0)
    with pytest.raises(DataError, match="two frames"):
        Restarts(GAS, movie()[:1], 5)


def test_restarts_are_simulated_like_any_model():
    model = Restarts(GAS, movie(), 7)
    found = tb.simulate(model, TRUTH, times=[7.0], num_samples=3, initial={"frame": 2.0})
    assert found.species == model.outputs
    assert not found.codes.any()

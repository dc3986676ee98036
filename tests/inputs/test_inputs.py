"""Parameters that are functions of time."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy.interpolate import CubicSpline

import tumble as tb
from tumble._errors import ModelError, ParameterError, SimulationError
from tumble.inputs import LinearInput, SplineInput, StepInput

KNOTS = [0.5, 1.0, 3.0, 4.0]
VALUES = [2.0, 8.0, 1.0, 5.0]
GRID = np.linspace(0, 5, 401)
BIRTHS = tb.ReactionNetwork.from_text("0 -> X ; k")
RUNS = 10_000


def values_of(given, times=GRID):
    return np.broadcast_to(given.expression({"time": np.asarray(times)}), np.shape(times))


def test_steps():
    exact = np.select([GRID < 1, GRID < 3, GRID < 4], [2.0, 8.0, 1.0], 5.0)
    np.testing.assert_array_equal(values_of(StepInput(KNOTS, VALUES)), exact)


def test_lines():
    exact = np.interp(GRID, KNOTS, VALUES)
    np.testing.assert_allclose(values_of(LinearInput(KNOTS, VALUES)), exact, atol=1e-13)


def test_splines():
    exact = CubicSpline(KNOTS, VALUES, bc_type="natural")(np.clip(GRID, 0.5, 4))
    np.testing.assert_allclose(values_of(SplineInput(KNOTS, VALUES)), exact, atol=1e-12)


def test_a_thousand_knots():
    knots = np.arange(1000.0)
    exact = np.interp([3.5, 998.5], knots, knots % 7)
    np.testing.assert_allclose(values_of(LinearInput(knots, knots % 7), [3.5, 998.5]), exact)


@pytest.mark.parametrize("member", [StepInput, LinearInput, SplineInput])
def test_births_at_an_input_are_poisson(member):
    given = member(KNOTS, VALUES)
    times = [0.7, 2.0, 5.0]
    run = tb.simulate(BIRTHS, {"k": given}, initial={"X": 0}, times=times, num_samples=RUNS, seed=3)
    for i, t in enumerate(times):
        fine = np.linspace(0, t, 400_001)
        middles = (fine[1:] + fine[:-1]) / 2
        mean = values_of(given, middles).mean() * t
        x = run.data.values[:, i, 0]
        assert abs(x.mean() - mean) <= 4 * np.sqrt(mean / RUNS)
        assert abs(x.var() - mean) <= 4 * np.sqrt((mean + 2 * mean**2) / RUNS)
    assert run.inputs == {"k": given}
    assert run.params == {}


def test_an_intervention():
    """Infection stops at t = 1: what is left are deaths, Binomial(I(1), e^{−γ (t − 1)})."""
    sir = tb.ReactionNetwork.from_text("S + I -> 2 I ; beta\nI -> R ; gamma")
    params = {"beta": StepInput([0, 1], [0.02, 0]), "gamma": 0.5}
    run = tb.simulate(
        sir, params, initial={"S": 90, "I": 10, "R": 0}, times=[1, 3], num_samples=RUNS, seed=5
    )
    s, i = run.data.values[:, :, 0], run.data.values[:, :, 1]
    np.testing.assert_array_equal(s[:, 0], s[:, 1])
    assert s[:, 0].std() > 5
    survival = np.exp(-0.5 * 2)
    excess = i[:, 1] - survival * i[:, 0]
    error = np.sqrt(survival * (1 - survival) * i[:, 0].mean() / RUNS)
    assert abs(excess.mean()) <= 4 * error


def test_a_trajectory_with_variables_and_inputs(tmp_path):
    network = tb.ReactionNetwork.from_text("V(0) = 2\nV' = -k * V\n0 -> X ; b\nat V < 1: V = 2")
    run = tb.simulate(
        network, {"k": StepInput([0], [0.5]), "b": 3.0}, initial={"X": 0}, times=[0, 1, 2],
        num_samples=4,
    )  # fmt: skip
    assert run.variables.dims == ("sample", "time", "variable")
    np.testing.assert_allclose(run.variables.sel(variable="V").values[:, 1], 2 * np.exp(-0.5))
    after = 2 * np.exp(-0.5 * (2 - np.log(2) / 0.5))
    np.testing.assert_allclose(run.variables.sel(variable="V").values[:, 2], after, rtol=1e-8)
    assert "V: 1.47152 ± " in run.summary()
    assert "k = StepInput" in run.summary()
    with xr.open_dataset(run.save(tmp_path / "run.nc"), engine="h5netcdf") as read:
        np.testing.assert_array_equal(read["variables"], run.variables)
        np.testing.assert_array_equal(read["counts"], run.data)
        assert read.attrs["param_b"] == 3.0
        assert read.attrs["input_k"] == "0.5"


def test_an_error_names_the_event():
    network = tb.ReactionNetwork.from_text("0 -> X ; k\nat time > 1: X = 0.5")
    message = r"not a finite number.*\(INVALID_ASSIGNMENT\): event 'at time > 1: X = 0.5' in 1"
    with pytest.raises(SimulationError, match=message):
        tb.simulate(network, {"k": 1.0}, initial={"X": 0}, times=[2.0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: StepInput([0, 1], [1]), r"`times` has shape \(2,\) and `values` \(1,\), expected"),
        (lambda: LinearInput([0], [1]), r"expected lists of the same length, at least 2"),
        (lambda: StepInput([1, 0], [1, 1]), r"`times` must be finite and ascending"),
        (lambda: StepInput(["a"], [1]), r"`times` is \['a'\], expected numbers"),
    ],
)
def test_bad_inputs(make, message):
    with pytest.raises(ParameterError, match=message):
        make()


def test_inputs_fit_the_network():
    with pytest.raises(ModelError, match=r"`inputs` has parameter 'kk', .* has k. Did you mean"):
        BIRTHS.with_inputs({"kk": StepInput([0], [1])})
    with pytest.raises(ModelError, match=r"`inputs\['k'\]` is 3, expected a member of tumble.inp"):
        BIRTHS.with_inputs({"k": 3})
    with pytest.raises(ModelError, match=r"`params\['k'\]` is -1.0, expected a finite number ≥ 0"):
        BIRTHS.with_inputs({"k": StepInput([0, 1], [1, -1])})
    changed = BIRTHS.with_inputs({"k": StepInput([0, 10], [2, 0.5])})
    assert changed.to_text().splitlines() == ["k = where(time < 10, 2, 0.5)", "0 -> X ; k"]
    assert changed.parameters == ()

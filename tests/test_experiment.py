from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests import helpers
from tumble import priors
from tumble._errors import DataError, ParameterError
from tumble._experiment import Experiment
from tumble._parameters import Ref
from tumble._simulate import simulate
from tumble.simulators import DirectMethod

TABLE = {"time": [0.0, 1.0, 2.5], "A": [3, np.nan, 4], "B": [0, 1, 2]}
VALUES = np.array([[[3, 0], [np.nan, 1], [4, 2]]], dtype=float)


def array(values=VALUES, dims=("replicate", "time", "observable"), **coords):
    coords = {"time": TABLE["time"], "observable": ["A", "B"], **coords}
    return xr.DataArray(values, dims=dims, coords={k: v for k, v in coords.items() if k in dims})


FORMS = {
    "mapping": TABLE,
    "frame": pd.DataFrame(TABLE),
    "indexed frame": pd.DataFrame(TABLE).set_index("time"),
    "array": array(),
    "transposed array": array().transpose("observable", "replicate", "time"),
    "array without replicates": array(VALUES[0], ("time", "observable")),
}


@pytest.mark.parametrize("form", FORMS)
def test_data_in_any_form_are_the_same(form):
    observed = Experiment(FORMS[form], {"A": 3}).data
    np.testing.assert_array_equal(observed.values, VALUES)
    assert observed.values.dtype == float
    np.testing.assert_array_equal(observed.times, TABLE["time"])
    assert observed.names == ("A", "B")
    assert observed.num_replicates == 1


def test_an_array_of_one_observable_bears_its_name():
    single = array(VALUES[0, :, 1], ("time",)).rename("B")
    observed = Experiment(single, {}).data
    assert observed.names == ("B",)
    np.testing.assert_array_equal(observed.values[0, :, 0], [0, 1, 2])


def test_runs_of_a_trajectory_become_replicates_failed_ones_apart():
    run = simulate(
        helpers.birth_death(), {"birth": 1.0, "death": 1.0}, initial={"X": 4}, times=[0.5, 1.0],
        num_samples=40, simulator=DirectMethod(max_events=12),
    )  # fmt: skip
    failed = int(np.sum(run.codes != 0))
    assert 0 < failed < 40
    observed = Experiment(run, {"X": 4}).data
    assert observed.values.shape == (40 - failed, 2, 1)
    assert observed.values.min() >= 0
    assert observed.names == ("X",)


def test_defaults():
    experiment = Experiment(TABLE, {"A": 1})
    assert experiment.kind == "series"
    assert experiment.start == 0
    assert experiment.conditions == {}
    assert experiment.num_averaged is None


def test_start_may_lie_before_zero_or_at_the_first_datum():
    assert Experiment(TABLE, {}, start=-3.0).start == -3.0
    assert Experiment(TABLE, {}, start=0.0).start == 0.0


# -- initial values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [4, 4.0, np.int64(4), Ref("n"), Ref("n", 2), priors.Poisson(3.0), [4], np.array([4])]
)
def test_initial_values_of_every_kind(value):
    Experiment(TABLE, {"A": value})


def test_an_array_of_initial_values_makes_one_experiment_a_replicate():
    data = array(np.concatenate([VALUES, VALUES + 1]))
    whole = Experiment(data, {"A": [3, 5], "B": 7, "C": Ref("c")}, {"k": 2.0}, start=-1.0)
    pieces = whole.split_initial()
    assert [p.initial["A"] for p in pieces] == [3.0, 5.0]
    for i, piece in enumerate(pieces):
        np.testing.assert_array_equal(piece.data.values, data.values[i : i + 1])
        assert piece.initial["B"] == 7
        assert piece.initial["C"] == Ref("c")
        assert (piece.conditions, piece.start, piece.kind) == ({"k": 2.0}, -1.0, "series")


def test_without_arrays_there_is_nothing_to_split():
    experiment = Experiment(array(np.concatenate([VALUES, VALUES])), {"A": 3})
    assert experiment.split_initial() == (experiment,)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("many", r"`initial\['A'\]` is 'many', expected a number, a Ref, a prior or an array\."),
        (None, r"`initial\['A'\]` is None, expected|`initial\['A'\]` is None"),
        (
            [1, 2],
            r"`initial\['A'\]` has shape \(2,\), expected a number or one a replicate \(1\)\.",
        ),
        ([[1]], r"`initial\['A'\]` has shape \(1, 1\), expected a number or one a replicate"),
        (-1, r"`initial\['A'\]` is -1, expected whole numbers ≥ 0 \(a Ref to a parameter may take"),
        (1.5, r"`initial\['A'\]` is 1\.5, expected whole numbers ≥ 0"),
        (np.nan, r"`initial\['A'\]` is nan, expected whole numbers"),
        (np.inf, r"`initial\['A'\]` is inf, expected whole numbers"),
        ([2.5], r"`initial\['A'\]` is \[2\.5\], expected whole numbers"),
    ],
)
def test_initial_values_that_make_no_sense(value, message):
    with pytest.raises(ParameterError, match=message):
        Experiment(TABLE, {"A": value})


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "pairs"}, r"`kind` is 'pairs', expected one of series, mean, snapshots\."),
        ({"kind": "mean"}, r"`num_averaged` and kind='mean' go together: give both or neither\."),
        ({"num_averaged": 3}, r"`num_averaged` and kind='mean' go together"),
        ({"kind": "mean", "num_averaged": 0}, r"`num_averaged` is 0, expected at least 1\."),
        ({"start": 0.5}, r"`data` begin at time 0, before `start` = 0\.5; set start= to the time"),
        ({"start": np.nan}, r"`start` is nan, expected a finite time\."),
        ({"start": -np.inf}, r"`start` is -inf, expected a finite time\."),
    ],
)
def test_settings_that_make_no_sense(options, message):
    with pytest.raises(DataError, match=message):
        Experiment(TABLE, {"A": 1}, **options)


def table(**columns):
    return {**TABLE, **columns}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([1, 2, 3], r"`data` is a list, expected an xarray\.DataArray \(as from read_data\)"),
        (np.zeros(3), r"`data` is a ndarray, expected an xarray\.DataArray"),
        ({"t": [1], "A": [2]}, r"`data` has columns t, A, expected one named 'time'\."),
        ({"time": [1, 2], "A": [1]}, r"`data` cannot be made a table: "),
        (table(A=["x", 1, 2]), r"`data` holds something that is not a number: .*'x'"),
        (table(time=["a", "b", "c"]), r"`data` holds something that is not a number"),
        (table(A=[np.nan] * 3, B=[np.nan] * 3), r"`data` holds no number; expected at least one"),
        ({"time": [], "A": []}, r"`data` holds no number"),
        ({"time": [1.0]}, r"`data` holds no number"),
        (table(A=[1, np.inf, 2]), r"`data` holds infinite values; mark missing values by NaN or"),
        (table(time=[0, 2, 1]), r"the times of `data` must be finite, ascending and without"),
        (table(time=[0, 1, 1]), r"ascending and without repeats"),
        (table(time=[0, 1, np.nan]), r"must be finite"),
        (table(time=[-2, -1, 0]), r"`data` begin at time -2, before `start` = 0; set start="),
        (array(dims=("sample", "time", "observable")), r"`data` has dimensions sample, time, "
         r"observable, expected 'time' and optionally 'replicate' and 'observable'\."),
        (array(VALUES[:, 0], ("replicate", "observable")), r"`data` has dimensions replicate, "
         r"observable, expected 'time'"),
        (array().drop_vars("time"), r"`data` has no coordinate 'time'; give the times"),
        (array(observable=["A", "A"]), r"`data` names an observable twice: A, A\."),
    ],
)  # fmt: skip
def test_data_that_do_not_fit(data, message):
    with pytest.raises(DataError, match=message):
        Experiment(data, {"A": 1})


def test_initial_counts_that_no_integer_holds():
    with pytest.raises(ParameterError, match=r"`initial\['X'\]` is 1e\+30"):
        Experiment({"time": [1.0, 2.0], "X": [7, 3]}, {"X": 1e30})


def test_lines_of_snapshots_are_cells():
    """In their order, and NaN where a time has fewer."""
    table = {"time": [2.0, 1.0, 2.0, 1.0, 2.0], "X": [5, 1, 6, 2, 7]}
    observed = Experiment(table, {"X": 0}, kind="snapshots").data
    np.testing.assert_array_equal(observed.times, [1.0, 2.0])
    np.testing.assert_array_equal(observed.values[..., 0], [[1, 5], [2, 6], [np.nan, 7]])

import re

import numpy as np
import pytest

from tests.outputs.cases import ROWS, StopsAfter, failing, sir
from tumble._errors import ModelError, ParameterError
from tumble._results import ResultCode
from tumble.outputs import Histogram


def counted(states, num_values):
    """Return numbers of runs [T, S, K] by value of counts [n, T, S]."""
    return np.array(
        [
            [np.bincount(column, minlength=num_values) for column in at_time.T]
            for at_time in states.transpose(1, 0, 2)
        ]
    )


@pytest.mark.parametrize("num_samples", [3, 500])
def test_counts_by_value(num_samples):
    states = sir(num_samples=num_samples).data.values
    got = sir(Histogram(), num_samples=num_samples)
    assert got.counts.dims == ("time", "species", "value")
    np.testing.assert_array_equal(got.data["value"], np.arange(states.max() + 1))
    np.testing.assert_array_equal(got.counts, counted(states, states.max() + 1))
    assert not got.data["below"].any() and not got.data["above"].any()
    np.testing.assert_allclose(got.density.sum("value"), 1.0)


@pytest.mark.parametrize("largest", [0, 20, 200])
def test_larger_values_are_above(largest):
    states = sir().data.values
    got = sir(Histogram(largest))
    assert got.data.sizes["value"] == largest + 1
    expected = counted(states, 201)
    np.testing.assert_array_equal(got.counts, expected[..., : largest + 1])
    np.testing.assert_array_equal(got.data["above"], (states > largest).sum(axis=0))
    inside = got.density.sum("value") + got.data["above"] / 500
    np.testing.assert_allclose(inside, 1.0)


def test_without_a_largest_value_the_histogram_stays_small(monkeypatch):
    monkeypatch.setattr("tumble.outputs._histogram._MOST_NUMBERS", 15 * 10)
    states = sir().data.values
    got = sir(Histogram())
    assert got.data.sizes["value"] == 10
    np.testing.assert_array_equal(got.data["above"], (states > 9).sum(axis=0))
    assert f"{(states > 9).sum():,} counts are outside" in got.summary()


@pytest.mark.parametrize("edges", [[0, 10, 45, 50], [0.5, 1.5, 7], [3, 4]])
def test_bins_are_those_of_numpy(edges):
    states = sir().data.values
    got = sir(Histogram(edges=edges))
    assert got.counts.dims == ("time", "species", "bin")
    for t in range(states.shape[1]):
        for s in range(3):
            expected, _ = np.histogram(states[:, t, s], edges)
            np.testing.assert_array_equal(got.counts[t, s], expected)
    np.testing.assert_array_equal(got.data["below"], (states < edges[0]).sum(axis=0))
    np.testing.assert_array_equal(got.data["above"], (states > edges[-1]).sum(axis=0))
    np.testing.assert_array_equal(got.data["left"], edges[:-1])
    np.testing.assert_array_equal(got.data["right"], edges[1:])


@pytest.mark.parametrize("species", [["I"], ["R", "S", "I"]])
def test_some_species(species):
    got, whole = sir(Histogram(50, species=species)), sir(Histogram(50))
    np.testing.assert_array_equal(got.counts, whole.counts.sel(species=species))


def test_failed_runs_are_left_out_and_counted():
    kept, got = failing(), failing(Histogram())
    good = kept.data.values[kept.codes == 0]
    np.testing.assert_array_equal(got.counts, counted(good, good.max() + 1))
    assert got.result is ResultCode.PARTIAL
    assert sum(got.codes.values()) == 400


@pytest.mark.parametrize("num_samples", [7, 300])
def test_rows_of_parameters(num_samples):
    options = {"params": ROWS, "num_samples": num_samples}
    states = sir(**options).data.values
    for histogram in (Histogram(), Histogram(60)):
        got = sir(histogram, **options)
        assert got.counts.dims == ("params", "time", "species", "value")
        for m in range(3):
            expected = counted(states[m], got.data.sizes["value"])
            np.testing.assert_array_equal(got.counts[m], expected)


def test_an_interruption_keeps_finished_pieces():
    got = sir(Histogram(), executor=StopsAfter(2))
    assert got.result is ResultCode.INTERRUPTED
    assert np.all(got.counts.sum("value") == 256)


def test_it_prints_and_is_saved(tmp_path):
    import xarray as xr

    got = sir(Histogram(50))
    lines = got.summary().splitlines()
    assert lines[0] == "SampleHistogram: 500 runs, 5 times x 3 species x 51 values, t = 0 … 3"
    assert len(lines) == 3
    with xr.open_dataset(got.save(tmp_path / "histogram.nc"), engine="h5netcdf") as data:
        xr.testing.assert_equal(data.drop_attrs(), got.data)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"largest": 3, "edges": [0, 1]}, "`Histogram` has `largest` and `edges`; give one of"),
        ({"largest": -1}, "`Histogram(largest=...)` is -1, expected a whole number ≥ 0."),
        ({"largest": 2.5}, "`Histogram(largest=...)` is 2.5, expected a whole number ≥ 0."),
        ({"edges": [1, 1]}, "`Histogram(edges=...)` is [1, 1], expected two or more ascending"),
        ({"edges": [1]}, "`Histogram(edges=...)` is [1], expected two or more ascending numbers."),
        ({"largest": 10**9},
         "the histogram would take 112 GiB; ask for fewer bins, times or species."),
    ],
)  # fmt: skip
def test_errors(options, message):
    with pytest.raises(ParameterError, match=re.escape(message)):
        sir(Histogram(**options))


def test_histograms_compare_by_value():
    assert Histogram(edges=[0, 1]) == Histogram(edges=(0.0, 1.0))
    with pytest.raises(ModelError, match="`species` has 'X'"):
        sir(Histogram(species=["X"]))

import numpy as np
import pytest

from tests.outputs.cases import INITIAL, PARAMS, ROWS, SIR, TIMES, Courier, StopsAfter, sir
from tumble._errors import DataError, ModelError
from tumble._experiment import Experiment
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.outputs import Counts
from tumble.simulators import Batch, DirectMethod


def test_all_counts_are_kept_by_default():
    np.testing.assert_array_equal(sir().data, sir(Counts()).data)


@pytest.mark.parametrize("species", [["R", "I"], ["R", "S", "I"], ["S", "I", "R"]])
def test_species_come_in_the_order_asked_for(species):
    some = sir(Counts(species))
    assert some.species == tuple(species)
    np.testing.assert_array_equal(some.data, sir().data.sel(species=species))


def test_one_species_may_be_named_by_itself():
    assert sir(Counts("I")).species == ("I",)


@pytest.mark.parametrize(
    ("species", "message"),
    [
        (["Q"], r"`species` has 'Q', but the network has S, I, R\."),
        ([], r"`species` is \[\], expected each name once, of S, I, R\."),
        (["S", "S"], r"`species` is \['S', 'S'\], expected each name once"),
    ],
)
def test_species_are_checked(species, message):
    with pytest.raises(ModelError, match=message):
        sir(Counts(species))


def test_the_executor_changes_nothing():
    """Threads write where the counts are to be; what comes from elsewhere is copied there."""
    for courier in (Courier(), Courier(backward=True)):
        np.testing.assert_array_equal(sir(executor=courier).data, sir().data)
        np.testing.assert_array_equal(sir(executor=courier).codes, sir().codes)


# -- rows of parameters ---------------------------------------------------------------------------


def test_rows_are_labeled():
    got = sir(params=ROWS, num_samples=7)
    assert got.data.dims == ("params", "sample", "time", "species")
    assert got.data.shape == (3, 7, 5, 3)
    assert got.codes.shape == (3, 7)
    np.testing.assert_array_equal(got.data["beta"], ROWS["beta"])
    assert got.data["beta"].dims == ("params",)
    assert "gamma" not in got.data.coords
    assert got.stats["runs"] == 21
    lines = got.summary().splitlines()
    assert lines[0].startswith("Trajectory: 3 rows x 7 runs x 5 times x 3 species")
    assert lines[1] == "  beta = 0.02 … 0.2 (3 values), gamma = 1"
    assert lines[3].endswith("at the last time, all rows")


def test_one_row_in_a_list_is_a_row():
    got = sir(params={"beta": [0.05], "gamma": 1.0}, num_samples=7)
    assert got.data.dims == ("params", "sample", "time", "species")
    np.testing.assert_array_equal(got.data[0], sir(num_samples=7).data)


@pytest.mark.parametrize("num_samples", [7, 300])
def test_rows_have_run_ids_of_their_own(num_samples):
    got = sir(params=ROWS, num_samples=num_samples)
    for m, beta in enumerate(ROWS["beta"]):
        ids = m * 2**32 + np.arange(num_samples, dtype=np.uint64)
        batch = Batch(
            np.tile([beta, 1.0], (num_samples, 1)), np.tile([45, 5, 0], (num_samples, 1)), TIMES,
            Stream.from_seed(3).child("simulate"), ids,
        )  # fmt: skip
        np.testing.assert_array_equal(got.data[m], DirectMethod().sample(SIR, batch).states)


@pytest.mark.parametrize("num_samples", [7, 300])
def test_with_common_random_numbers_a_row_is_a_call_of_its_own(num_samples):
    got = sir(params=ROWS, num_samples=num_samples, common=True)
    for m, beta in enumerate(ROWS["beta"]):
        alone = sir(params={"beta": beta, "gamma": 1.0}, num_samples=num_samples)
        np.testing.assert_array_equal(got.data[m], alone.data)


def test_failed_runs_of_rows_are_nan_among_the_valid():
    got = sir(params=ROWS, num_samples=50, simulator=DirectMethod(max_events=60))
    failed = got.codes != 0
    assert 0 < failed.sum() < failed.size
    assert np.all(np.isnan(got.valid.values[failed]))
    np.testing.assert_array_equal(got.valid.values[~failed], got.data.values[~failed])
    np.testing.assert_allclose(got.mean()[1], got.data.values[1][~failed[1]].mean(axis=0))


def test_rows_are_saved(tmp_path):
    import xarray as xr

    got = sir(params=ROWS, num_samples=7)
    with xr.open_dataset(got.save(tmp_path / "runs.nc"), engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["counts"], got.data)
        np.testing.assert_array_equal(data["beta"], ROWS["beta"])
        np.testing.assert_array_equal(data["code"], got.codes)
        assert data.attrs["param_gamma"] == 1.0


def test_rows_are_no_data():
    with pytest.raises(DataError, match="is a Trajectory of 3 rows of parameters, expected one"):
        Experiment(sir(params=ROWS), initial=INITIAL)


# -- interruptions ---------------------------------------------------------------------------------


def test_an_interruption_keeps_the_runs_that_are_complete():
    got = sir(executor=StopsAfter(2))
    assert got.result is ResultCode.INTERRUPTED and got.interrupted
    assert got.num_samples == 256 and got.codes.shape == (256,)
    assert got.stats["runs"] == 256
    np.testing.assert_array_equal(got.data, sir().data[:256])
    assert got.summary().splitlines()[-1] == (
        "  interrupted: stopped by hand; what was computed is kept."
    )


def test_an_interruption_keeps_the_rows_that_are_complete():
    got = sir(params=ROWS, executor=StopsAfter(9))  # of 12 pieces
    assert got.data.sizes["params"] == 2 and got.codes.shape == (2, 500)
    np.testing.assert_array_equal(got.data, sir(params=ROWS).data[:2])
    with pytest.raises(KeyboardInterrupt):
        sir(params=ROWS, executor=StopsAfter(2))


def test_an_interruption_before_the_first_piece_is_one():
    with pytest.raises(KeyboardInterrupt):
        sir(executor=StopsAfter(0))


def test_results_that_travel_are_those_of_threads():
    for backward in (False, True):
        got = sir(Counts(["I"]), executor=Courier(backward))
        np.testing.assert_array_equal(got.data, sir(Counts(["I"])).data)
    assert got.params == PARAMS

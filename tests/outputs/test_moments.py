import numpy as np
import pytest

from tests import helpers
from tests.outputs.cases import PARAMS, ROWS, StopsAfter, failing, sir
from tumble import ReactionNetwork, simulate
from tumble._errors import ParameterError, SimulationError
from tumble._results import ResultCode, SampleCode
from tumble.outputs import Moments


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("num_samples", [2, 100, 500, 10_000])
def test_moments_are_those_of_kept_counts(num_samples):
    states = sir(num_samples=num_samples).data.values
    got = sir(Moments(), num_samples=num_samples)
    assert got.mean.dims == got.variance.dims == ("time", "species")
    assert_close(got.mean, states.mean(axis=0))
    assert_close(got.variance, states.var(axis=0, ddof=1))
    assert_close(got.standard_error, states.std(axis=0, ddof=1) / np.sqrt(num_samples))
    assert int(got.data["num_valid"]) == num_samples
    assert got.codes == {SampleCode.OK: num_samples}
    assert got.result is ResultCode.SUCCESS


def test_covariances_are_those_of_kept_counts():
    states = sir().data.values
    got = sir(Moments(covariance=True))
    covariance = got.data["covariance"]
    assert covariance.dims == ("time", "species", "other")
    for t in range(states.shape[1]):
        assert_close(covariance[t], np.cov(states[:, t].T))
    for name in ("mean", "variance"):
        np.testing.assert_array_equal(got.data[name], sir(Moments()).data[name])


@pytest.mark.parametrize("species", [["R"], ["R", "S", "I"]])
def test_moments_of_some_species(species):
    got, whole = sir(Moments(species=species)), sir(Moments())
    assert got.species == tuple(species)
    np.testing.assert_array_equal(got.variance, whole.variance.sel(species=species))


@pytest.mark.parametrize("covariance", [False, True])
def test_large_counts_lose_nothing(covariance):
    """Squares of 10¹⁵ do not fit into a float; those of deviations are exact."""
    offset = 10**15
    arrival = helpers.arrival()
    options = {"times": [1.0, 2.0], "num_samples": 1000}
    states = simulate(arrival, {"k": 50.0}, initial={"X": offset}, **options).data.values
    got = simulate(arrival, {"k": 50.0}, initial={"X": offset}, outputs=Moments(covariance),
                   **options)  # fmt: skip
    assert_close(got.variance, (states - offset).var(axis=0, ddof=1))
    assert np.all(got.mean == offset + (states - offset).mean(axis=0))


def test_moments_against_exact_ones():
    n = 200_000
    got = simulate(
        helpers.immigration_death(), {"k": 10.0, "gamma": 1.0}, initial={"X": 3},
        times=[1.5, 3.0], num_samples=n, outputs=Moments(), seed=1,
    )  # fmt: skip
    mean, variance = helpers.immigration_death_moments(10.0, 1.0, np.array([1.5, 3.0]), 3)
    assert np.all(np.abs(got.mean.values[:, 0] - mean) < 4 * got.standard_error.values[:, 0])
    # The variance of a sample variance is about 2 σ⁴ / n for a nearly Poisson variable.
    error = variance * np.sqrt((2 + 1 / variance) / n)
    assert np.all(np.abs(got.variance.values[:, 0] - variance) < 4 * error)


def test_a_single_run_has_no_variance():
    got = sir(Moments(covariance=True), num_samples=1)
    np.testing.assert_array_equal(got.mean, sir(num_samples=1).data[0])
    for name in ("variance", "standard_error", "covariance"):
        assert np.all(np.isnan(got.data[name]))


def test_failed_runs_are_left_out_and_counted():
    kept, got = failing(), failing(Moments())
    good = kept.data.values[kept.codes == 0]
    assert_close(got.mean, good.mean(axis=0))
    assert_close(got.variance, good.var(axis=0, ddof=1))
    assert int(got.data["num_valid"]) == len(good)
    assert got.codes == {SampleCode.OK: len(good), SampleCode.MAX_EVENTS: 400 - len(good)}
    assert got.result is ResultCode.PARTIAL
    assert f"some runs failed: {400 - len(good)} of 400 runs: the run fired" in got.summary()


def test_when_every_run_fails_there_is_nothing_to_say():
    birth = ReactionNetwork.from_text("X -> 2 X ; k")
    with pytest.raises(SimulationError, match=r"every run failed: 300 of 300 runs: .*INVALID_RATE"):
        simulate(birth, {"k": 1e307}, initial={"X": 10}, times=[1.0], num_samples=300,
                 outputs=Moments())  # fmt: skip


@pytest.mark.parametrize("num_samples", [7, 50, 300])
@pytest.mark.parametrize("covariance", [False, True])
@pytest.mark.parametrize("common", [False, True])
def test_rows_of_parameters(num_samples, covariance, common):
    options = {"params": ROWS, "num_samples": num_samples, "common": common}
    states = sir(**options).data.values
    got = sir(Moments(covariance), **options)
    assert got.mean.dims == ("params", "time", "species")
    np.testing.assert_array_equal(got.data["beta"], ROWS["beta"])
    np.testing.assert_array_equal(got.data["num_valid"], num_samples)
    assert_close(got.mean, states.mean(axis=1))
    assert_close(got.variance, states.var(axis=1, ddof=1))


def test_rows_without_a_valid_run_are_nan():
    birth = ReactionNetwork.from_text("X -> 2 X ; k")
    got = simulate(birth, {"k": [1.0, 1e307]}, initial={"X": 10}, times=[0.1], num_samples=200,
                   outputs=Moments())  # fmt: skip
    np.testing.assert_array_equal(got.data["num_valid"], [200, 0])
    np.testing.assert_array_equal(np.isnan(got.mean.values[:, 0, 0]), [False, True])
    assert got.result is ResultCode.PARTIAL


def test_moments_that_would_not_fit_are_refused():
    many = {"times": np.arange(10**6), "params": {"beta": np.full(200, 0.1), "gamma": 1.0}}
    message = r"the moments would take 13 GiB; ask for fewer rows of parameters, times or species\."
    with pytest.raises(ParameterError, match=message):
        sir(Moments(), **many)


def test_an_interruption_keeps_finished_pieces():
    got = sir(Moments(), executor=StopsAfter(2))
    assert got.result is ResultCode.INTERRUPTED
    np.testing.assert_array_equal(got.mean, sir().data[:256].mean("sample"))
    assert "interrupted: stopped by hand" in got.summary()


def test_it_prints_on_one_screen_and_is_saved(tmp_path):
    import xarray as xr

    got = sir(Moments(covariance=True))
    lines = got.summary().splitlines()
    assert lines[0] == "SampleMoments: 500 runs, 5 times x 3 species, t = 0 … 3"
    assert lines[1] == "  beta = 0.05, gamma = 1"
    mean, error = float(got.mean[-1, 0]), float(got.standard_error[-1, 0])
    assert lines[2].startswith(f"  S: {mean:.6g} ± ")
    assert lines[2].endswith(f"at the last time (standard error {error:.2g})")
    assert len(lines) == 6
    assert repr(got) == got.summary() and got._repr_html_().startswith("<pre>SampleMoments")
    assert got.params == PARAMS and got.stats["runs"] == 500
    assert "Gillespie" in got.citations()[0]
    with xr.open_dataset(got.save(tmp_path / "moments.nc"), engine="h5netcdf") as data:
        xr.testing.assert_equal(data.drop_attrs(), got.data)
        assert data.attrs == {"param_beta": 0.05, "param_gamma": 1.0, "runs_OK": 500}
    rows = sir(Moments(), params=ROWS).summary().splitlines()
    assert rows[0] == "SampleMoments: 1,500 runs, 3 rows x 5 times x 3 species, t = 0 … 3"

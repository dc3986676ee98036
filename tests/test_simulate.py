from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from tests import helpers
from tumble._errors import ModelError, ParameterError, SimulationError, TumbleError
from tumble._progress import AbstractProgress
from tumble._results import ResultCode, SampleCode, describe_codes
from tumble._simulate import simulate
from tumble.models import ReactionNetwork
from tumble.simulators import DirectMethod

SIR = helpers.sir()
PARAMS = {"gamma": 0.7, "beta": 0.1}
INITIAL = {"R": 0, "S": 18, "I": 2}
TIMES = [0.0, 1.0, 2.5]


def run(model=SIR, params=PARAMS, initial=INITIAL, times=TIMES, **options):
    return simulate(model, params, initial=initial, times=times, **options)


def failing(**options):
    """Pure birth from 1: a run fails when it fires more than 3 times."""
    return simulate(
        ReactionNetwork.from_text("X -> 2 X ; k"), {"k": 1.0}, initial={"X": 1}, times=[0.5, 1.0],
        num_samples=200, simulator=DirectMethod(max_events=3), **options,
    )  # fmt: skip


def test_runs_are_labeled():
    got = run(num_samples=5)
    assert got.data.dims == ("sample", "time", "species")
    assert got.data.name == "counts"
    assert got.data.dtype == np.int64
    assert got.species == ("S", "I", "R")
    np.testing.assert_array_equal(got.times, TIMES)
    assert got.num_samples == 5
    assert got.params == PARAMS
    np.testing.assert_array_equal(got.data.sel(time=0.0, species="S"), 18)
    np.testing.assert_array_equal(got.data.sum("species"), 20)
    np.testing.assert_array_equal(got.codes, 0)
    assert got.result is ResultCode.SUCCESS


def test_mean_over_many_runs():
    n = 100_000
    got = simulate(
        helpers.immigration_death(), {"k": 10.0, "gamma": 1.0}, initial={"X": 3},
        times=[0.5, 2.0], num_samples=n, start=-1.0,
    )  # fmt: skip
    exact = helpers.immigration_death_moments(10.0, 1.0, np.array([1.5, 3.0]), 3)
    mean = got.mean()
    assert mean.dims == ("time", "species")
    assert np.all(np.abs(mean.values[:, 0] - exact[0]) < 4 * np.sqrt(exact[1] / n))


def test_the_seed_decides():
    one, same, other = (run(num_samples=30, seed=s).data for s in (3, 3, 4))
    xr.testing.assert_identical(one, same)
    assert not np.array_equal(one, other)


def test_more_samples_begin_with_the_fewer():
    few, many = (run(num_samples=n).data.values for n in (10, 25))
    np.testing.assert_array_equal(few, many[:10])


def test_one_time_may_be_a_number():
    assert run(times=1.5).data.shape == (1, 1, 3)


def test_whole_numbers_in_any_type_are_counts():
    got = run(initial={"S": np.int64(18), "I": 2.0, "R": np.float32(0)}, times=[0.0])
    np.testing.assert_array_equal(got.data.values, [[[18, 2, 0]]])


def test_what_it_cost_is_kept():
    got = run(num_samples=7)
    assert got.stats["runs"] == 7
    assert got.stats["seconds"] > 0
    # each event of SIR moves one individual: S drops once, R grows once
    last = got.data.isel(time=-1)
    fired = (18 - last.sel(species="S")) + last.sel(species="R")
    assert got.stats["events"] >= fired.sum()


def test_a_progress_bar_changes_nothing():
    class Broken(AbstractProgress):
        def update(self, fraction, message):
            raise RuntimeError("no terminal")

        def close(self):
            raise RuntimeError("no terminal")

    plain = run(num_samples=5).data
    for progress in (True, False, None, Broken()):
        xr.testing.assert_identical(plain, run(num_samples=5, progress=progress).data)


# -- the result -----------------------------------------------------------------------------------


def test_summary():
    got = run(num_samples=40)
    lines = got.summary().splitlines()
    assert lines[0] == "Trajectory: 40 runs x 3 times x 3 species, t = 0 … 2.5"
    assert lines[1] == "  gamma = 0.7, beta = 0.1"
    last = got.data.isel(time=-1).sel(species="I").values
    assert lines[3] == f"  I: {last.mean():.6g} ± {last.std():.3g} at the last time"
    assert re.fullmatch(r"  \d+(\.\d+)?(e\+\d+)? events in \S+ s", lines[5])
    assert len(lines) == 6
    assert repr(got) == got.summary()
    assert got._repr_html_().startswith("<pre>Trajectory: 40 runs")


def test_failed_runs_are_told_and_left_out():
    got = failing()
    failed = got.codes != 0
    assert 0 < failed.sum() < 200
    assert got.result is ResultCode.PARTIAL
    assert not got.result.ok
    assert np.all(got.data.values[failed] == -1)
    assert got.valid.sizes["sample"] == 200 - failed.sum()
    assert got.valid.min() >= 1
    np.testing.assert_allclose(got.mean(), got.data.values[~failed].mean(axis=0))
    median = got.quantile(0.5)
    np.testing.assert_allclose(median, np.median(got.data.values[~failed], axis=0))
    assert got.summary().splitlines()[-1] == (
        f"  some runs failed: {failed.sum()} of 200 runs: {SampleCode.MAX_EVENTS.advice} "
        "(MAX_EVENTS)"
    )


def test_save(tmp_path):
    got = failing()
    path = got.save(tmp_path / "runs.nc")
    assert path == tmp_path / "runs.nc"
    with xr.open_dataset(path, engine="h5netcdf") as saved:
        np.testing.assert_array_equal(saved["counts"], got.data)
        assert saved["counts"].dims == ("sample", "time", "species")
        np.testing.assert_array_equal(saved["code"], got.codes)
        assert saved["species"].values.tolist() == ["X"]
        np.testing.assert_array_equal(saved["time"], [0.5, 1.0])
        assert saved.attrs["param_k"] == 1.0
    assert got.save(str(path)) == path


def test_citations():
    assert any("doi:10.1021/j100540a008" in text for text in run().citations())


@pytest.mark.parametrize("code", [*SampleCode, *ResultCode])
def test_every_code_has_advice(code):
    assert len(code.advice) > 15


def test_codes_in_words():
    assert describe_codes(np.zeros(4)) == ""
    text = describe_codes(np.array([0, 1, 1, 2, 3]))
    assert text.startswith("2 of 5 runs: the run fired more than `max_events` reactions")
    assert "; 1 of 5 runs: a rate or propensity was negative" in text
    assert "(INVALID_RATE); 1 of 5 runs: a count passed 2**62;" in text


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"initial": {**INITIAL, "Q": 1}}, ModelError,
         r"`initial` has species 'Q', but the network has S, I, R\."),
        ({"initial": {"S": 1, "I": 2, "r": 3}}, ModelError, r"'r', .* Did you mean 'R'\?"),
        ({"initial": {"S": 1, "I": 2}}, ModelError,
         r"`initial` has no value for species 'R'; give 0 if absent\."),
        ({"initial": {**INITIAL, "I": -1}}, ParameterError,
         r"`initial\['I'\]` is -1, expected a whole number ≥ 0\."),
        ({"initial": {**INITIAL, "I": 1.5}}, ParameterError, r"`initial\['I'\]` is 1\.5, expected"),
        ({"initial": {**INITIAL, "I": np.nan}}, ParameterError, r"`initial\['I'\]` is nan"),
        ({"initial": {**INITIAL, "I": 1e30}}, ParameterError, r"`initial\['I'\]` is 1e\+30"),
        ({"params": {"beta": 1.0}}, TumbleError,
         r"`params` has no value for 'gamma'; give one for each of beta, gamma\."),
        ({"params": {**PARAMS, "delta": 1.0}}, TumbleError,
         r"`params` has parameter 'delta', but the network has beta, gamma\."),
        ({"params": {**PARAMS, "beta": -0.1}}, TumbleError,
         r"`params\['beta'\]` is -0\.1, expected a finite number ≥ 0\."),
        ({"times": []}, ParameterError, r"`times` has shape \(0,\), expected a list of times\."),
        ({"times": [[1.0, 2.0]]}, ParameterError, r"`times` has shape \(1, 2\), expected a list"),
        ({"times": [2.0, 1.0]}, ParameterError, r"`times` must be finite and ascending\."),
        ({"times": [1.0, np.inf]}, ParameterError, r"`times` must be finite and ascending\."),
        ({"times": [-1.0, 1.0]}, ParameterError,
         r"`times` begin at -1, before `start` = 0; set start= as well\."),
        ({"start": 0.5}, ParameterError, r"`times` begin at 0, before `start` = 0\.5"),
        ({"num_samples": 0}, ParameterError, r"`num_samples` is 0, expected at least 1\."),
        ({"num_samples": 10**9}, ParameterError,
         r"the counts would take 67 GiB; ask for fewer samples or times, or keep less: outputs="),
        ({"seed": -1}, ParameterError, r"`seed` is -1, expected 0 <= seed < 2\*\*64\."),
        ({"seed": "x"}, ParameterError, r"`seed` is 'x', expected an integer such as seed=0\."),
        ({"simulator": DirectMethod(max_events=1), "num_samples": 3, "times": [99.0]},
         SimulationError, r"every run failed: 3 of 3 runs: the run fired more than `max_events` "
         r"reactions before its last time; .* or raise `max_events` \(MAX_EVENTS\)\."),
    ],
)  # fmt: skip
def test_errors(options, error, message):
    with pytest.raises(error, match=message):
        run(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": np.nan}, "`start` is nan, expected a finite time"),
        ({"num_samples": 2.5}, "`num_samples` is 2.5, expected a whole number"),
        ({"initial": {"X": "a"}}, r"`initial\['X'\]` is 'a', expected a whole number"),
        ({"times": "abc"}, "`times` is 'abc', expected"),
    ],
)
def test_values_of_a_wrong_kind(options, message):
    network = ReactionNetwork.from_text("X -> 0 ; gamma")
    arguments = {"initial": {"X": 1}, "times": [1.0], **options}
    with pytest.raises(ParameterError, match=message):
        simulate(network, {"gamma": 1.0}, **arguments)

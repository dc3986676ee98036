import numpy as np
import pytest

from tests import helpers
from tests.outputs.cases import INITIAL, ROWS, SIR, TIMES, Courier, StopsAfter, failing, sir
from tumble import ReactionNetwork, simulate
from tumble._errors import CapabilityError, ParameterError
from tumble._results import ResultCode
from tumble.outputs import Paths
from tumble.simulators import AbstractSimulator, DirectMethod

NETWORKS = {
    "immigration-death": (helpers.immigration_death(), {"k": 10.0, "gamma": 1.0}, {"X": 0}),
    "dimerization": (helpers.dimerization(), {"k1": 0.05, "k2": 1.0}, {"P": 60, "P2": 0}),
    "large": (
        ReactionNetwork.from_text("\n".join(f"X{i} -> X{(i + 1) % 250} ; g" for i in range(250))),
        {"g": 1.0},
        {f"X{i}": i % 3 for i in range(250)},
    ),
}


def test_paths_are_those_of_counts():
    got, counts = sir(Paths()), sir()
    at = got.at(TIMES)
    assert at.dims == counts.data.dims
    np.testing.assert_array_equal(at, counts.data)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("times", "start"), [(TIMES, 0.0), (np.array([7.3, 8.1]), 7.1)])
def test_paths_of_other_networks_are_those_of_counts(name, times, start):
    network, params, initial = NETWORKS[name]
    options = {"initial": initial, "times": times, "num_samples": 140, "start": start}
    got = simulate(network, params, outputs=Paths(), **options)
    np.testing.assert_array_equal(got.at(times), simulate(network, params, **options).data)


def test_events_lead_from_one_state_to_the_next():
    got, counts = sir(Paths(), num_samples=40), sir(num_samples=40)
    assert got.stats["events"] == sum(len(got.reactions(i)) for i in range(40))
    for i in range(40):
        times, states = got.run(i)
        assert times[0] == 0.0 and len(times) == len(states)
        assert np.all(np.diff(times) > 0) and times[-1] <= 3.0
        np.testing.assert_array_equal(states[0], [45, 5, 0])
        changes = np.array([[-1, 1, 0], [0, -1, 1]])[got.reactions(i)]
        np.testing.assert_array_equal(np.diff(states, axis=0), changes)
        np.testing.assert_array_equal(states[-1], counts.data[i, -1])
    assert list(got.data["equation"].values) == ["S + I -> 2 I ; beta", "I -> R ; gamma"]


def test_waiting_times_follow_their_law():
    """A single arrival process: gaps are exponential, with mean 1/k and variance 1/k²."""
    got = simulate(helpers.arrival(), {"k": 40.0}, initial={"X": 0}, times=[5.0], num_samples=300,
                   outputs=Paths())  # fmt: skip
    # The first hundred gaps of each run: none is cut off by the end.
    gaps = np.concatenate([np.diff(got.run(i)[0])[:100] for i in range(300)])
    assert len(gaps) == 30_000
    assert abs(gaps.mean() * 40 - 1) < 4 / np.sqrt(len(gaps))


def test_a_path_may_be_read_at_any_time():
    counts = sir(times=[0.0, 0.31, 3.0])
    np.testing.assert_array_equal(sir(Paths()).at([0.31])[:, 0], counts.data[:, 1])


def test_failed_runs_have_no_path():
    kept, got = failing(), failing(Paths())
    failed = np.flatnonzero(kept.codes)
    np.testing.assert_array_equal(got.data["code"], kept.codes)
    np.testing.assert_array_equal(got.data["num_events"].values[failed], 0)
    np.testing.assert_array_equal(got.at([0.5, 1.0]), kept.data)
    assert got.result is ResultCode.PARTIAL
    with pytest.raises(
        ParameterError, match=rf"run \(sample={failed[0]}, row=0\) failed with code"
    ):
        got.run(int(failed[0]))


@pytest.mark.parametrize("num_samples", [7, 300])
def test_rows_of_parameters(num_samples):
    counts = sir(params=ROWS, num_samples=num_samples)
    got = sir(Paths(), params=ROWS, num_samples=num_samples)
    at = got.at(TIMES)
    assert at.dims == ("params", "sample", "time", "species")
    np.testing.assert_array_equal(at, counts.data)
    np.testing.assert_array_equal(at["beta"], ROWS["beta"])
    np.testing.assert_array_equal(got.run(3, row=2)[1][-1], counts.data[2, 3, -1])


def test_too_many_events_are_refused_after_counting():
    with pytest.raises(
        ParameterError,
        match=r"the paths would take more than 9\.31e-06 GiB: the first 128 of 500 runs have "
        r"[\d,]+ events of 12 bytes; ask for fewer samples or a shorter time, or keep less of "
        r"them: outputs=tb\.outputs\.Counts\(\)\.",
    ):
        sir(Paths(max_bytes=10_000))


def test_errors():
    class Black(AbstractSimulator):
        exact = True

        def sample(self, model, batch, *, executor=None):
            return DirectMethod().sample(model, batch, executor=executor)

    with pytest.raises(
        CapabilityError, match=r"^Black cannot .*SupportsPaths.*DirectMethod can, of"
    ):
        sir(Paths(), simulator=Black())
    with pytest.raises(ParameterError, match=r"`Paths\(max_bytes=\.\.\.\)` is 0, expected a pos"):
        Paths(max_bytes=0)
    got = sir(Paths(), num_samples=3)
    with pytest.raises(ParameterError, match=r"no run \(sample=3, row=0\); there are 3 samples"):
        got.run(3)
    with pytest.raises(ParameterError, match=r"`times` is \[4\.0\], expected times from 0 to 3"):
        got.at([4.0])


def test_interruptions():
    with pytest.raises(KeyboardInterrupt):  # in the first pass, which only counts
        sir(Paths(), executor=StopsAfter(3))
    got = sir(Paths(), executor=StopsAfter(4 + 2))
    assert got.result is ResultCode.INTERRUPTED and got.num_samples == 256
    np.testing.assert_array_equal(got.at(TIMES), sir().data[:256])


def test_paths_that_travel_are_those_of_threads():
    here, there = sir(Paths()), sir(Paths(), executor=Courier(backward=True))
    for name in ("event_time", "event_reaction", "num_events"):
        np.testing.assert_array_equal(here.data[name], there.data[name])


def test_it_prints_and_is_saved(tmp_path):
    import xarray as xr

    got = sir(Paths())
    counts = got.data["num_events"].values
    lines = got.summary().splitlines()
    assert lines[0] == "SamplePaths: 500 runs, t = 0 … 3"
    assert lines[2] == (f"  {counts.min()} … {counts.max()} events a run, {counts.sum():,} in all")
    with xr.open_dataset(got.save(tmp_path / "paths.nc"), engine="h5netcdf") as data:
        np.testing.assert_array_equal(data["event_time"], got.data["event_time"])
    assert (SIR.species, INITIAL["S"]) == (got.species, got.data["initial"].values[0])

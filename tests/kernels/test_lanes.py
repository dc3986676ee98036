"""The vectorized kernels give bitwise the paths of the scalar one."""

import numpy as np
import pytest

from tests import helpers
from tumble._results import SampleCode
from tumble.kernels import _generated
from tumble.kernels._direct import direct_method
from tumble.kernels._generated import GeneratedKernel
from tumble.kernels._lanes import Job
from tumble.kernels._table_lanes import direct_method_in_lanes
from tumble.kernels._tables import law_tables, network_tables
from tumble.models import ReactionNetwork

CASES = {
    "sir": (helpers.sir(), [0.02, 2.0], [90, 10, 0]),
    "immigration-death": (helpers.immigration_death(), [10.0, 1.0], [0]),
    "arrival": (helpers.arrival(), [20.0], [0]),
    "dimerization": (helpers.dimerization(), [0.05, 1.0], [60, 0]),
    "birth-death": (helpers.birth_death(), [1.1, 1.0], [5]),
    "third order, batches and a catalyst": (
        ReactionNetwork.from_text("3 A + C -> B + C ; a\nB -> 0 ; b\n0 -> 100 A ; c\n2 C -> C ; d"),
        [1e-3, 0.5, 1.0, 1e-3],
        [40, 0, 9],
    ),
    "a chain": (
        ReactionNetwork.from_text(
            "0 -> X0 ; k\n" + "\n".join(f"X{i} -> X{i + 1} ; g" for i in range(20)),
        ),
        [20.0, 3.0],
        [0] * 21,
    ),
}
TIMES = np.array([0.0, 0.5, 0.5, 1.5, 3.0])


def job(case, num_runs=300, *, max_events=10**6, times=TIMES, spoil=None, start=0.0):
    network, params, initial = CASES[case]
    # Every run has parameters of its own.
    params = np.tile(params, (num_runs, 1)) * np.linspace(0.5, 1.5, num_runs)[:, None]
    rates = network.rates(params)
    if spoil is not None:
        rates[spoil] = np.nan
    shape = (num_runs, len(times), len(network.species))
    return Job(
        network_tables(network), law_tables(network), rates, params,
        np.tile(np.array(initial), (num_runs, 1)), start, times,
        np.uint64(12345), np.arange(num_runs, dtype=np.uint64) * 7, max_events,
        np.full(shape, -7), np.full(num_runs, -7), np.full(num_runs, -1), np.full(num_runs, -7),
    )  # fmt: skip


def one_by_one(job):
    states, codes, events = (np.full_like(x, -8) for x in (job.states, job.codes, job.events))
    direct_method(
        job.tables, job.laws, None, job.rates, job.params, job.initial, job.start, job.times,
        job.key, job.runs, job.max_events, states, None, None, None, codes,
        np.empty_like(codes), events,
    )  # fmt: skip
    return states, codes, events


def assert_same_as_one_by_one(kernel, job):
    kernel(job)
    states, codes, events = one_by_one(job)
    assert np.array_equal(job.states, states)
    # What is wrong with a run is for the scalar kernel to say; lanes know that something is.
    assert np.array_equal(job.codes == SampleCode.OK, codes == SampleCode.OK)
    judged = np.isin(codes, [SampleCode.OK, SampleCode.MAX_EVENTS])
    assert np.array_equal(job.codes[judged], codes[judged])
    assert np.array_equal(job.events[judged], events[judged])


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Kernels compiled for the networks of some cases, in a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUMBLE_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(_generated, "_entries", {})

        def kernel(case):
            found = GeneratedKernel(CASES[case][0]).wait(120.0)
            assert found is not None
            return found

        yield kernel


LAWS = {
    "enzyme and repressor": (
        ReactionNetwork.from_text(
            "P = A + B\nA => B ; mm(A, V, 3.5)\n0 => A ; hillr(B, 9.0, K, 2)\nB -> 0 ; g\n"
            "B => C ; k * B * exp(-0.1 * C) * where(P > 4, 1, 0.5)\nC => 0 ; C ^ 1.5 / (1 + C)"
        ),
        [5.0, 8.0, 0.7, 0.6],
        [6, 2, 0],
    ),
    "a law that turns negative": (
        ReactionNetwork.from_text("0 -> X ; k\nX => 0 ; g * X * (12 - X)"), [6.0, 0.01], [3],
    ),
    "a law that does not vanish": (
        ReactionNetwork.from_text("0 -> X ; k\nX => Y ; g\nY -> 0 ; k"), [2.0, 1.0], [3, 0],
    ),
}  # fmt: skip
CASES |= LAWS


@pytest.mark.parametrize("case", CASES)
def test_lanes_give_the_paths_of_single_runs(case):
    assert_same_as_one_by_one(direct_method_in_lanes, job(case))


@pytest.mark.parametrize("case", LAWS)
def test_lanes_that_read_rate_laws_end_like_single_runs(case):
    assert_same_as_one_by_one(direct_method_in_lanes, job(case, max_events=20, spoil=3))
    assert_same_as_one_by_one(direct_method_in_lanes, job(case, num_runs=1))


@pytest.mark.parametrize(
    "case",
    [
        "third order, batches and a catalyst",
        next(iter(LAWS)),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ["sir", *list(LAWS)[1:]]),
    ],
)
def test_a_kernel_made_for_the_network_gives_the_same_paths(generated, case):
    kernel = generated(case)
    assert_same_as_one_by_one(kernel, job(case))
    assert_same_as_one_by_one(kernel, job(case, max_events=20, spoil=3))
    assert_same_as_one_by_one(kernel, job(case, num_runs=1))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_every_kernel_made_for_a_network_gives_the_same_paths(generated, case):
    assert_same_as_one_by_one(generated(case), job(case))


@pytest.mark.parametrize("num_runs", [0, 1, 7, 127, 128, 129, 400])
def test_any_number_of_runs_fits(num_runs):
    assert_same_as_one_by_one(direct_method_in_lanes, job("sir", num_runs))


@pytest.mark.parametrize("max_events", [1, 5, 60, 90])
def test_runs_that_need_too_many_events_end(max_events):
    made = job("sir", max_events=max_events)
    assert_same_as_one_by_one(direct_method_in_lanes, made)
    assert np.any(made.codes == SampleCode.MAX_EVENTS)


def test_bad_rates_spoil_their_own_run_only():
    made = job("dimerization", spoil=[0, 17, 299])
    assert_same_as_one_by_one(direct_method_in_lanes, made)
    assert list(np.flatnonzero(made.codes)) == [0, 17, 299]
    everything = job("dimerization", spoil=slice(None))
    assert_same_as_one_by_one(direct_method_in_lanes, everything)


def test_explosions_end_like_single_runs():
    made = job("birth-death", 200, times=np.array([1.0, 400.0]), max_events=3000)
    assert_same_as_one_by_one(direct_method_in_lanes, made)


def test_one_long_run_among_short_ones_is_followed_alone():
    made = job("immigration-death", 130)
    made.rates[64] *= 300.0
    assert_same_as_one_by_one(direct_method_in_lanes, made)
    assert made.events[64] > 100 * np.median(made.events)


def test_a_start_of_its_own_and_a_single_time():
    made = job("sir", times=np.array([5.5]), start=5.0)
    assert_same_as_one_by_one(direct_method_in_lanes, made)


# -- when a kernel is made -------------------------------------------------------------------------


@pytest.fixture
def forgetful(tmp_path, monkeypatch):
    """A cache of its own, and a process that knows nothing yet."""
    monkeypatch.setenv("TUMBLE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(_generated, "_entries", {})
    return tmp_path


def kernel_of(text):
    return GeneratedKernel(ReactionNetwork.from_text(text))


def test_little_work_gets_no_kernel(forgetful):
    kernel = kernel_of("A -> B ; k")
    kernel.account(0.1, 100)
    assert kernel.get(rows_ahead=100) is None
    assert not list(forgetful.iterdir())


def test_long_work_gets_one_and_the_next_process_finds_it(forgetful, monkeypatch):
    kernel = kernel_of("A -> B ; k")
    kernel.account(1.0, 10)
    assert kernel.get(rows_ahead=10_000) is None  # it is being compiled
    assert kernel.wait(120.0) is not None
    monkeypatch.setattr(_generated, "_entries", {})
    again = kernel_of("A -> B ; k")
    assert again.get(rows_ahead=10**9) is None  # nothing is known yet
    again.account(1.0, 10)
    assert again.get(rows_ahead=0) is not None


def test_a_file_that_is_not_ours_is_not_loaded(forgetful, monkeypatch):
    kernel = kernel_of("A -> B ; k")
    assert kernel.wait(120.0) is not None
    (path,) = (forgetful / "kernels").glob("*.py")
    path.write_text("raise SystemExit('not ours')")
    monkeypatch.setattr(_generated, "_entries", {})
    again = kernel_of("A -> B ; k")
    again.account(10.0, 10)
    assert again.get(rows_ahead=10**6) is None


def test_without_a_place_to_write_there_is_none(forgetful, monkeypatch):
    blocked = forgetful / "file"
    blocked.touch()
    monkeypatch.setenv("TUMBLE_CACHE_DIR", str(blocked))
    kernel = kernel_of("A -> B ; k")
    kernel.account(100.0, 1)
    assert kernel.get(rows_ahead=1000) is None
    assert kernel.wait(1.0) is None


def test_nothing_is_made_where_that_is_not_wanted(forgetful, monkeypatch):
    monkeypatch.setenv("TUMBLE_CACHE_DIR", "")
    kernel = kernel_of("A -> B ; k")
    kernel.account(100.0, 1)
    assert kernel.get(rows_ahead=1000) is None and not kernel.is_compiling
    assert kernel.wait(1.0) is None


def test_one_kernel_is_made_at_a_time(forgetful):
    first, second = kernel_of("A -> B ; k"), kernel_of("A + B -> C ; k")
    for kernel in (first, second):
        kernel.account(100.0, 1)
        assert kernel.get(rows_ahead=1000) is None
    assert first.is_compiling and not second.is_compiling
    assert first.wait(120.0) is not None


def test_a_long_network_gets_none():
    assert kernel_of("\n".join(f"X{i} -> X{i + 1} ; k" for i in range(200))).wait(1.0) is None


def test_the_cache_stays_small(forgetful, monkeypatch):
    monkeypatch.setattr(_generated, "_KEPT_FILES", 2)
    folder = forgetful / "kernels"
    folder.mkdir()
    for i in range(4):
        (folder / f"network_{i}.py").touch()
    kernel_of("A -> B ; k").wait(0.2)
    assert len(list(folder.glob("network_?.py"))) == 2

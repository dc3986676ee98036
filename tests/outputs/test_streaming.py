"""What all outputs share: the stream of pieces."""

import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import xarray as xr

from tests.outputs.cases import ROWS, Courier, sir
from tumble._errors import ParameterError
from tumble._progress import AbstractProgress
from tumble.outputs import Counts, Histogram, Moments, Paths
from tumble.simulators import AbstractSimulator, DirectMethod

OUTPUTS = [Counts(), Moments(), Moments(covariance=True), Histogram(), Histogram(edges=[0, 9, 99]),
           Paths()]  # fmt: skip
BETAS = np.linspace(0.01, 0.2, 300)


def data(kept):
    return kept.data.to_dataset(name="counts") if isinstance(kept.data, xr.DataArray) else kept.data


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("num_cores", [1, 3, 64])
def test_results_do_not_depend_on_the_cores(outputs, num_cores, monkeypatch):
    expected = sir(outputs, num_samples=1000)
    for module in ("_execution", "simulators._jump_runs", "outputs._run_stream", "outputs._plan"):
        monkeypatch.setattr(f"tumble.{module}.num_workers", lambda: num_cores)
    xr.testing.assert_identical(data(sir(outputs, num_samples=1000)), data(expected))


@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize("params", [ROWS, {"beta": BETAS, "gamma": 1.0}], ids=["3", "300"])
def test_results_do_not_depend_on_the_executor(outputs, params):
    options = {"params": params, "num_samples": 300 if params is ROWS else 3}
    expected = data(sir(outputs, **options))
    xr.testing.assert_identical(data(sir(outputs, executor=Courier(), **options)), expected)
    with ThreadPoolExecutor(5) as pool:
        xr.testing.assert_identical(data(sir(outputs, executor=pool, **options)), expected)


@pytest.mark.slow
@pytest.mark.parametrize("outputs", [Moments(), Paths()])
def test_results_do_not_depend_on_processes(outputs):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        there = sir(outputs, executor=pool)
    xr.testing.assert_identical(data(there), data(sir(outputs)))


@pytest.mark.parametrize("outputs", [Moments(), Histogram()])
def test_only_what_is_kept_travels(outputs):
    """50,000 runs would be 6 MB; a piece of them sends its sums or bins."""
    courier = Courier()
    sir(outputs, num_samples=50_000, executor=courier)
    assert courier.largest_result < 10_000


def test_any_simulator_streams():
    class Black(AbstractSimulator):
        """Offers samples and nothing else, shared out on the executor it is given."""

        exact = True

        def sample(self, model, batch, *, executor=None):
            assert executor is not None
            return DirectMethod().sample(model, batch, executor=executor)

    np.testing.assert_array_equal(sir(Moments(), simulator=Black()).mean, sir(Moments()).mean)


def test_memory_does_not_grow_with_the_runs():
    """10⁶ runs at 21 times are 168 MB of counts; their moments should not take much at all."""
    code = """
import resource, sys
import numpy as np
import tumble as tb

def peak():
    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)

decay = tb.ReactionNetwork.from_text("X -> 0 ; gamma")
for num_samples in (1000, 1_000_000):
    for outputs in (tb.outputs.Moments(), tb.outputs.Histogram()):
        tb.simulate(decay, {"gamma": 1.0}, initial={"X": 5}, times=np.linspace(0, 2, 21),
                    num_samples=num_samples, outputs=outputs)
    print(peak())
"""
    pytest.importorskip("resource")
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    few, many = map(float, printed.split())
    assert many - few < 50, f"{few} MiB for 1,000 runs, {many} MiB for 1,000,000"


class Listening(AbstractProgress):
    def __init__(self):
        self.seen = []

    def update(self, fraction, message):
        self.seen.append((fraction, message))

    def close(self):
        pass


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_progress_tells_runs_events_and_what_is_left(outputs):
    bar = Listening()
    sir(outputs, num_samples=1000, progress=bar)
    fractions = [fraction for fraction, _ in bar.seen]
    assert fractions == sorted(fractions) and fractions[0] > 0 and 0.8 < fractions[-1] <= 1
    for _, message in bar.seen:
        assert re.fullmatch(
            r"\d+ of 1,000 runs · [\d.]+( [kMG])? events/s · \d+:\d\d left", message
        )


def test_progress_is_short():
    from tumble.outputs._run_stream import _clock, _short

    assert [_short(x) for x in (0.0, 12.3, 999.4, 45_100.0, 4.51e7, 2e9)] == [
        "0", "12.3", "999", "45.1 k", "45.1 M", "2 G",
    ]  # fmt: skip
    assert [_clock(s) for s in (0.2, 65, 7230)] == ["0:00", "1:05", "2:00:30"]


def test_an_interruption_while_progress_is_shown_keeps_what_is_there():
    class Impatient(Listening):
        def update(self, fraction, message):
            raise KeyboardInterrupt

    got = sir(Moments(), progress=Impatient())
    assert got.interrupted and got.num_runs == 128


def test_pieces_are_bounded_whatever_the_shape():
    from tests.outputs.cases import INITIAL, PARAMS, SIR
    from tumble._simulate import _plan

    for num_times, num_samples in ((1, 10**7), (1, 10), (5, 10**4), (10**5, 10**4), (10**6, 10**4)):
        plan = _plan(SIR, PARAMS, INITIAL, np.arange(num_times), num_samples, 0, DirectMethod(),
                     0.0, False)  # fmt: skip
        assert 16 <= plan.runs_a_piece <= 4096
        size = plan.runs_a_piece * plan.bytes_a_run
        assert size <= 16 * 2**20 or plan.runs_a_piece == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": "moments"}, "`outputs` is 'moments', expected one of tumble.outputs"),
        ({"params": {"beta": [0.1, 0.2], "gamma": [1.0, 2.0, 3.0]}},
         r"`params\['beta'\]` has 2 values and `params\['gamma'\]` 3, expected as many: row m "
         "takes value m of each"),
        ({"params": {"beta": [[0.1]], "gamma": 1.0}},
         r"`params\['beta'\]` has shape \(1, 1\), expected a number or a list of them"),
        ({"params": {"beta": [], "gamma": 1.0}}, r"`params\['beta'\]` has shape \(0,\)"),
        ({"params": {"beta": [0.1, -1.0], "gamma": 1.0}},
         r"`params\['beta'\]` is -1\.0, expected a finite number ≥ 0"),
        ({"params": ROWS, "num_samples": 2**32 + 1}, r"expected at most 2\*\*32 where parameters"),
    ],
)  # fmt: skip
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        sir(**options)


def test_the_error_is_one_of_ours():
    with pytest.raises(ParameterError):
        sir("moments")

"""Python functions as simulators: what a call is, and what becomes of one that fails."""

from __future__ import annotations

import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from tests import declared
from tumble import BlackBox, outputs, simulate
from tumble._errors import CapabilityError, ModelError, ParameterError, SimulationError
from tumble._random import Stream
from tumble._results import ResultCode, SampleCode
from tumble.inputs import StepInput
from tumble.models import ReactionNetwork
from tumble.simulators import CallFunction, CallWithChoices, DirectMethod

STREAM = Stream.from_seed(1)


def drift(params, times, rng):
    """A random walk with a drift, one output."""
    x, now, seen = float(params["start"]), 0, []
    for time in times.astype(int):
        x += params["speed"] * (time - now) + rng.normal(size=time - now).sum()
        seen.append(x)
        now = time
    return np.array(seen)


def declared_drift(params, times, c):
    x, now = np.asarray(params["start"], float), 0
    for time in times.astype(int):
        x = x + c.normal(params["speed"], 1.0, time - now).sum(-1)
        yield x[..., None]
        now = time


def naughty(params, times, rng):
    """Fails in a way that depends on its parameter."""
    how = int(params["how"])
    if how == 1:
        return 1 / np.float64(0).item()
    if how == 2:
        return np.zeros((3, 3))
    if how == 3:
        return "nothing"
    if how == 4:
        return [[0.0, 1.0], [np.nan, 1.0]]
    if how == 5:
        return [[0.0, np.inf], [0.0, 1.0]]
    if how == 6:
        raise KeyboardInterrupt
    return [[0.0, 1.0], [2.0, 3.0]]


def short(params, times, rng):
    yield [0.0]


def endless(params, times, rng):
    while True:
        yield rng.random()


BOX = BlackBox(drift, parameters=["speed"], outputs=["x"], initial=["start"])
ONE_BY_ONE = BlackBox(
    declared_drift, parameters=["speed"], outputs=["x"], initial=["start"], choices=True
)
BATCHED = BlackBox(
    declared_drift, parameters=["speed"], outputs=["x"], initial=["start"], choices=True,
    batched=True,
)  # fmt: skip
NAUGHTY = BlackBox(naughty, parameters=["how"], outputs=["a", "b"])
TIMES = [1.0, 4.0, 9.0]


def run(box, num_samples=300, **options):
    return simulate(
        box, {"speed": 0.5}, initial={"start": 3}, times=TIMES, num_samples=num_samples, **options
    )


@pytest.mark.parametrize("box", [BOX, ONE_BY_ONE, BATCHED], ids=["generator", "one", "batched"])
def test_a_function_is_simulated(box):
    found = run(box, 4_000)
    assert found.data.dims == ("sample", "time", "species") and found.species == ("x",)
    assert found.result is ResultCode.SUCCESS
    times = np.array(TIMES)
    error = np.sqrt(times / 4_000)
    np.testing.assert_array_less(np.abs(found.mean().values[:, 0] - 3 - times / 2), 4 * error)
    np.testing.assert_allclose(found.data.values[..., 0].var(0), times, rtol=0.1)
    assert "x: 7." in found.summary()


@pytest.mark.parametrize("box", [BOX, ONE_BY_ONE, BATCHED], ids=["generator", "one", "batched"])
def test_runs_do_not_depend_on_batches_threads_or_executors(box):
    whole = run(box)
    np.testing.assert_array_equal(run(box, 40).data, whole.data[:40])
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(run(box, executor=pool).data, whole.data)
    assert np.any(run(box, seed=1).data != whole.data)
    assert len(np.unique(whole.data[:, 0])) == 300
    simulator = CallFunction() if box is BOX else CallWithChoices()
    batch = declared.batch(np.full((9, 1), 0.5), np.full((9, 1), 3), TIMES, STREAM)
    alone = simulator.sample(box, batch).states
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal(simulator.sample(box, batch, executor=pool).states, alone)


@pytest.mark.slow
def test_processes_return_the_same():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for box in (BOX, BATCHED):
            np.testing.assert_array_equal(run(box, executor=pool).data, run(box).data)


def test_a_function_that_cannot_be_sent_to_a_process_is_named():
    box = BlackBox(lambda params, times, rng: times, outputs=["x"])
    with pytest.raises(ModelError, match=r"the function .*<lambda> cannot be sent to another pro"):
        pickle.dumps(box)
    assert pickle.loads(pickle.dumps(BOX)) == BOX


def test_rows_of_parameters_and_other_outputs():
    found = simulate(
        BOX, {"speed": [0.0, 5.0]}, initial={"start": 0}, times=TIMES, num_samples=200,
        outputs=outputs.Moments(),
    )  # fmt: skip
    means = found.mean.sel(species="x").isel(time=-1).values
    np.testing.assert_allclose(means, [0, 45], atol=4 * 3 / np.sqrt(200))
    common = simulate(
        BOX, {"speed": [0.0, 5.0]}, initial={"start": 0}, times=TIMES, num_samples=2, common=True
    ).data.values[..., 0]
    np.testing.assert_allclose(common[1] - common[0], [np.multiply(5, TIMES)] * 2)
    with pytest.raises(ParameterError, match="CallFunction returns real numbers"):
        run(BOX, outputs=outputs.Histogram())
    with pytest.raises(CapabilityError, match="CallFunction"):
        run(BOX, outputs=outputs.Paths())


def test_each_failure_has_a_code_and_its_first_message():
    found = simulate(NAUGHTY, {"how": [0, 1, 2, 3, 4, 5, 0]}, times=[0, 1], num_samples=2)
    codes = [SampleCode.OK, SampleCode.EXCEPTION, SampleCode.WRONG_OUTPUT, SampleCode.WRONG_OUTPUT,
             SampleCode.NOT_FINITE, SampleCode.NOT_FINITE, SampleCode.OK]  # fmt: skip
    np.testing.assert_array_equal(found.codes, np.repeat(codes, 2).reshape(7, 2))
    assert found.result is ResultCode.PARTIAL
    assert np.isnan(found.data.values[1:6]).all() and np.isfinite(found.data.values[[0, 6]]).all()
    messages = found.messages
    assert "ZeroDivisionError" in messages[SampleCode.EXCEPTION]
    assert "(test_black_box.py, line " in messages[SampleCode.EXCEPTION]
    assert messages[SampleCode.WRONG_OUTPUT] == (
        "it returned an array of shape (3, 3), expected (2, 2)"
    )
    assert messages[SampleCode.NOT_FINITE] == "output 'a' is nan at time number 1"
    summary = found.summary()
    assert "2 of 14 runs: the function of the black box raised an exception (EXCEPTION): Zero" in (
        summary
    )
    assert "4 of 14 runs: an output was infinite or not a number" in summary


def test_when_every_run_fails_the_message_is_in_the_error():
    with pytest.raises(SimulationError, match=r"every run failed: 5 of 5 runs: .*ZeroDivisionErro"):
        simulate(NAUGHTY, {"how": 1}, times=[0, 1], num_samples=5)
    with pytest.raises(SimulationError, match="no array of numbers: could not convert string"):
        simulate(NAUGHTY, {"how": 3}, times=[0, 1], num_samples=5)
    with pytest.raises(SimulationError, match="it yielded 1 rows, expected one for each of 2 tim"):
        simulate(BlackBox(short, outputs=["x"]), {}, times=[0, 1])


def test_what_yields_without_end_is_stopped_after_the_last_time():
    found = simulate(BlackBox(endless, outputs=["x"]), {}, times=[0, 1, 2], num_samples=3)
    assert found.data.shape == (3, 3, 1) and not found.codes.any()


def test_an_interruption_is_not_a_failed_run():
    with pytest.raises(KeyboardInterrupt):
        simulate(NAUGHTY, {"how": 6}, times=[0, 1], num_samples=5)


def test_an_exception_in_a_batch_costs_only_the_runs_that_raise_it():
    def picky(params, times, c):
        if np.any(params["p"] > 0.9):
            raise RuntimeError("too large")
        return c.flip(params["p"])[:, None]

    box = BlackBox(picky, parameters=["p"], outputs=["x"], choices=True, batched=True)
    values = np.linspace(0, 1, 101)
    found = simulate(box, {"p": values}, times=[0.0])
    np.testing.assert_array_equal(found.codes[:, 0] != 0, values > 0.9)
    assert "RuntimeError: too large" in found.messages[SampleCode.EXCEPTION]
    calm = simulate(box, {"p": np.minimum(values, 0.9)}, times=[0.0])
    np.testing.assert_array_equal(calm.data[:90], found.data[:90])


def test_a_function_cannot_change_what_others_see():
    def rude(params, times, rng):
        times[:] = -1
        params["k"] = 7
        return np.zeros(2)

    found = simulate(BlackBox(rude, ["k"], ["x"]), {"k": 1.0}, times=[0, 1], num_samples=2)
    np.testing.assert_array_equal(found.times, [0, 1])


# -- questions that make no sense --------------------------------------


def test_names_and_settings_are_checked():
    with pytest.raises(ModelError, match=r"`function` is 3, expected a function of \(params"):
        BlackBox(3, outputs=["x"])
    with pytest.raises(ModelError, match="`outputs` is empty; name at least one column"):
        BlackBox(drift)
    with pytest.raises(ModelError, match=r"`parameters` is 'speed', expected a list of names"):
        BlackBox(drift, "speed", ["x"])
    with pytest.raises(ModelError, match="'x' is named twice in `parameters` and `outputs`"):
        BlackBox(drift, ["x"], ["x"])
    with pytest.raises(ModelError, match="'k' is named twice in `parameters` and `initial`"):
        BlackBox(drift, ["k"], ["x"], ["k"])
    assert BlackBox(drift, ["k"], ["x"], ["x"]).initial_names == ("x",)
    with pytest.raises(ModelError, match="an entry of `outputs` is '2x', expected a name"):
        BlackBox(drift, ["speed"], ["2x"])
    with pytest.raises(ModelError, match="`batched` needs choices=True"):
        BlackBox(drift, outputs=["x"], batched=True)


def test_values_are_checked():
    with pytest.raises(ModelError, match=r"but the black box has speed. Did you mean 'speed'"):
        simulate(BOX, {"sped": 1.0}, initial={"start": 0}, times=[1])
    with pytest.raises(ModelError, match=r"`params\['speed'\]` is nan, expected a finite number"):
        simulate(BOX, {"speed": np.nan}, initial={"start": 0}, times=[1])
    with pytest.raises(ModelError, match="`initial` has no value for species 'start'"):
        simulate(BOX, {"speed": 1.0}, times=[1])
    with pytest.raises(ModelError, match="`initial` has species 'x', but the black box has start"):
        simulate(BOX, {"speed": 1.0}, initial={"x": 1}, times=[1])
    with pytest.raises(ModelError, match="is a function of time, but the black box takes numbers"):
        simulate(BOX, {"speed": StepInput([0, 1], [1.0, 2.0])}, initial={"start": 0}, times=[1])


def test_models_and_simulators_have_to_match():
    with pytest.raises(CapabilityError, match="DirectMethod runs a ReactionNetwork, but the model"):
        run(BOX, simulator=DirectMethod())
    network = ReactionNetwork.from_text("X -> 0 ; k")
    with pytest.raises(CapabilityError, match="CallFunction runs a BlackBox, but the model is a R"):
        simulate(network, {"k": 1.0}, initial={"X": 1}, times=[1], simulator=CallFunction())
    with pytest.raises(ModelError, match=r"Wrap a function of your own: tb.BlackBox\(function, …"):
        simulate(drift, {}, times=[1])
    batch = declared.batch(np.full((2, 1), 0.5), np.full((2, 1), 3), TIMES, STREAM)
    with pytest.raises(CapabilityError, match="declare it with choices=True"):
        CallWithChoices().sample_with_score(BOX, batch)


def test_calls_hold_as_many_runs_as_their_draws_allow():
    """Few runs first, then so many that the widest draw has about four million numbers."""
    sizes = []

    def crowd(params, times, c):
        sizes.append(len(params["p"]))
        return c.flip(params["p"], 5_000).sum(1)[:, None]

    box = BlackBox(crowd, ["p"], ["x"], choices=True, batched=True)
    batch = declared.batch(np.full((2_000, 1), 0.5), np.zeros((2_000, 0), np.int64), [0.0], STREAM)
    whole = CallWithChoices().sample(box, batch).states
    assert sizes == [64, 838, 838, 260]
    sizes.clear()
    scored = CallWithChoices().sample_with_score(box, batch)
    assert sizes[0] == 64 and set(sizes[1:-1]) == {419}
    np.testing.assert_array_equal(scored.states, whole)

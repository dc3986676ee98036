"""What holds for every simulator, whatever its law."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tests import helpers
from tests.simulators.agreement import (
    CASES,
    LAW_CASES,
    STREAM,
    TIMES,
    batch_of,
    counts,
    rows,
)
from tumble import Parameter, Problem, objectives, outputs, simulate
from tumble._errors import CapabilityError, ParameterError
from tumble._random import Stream, run_ids
from tumble._results import SampleCode
from tumble.gradients import (
    SPSA,
    AlternativePath,
    Auto,
    CoupledDifference,
    GaussianSmoothing,
    ScoreFunction,
)
from tumble.models import Event, Reaction, ReactionNetwork
from tumble.simulators import (
    Batch,
    DirectMethod,
    Langevin,
    MeanField,
    NextReactionMethod,
    SupportsAlternative,
    SupportsCoupling,
    SupportsLikelihood,
    SupportsScore,
    TauLeaping,
)

SIMULATORS = [
    DirectMethod(), NextReactionMethod(), TauLeaping(), Langevin(step=0.05), MeanField(),
]  # fmt: skip
each_simulator = pytest.mark.parametrize("simulator", SIMULATORS, ids=lambda s: type(s).__name__)


def assert_runs_are(a, b):
    for name in ("states", "codes", "events"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@each_simulator
@pytest.mark.parametrize("case", ["dimerization", pytest.param("enzyme", marks=pytest.mark.slow)])
def test_runs_do_not_depend_on_threads_or_batches(simulator, case):
    """Large enough that tau-leaping leaps; all 150 rows have parameters of their own."""
    network, params, initial = {**CASES, **LAW_CASES}[case]
    num_runs = 150
    runs = run_ids(num_runs, start=5)
    params = rows(params, num_runs) * (1 + 0.01 * np.arange(num_runs)[:, None])
    initial = 100 * counts(initial, num_runs)

    def run(pick, executor=None):
        batch = Batch(params[pick], initial[pick], TIMES, STREAM, runs[pick])
        return simulator.sample(network, batch, executor=executor)

    whole = run(slice(None))
    assert np.all(whole.codes == 0)
    assert len(np.unique(whole.states.reshape(num_runs, -1), axis=0)) > 50
    for workers in (1, 4):
        with ThreadPoolExecutor(workers) as pool:
            assert_runs_are(whole, run(slice(None), pool))
    order = np.random.default_rng(0).permutation(num_runs)
    for pick in (slice(0, 1), slice(17, 90), slice(90, None), order, np.array([7, 7, 149])):
        kept = replace(
            whole, states=whole.states[pick], codes=whole.codes[pick], events=whole.events[pick]
        )
        assert_runs_are(kept, run(pick))


@each_simulator
def test_states_are_of_the_stated_type(simulator):
    got = simulator.sample(helpers.sir(), batch_of([0.1, 0.7], [18, 2, 0], 7))
    assert got.states.dtype == (np.int64 if simulator.discrete else np.float64)
    assert got.states.shape == (7, len(TIMES), 3)
    np.testing.assert_array_equal(got.states[:, 0], np.tile([18, 2, 0], (7, 1)))
    assert got.codes.shape == got.events.shape == (7,)
    assert simulator.exact == (type(simulator) in (DirectMethod, NextReactionMethod))


@each_simulator
def test_conserved_sums_stay(simulator):
    for network, params, initial in (*CASES.values(), LAW_CASES["enzyme"]):
        initial = 50 * np.array(initial)
        got = simulator.sample(network, batch_of(params, initial, 50))
        for law in network.conservation_laws:
            weights = np.array([law.weights.get(s, 0) for s in network.species])
            sums = got.states @ weights
            if simulator.discrete:
                np.testing.assert_array_equal(sums, initial @ weights)
            else:
                np.testing.assert_allclose(sums, initial @ weights, rtol=1e-12)


@each_simulator
@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_invalid_rates_spoil_their_own_run_only(simulator, rate):
    network = helpers.immigration_death()
    params = np.array([[1.0, 1.0], [1.0, rate], [1.0, 1.0]])
    good = simulator.sample(network, batch_of([1.0, 1.0], [4], 3))
    got = simulator.sample(network, Batch(params, counts([4], 3), TIMES, STREAM, run_ids(3)))
    np.testing.assert_array_equal(got.codes, [0, SampleCode.INVALID_RATE, 0])
    np.testing.assert_array_equal(got.states[1], -1 if simulator.discrete else np.nan)
    np.testing.assert_array_equal(got.states[[0, 2]], good.states[[0, 2]])


@each_simulator
def test_a_rate_law_that_goes_below_zero_is_found(simulator):
    network = ReactionNetwork.from_text("X -> 0 ; d\n0 => X ; k * (X - 5)")
    got = simulator.sample(network, batch_of([1.0, 0.1], [8], 20, [0.0, 50.0]))
    if isinstance(simulator, MeanField):
        # A negative rate means nothing at random, but dx/dt = −d x + k (x − 5) is an equation.
        np.testing.assert_array_equal(got.codes, 0)
        return
    np.testing.assert_array_equal(got.codes, SampleCode.INVALID_RATE)
    np.testing.assert_array_equal(got.culprits, 1)


@each_simulator
def test_a_network_of_numbers_alone(simulator):
    got = simulator.sample(ReactionNetwork.from_text("0 -> X ; 100"), batch_of([], [4], 3))
    assert got.states.shape == (3, len(TIMES), 1)
    assert np.all(got.codes == 0)
    assert np.all(got.states[:, 3] > 100)


@each_simulator
def test_an_empty_batch(simulator):
    got = simulator.sample(helpers.arrival(), batch_of([1.0], [0], 0))
    assert got.states.shape == (0, 4, 1)
    assert got.codes.shape == (0,)


@each_simulator
def test_simulate_takes_each(simulator, tmp_path):
    import xarray as xr

    got = simulate(
        helpers.sir(), {"beta": 0.001, "gamma": 0.7}, initial={"S": 1800, "I": 200, "R": 0},
        times=[0.0, 1.0, 2.5], num_samples=8, simulator=simulator,
    )  # fmt: skip
    assert got.data.dims == ("sample", "time", "species")
    assert got.data.dtype == (np.int64 if simulator.discrete else np.float64)
    assert got.simulator == simulator
    assert got.citations() == simulator.citations
    assert all("doi:10." in text for text in got.citations())
    approximate = f"approximate, by {simulator}"
    assert (approximate in got.summary()) == (not simulator.exact)
    assert ("events in" in got.summary()) == simulator.discrete
    with xr.open_dataset(got.save(tmp_path / "runs.nc"), engine="h5netcdf") as saved:
        np.testing.assert_array_equal(saved["counts"], got.data)
        assert saved.attrs["simulator"] == str(simulator)


def test_what_is_real_fails_as_not_a_number():
    network = ReactionNetwork.from_text("2 X -> 3 X ; k\n0 -> Y ; h")
    for simulator in (Langevin(step=0.01), MeanField()):
        batch = batch_of([0.1, 1.0], [10, 0], 2, [0.0, 0.1, 100.0])
        params = np.array([[0.0, 1.0], [0.1, 1.0]])
        got = simulator.sample(network, replace(batch, params=params))
        assert got.codes[0] == 0 and got.codes[1] != 0
        assert np.all(np.isnan(got.states[1]))
        assert np.all(np.isfinite(got.states[0]))


# -- capabilities ---------------------------------------------------------------------------------

OFFERS = {
    DirectMethod: {SupportsScore, SupportsCoupling, SupportsAlternative},
    NextReactionMethod: {SupportsCoupling},
    TauLeaping: set(),
    Langevin: set(),
    MeanField: set(),
}


@each_simulator
def test_capabilities(simulator):
    capabilities = {SupportsScore, SupportsCoupling, SupportsAlternative, SupportsLikelihood}
    offered = {c for c in capabilities if isinstance(simulator, c)}
    assert offered == OFFERS[type(simulator)]


def bound(simulator):
    problem = Problem(
        helpers.immigration_death(),
        data={"time": [1.0, 2.0], "X": [5, 7]},
        initial={"X": 3},
        parameters={"k": Parameter(0.1, 100), "gamma": Parameter(0.1, 10)},
        simulator=simulator,
    )
    return objectives.MomentMatching(order=1).bind(problem)


@each_simulator
@pytest.mark.parametrize(
    "estimator", [ScoreFunction(), CoupledDifference(), AlternativePath(), SPSA()], ids=str
)
def test_estimators_say_what_a_simulator_lacks(simulator, estimator):
    if isinstance(simulator, estimator.requires):
        estimator.check(bound(simulator))
        return
    message = (
        f"{type(estimator).__name__} needs a simulator that offers {estimator.requires.__name__}, "
        f"but {type(simulator).__name__} does not"
    )
    with pytest.raises(CapabilityError, match=message):
        estimator.estimate(bound(simulator), np.zeros(2), 100, Stream.from_seed(0))


@pytest.mark.parametrize("simulator", [TauLeaping(), Langevin(step=0.1), MeanField()], ids=str)
def test_no_estimator_at_all_is_an_error(simulator):
    with pytest.raises(CapabilityError, match=f"{type(simulator).__name__} offers what none of"):
        Auto([ScoreFunction(), CoupledDifference()]).choose(
            bound(simulator), np.zeros(2), Stream.from_seed(0)
        )
    samples_alone = Auto().members(bound(simulator).problem)
    assert [type(e) for e in samples_alone] == [SPSA, GaussianSmoothing]


@pytest.mark.parametrize("simulator", SIMULATORS[1:4], ids=str)
def test_rates_that_depend_on_time_are_refused(simulator):
    network = ReactionNetwork.from_text("0 -> X ; k * (1 + sin(time))")
    with pytest.raises(CapabilityError, match=f"but {type(simulator).__name__} needs rates that"):
        simulator.sample(network, batch_of([1.0], [0], 1))


@pytest.mark.parametrize("simulator", SIMULATORS[1:], ids=str)
def test_events_are_refused(simulator):
    network = ReactionNetwork((Reaction({"X": 1}, {}, "d"),), events=(Event("X < 3", {"X": "9"}),))
    with pytest.raises(CapabilityError, match=f"but {type(simulator).__name__} takes networks of"):
        simulator.sample(network, batch_of([1.0], [5], 1))


def test_real_states_can_be_kept_as_moments_and_in_bins():
    model, options = helpers.immigration_death(), {"initial": {"X": 100}, "times": [0.0, 1.0]}
    exact = helpers.immigration_death_moments(0.0, 1.0, np.array([0.0, 1.0]), 100)[0]
    for simulator in (Langevin(step=0.01), MeanField()):
        run = {"num_samples": 500, "simulator": simulator, **options}
        kept = simulate(model, {"k": 0.0, "gamma": 1.0}, outputs=outputs.Moments(), **run)
        error = 4 * kept.standard_error.values[:, 0] + 0.01 * exact
        assert np.all(np.abs(kept.mean.values[:, 0] - exact) < error)
        binned = outputs.Histogram(edges=[-10, 10, 60, 110])
        counts = simulate(model, {"k": 0.0, "gamma": 1.0}, outputs=binned, **run).counts.values
        np.testing.assert_array_equal(counts[:, 0], [[0, 0, 500], [0, 500, 0]])
        message = (
            f"{type(simulator).__name__} returns real numbers, but `Histogram` without `edges`"
        )
        with pytest.raises(ParameterError, match=message):
            simulate(model, {"k": 0.0, "gamma": 1.0}, outputs=outputs.Histogram(), **run)

"""Networks whose rates are constant between known times."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests import helpers
from tumble import Experiment, Parameter, Problem, outputs, simulate
from tumble._errors import CapabilityError
from tumble._random import Stream
from tumble._results import SampleCode
from tumble.gradients import CoupledDifference, LinearResponse, ScoreFunction
from tumble.inputs import LinearInput, StepInput
from tumble.models import ReactionNetwork
from tumble.objectives import MomentMatching
from tumble.simulators import (
    Batch,
    DirectMethod,
    SupportsAlternative,
    SupportsCoupling,
    SupportsScore,
)
from tumble.simulators._stages import is_staged, stages_of

LOCKDOWN = "b = where(time < 2, b0, b1)\n0 -> X ; b\nX => 0 ; g * X * (1 + (time >= 3))"
network = ReactionNetwork.from_text


def mean_and_slopes(b0, b1, g, times, step=1e-5):
    """E[X] from 0 of `LOCKDOWN`, whose law is Poisson, and its derivatives."""

    def mean(b0, b1, g):
        grid = np.array([2.0, 3.0])
        found = []
        for t in times:
            x, begin = 0.0, 0.0
            for end, birth, death in [
                (min(t, grid[0]), b0, g), (min(t, grid[1]), b1, g), (t, b1, 2 * g)
            ]:  # fmt: skip
                if end > begin:
                    decay = np.exp(-death * (end - begin))
                    x, begin = x * decay + birth / death * (1 - decay), end
            found.append(x)
        return np.array(found)

    base = np.array([b0, b1, g])
    slopes = [(mean(*(base + step * e)) - mean(*(base - step * e))) / (2 * step) for e in np.eye(3)]
    return mean(b0, b1, g), np.stack(slopes, axis=-1)


def batch(params, initial, times, num_runs=1, seed=3, start=0.0):
    shape = (num_runs, *np.shape(params))
    return Batch(
        np.broadcast_to(np.asarray(params, float), shape),
        np.broadcast_to(np.asarray(initial, np.int64), (num_runs, *np.shape(initial))),
        np.asarray(times, float), Stream.from_seed(seed), np.arange(num_runs, dtype=np.uint64),
        start,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        (LOCKDOWN, [0, 2, 3, 5]),
        ("0 -> X ; k * (time - floor(time) < 0.25)", None),
        ("0 -> X ; k * (2 * floor(time / 2) == 2)", [0, 2, 4, 5]),
        ("0 -> X ; where(3 - time > 0.5, k, 2)", [0, 2.5, 5]),
        ("0 -> X ; where(time < 7, k, 2)", [0, 5]),
        ("0 -> X ; k * (1 + time)", None),
        ("0 -> X ; where(time < t0, k, 2)", None),
        ("0 => X ; where(time * X < 4, k, 2)", None),
        ("0 -> X ; k * floor(time ^ 2)", None),
        ("0 -> X ; k", None),
        ("V(0) = 1\n0 => X ; V * (time < 2)", None),
        ("0 -> X ; k * (time < 2)\nat time > 4: X = 0", None),
    ],
)
def test_stages_are_found(text, edges):
    model = network(text)
    stages = [] if model.is_jump_process else stages_of(model, 0.0, 5.0)
    assert is_staged(model) == bool(stages)
    if edges is None:
        assert not stages
    else:
        assert [s.begin for s in stages] + [stages[-1].end] == edges
        assert all(s.model.is_jump_process for s in stages)
        assert all(s.model.parameters == model.parameters for s in stages)


def test_a_stage_has_one_network_whatever_part_of_it_is_run():
    model = network(LOCKDOWN)
    long, short = stages_of(model, 0.0, 9.0), stages_of(model, 2.5, 4.0)
    assert [s.model for s in long[1:]] == [s.model for s in short]
    assert short[0].begin == 2.5 and short[-1].end == 4.0
    days = network("0 -> X ; k * (1 + floor(time / 7))")
    assert stages_of(days, 3.0, 25.0)[1].model is stages_of(days, 0.0, 9.0)[1].model


def test_so_many_stages_are_left_to_the_other_kernel():
    model = network("0 -> X ; k * floor(time)")
    assert is_staged(model) and stages_of(model, 0.0, 1000.0) == ()
    run = simulate(model, {"k": 1e-4}, initial={"X": 0}, times=[1000.0], num_samples=50)
    assert run.result.ok
    assert abs(run.data.mean() - 49.95) < 4 * np.sqrt(49.95 / 50)
    with pytest.raises(CapabilityError, match="depends on `time`"):
        DirectMethod().sample_with_score(model, batch([1e-4], [0], [1000.0]))


def test_the_law_is_exact():
    times = [0.5, 2.0, 2.5, 3.0, 6.0]
    got = DirectMethod().sample(network(LOCKDOWN), batch([9.0, 3.0, 0.8], [0], times, 40_000))
    assert not got.codes.any()
    means, _ = mean_and_slopes(9.0, 3.0, 0.8, times)
    for k, mean in enumerate(means):
        counts = np.bincount(got.states[:, k, 0], minlength=60)[:60]
        expected = 40_000 * stats.poisson(mean).pmf(np.arange(60))
        enough = expected > 5
        statistic = np.sum((counts[enough] - expected[enough]) ** 2 / expected[enough])
        assert stats.chi2(enough.sum() - 1).sf(statistic) > 1e-3


def test_runs_do_not_depend_on_when_they_are_looked_at():
    model, params = network(LOCKDOWN), [9.0, 3.0, 0.8]
    fine = DirectMethod().sample(model, batch(params, [0], np.linspace(0, 6, 61), 200))
    for times in ([6.0], [1.9, 2.0, 2.1], [0.0, 3.0, 3.0]):
        few = DirectMethod().sample(model, batch(params, [0], times, 200))
        which = np.rint(np.array(times) * 10).astype(int)
        assert np.array_equal(few.states, fine.states[:, which])
    part = batch(params, [0], [6.0], 200)
    some = Batch(part.params[7:9], part.initial[7:9], part.times, part.stream, part.runs[7:9])
    assert np.array_equal(DirectMethod().sample(model, some).states[:, 0], fine.states[7:9, -1])


def test_the_score_is_that_of_the_law():
    n, times, params = 60_000, [1.0, 2.5, 5.0], [9.0, 3.0, 0.8]
    got = DirectMethod().sample_with_score(network(LOCKDOWN), batch(params, [0], times, n))
    mean, slopes = mean_and_slopes(*params, times)
    assert np.all(np.abs(got.score.mean(0)) < 4 * got.score.std(0) / np.sqrt(n) + 1e-12)
    assert np.array_equal(got.score[:, 0, 1], np.zeros(n))  # b1 has not mattered yet
    products = (got.states - mean[:, None]) * got.score
    error = products.std(0) / np.sqrt(n)
    assert np.all(np.abs(products.mean(0) - slopes) < 4 * error + 1e-9)
    assert np.array_equal(
        got.states, DirectMethod().sample(network(LOCKDOWN), batch(params, [0], times, n)).states
    )


def test_pairs_are_close_and_each_has_its_law():
    n, times = 40_000, [1.0, 2.5, 5.0]
    both = np.array([[9.0, 3.0, 0.8], [9.5, 3.3, 0.8]])
    got = DirectMethod().sample_pairs(network(LOCKDOWN), batch(both, [[0], [0]], times, n))
    for side in range(2):
        mean, _ = mean_and_slopes(*both[side], times)
        assert np.all(np.abs(got.states[:, side, :, 0].mean(0) - mean) < 4 * np.sqrt(mean / n))
    apart = got.states[:, 1, :, 0] - got.states[:, 0, :, 0]
    assert np.all(apart.var(0) < 0.2 * got.states[:, 0, :, 0].var(0))


def test_what_fails_in_a_stage_ends_there():
    model = network("0 => X ; where(time < 1, k, 2 - X)")
    got = DirectMethod().sample(model, batch([3.0], [0], [0.5, 1.0, 40.0], 400))
    failed = got.codes == SampleCode.INVALID_RATE
    assert 0 < failed.sum() < 400 and np.all(got.culprits[failed] == 0)
    assert np.all(got.states[failed] == -1) and np.all(got.states[~failed, 2, 0] == 2)
    scored = DirectMethod().sample_with_score(model, batch([3.0], [0], [0.5, 1.0, 40.0], 400))
    assert np.array_equal(scored.codes, got.codes)
    assert np.array_equal(np.isnan(scored.score[..., 0]).any(1), failed)
    capped = DirectMethod(max_events=10).sample(
        network("0 -> X ; where(time < 1, 6, 7)"), batch([], [0], [1.0, 2.0], 200)
    )
    late = capped.codes == SampleCode.MAX_EVENTS
    assert 0 < late.sum() < 200 and np.all(capped.states[~late] <= 10)
    assert np.all(capped.events[~late] <= 10)


def test_gradients_of_an_intervention():
    """Estimators see an experiment with an input as any other; unlike ones agree."""
    problem = Problem(
        network("S + I -> 2 I ; beta * contact\nI -> R ; gamma"),
        [
            Experiment({"time": [2.0, 5.0], "I": [20.0, 18.0]}, {"S": 60, "I": 5, "R": 0},
                       conditions={"contact": StepInput([0, 2.5], [1.0, 0.4])}),
            Experiment({"time": [2.0], "I": [21.0]}, {"S": 60, "I": 5, "R": 0},
                       conditions={"contact": 1.0}),
        ],
        {"beta": Parameter(1e-3, 1), "gamma": Parameter(0.05, 5)},
    )  # fmt: skip
    bound = MomentMatching(order=1).bind(problem)
    z = np.log([0.02, 0.5])
    found = [
        estimator.estimate(bound, z, 20_000, Stream.from_seed(i))
        for i, estimator in enumerate(
            [ScoreFunction(), ScoreFunction(LinearResponse()), CoupledDifference()]
        )
    ]
    for one in found[:2]:
        error = np.hypot(one.standard_errors, found[2].standard_errors)
        # The step of the differences leaves a bias of this order.
        allowed = 4 * error + 0.002 * np.abs(found[2].gradient)
        assert np.all(np.abs(one.gradient - found[2].gradient) < allowed)
        assert np.all(one.standard_errors < 0.2 * np.abs(one.gradient))


def test_what_is_offered():
    staged, smooth = network(LOCKDOWN), network("0 -> X ; k * time")
    for capability in (SupportsScore, SupportsCoupling):
        assert DirectMethod().offers(capability, staged)
        assert not DirectMethod().offers(capability, smooth)
    assert not DirectMethod().offers(SupportsAlternative, staged)
    with pytest.raises(CapabilityError, match="depends on `time`"):
        DirectMethod().sample_with_score(smooth, batch([1.0], [0], [1.0]))
    ramp = helpers.arrival().with_inputs({"k": LinearInput([0, 1], [1.0, 2.0])})
    assert not DirectMethod().offers(SupportsScore, ramp)


@pytest.mark.parametrize(
    "text", ["0 -> X ; where(time < 1, 2, 5)", "0 -> X ; time", "V(0) = 1\nV' = 1\n0 -> X ; V"]
)
def test_whole_paths_of_rates_that_depend_on_time_are_refused(text):
    with pytest.raises(
        CapabilityError, match="cannot write down the events of a run of this model"
    ):
        simulate(network(text), {}, initial={"X": 0}, times=[2.0], outputs=outputs.Paths())


def test_networks_without_parameters_have_rates_for_each_run():
    """Every constant is an expression of numbers."""
    for text in ("0 -> X ; 2 * 3", "0 => X ; where(1 < 2, 6, 7)"):
        model = network(text)
        assert model.rates(np.zeros((5, 0))).shape == (5, 1)
        assert model.propensities(np.zeros((5, 1)), np.zeros((5, 0))).tolist() == [[6.0]] * 5
        run = simulate(model, {}, initial={"X": 0}, times=[2.0], num_samples=400)
        assert abs(run.data.mean() - 12) < 4 * np.sqrt(12 / 400)

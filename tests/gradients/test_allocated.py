"""Runs divided between experiments and times: right at every size, and less work where they are."""

import numpy as np
import pytest

from tests import helpers
from tests.gradients.perturbed import exact_moments, mean_over_batches
from tests.gradients.test_exact_answers import sir, twice, two_experiments
from tumble import BlackBox, Budget, Experiment, Parameter, Problem, fit
from tumble._errors import ParameterError
from tumble._random import Stream
from tumble.distances import EnergyDistance
from tumble.gradients import (
    Allocated,
    AlternativePath,
    Auto,
    Block,
    CoupledDifference,
    LinearResponse,
    ScoreFunction,
)
from tumble.gradients._allocation import allocate
from tumble.gradients._chosen import Chosen
from tumble.objectives import DistributionMatching, ExpectedLoss, MomentMatching

MEMBERS = [ScoreFunction(), ScoreFunction(LinearResponse()), CoupledDifference(), AlternativePath()]
CASES = {
    "times": (sir, (Block(0, 3, 1), Block(0, 1, 3), Block(0, 2, 2))),
    "experiments": (two_experiments, (Block(1, 1, 3), Block(0, 1, 1))),
}
LOSSES = [
    MomentMatching(order=1),
    ExpectedLoss(),
    DistributionMatching(EnergyDistance(num_cells=16)),
]


def bind(make, loss):
    problem, theta = make()
    bound = loss.bind(twice(problem))
    z = problem.space.to_fit(np.array(theta))
    moments, slopes = exact_moments(bound, z)
    return bound, z, bound.value(moments), bound.slope(moments) @ slopes


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("member", MEMBERS, ids=lambda m: m.label)
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_loss_and_gradient_are_exact_within_four_standard_errors(case, member, loss):
    make, blocks = CASES[case]
    bound, z, value, gradient = bind(make, loss)
    found = Allocated(member, blocks).estimate(bound, z, 60_000, Stream.from_seed(7))
    assert np.all(np.abs(found.gradient - gradient) < 4 * found.standard_errors)
    assert 4 * found.standard_errors.max() < np.abs(gradient).max()
    assert abs(found.value - value) < 4 * np.sqrt(found.value_variance)


@pytest.mark.parametrize(("case", "loss"), helpers.mostly_slow(list(CASES), LOSSES[:2]), ids=str)
def test_small_batches_are_unbiased(case, loss):
    make, blocks = CASES[case]
    bound, z, _, gradient = bind(make, loss)
    mean, error = mean_over_batches(Allocated(ScoreFunction(), blocks), bound, z, 4, 1_200)
    assert np.all(np.abs(mean - gradient) < 4 * error)


@pytest.mark.parametrize(  # blocks in as many batches, or in calls
    ("member", "num_runs"), helpers.mostly_slow(MEMBERS[:2], [300, 2_000]), ids=str
)
def test_the_stated_covariance_is_that_of_repeats(member, num_runs):
    make, blocks = CASES["times"]
    bound, z, _, gradient = bind(make, LOSSES[0])
    stream, estimator = Stream.from_seed(2), Allocated(member, blocks)
    found = [estimator.estimate(bound, z, num_runs, stream.child(i)) for i in range(200)]
    gradients = np.stack([f.gradient for f in found])
    ratio = np.mean([f.standard_errors**2 for f in found], axis=0) / gradients.var(0, ddof=1)
    assert np.all((ratio > 0.7) & (ratio < 1.4))
    error = gradients.std(0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(gradients.mean(0) - gradient) < 4 * error)
    assert all(0.8 * num_runs <= f.num_runs <= num_runs for f in found)


def unequal():
    """Two experiments: one says nearly all about the loss, the other takes nearly all events."""
    experiments = [
        Experiment({"time": [1.0], "X": [4.0]}, {"X": 0}, {"k": 5.0}, kind="mean", num_averaged=9),
        Experiment({"time": [1.0], "X": [1e4]}, {"X": 9_000}, {"k": 9e3}, kind="mean",
                   num_averaged=9),
    ]  # fmt: skip
    return Problem(
        helpers.immigration_death(), experiments, {"gamma": Parameter(0.1, 10), "k": 1.0}
    )


@pytest.mark.slow
def test_runs_go_where_they_tell_most_for_their_work():
    bound, z = MomentMatching(order=1).bind(unequal()), np.log([1.3])
    found = allocate(ScoreFunction(), bound, z, 256, Stream.from_seed(1))
    # By hand: variances v and works w per run; all equal cost (Σ v)(Σ w), the best (Σ √(v w))².
    parts = [bound.part(e, 1) for e in range(2)]
    whole = ScoreFunction().sample(bound, z, 20_000, Stream.from_seed(3))
    slopes = bound.loss.slope(whole.features.mean(0))
    pulled = bound.loss.second(whole.features.mean(0))[:, None] * whole.jacobians.mean(0)
    centered = whole.features - whole.features.mean(0)
    influence = whole.jacobians[..., 0] * slopes + centered * pulled[:, 0]
    events = [ScoreFunction().sample(p, z, 2_000, Stream.from_seed(4)).num_events for p in parts]
    variance, work = influence.var(0), np.array(events) / 2_000 + 1
    best = variance.sum() * work.sum() / np.sqrt(variance * work).sum() ** 2
    assert best > 1.5
    assert found.gain == pytest.approx(best, rel=0.3)
    estimates = [
        [e.estimate(bound, z, 4_000, Stream.from_seed(5).child(i)) for i in range(20)]
        for e in (ScoreFunction(), found.estimator)
    ]
    plain, divided = (np.mean([e.work_variance for e in es]) for es in estimates)
    assert plain / divided == pytest.approx(best, rel=0.3)


def test_auto_divides_runs_and_charges_the_pilots():
    bound, z = MomentMatching(order=1).bind(unequal()), np.log([1.3])
    auto = Auto([ScoreFunction()])
    choice = auto.choose(bound, z, Stream.from_seed(1), num_runs=20_000)
    assert isinstance(choice.estimator, Allocated)
    assert choice.gain > 1.25
    assert "saves a factor" in str(choice)
    assert choice.num_runs < 20_000 / 5
    found = auto.estimate(bound, z, 20_000, Stream.from_seed(1))
    assert 0.9 * 20_000 < found.num_runs <= 20_000


def test_few_runs_are_not_divided():
    bound, z = MomentMatching(order=1).bind(unequal()), np.log([1.3])
    choice = Auto([ScoreFunction()]).choose(bound, z, Stream.from_seed(1), num_runs=300)
    assert not isinstance(choice.estimator, Allocated)


def test_equal_times_are_left_alone():
    bound, z, _, _ = bind(sir, LOSSES[0])
    found = allocate(ScoreFunction(), bound, z, 256, Stream.from_seed(1))
    assert found.estimator == ScoreFunction()
    assert found.gain == 1.0


def test_black_boxes_keep_the_times_they_are_given():
    """Such a function may treat times as it likes, so that runs are divided by experiment only."""

    def noise(params, times, rng):
        assert len(times) == 2
        return params["a"] * rng.normal(1.0, [10.0, 0.1])

    problem = Problem(
        BlackBox(noise, ["a"], ["y"]),
        data={"time": [1.0, 2.0], "y": [1.0, 1.0]},
        parameters={"a": Parameter(0.1, 10)},
    )
    bound = MomentMatching(order=1).bind(twice(problem))
    choice = Auto().choose(bound, np.array([0.2]), Stream.from_seed(0), num_runs=20_000)
    assert not isinstance(choice.estimator, Allocated)


def test_a_fit_with_divided_runs_goes_on_bitwise(tmp_path):
    problem = unequal()
    options = {"objective": MomentMatching(order=1), "seed": 3, "tolerance": 0.02,
               "gradient": Auto([ScoreFunction()]), "start": {"gamma": 3.0},
               "warm_start": False}  # fmt: skip
    whole = fit(problem, **options)
    assert "runs divided" in whole.gradient
    path = tmp_path / "state"
    fit(problem, **options, checkpoint=path, budget=Budget(simulations=whole.stats["runs"] / 2))
    resumed = fit(problem, **options, checkpoint=path)
    assert np.array_equal(resumed.theta, whole.theta)


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([Block(0, 3, 1), Block(0, 4, 1)], "of 3 times"),
        ([Block(0, 3, 1), Block(1, 1, 1)], "1 experiment"),
        ([Block(0, 2, 1)], "to the last of its 3 times"),
        ([Block(0, 3, 0)], "num_runs"),
        ([Block(0, 0, 2)], "num_times"),
        ([], "to the last"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(blocks, message):
    bound, z, _, _ = bind(sir, LOSSES[0])
    with pytest.raises(ParameterError, match=message):
        Allocated(ScoreFunction(), blocks).estimate(bound, z, 100, Stream.from_seed(0))


@pytest.mark.parametrize("blocks", [None, (Block(0, 3, 1), Block(0, 1, 3))])
def test_what_was_chosen_is_known_by_numbers(blocks):
    estimator = MEMBERS[2] if blocks is None else Allocated(MEMBERS[2], blocks)
    chosen = Chosen.of(estimator, MEMBERS)
    assert chosen.index == 2 and len(chosen.blocks) == (0 if blocks is None else 2)
    assert chosen.among(MEMBERS) == estimator
    whole = [*MEMBERS, Allocated(ScoreFunction(), (Block(0, 3, 1),))]
    assert Chosen.of(whole[4], whole).among(whole) is whole[4]

"""The recurrent inference machine of ALFI, against what its definition says."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tests.helpers import series
from tumble._budget import Spending
from tumble._errors import CapabilityError, DataError, ParameterError
from tumble._random import Stream
from tumble._results import ResultCode
from tumble.machines import RecurrentInferenceMachine, TrainingTask
from tumble.machines._observations import Observations
from tumble.machines._roll_out import compiled, replicated
from tumble.machines._stock import Stock
from tumble.machines._units import PriorUnits
from tumble.posteriors import DataSets, JointPrior
from tumble.problems import MixedSources, PoissonCounts

TINY = RecurrentInferenceMachine(
    num_batches=3, batch_size=3, num_steps=4, num_draws=5, num_replicates=2, num_restarts=2,
    encoder=(6, 4), joint=(5, 7), memory=(8, 9),
)  # fmt: skip
POISSON = PoissonCounts(20).problem
FEW = tb.Budget(simulations=12_000)  # of which 600 are for six fresh problems


def task_of(problem=POISSON, seed=0, **budget):
    spending = Spending(tb.Budget(**budget) if budget else None)
    return TrainingTask(problem, Stream.from_seed(seed), spending)


def rolled_out(machine=TINY, problem=POISSON, seed=0):
    """Return network, record and what else the loss is given, of a batch before learning."""
    task = task_of(problem, seed)
    stock = Stock(task)
    pilot = stock.draw(0, 200)
    observations = Observations.of(problem, pilot.data)
    roll_outs = machine.roll_outs(task, observations)
    drawn = stock.draw(1, machine.batch_size)
    rows = observations.rows(drawn.data)
    net = machine.network(problem, seed)
    record = roll_outs(net, np.asarray(compiled().told(net, rows)), task.stream.child("way"))
    truth = roll_outs.units.of_normal(drawn.w).astype(np.float32)
    return net, record, rows, truth


@pytest.mark.parametrize("problem", [POISSON, MixedSources(20).problem], ids=["one", "three"])
def test_proposals_are_recomputed_as_they_were(problem):
    import equinox as eqx

    from tumble.machines._recurrent_modules import proposals

    net, record, rows, _ = rolled_out(problem=problem)
    again = np.asarray(eqx.filter_jit(proposals)(net, record.first, rows, record.seen))
    assert np.abs(again - record.psis).max() < 1e-5
    size = problem.space.size
    assert record.psis.shape == (4, 3, 2 * size)
    assert record.seen.theta.shape == (4, 3, 5, size)
    moves = np.diff(np.concatenate([record.first[None], record.psis]), axis=0)
    assert np.abs(moves).max() <= TINY.clip + 1e-6
    assert np.abs(moves).max() > 0.01


def test_a_proposal_moves_at_most_by_the_clip():
    tight = replace(TINY, clip=0.003)
    _, record, _, _ = rolled_out(tight)
    moves = np.diff(np.concatenate([record.first[None], record.psis]), axis=0)
    assert np.abs(moves).max() == pytest.approx(0.003, rel=1e-3)


def test_each_step_simulates_anew():
    _, record, _, _ = rolled_out(replace(TINY, clip=1e-6, log_width=-20.0))
    theta, (rows,) = record.seen.theta, record.seen.rows
    assert np.ptp(theta, axis=(0, 2)).max() < 1e-4  # all at one place, so it is not for θ
    assert len({rows[t].tobytes() for t in range(4)}) == 4
    assert len({rows[0, :, i].tobytes() for i in range(5)}) == 5


def test_the_loss_is_the_weighted_sum_of_normal_log_densities():
    import equinox as eqx

    from tumble.machines._recurrent_modules import loss

    net, record, rows, truth = rolled_out(problem=MixedSources(20).problem)
    found = float(
        eqx.filter_jit(loss)(net, record.first, rows, record.seen, truth, TINY.step_weights)
    )
    mean, log_sd = np.split(record.psis.astype(float), 2, axis=2)
    logs = stats.norm.logpdf(truth, mean, np.exp(log_sd)).sum(2)
    t = np.arange(1, 5) / 4
    weights = (np.exp(3 * t) - 1) / (np.exp(3 * t) - 1).sum()
    assert found == pytest.approx(-(weights[:, None] * logs).sum(0).mean(), rel=1e-4)
    np.testing.assert_allclose(TINY.step_weights, weights)


def test_the_gradient_is_that_of_finite_differences():
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from tumble.machines._recurrent_modules import loss

    net, record, rows, truth = rolled_out()
    with jax.enable_x64(True):
        own, rest = eqx.partition(net, eqx.is_inexact_array)
        own = jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), own)
        leaves, shape = jax.tree.flatten(own)
        given = jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float64),
            (record.first, rows, record.seen, truth, TINY.step_weights),
        )

        @jax.jit
        def value(leaves):
            return loss(eqx.combine(jax.tree.unflatten(shape, leaves), rest), *given)

        slopes = jax.jit(jax.grad(value))(leaves)
        rng = np.random.default_rng(0)
        seen = 0
        for direction in range(6):
            away = [rng.standard_normal(leaf.shape) for leaf in leaves]
            h = 1e-6
            ends = [
                float(value([leaf + s * h * a for leaf, a in zip(leaves, away, strict=True)]))
                for s in (1, -1)
            ]
            slope = sum(float((s * a).sum()) for s, a in zip(slopes, away, strict=True))
            assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(slope, rel=1e-5), direction
            seen = max(seen, abs(slope))
    assert seen > 0.01


def test_the_score_is_that_of_a_normal_law():
    from tumble.machines._recurrent_modules import log_proposal, score

    psi, theta = np.array([0.3, -1.0, 0.5, -0.7]), np.array([0.8, -1.3])
    mean, sd = psi[:2], np.exp(psi[2:])
    t = (theta - mean) / sd
    np.testing.assert_allclose(score(psi, theta), [*(t / sd), *(t**2 - 1)], rtol=1e-5)
    exact = stats.norm.logpdf(theta, mean, sd).sum()
    assert float(log_proposal(psi, theta)) == pytest.approx(exact, rel=1e-5)


def test_replicates_have_no_order_and_draws_that_failed_do_not_count():
    net, record, rows, _ = rolled_out()
    shuffled = tuple(r[:, ::-1] for r in rows)
    told = np.asarray(compiled().told(net, rows))
    np.testing.assert_allclose(compiled().told(net, shuffled), told, atol=1e-6)

    memory = np.zeros((3, 9), np.float32)
    seen = type(record.seen)(
        record.seen.theta[0], tuple(r[0] for r in record.seen.rows), record.seen.well[0].copy()
    )
    seen.well[:, 2] = 0
    after, _ = compiled().move(net, record.first, memory, told, seen)
    assert np.abs(np.asarray(after) - record.psis[0]).max() > 1e-5
    seen.theta[:, 2] = 77
    other, _ = compiled().move(net, record.first, memory, told, seen)
    np.testing.assert_array_equal(after, other)
    others = np.array([0, 1, 3, 4])
    without = type(seen)(
        seen.theta[:, others], tuple(r[:, others] for r in seen.rows), seen.well[:, others]
    )
    few, _ = compiled().move(net, record.first, memory, told, without)
    np.testing.assert_allclose(after, few, atol=1e-6)
    seen.well[:] = 0
    none, _ = compiled().move(net, record.first, memory, told, seen)
    assert np.isfinite(none).all()


def test_units_are_those_of_the_prior():
    problem = tb.Problem(
        tb.BlackBox(lambda params, times, rng: np.array([[params["a"] + params["b"]]]),
                    ["a", "b"], ["x"]),
        data={"time": [0.0], "x": [1.0]},
        parameters={
            "a": tb.Parameter(0.1, 10, prior=tb.priors.LogNormal(0.5, 0.4)),
            "b": tb.Parameter(-1, 3, scale="linear"),
        },
    )  # fmt: skip
    prior = JointPrior(problem.space)
    units = PriorUnits(prior)
    w = np.random.default_rng(1).standard_normal((4000, 2))
    u = units.of_normal(w)
    assert np.abs(u.mean(0) / (u.std(0) / np.sqrt(4000))).max() < 4
    assert np.abs(u.std(0) - 1).max() < 4 / np.sqrt(2 * 4000)
    np.testing.assert_allclose(units.to_fit(u), prior.from_normal(w), atol=1e-9)
    np.testing.assert_allclose(units.to_normal(u[:50]), w[:50], atol=1e-6)
    beyond = units.to_fit(np.array([[-99.0, 99.0]]))[0]
    np.testing.assert_allclose(beyond, [problem.space.lower[0], problem.space.upper[1]])
    h, some = 1e-5, w[:20]
    up, down = units.of_normal(some + h), units.of_normal(some - h)
    exact = np.log((up - down) / (2 * h)).sum(1)
    np.testing.assert_allclose(units.log_stretch(some), exact, atol=1e-5)


def test_replicates_that_are_simulated_miss_what_the_data_miss():
    data = series([1.0, 2.0], [3.0, np.nan], [np.nan, np.nan], [4.0, 5.0])
    problem = tb.Problem(
        tb.BlackBox(lambda params, times, rng: rng.poisson(params["k"] * times)[:, None],
                    ["k"], ["X"]),
        data=data, parameters={"k": tb.Parameter(0.1, 10)},
    )  # fmt: skip
    (values,) = (b.observed.values[:, :, 0] for b in replicated(problem, 5).bindings)
    assert np.isnan(values).tolist() == [[False, i % 2 == 0] for i in range(5)]
    machine = replace(TINY, num_replicates=5)
    assert machine.runs_of_a_roll_out(problem) == 4 * 5 * 5
    assert machine.runs_to_infer(problem) == 2 * 4 * 5 * 5
    _, record, rows, _ = rolled_out(machine, problem)
    assert np.isfinite(record.psis).all()
    assert np.all(rows[0][:, 0, 1] == 0) and np.all(record.seen.rows[0][..., 0, 1] == 0)


@pytest.fixture(scope="module")
def learnt():
    """A small machine, and the losses of its rounds."""
    machine = RecurrentInferenceMachine(
        num_batches=150, num_steps=6, num_draws=8, num_replicates=8, num_restarts=2, rate=3e-3,
        encoder=(16, 8), joint=(16, 8), memory=(16, 16),
    )  # fmt: skip
    return tb.train(machine, PoissonCounts(50).problem, seed=1, budget=tb.Budget(1.5e6))


def test_learning_lowers_the_loss_and_answers_go_to_the_truth(learnt):
    losses = np.array([r.loss for r in learnt.rounds[1:]])
    # In units of the prior, the prior itself loses about 1.4 to 1.8 as a normal law.
    assert losses[-3:].mean() < losses[0] - 0.8
    problem = learnt.problem
    truth = np.linspace(1.0, 6.5, 12)[:, None]
    data, _ = DataSets(problem, Stream.from_seed(5)).simulate(truth, 0)
    found = [
        learnt.infer(problem.with_data([one]), num_draws=200).mean()["theta"] for one in data[0]
    ]
    errors = np.abs(np.array(found) - truth[:, 0])
    # The standard deviation of the prior is 1.96: so much is said by a machine that learnt nothing.
    # By other seeds: 0.1 to 0.3 after so few batches. One that is told the data of another problem,
    # or moves the wrong way, is at 1 and more.
    assert np.median(errors) < 0.4
    assert learnt.stats["nats"] > 0.8


def test_what_answers_take_is_counted(learnt):
    each = learnt.machine.runs_to_infer(learnt.problem)
    assert each == 2 * 6 * 8 * 8
    assert learnt.stats["runs"] <= 1.5e6
    of_learning = 150 * 16 * (50 + 6 * 64) + 500 * 50
    checks = min(500, int(1.5e6 / (50 + each) / 20))
    assert learnt.stats["runs"] == of_learning + checks * (50 + each)
    assert learnt.infer(num_draws=10).stats["runs"] == each


def test_a_density_is_normalized_and_that_of_the_draws(learnt):
    data = [learnt.problem.bindings[0].observed.values + np.arange(50)[:, None, None]]
    problem = learnt.problem.with_data(data)
    theta = np.linspace(0.2, 7.0, 40_001)
    density = np.exp(learnt.log_density(theta[:, None], problem))
    assert np.trapezoid(density, theta) == pytest.approx(1, abs=1e-3)
    count = 20_000
    draws = learnt.infer(problem, num_draws=count).theta[:, 0]
    assert draws.min() >= 0.2 and draws.max() <= 7.0
    mean = np.trapezoid(theta * density, theta)
    sd = np.sqrt(np.trapezoid((theta - mean) ** 2 * density, theta))
    assert abs(draws.mean() - mean) < 4 * sd / np.sqrt(count)
    below = np.array([np.trapezoid(density[theta <= d], theta[theta <= d]) for d in draws[:400]])
    assert stats.kstest(below, "uniform").pvalue > 1e-3


def test_an_answer_depends_on_the_data_set_alone(learnt):
    problem = learnt.problem
    data, _ = DataSets(problem, Stream.from_seed(6)).simulate(np.array([[2.0], [4.0]]), 0)
    fresh = learnt.machine.restored(task_of(problem, seed=9), learnt.inference.weights)
    both = learnt.inference.proposals(data)
    again = learnt.inference.proposals([data[0][::-1]])[::-1]
    np.testing.assert_array_equal(both, again)
    np.testing.assert_array_equal(fresh.proposals([data[0][1:]]), both[1:])
    assert np.abs(both[0] - both[1]).max() > 0.1


def test_answers_are_remembered_but_not_without_end(learnt, monkeypatch):
    from tumble.machines import _recurrent_posterior

    monkeypatch.setattr(_recurrent_posterior, "_REMEMBERED", 2)
    inference = learnt.machine.restored(task_of(learnt.problem), learnt.inference.weights)
    blank = learnt.problem.bindings[0].observed.values
    for shift in range(4):
        inference.proposals([blank[None] + shift])
    assert len(inference.known) == 2


def test_a_training_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    from tumble.machines import _recurrent

    monkeypatch.setattr(_recurrent, "_ROUND", 1)
    whole = tb.train(TINY, POISSON, seed=3, budget=FEW)
    file = tmp_path / "machine.npz"

    seen = []

    def stop(done):
        seen.append(done)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tb.train(TINY, POISSON, seed=3, budget=FEW, checkpoint=file, callback=stop)
    assert file.exists()
    rounds = []
    again = tb.train(TINY, POISSON, seed=3, budget=FEW, checkpoint=file, callback=rounds.append)
    assert len(rounds) == 2  # those after the second batch and the third
    for a, b in zip(whole.inference.weights.numbers, again.inference.weights.numbers, strict=True):
        np.testing.assert_array_equal(a, b)
    assert again.stats["runs"] == whole.stats["runs"]
    assert again.stats["data_sets"] == whole.stats["data_sets"] == 500 + 9


def test_a_state_holds_all_that_the_next_batch_needs(monkeypatch):
    from tumble.machines import _recurrent

    training = TINY.bind(task_of())
    start = training.step(training.init())
    whole = training.step(start)
    assert whole.num_batches == 3
    monkeypatch.setattr(_recurrent, "_ROUND", 1)
    state = start
    for _ in range(3):
        state = training.step(state)
    for a, b in zip(whole.weights.numbers, state.weights.numbers, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.mean([r.loss for r in state.rounds[1:]]) == pytest.approx(whole.rounds[1].loss)
    assert state.least == min(r.loss for r in state.rounds[1:])

    spoilt = replace(start, least=-1e9)
    after = training.step(spoilt)
    np.testing.assert_array_equal(after.best[0], start.best[0])
    assert np.abs(after.weights.numbers[0] - start.best[0]).max() > 0
    kept = training.inference(after).weights.numbers
    np.testing.assert_array_equal(kept[0], start.best[0])


def test_a_budget_in_seconds_ends_it():
    found = tb.train(replace(TINY, num_batches=10**6), POISSON, budget=replace(FEW, seconds=0.01))
    assert found.result is ResultCode.OUT_OF_BUDGET
    assert "after 0 of 7 batches" in found.reason


def test_a_loss_that_is_not_finite_ends_it():
    found = tb.train(replace(TINY, num_batches=200, rate=1e30), POISSON, budget=FEW)
    assert found.result is ResultCode.DIVERGED and "batch" in found.reason
    numbers = found.inference.weights.numbers
    assert all(np.isfinite(n).all() for n in numbers)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"num_steps": 0}, "`num_steps` is 0, expected a whole number"),
        ({"rate": 0}, "`rate` is 0, expected a number > 0"),
        ({"clip": np.inf}, "`clip` is inf"),
        ({"log_width": "wide"}, "`log_width` is 'wide', expected a number such as 0.0"),
        ({"encoder": 50}, r"`encoder` is 50, expected two numbers of neurons such as \(50, 20\)"),
        ({"memory": (30, 0)}, "`memory` is 0, expected a whole number"),
    ],
)
def test_options_that_make_no_sense(options, words):
    with pytest.raises(ParameterError, match=words):
        RecurrentInferenceMachine(**options)


def test_a_budget_has_to_be_for_a_batch():
    with pytest.raises(CapabilityError, match="a batch of 3 problems takes 180 runs"):
        TINY.bind(task_of(simulations=10_100))
    assert TINY.bind(task_of(simulations=10_180)).progress(TINY.bind(task_of()).init()) == 0


def test_data_of_another_shape_are_refused(learnt):
    with pytest.raises(DataError, match="expected 50 replicates of x at 1 times"):
        learnt.infer(PoissonCounts(7).problem)

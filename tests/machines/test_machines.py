"""Machines that learn to infer, against exact posteriors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import tumble as tb
from tumble._errors import CapabilityError, DataError, ParameterError, TumbleError
from tumble._random import Stream
from tumble.densities import Learner, StandardNormal
from tumble.machines import AmortizedPosterior, Novelty, TrainedMachine
from tumble.machines._stock import Stock
from tumble.posteriors import DataSets

REFERENCE = tb.problems.PoissonCounts(30)
SMALL = AmortizedPosterior(
    num_data_sets=4000,
    density=StandardNormal(),
    width=32,
    num_given=2,
    learner=Learner(rate=3e-3, patience=5, num_falls=3),
)
QUICK = replace(SMALL, num_data_sets=200, learner=Learner(patience=1, num_falls=0))


def drawn(reference: Any, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters [B, P] and data sets [B, N, 1, O]."""
    prior = tb.posteriors.JointPrior(reference.problem.space)
    z = prior.sample(count, np.random.default_rng(seed))
    (data,), well = DataSets(reference.problem, Stream.from_seed(seed)).simulate(z, 0)
    assert well.all()
    return z, data


@pytest.fixture(scope="module")
def trained() -> TrainedMachine:
    return tb.train(SMALL, REFERENCE.problem, seed=1, progress=False)


def test_a_machine_comes_near_the_exact_posterior(trained: TrainedMachine) -> None:
    z, data = drawn(REFERENCE, 300, 5)
    problems = [REFERENCE.problem.with_data([x]) for x in data]
    own = np.array([trained.log_density(t[None], p)[0] for t, p in zip(z, problems, strict=True)])
    exact = np.array([REFERENCE.log_posterior(t, x[:, 0]) for t, x in zip(z, data, strict=True)])
    lost = exact - own  # what the machine does not know, in nats
    assert -0.02 < lost.mean() < 0.15
    w = tb.posteriors.JointPrior(REFERENCE.problem.space).to_normal(z)
    draws = trained.inference.sample([data], 400, Stream.from_seed(2))[:, :, 0]
    ranks = (draws < w).mean(1)
    assert stats.kstest(ranks, "uniform").pvalue > 0.001
    assert trained.calibration.is_calibrated
    assert trained.stats["nats"] > 3


def test_log_densities_integrate_to_one(trained: TrainedMachine) -> None:
    _, data = drawn(REFERENCE, 3, 6)
    for x in data:
        problem = REFERENCE.problem.with_data([x])
        grid = np.linspace(0.2, 7, 20_001)
        heights = np.exp(trained.log_density(grid[:, None], problem))
        assert np.trapezoid(heights, grid) == pytest.approx(1, abs=0.01)
        draws = trained.infer(problem, num_draws=4000).theta[:, 0]
        below = np.cumsum(heights) * (grid[1] - grid[0])
        found = stats.kstest(draws, lambda t, b=below, g=grid: np.interp(t, g, b))
        assert found.pvalue > 0.001


def test_a_machine_is_a_way_to_sample(trained: TrainedMachine) -> None:
    _, data = drawn(REFERENCE, 1, 7)
    problem = REFERENCE.problem.with_data([data[0]])
    one = tb.sample_posterior(problem, method=trained, seed=3, progress=False)
    other = trained.infer(problem, seed=3)
    assert np.array_equal(one.theta, other.theta)
    table = {"time": np.ones(30), "x": data[0, :, 0, 0]}
    assert np.array_equal(trained.infer(table, seed=3).theta, other.theta)
    assert one.stats["runs"] == 0
    assert "4,000 data sets" in one.summary()


def test_data_unlike_any_are_told(trained: TrainedMachine) -> None:
    rng = np.random.default_rng(0)
    wide = {"time": np.ones(30), "x": rng.negative_binomial(1, 0.02, 30)}
    found = trained.infer(wide)
    assert found.result is tb.ResultCode.MISSPECIFIED
    assert "TrainedMachine.fit" in found.reason
    fitted = trained.fit(wide, objective=tb.objectives.MomentMatching(order=1), progress=False)
    # The exact minimum, but for the simulation error that the fit stops at.
    assert fitted.params["theta"] == pytest.approx(np.log(wide["x"].mean()), abs=0.02)


def test_p_values_of_known_data_are_uniform(trained: TrainedMachine) -> None:
    _, data = drawn(REFERENCE, 400, 8)
    p = trained.novelty.p_values(trained.inference.features([data]))
    # That of 500 checks has an error of its own.
    assert stats.kstest(p, "uniform").pvalue > 1e-4


def test_novelty_sees_what_lies_off_a_curve() -> None:
    rng = np.random.default_rng(1)

    def on_curve(count: int) -> np.ndarray:
        t = rng.uniform(-2, 2, count)
        return np.stack([t, t**2], axis=1) + 0.01 * rng.standard_normal((count, 2))

    novelty = Novelty.of(on_curve(3000), on_curve(500))
    # Within the box of all, and near the middle of each number, but not where a curve is.
    assert novelty.p_values(np.array([[0.0, 1.0]]))[0] < 0.01
    assert novelty.p_values(np.array([[0.0, 0.0]]))[0] > 0.01


def test_a_machine_survives_a_file(trained: TrainedMachine, tmp_path: Path) -> None:
    path = trained.save(tmp_path / "machine.npz")
    found = TrainedMachine.load(path, REFERENCE.problem)
    assert found.machine == trained.machine
    assert repr(found.rounds) == repr(trained.rounds)  # losses of no learning are NaN
    assert found.summary() == trained.summary()
    _, data = drawn(REFERENCE, 1, 9)
    problem = REFERENCE.problem.with_data([data[0]])
    assert np.array_equal(found.infer(problem).theta, trained.infer(problem).theta)


def test_files_that_are_none(trained: TrainedMachine, tmp_path: Path) -> None:
    path = trained.save(tmp_path / "machine.npz")
    with pytest.raises(TumbleError, match="there is no file"):
        TrainedMachine.load(tmp_path / "other.npz", REFERENCE.problem)
    with pytest.raises(TumbleError, match="another problem"):
        TrainedMachine.load(path, tb.problems.PoissonCounts(31).problem)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TumbleError, match="cannot be read"):
        TrainedMachine.load(path, REFERENCE.problem)
    with pytest.raises(TumbleError, match="cannot be written"):
        trained.save(tmp_path / "nowhere" / "machine.npz")


def test_data_of_another_shape_are_refused(trained: TrainedMachine) -> None:
    with pytest.raises(DataError, match="30 replicates of x at 1 times"):
        trained.infer({"time": np.ones(29), "x": np.ones(29)})
    missing = {"time": np.ones(30), "x": np.r_[np.nan, np.ones(29)]}
    with pytest.raises(DataError, match="train a machine for them"):
        trained.infer(missing)


def test_training_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = tb.train(QUICK, REFERENCE.problem, progress=False)
    machine = replace(QUICK, num_data_sets=4100)  # more than two rounds of simulation
    path, calls = tmp_path / "state.npz", []

    def stop(round_: Any) -> None:
        calls.append(round_)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tb.train(machine, REFERENCE.problem, progress=False, callback=stop, checkpoint=path)
    again = tb.train(machine, REFERENCE.problem, progress=False, checkpoint=path)
    never = tb.train(machine, REFERENCE.problem, progress=False)
    assert not path.exists()
    assert again.infer().theta.tobytes() == never.infer().theta.tobytes()
    assert again.stats["runs"] == never.stats["runs"]
    assert whole.stats["data_sets"] == 200


def test_budgets_count_checks() -> None:
    budget = tb.Budget(simulations=300 * 30)
    found = tb.train(SMALL, REFERENCE.problem, budget=budget, progress=False)
    assert found.stats["runs"] == 300 * 30
    assert found.stats["data_sets"] == 285
    assert found.calibration.num_repeats == 15
    with pytest.raises(CapabilityError, match="raise it"):
        tb.train(SMALL, REFERENCE.problem, budget=tb.Budget(simulations=900), progress=False)


def test_two_networks_are_averaged() -> None:
    found = tb.train(replace(QUICK, num_networks=2), REFERENCE.problem, progress=False)
    _, data = drawn(REFERENCE, 1, 3)
    w = np.array([[0.3]])
    own = np.exp([
        replace(found.inference, networks=(net,)).log_density(w, [data])[0]
        for net in found.inference.networks
    ])  # fmt: skip
    assert np.exp(found.inference.log_density(w, [data])[0]) == pytest.approx(own.mean(), rel=1e-4)
    assert found.inference.sample([data], 101, Stream.from_seed(0)).shape == (1, 101, 1)


def test_data_sets_that_fail_are_left_out() -> None:
    def at_times(params: Any, times: Any, rng: Any) -> Any:
        if params["p"] > 0.5:
            raise ValueError("no")
        return rng.binomial(50, params["p"], len(times))

    box = tb.BlackBox(at_times, parameters=["p"], outputs=["x"])
    problem = tb.Problem(
        box, data={"time": [1.0], "x": [3.0]},
        parameters={"p": tb.Parameter(0.0, 1.0, scale="linear")},
    )  # fmt: skip
    found = tb.train(QUICK, problem, progress=False)
    assert found.stats["failed"] > 50
    assert found.stats["data_sets"] == 200
    assert "failed" in found.summary()


def test_nothing_to_learn_from() -> None:
    def never(params: Any, times: Any, rng: Any) -> Any:
        raise ValueError("no")

    box = tb.BlackBox(never, parameters=["p"], outputs=["x"])
    problem = tb.Problem(
        box, data={"time": [1.0], "x": [3.0]}, parameters={"p": tb.Parameter(0.1, 1.0)}
    )
    with pytest.raises(tb.TumbleError, match="missing"):
        tb.train(QUICK, problem, progress=False)


def test_arguments() -> None:
    with pytest.raises(ParameterError, match="machine"):
        tb.train("flow", REFERENCE.problem)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="problem"):
        tb.train(QUICK, None)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="num_data_sets"):
        AmortizedPosterior(num_data_sets=0)
    with pytest.raises(ParameterError, match="density"):
        AmortizedPosterior(density="flow")  # type: ignore[arg-type]


def test_problems_of_a_stock_do_not_depend_on_each_other() -> None:
    from tumble._budget import Spending
    from tumble.machines import TrainingTask

    task = TrainingTask(REFERENCE.problem, Stream.from_seed(0), Spending(None))
    stock = Stock(task)
    first, second = stock.draw(0, 10), stock.draw(1, 10)
    again = Stock(task).draw(1, 10)
    assert np.array_equal(second.data[0], again.data[0])
    assert not np.array_equal(first.w, second.w)
    assert task.spending.simulations == 900

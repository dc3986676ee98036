"""A fit that was stopped goes on bitwise as if it had not been."""

import abc
import enum
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import optax
import pytest

import tumble as tb
from tests import helpers
from tumble import ResultCode, TumbleError
from tumble._checkpoint import load_state, save_state
from tumble._typing import FloatArray
from tumble.gradients import ScoreFunction


def problem_of(kind):
    options = {"kind": "mean", "num_averaged": 500} if kind == "mean" else {}
    times = np.linspace(0.5, 4, 8)
    mean = helpers.immigration_death_moments(20, 1, times, 5)[0].round()
    experiment = tb.Experiment({"time": times, "X": mean}, {"X": 5}, **options)
    parameters = {"k": tb.Parameter(0.5, 500), "gamma": tb.Parameter(0.05, 20)}
    return tb.Problem(helpers.immigration_death(), [experiment], parameters)


CASES = {
    "likelihood": ("series", {}),
    "moments": ("mean", {"warm_start": False}),
    "after a warm start": ("mean", {"gradient": ScoreFunction(), "tolerance": 0.001}),
    "optax": ("mean", {"warm_start": False, "optimizer": optax.adam(0.1), "max_steps": 60}),
}


@pytest.mark.parametrize("case", CASES)
def test_resumed_fits_are_bitwise_those_never_stopped(case, tmp_path):
    kind, options = CASES[case]
    problem, file = problem_of(kind), tmp_path / "state.npz"
    start = {"k": 4.0, "gamma": 3.0}
    whole = tb.fit(problem, start=start, **options)
    phase = whole.history[-1].phase
    total = sum(s.phase == phase for s in whole.history)
    assert total > 3

    def stop(step):
        if step.phase == phase and sum(s == phase for s in seen) == total // 2:
            raise KeyboardInterrupt
        seen.append(step.phase)

    seen = []
    half = tb.fit(problem, start=start, callback=stop, checkpoint=file, **options)
    assert half.result is ResultCode.INTERRUPTED and file.exists()
    steps = []
    rest = tb.fit(problem, start=start, checkpoint=file, callback=steps.append, **options)
    assert np.array_equal(rest.theta, whole.theta)
    assert np.array_equal(rest.covariance, whole.covariance, equal_nan=True)
    assert [s.params for s in rest.history] == [s.params for s in whole.history]
    assert rest.stats["runs"] == whole.stats["runs"]
    assert sum(s.phase == phase for s in steps) < total  # it did not begin anew
    assert file.exists() == (not whole.result.ok)  # nothing is left of a fit that ended well


def interrupted(problem, file, **options):
    def stop(step):
        if step.step == 3:
            raise KeyboardInterrupt

    tb.fit(problem, start={"k": 4.0, "gamma": 3.0}, callback=stop, checkpoint=file, **options)
    assert file.exists()


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    file = tmp_path / "state.npz"
    problem = problem_of("series")
    interrupted(problem, file)
    other = problem.with_data([problem.experiments[0].data.values + 1])
    with pytest.raises(TumbleError, match=r"belongs to another run.*delete it to begin anew"):
        tb.fit(other, start={"k": 4.0, "gamma": 3.0}, checkpoint=file)
    with pytest.raises(TumbleError, match="belongs to another run"):
        tb.fit(problem, start={"k": 4.0, "gamma": 3.0}, checkpoint=file, seed=1)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 truncated"])
def test_a_damaged_checkpoint_is_named(content, tmp_path):
    file = tmp_path / "state.npz"
    file.write_bytes(content)
    with pytest.raises(TumbleError, match=r"state.npz' cannot be read .*delete it to begin anew"):
        tb.fit(problem_of("series"), start={"k": 4.0, "gamma": 3.0}, checkpoint=file)


# -- states by their type --------------------------------------------------------------------------


class Pair(NamedTuple):
    left: FloatArray
    right: "Leaf | None"


@dataclass(frozen=True)
class Leaf:
    number: int
    name: str = ""
    is_ripe: bool = False


class Season(enum.Enum):
    SPRING = "in bloom"
    AUTUMN = "bare"


class AbstractFruit(abc.ABC):
    @abc.abstractmethod
    def eaten(self):
        """Say how."""


@dataclass(frozen=True)
class Apple(AbstractFruit):
    is_red: bool

    def eaten(self):
        return "raw"


@dataclass(frozen=True)
class Quince(AbstractFruit):
    weight: float

    def eaten(self):
        return "cooked"


@dataclass(frozen=True)
class Tree:
    leaves: tuple[Leaf, ...]
    pairs: tuple[Pair, ...]
    height: float | None
    fallen: tuple[Leaf, ...] | None = None
    table: FloatArray | None = None
    season: Season = Season.SPRING
    fruit: AbstractFruit | None = None


@pytest.mark.parametrize(
    "tree",
    [
        Tree((), (), None),
        Tree((Leaf(1, "α/β", True), Leaf(2)), (Pair(np.arange(3.0), None),), 0.1, ()),
        Tree((Leaf(2**62),), (Pair(np.empty((0, 2)), Leaf(-1)),) * 12, -np.inf, (Leaf(0),) * 3,
             np.array([[np.nan, 1e-300]], np.float32), Season.AUTUMN, Quince(0.1)),
    ],
    ids=["bare", "some", "more"],
)  # fmt: skip
def test_a_state_is_restored_by_the_annotations_of_its_type(tree, tmp_path):
    file = tmp_path / "state.npz"
    save_state(file, {"state": tree, "spent": (3, 0.5)}, "mine")
    parts = load_state(file, {"state": Tree, "spent": (0, 0.0)}, "mine")
    assert repr(parts) == repr({"state": tree, "spent": (3, 0.5)})
    assert [type(leaf.is_ripe) for leaf in parts["state"].leaves] == [bool] * len(tree.leaves)
    if tree.table is not None:
        assert parts["state"].table.dtype == np.float32
    with pytest.raises(TumbleError, match="belongs to another run"):
        load_state(file, {"state": Tree}, "yours")

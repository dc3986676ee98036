"""Lattice models: runs and derivatives against enumeration and closed forms."""

import itertools
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from tumble import Experiment, Parameter, Problem, simulate
from tumble._errors import DataError, DerivativeError, ModelError, SimulationError
from tumble._random import Stream, run_ids
from tumble.gradients import (
    AlternativePath,
    CoupledDifference,
    Pathwise,
    ScoreFunction,
    SecondOrder,
)
from tumble.models import AbstractLattice, Grid, SusceptibleInfected, Transitions, VonNeumann
from tumble.objectives import ExpectedLoss, MomentMatching
from tumble.simulators import Batch, LatticeSteps
from tumble.simulators._lattice import _pieces

RING = SusceptibleInfected(Grid((5,), VonNeumann()))
TIMES = [1.0, 2.0, 4.0]


def infected_on_ring(beta, times, size=5):
    """Return the distribution [T, size + 1] of the number infected, by enumeration."""
    states = list(itertools.product((0, 1), repeat=size))
    index = {s: i for i, s in enumerate(states)}
    move = np.zeros((len(states), len(states)), complex)
    for s in states:
        p = [1.0 if s[i] else 1 - (1 - beta) ** (s[i - 1] + s[(i + 1) % size]) for i in range(size)]
        for t in states:
            move[index[s], index[t]] = np.prod(
                [q if x else 1 - q for q, x in zip(p, t, strict=True)]
            )
    now = np.zeros(len(states), complex)
    now[index[tuple(int(i == size // 2) for i in range(size))]] = 1
    rows = []
    for t in range(int(max(times)) + 1):
        if t in times:
            rows.append([sum(now[index[s]] for s in states if sum(s) == k) for k in range(6)])
        now = now @ move
    return np.array(rows)


class Walker(AbstractLattice):
    """Steps along two axes, or rests."""

    parameters = ("rest",)
    outputs = ("x", "square")

    def start(self, params, draw):
        return jnp.zeros(2)

    def step(self, state, params, draw):
        rest = params["rest"]
        along = [(1 - rest) / 4] * 4
        steps = [[1, 0], [-1, 0], [0, 1], [0, -1], [0, 0]]
        return state + draw.pick(steps, [*along, rest])

    def observe(self, state):
        return {"x": state[0], "square": (state**2).sum()}


class Noisy(AbstractLattice):
    """x' ~ Normal(a x, s), y' = y + Poisson(r), from x = n0 (an initial count) and y = 0."""

    parameters = ("a", "s", "r")
    initial = ("n0",)
    outputs = ("x", "x2", "y2")
    step_time = 0.5

    def start(self, params, draw):
        return {"x": params["n0"], "y": 0.0}

    def step(self, state, params, draw):
        x = draw.normal(params["a"] * state["x"], params["s"])
        return {"x": x, "y": state["y"] + draw.count(params["r"])}

    def observe(self, state):
        return {"x": state["x"], "x2": state["x"] ** 2, "y2": state["y"] ** 2}


def noisy_moments(theta, steps, n0=3.0):
    """Return E[x], E[x²], E[y²] and their derivatives by a, s and r [3, 3]."""

    def moments(a, s, r):
        mean, variance = n0 * a**steps, s**2 * sum(a ** (2 * k) for k in range(steps))
        return np.array([mean, variance + mean**2, steps * r + (steps * r) ** 2])

    values = moments(*theta)
    slopes = []
    for q in range(3):
        moved = np.array(theta, complex)
        moved[q] += 1e-20j
        slopes.append(moments(*moved).imag / 1e-20)
    return values.real, np.array(slopes).T


def ring_problem(times=TIMES):
    data = {"time": times, "infected": [2.0] * len(times)}
    return Problem(
        RING,
        experiments=[Experiment(data, kind="mean", num_averaged=10)],
        parameters={"beta": Parameter(0.01, 0.99, scale="logit")},
    )


def test_runs_have_the_enumerated_law():
    run = simulate(RING, {"beta": 0.37}, times=TIMES, num_samples=50_000, seed=3)
    exact = infected_on_ring(0.37, TIMES).real
    for k in range(len(TIMES)):
        counts = np.bincount(run.data.values[:, k, 0].astype(int), minlength=6)
        kept = exact[k] * 50_000 > 5
        assert counts[exact[k] == 0].sum() == 0
        p = exact[k][kept] / exact[k][kept].sum()
        assert stats.chisquare(counts[kept], p * counts[kept].sum()).pvalue > 1e-4


@pytest.mark.parametrize("objective", [MomentMatching(order=1), ExpectedLoss()], ids=str)
@pytest.mark.parametrize("beta", [0.1, 0.7])
@pytest.mark.parametrize(
    "estimator", [ScoreFunction(), AlternativePath(2), CoupledDifference(0.05)], ids=str
)
def test_gradients_are_those_of_the_enumeration(estimator, beta, objective):
    bound = objective.bind(ring_problem())
    z = bound.problem.space.to_fit(np.array([beta]))

    def loss(value):
        law = infected_on_ring(value, TIMES)
        levels = np.arange(6.0)
        if isinstance(objective, ExpectedLoss):
            moments = law @ (levels - 2.0) ** 2
            return moments @ bound.weight
        return bound.weight @ (law @ levels - bound.target) ** 2

    slope = loss(beta + 1e-20j).imag / 1e-20 * beta * (1 - beta)
    found = estimator.estimate(bound, z, 100_000, Stream.from_seed(5))
    assert abs(found.gradient[0] - slope) < 4 * found.standard_errors[0]
    assert found.standard_errors[0] < max(0.1 * abs(slope), 0.02 * loss(beta).real)
    assert abs(found.value - loss(beta).real) < 4 * np.sqrt(found.value_variance)


def test_one_step_is_followed_exactly():
    bound = MomentMatching(order=1).bind(ring_problem([1.0]))
    z = bound.problem.space.to_fit(np.array([0.3]))
    exact = 2 * bound.weight[0] * (1 + 2 * 0.3 - 2.0) * 2 * 0.3 * 0.7
    found = Pathwise().estimate(bound, z, 20_000, Stream.from_seed(1))
    assert abs(found.gradient[0] - exact) < 4 * found.standard_errors[0]


def test_straight_through_is_too_large_for_many_steps():
    """Infected sites would make p larger for sites that are infected anyway."""
    bound = MomentMatching(order=1).bind(ring_problem([4.0]))
    z = bound.problem.space.to_fit(np.array([0.3]))
    score, straight = (
        e.estimate(bound, z, 50_000, Stream.from_seed(2)) for e in (ScoreFunction(), Pathwise())
    )
    excess = straight.gradient[0] - score.gradient[0]
    assert excess > 8 * np.hypot(straight.standard_errors[0], score.standard_errors[0])


@pytest.mark.parametrize(
    "estimator",
    [
        ScoreFunction(),
        AlternativePath(2),
        pytest.param(Pathwise(), marks=pytest.mark.slow),
        pytest.param(Pathwise(SecondOrder()), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_normal_numbers_and_counts(estimator):
    """Their moments in closed form; the square of a count needs the second order."""
    theta, steps = (0.8, 0.6, 0.4), 3
    problem = Problem(
        Noisy(),
        experiments=[
            Experiment({"time": [1.5], "x": [0.0], "x2": [0.0], "y2": [0.0]}, {"n0": 3},
                       kind="mean", num_averaged=10)
        ],
        parameters={n: Parameter(0.05, 2) for n in ("a", "s", "r")},
    )  # fmt: skip
    bound = MomentMatching(order=1).bind(problem)
    z = problem.space.to_fit(np.array(theta))
    found = estimator.sample(bound, z, 40_000, Stream.from_seed(4))
    values, slopes = noisy_moments(theta, steps)
    slopes = slopes * np.array(theta)  # logarithmic scales
    error = found.features.std(0) / np.sqrt(len(found.features))
    assert np.all(np.abs(found.features.mean(0) - values) < 4 * error)
    error = found.jacobians.std(0) / np.sqrt(len(found.jacobians))
    off = np.abs(found.jacobians.mean(0) - slopes) - 4 * error
    if estimator == Pathwise():
        assert off[2, 2] > 0  # y² is not linear in each count
        off[2, 2] = 0
    assert np.all(off <= 1e-12)


@pytest.mark.parametrize("estimator", [ScoreFunction(), AlternativePath(2)], ids=str)
def test_walks_by_picks(estimator):
    data = {"time": [4.0, 10.0], "x": [0.0, 0.0], "square": [3.0, 6.0]}
    problem = Problem(
        Walker(),
        experiments=[Experiment(data, kind="mean", num_averaged=10)],
        parameters={"rest": Parameter(0.01, 0.99, scale="logit")},
    )
    bound = MomentMatching(order=1).bind(problem)
    found = estimator.sample(bound, np.zeros(1), 40_000, Stream.from_seed(4))
    exact = np.array([[0, 4 * 0.5], [0, 10 * 0.5]]).ravel()
    error = found.features.std(0) / 200
    assert np.all(np.abs(found.features.mean(0) - exact) < 4 * error)
    slopes = np.array([[0, -4 * 0.25], [0, -10 * 0.25]]).ravel()
    error = found.jacobians.std(0)[:, 0] / 200
    assert np.all(np.abs(found.jacobians.mean(0)[:, 0] - slopes) < 4 * error)


def batch(count, model=RING, times=TIMES, seed=0, first=0):
    params = np.tile([0.3], (count, 1))
    return Batch(params, np.zeros((count, 0)), np.array(times), Stream.from_seed(seed),
                 run_ids(count, first))  # fmt: skip


def test_a_run_is_the_same_in_any_batch():
    simulator = LatticeSteps()
    whole = simulator.sample_with_score(RING, batch(37))
    for first, count in ((0, 1), (5, 3), (20, 17)):
        part = simulator.sample_with_score(RING, batch(count, first=first))
        assert np.array_equal(part.states, whole.states[first : first + count])
        assert np.array_equal(part.score, whole.score[first : first + count])
    assert np.array_equal(simulator.sample(RING, batch(37)).states, whole.states)


def test_models_that_share_a_program_keep_their_own_frames():
    """Frames are put on the device once: equal models, which run by one program, have their own."""
    movies = [np.zeros((2, 5), np.uint8) for _ in range(2)]
    movies[0][:, 2] = movies[1][:, 1:4] = 1
    one, three = (Transitions(RING, movie) for movie in movies)
    assert one == three
    seen = []
    for model in (one, three, one, three):
        still = replace(batch(3, times=[1.0]), params=np.zeros((3, 1)))
        seen.append(LatticeSteps().sample(model, still).states.ravel().tolist())
    assert seen == [[1] * 3, [3] * 3, [1] * 3, [3] * 3]


class Field(AbstractLattice):
    """Shows its array, which a user may change."""

    parameters, outputs = (), ("sum",)

    def __init__(self):
        self._values = np.ones(3)

    @property
    def arrays(self):
        return self._values

    def having(self, arrays):
        other = Field()
        other._values = arrays
        return other

    def start(self, params, draw):
        return jnp.asarray(self._values)

    def step(self, state, params, draw):
        return state

    def observe(self, state):
        return {"sum": state.sum()}


def test_arrays_that_are_written_to_are_seen_as_they_are():
    model = Field()
    nothing = replace(batch(1, times=[1.0]), params=np.zeros((1, 0)))
    assert LatticeSteps().sample(model, nothing).states.item() == 3
    model._values[0] = 5
    assert LatticeSteps().sample(model, nothing).states.item() == 7


def test_a_run_does_not_depend_on_when_it_is_looked_at():
    often = LatticeSteps().sample(RING, batch(50, times=np.arange(9.0)))
    seldom = LatticeSteps().sample(RING, batch(50, times=[3.0, 8.0]))
    assert np.array_equal(often.states[:, [3, 8]], seldom.states)
    assert np.all(often.states[:, 0] == 1)


def test_alternatives_differ_by_one_draw():
    found = LatticeSteps().sample_with_alternatives(RING, batch(200), np.ones(1), 3)
    own = np.broadcast_to(found.states[:, None], found.pairs[:, :, 1].shape)
    assert np.array_equal(found.pairs[:, :, 1], own)
    assert np.any(found.pairs[:, :, 0] != own)
    # Before a change there is none: differences of the number infected begin with one.
    change = (found.pairs[:, :, 0] - own)[..., 0].reshape(-1, 3)
    assert np.all(np.isin(change[:, 0], (-1, 0, 1)))


def test_probabilities_out_of_range_have_a_code():
    class Odd(SusceptibleInfected):
        def chance(self, state, beta):
            return 2 * beta * jnp.ones(self.grid.shape)

    odd = Odd(Grid((5,), VonNeumann()))
    with pytest.raises(SimulationError, match="a probability outside 0 to 1"):
        simulate(odd, {"beta": 0.7}, times=[1], num_samples=3)
    run = simulate(odd, {"beta": np.array([0.4, 0.7])}, times=[1], num_samples=3)
    assert run.codes.tolist() == [[0, 0, 0], [2, 2, 2]]
    assert np.isfinite(run.data.values).all((1, 2, 3)).tolist() == [True, False]


@dataclass(frozen=True)
class Wrong(AbstractLattice):
    """Mistakes that people make."""

    what: str
    parameters = ("p",)
    outputs = ("n",)

    def start(self, params, draw):
        return jnp.zeros(3, int if "whole" in self.what else float)

    def step(self, state, params, draw):
        x = draw.flip(params["p"], 3)
        if self.what == "shape":
            return x[:2]
        if self.what == "structure":
            return (x,)
        return x.astype(int) if self.what == "whole" else x

    def observe(self, state):
        if self.what == "name":
            return {"m": state.sum()}
        return {"n": state if self.what == "array" else state.sum()}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shape", r"shape \(2,\)"),
        ("structure", "another structure"),
        ("whole, then real", "type float64"),
        ("name", "without the output 'n'"),
        ("array", "expected one number"),
    ],
)
def test_mistakes_are_named(what, message):
    with pytest.raises(ModelError, match=message):
        simulate(Wrong(what), {"p": 0.5}, times=[1], num_samples=2)


def test_whole_numbers_have_no_pathwise_derivative():
    problem = Problem(Wrong("whole"), data={"time": [1.0], "n": [1.0]},
                      parameters={"p": Parameter(0.1, 0.9)})  # fmt: skip
    bound = MomentMatching(order=1).bind(problem)
    with pytest.raises(DerivativeError, match="int64"):
        Pathwise().estimate(bound, np.log([0.5]), 100, Stream.from_seed(0))
    found = ScoreFunction().estimate(bound, np.log([0.5]), 20_000, Stream.from_seed(0))
    assert np.isfinite(found.gradient).all()


def test_times_between_steps_are_refused():
    with pytest.raises(DataError, match=r"1\.5 is not a whole number of steps of 1"):
        simulate(RING, {"beta": 0.3}, times=[1.5], num_samples=2)
    run = simulate(Noisy(), {"a": 1.0, "s": 0.1, "r": 1.0}, initial={"n0": 3}, times=[0, 1.5])
    assert run.data.values[0, 0].tolist() == [3, 9, 0]


def test_names_are_checked():
    with pytest.raises(ModelError, match="twice"):

        class Twice(AbstractLattice):
            parameters = ("p",)
            outputs = ("p",)


def test_rows_are_called_in_few_sizes():
    """Each size is compiled, so there are two; the larger is at least half full."""
    sizes = set()
    for num_rows in range(1, 3000, 7):
        pieces = list(_pieces(num_rows, 1024))
        firsts = [first for first, _, _ in pieces]
        counts = [count for _, count, _ in pieces]
        assert firsts == [sum(counts[:i]) for i in range(len(counts))]
        assert sum(counts) == num_rows
        assert all(count <= size <= max(2 * count, 128) for _, count, size in pieces)
        sizes |= {size for _, _, size in pieces}
    assert sizes == {1024, 128}
    assert [size for *_, size in _pieces(3, 4)] == [4]
    assert [size for *_, size in _pieces(2, 4)] == [1, 1]

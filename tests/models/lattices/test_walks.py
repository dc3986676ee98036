"""Walks against their exact mean square displacements."""

import itertools

import numpy as np
import pytest

from tests import helpers
from tumble import Experiment, Parameter, Problem, simulate
from tumble._random import Stream
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.models import PersistentWalk, PlainWalk, RestrictedPottsWalk
from tumble.objectives import MomentMatching

STEP = 1e-20j
BOX = list(itertools.product((-1, 0, 1), repeat=2))
AROUND = [place for place in BOX if place != (0, 0)]


def persistent_msd(p_start, p_stop, p_turn, times):
    """Return E[msd] by the joint law of moving and direction, one axis at a time (they are alike).

    E[x² | state] and E[x | state] over the four states (moving or not, to the left or right).
    """
    states = list(itertools.product((0, 1), (-1, 1)))
    move = np.array(
        [
            [
                ((p_stop if m else p_start) if m != m2 else 1 - (p_stop if m else p_start))
                * (p_turn if s != s2 else 1 - p_turn)
                for m2, s2 in states
            ]
            for m, s in states
        ]
    )
    jump = np.array([m * s for m, s in states])
    weight = np.array([0.5 * m for m, _ in states], complex)
    first, second = np.zeros(4, complex), np.zeros(4, complex)  # E[x; state], E[x²; state]
    found = {0: 0.0}
    for t in range(1, int(max(times)) + 1):
        weight, first, second = weight @ move, first @ move, second @ move
        first, second = first + jump * weight, second + 2 * jump * first + jump**2 * weight
        found[t] = 2 * second.sum()
    return np.array([found[int(t)] for t in times])


def shrinking(offset):
    """Return the probability that a cell of two pixels, ``offset`` apart, loses one of them."""
    cell = [(0, 0), tuple(offset)]
    lost = 0
    for pixel, block, around in itertools.product(cell, BOX, AROUND):
        source = tuple(np.add(pixel, block))
        lost += source not in cell and tuple(np.add(source, around)) in cell
    return lost / (18 * 8)


def potts_msd(p, times):
    """Return E[msd]: each growth by d adds |d|²/2, and nothing else moves the mean."""
    shrink = shrinking((0, 1)), shrinking((1, 1))
    law, growths, found = np.array([1, 0, 0], complex), 0.0, {0: 0.0}
    move = np.array(
        [[1 - p / 9, p / 18, p / 18], [shrink[0], 1 - shrink[0], 0], [shrink[1], 0, 1 - shrink[1]]]
    )
    for t in range(1, int(max(times)) + 1):
        growths = growths + law[0] * p / 9
        law = law @ move
        found[t] = 0.5 * 1.5 * growths
    return np.array([found[int(t)] for t in times])


CASES = {
    "plain": (PlainWalk(), {"p_stay": 0.3}, [5.0, 20.0],
              lambda theta, times: 2 * (1 - theta[0]) * np.array(times)),
    "persistent": (PersistentWalk(), {"p_start": 0.4, "p_stop": 0.2, "p_turn": 0.15}, [5.0, 20.0],
                   lambda theta, times: persistent_msd(*theta, times)),
    "potts": (RestrictedPottsWalk(), {"p": 0.3}, [20.0, 60.0],
              lambda theta, times: potts_msd(theta[0], times)),
}  # fmt: skip


def test_the_oracles_are_those_that_are_known():
    assert np.isclose(shrinking((0, 1)), 0.1528, atol=5e-5)
    assert np.isclose(shrinking((1, 1)), 0.1250, atol=5e-5)
    for p, msd in ((0.031, 2.017), (0.043, 2.771), (0.05, 3.205), (0.07, 4.419), (1.0, 37.02)):
        assert np.isclose(potts_msd(p, [800])[0].real, msd, atol=0.01)
    p_turn, p_switch, t = 0.2, 0.3, 12
    a, b = 1 - 2 * p_turn, 1 - 2 * p_switch
    moving = [0.5 + 0.5 * b**i for i in range(1, t + 1)]
    known = 2 * sum(
        m * (1 + 2 * sum(a**k * (1 + b**k) / 2 for k in range(1, t - i)))
        for i, m in enumerate(moving)
    )
    assert np.isclose(persistent_msd(p_switch, p_switch, p_turn, [t])[0].real, known)


@pytest.mark.parametrize("case", CASES)
def test_displacements_are_exact(case):
    model, params, times, exact = CASES[case]
    run = simulate(model, params, times=times, num_samples=20_000, seed=1).data.values[..., 0]
    error = run.std(0) / np.sqrt(len(run))
    assert np.all(np.abs(run.mean(0) - exact(list(params.values()), times)) < 4 * error)


@pytest.mark.parametrize(
    ("case", "estimator"),
    helpers.mostly_slow(list(CASES), [ScoreFunction(), AlternativePath(2)]),
    ids=str,
)
def test_derivatives_are_exact(case, estimator):
    model, params, times, exact = CASES[case]
    experiment = Experiment({"time": times, "msd": [1.0] * len(times)}, kind="mean", num_averaged=9)
    unknown = {name: Parameter(0.01, 0.99, scale="logit") for name in params}
    bound = MomentMatching(order=1).bind(Problem(model, [experiment], unknown))
    theta = np.array(list(params.values()))
    found = estimator.sample(bound, bound.problem.space.to_fit(theta), 20_000, Stream.from_seed(2))
    slopes = [
        exact(theta + STEP * (np.arange(len(theta)) == q), times).imag / STEP.imag
        for q in range(len(theta))
    ]
    slopes = np.array(slopes).T * theta * (1 - theta)
    error = found.jacobians.std(0) / np.sqrt(len(found.jacobians))
    assert np.all(np.abs(found.jacobians.mean(0) - slopes) < 4 * error)


@pytest.mark.slow
def test_the_sign_is_right_wherever_p_is():
    """The more growths are accepted the farther the cell moves."""
    experiment = Experiment({"time": [60.0], "msd": [1.0]}, kind="mean", num_averaged=9)
    model = RestrictedPottsWalk()
    problem = Problem(model, [experiment], {"p": Parameter(0.001, 0.999, scale="logit")})
    bound = MomentMatching(order=1).bind(problem)
    for p in (0.01, 0.1, 0.5, 0.9):
        z = problem.space.to_fit(np.array([p]))
        for estimator in (ScoreFunction(), AlternativePath(2), CoupledDifference(0.2)):
            found = estimator.sample(bound, z, 20_000, Stream.from_seed(3)).jacobians[:, 0, 0]
            assert found.mean() > 3 * found.std() / np.sqrt(len(found))


def test_units_and_edges():
    wide = simulate(PersistentWalk(pixel=3.0), {"p_start": 0, "p_stop": 0, "p_turn": 0}, times=[4])
    assert np.all(wide.data.values == 2 * 12.0**2)
    small = simulate(RestrictedPottsWalk(4), {"p": 1.0}, times=[0, 3_000], num_samples=50)
    assert small.data.values.max() <= 2 * 2**2
    assert np.all(small.data.values[:, 0] == 0)

"""Lattice models against enumeration, equilibrium and what each of them conserves."""

import itertools

import numpy as np
import pytest

from tests import helpers
from tumble import Experiment, Parameter, Problem, bootstrap, fit, simulate
from tumble._bootstrap import simulated_movies
from tumble._errors import CapabilityError, DataError, ModelError
from tumble._random import Stream
from tumble.gradients import AlternativePath, CoupledDifference, ScoreFunction
from tumble.models import (
    Fixed,
    ForestFire,
    Grid,
    Ising,
    Moore,
    Potts,
    PredatorPrey,
    SusceptibleInfected,
    SusceptibleInfectedRecovered,
    Transitions,
    VonNeumann,
    WithinRadius,
)
from tumble.objectives import ExpectedLoss, MomentMatching, PathLikelihood
from tumble.simulators import DirectMethod, TransitionLikelihood

RING = Grid((4,), VonNeumann())
SMALL = Grid((4, 4), VonNeumann())


def neighbors(grid):
    """Return the neighbors of each site, with repeats, as lists of site numbers."""
    index = np.arange(grid.num_sites, dtype=float).reshape(grid.shape)
    found = np.asarray(grid.neighbors(index)).reshape(len(grid.offsets), -1)
    return found.T.astype(int)


def law_after(sites, kernel, start, steps, observe):
    """Return means of ``observe`` by the exact Markov chain; ``kernel(site, state)`` → law."""
    states = list(itertools.product(range(3), repeat=sites))
    now = dict(start)
    for _ in range(steps):
        after = {}
        for state, weight in now.items():
            laws = [kernel(i, state) for i in range(sites)]
            for new in itertools.product(*(law.items() for law in laws)):
                key = tuple(k for k, _ in new)
                after[key] = after.get(key, 0) + weight * np.prod([p for _, p in new])
        now = after
    assert np.isclose(sum(now.values()), 1)
    assert set(now) <= set(states)
    return sum(p * np.array(observe(s)) for s, p in now.items())


def sir_law(beta, gamma, steps):
    near = neighbors(RING)

    def kernel(i, state):
        if state[i] == 0:
            p = 1 - (1 - beta) ** sum(state[j] == 1 for j in near[i])
            return {0: 1 - p, 1: p}
        return {1: 1 - gamma, 2: gamma} if state[i] == 1 else {2: 1.0}

    return law_after(4, kernel, {(0, 0, 1, 0): 1.0}, steps,
                     lambda s: [s.count(1), s.count(2)])  # fmt: skip


def fire_law(p_growth, p_lightning, steps):
    """0 empty, 1 tree, 2 fire."""
    near = neighbors(RING)

    def kernel(i, state):
        if state[i] == 2:
            return {0: 1.0}
        if state[i] == 0:
            return {0: 1 - p_growth, 1: p_growth}
        p = 1.0 if any(state[j] == 2 for j in near[i]) else p_lightning
        return {1: 1 - p, 2: p}

    start = dict.fromkeys(itertools.product((0, 1), repeat=4), 1 / 16)
    return law_after(4, kernel, start, steps, lambda s: [s.count(1), s.count(2)])


def prey_law(p_birth, p_meal, p_death, steps):
    """0 empty, 1 prey, 2 predator."""
    near = neighbors(RING)

    def kernel(i, state):
        count = [sum(state[j] == k for j in near[i]) for k in range(3)]
        if state[i] == 0:
            p = 1 - (1 - p_birth) ** count[1]
            return {0: 1 - p, 1: p}
        if state[i] == 1:
            p = 1 - (1 - p_meal) ** count[2]
            return {1: 1 - p, 2: p}
        return {2: 1 - p_death, 0: p_death}

    each = {0: 0.4, 1: 0.4, 2: 0.2}
    start = {s: np.prod([each[k] for k in s]) for s in itertools.product(range(3), repeat=4)}
    return law_after(4, kernel, start, steps, lambda s: [s.count(1), s.count(2)])


MEMBERS = {
    "sir": (SusceptibleInfectedRecovered(RING), {"beta": 0.4, "gamma": 0.3}, sir_law),
    "fire": (ForestFire(RING), {"p_growth": 0.3, "p_lightning": 0.1}, fire_law),
    "prey": (PredatorPrey(RING, (0.4, 0.2)),
             {"p_birth": 0.3, "p_meal": 0.4, "p_death": 0.25}, prey_law),
}  # fmt: skip


@pytest.mark.parametrize("member", MEMBERS)
def test_means_are_those_of_the_enumeration(member):
    model, params, law = MEMBERS[member]
    values = simulate(model, params, times=[1, 4], num_samples=40_000, seed=2).data.values
    for k, steps in enumerate((1, 4)):
        exact = law(*params.values(), steps)
        error = values[:, k].std(0) / 200
        assert np.all(np.abs(values[:, k].mean(0) - exact) < 4 * error + 1e-12)


@pytest.mark.parametrize(
    ("member", "estimator"),
    helpers.mostly_slow(
        list(MEMBERS), [ScoreFunction(), AlternativePath(2), CoupledDifference(0.05)]
    ),
    ids=str,
)
def test_derivatives_are_those_of_the_enumeration(member, estimator):
    model, params, law = MEMBERS[member]
    theta = np.array(list(params.values()))
    experiment = Experiment(
        {"time": [3.0], **{name: [1.0] for name in model.outputs}}, kind="mean", num_averaged=9
    )
    unknown = {name: Parameter(0.01, 0.99, scale="logit") for name in params}
    bound = MomentMatching(order=1).bind(Problem(model, [experiment], unknown))
    found = estimator.sample(bound, bound.problem.space.to_fit(theta), 20_000, Stream.from_seed(1))
    h = 1e-5
    slopes = np.stack(
        [(law(*(theta + d), 3) - law(*(theta - d), 3)) / (2 * h) for d in h * np.eye(len(theta))],
        axis=-1,
    ) * (theta * (1 - theta))  # fmt: skip
    error = found.jacobians.std(0) / np.sqrt(len(found.jacobians))
    assert np.all(np.abs(found.jacobians.mean(0) - slopes) < 4 * error + 1e-9)


def opposed(a, b):
    """Return the energy of two spins, 0 or 1."""
    return -(2 * a - 1) * (2 * b - 1)


def gibbs(grid, num_colors, energy, temperature):
    """Return the Gibbs weights of all states, and the states."""
    states = np.array(list(itertools.product(range(num_colors), repeat=grid.num_sites)))
    pairs = {tuple(sorted((i, int(j)))) for i, row in enumerate(neighbors(grid)) for j in row}
    many = np.array([sum(int(j) == b for j in neighbors(grid)[a]) for a, b in sorted(pairs)])
    first, second = np.array(sorted(pairs)).T
    energies = energy(states[:, first], states[:, second]) @ many
    weights = np.exp(-(energies - energies.min()) / temperature)
    return weights / weights.sum(), energies / grid.num_sites, states


@pytest.mark.parametrize(
    "temperature",
    [pytest.param(1.5, marks=pytest.mark.slow), 2.3, pytest.param(4.0, marks=pytest.mark.slow)],
)
def test_ising_has_its_equilibrium(temperature):
    weights, energies, states = gibbs(
        SMALL, 2, lambda a, b: -(2 * a - 1) * (2 * b - 1), temperature
    )
    order = np.abs((2 * states - 1).mean(1))
    run = simulate(Ising(SMALL, ordered=False), {"T": temperature, "field": 0.0}, times=[400],
                   num_samples=4_000, seed=3)  # fmt: skip
    values = run.data.values[:, 0]
    for column, exact in ((0, weights @ energies), (2, weights @ order)):
        error = values[:, column].std() / np.sqrt(len(values))
        assert abs(values[:, column].mean() - exact) < 4 * error


def test_a_field_points_the_spins():
    weights, _, states = gibbs(RING, 2, opposed, 2.0)
    spins = 2 * states - 1
    weights = weights * np.exp(0.3 * spins.sum(1) / 2.0)
    exact = weights @ spins.mean(1) / weights.sum()
    run = simulate(Ising(RING), {"T": 2.0, "field": 0.3}, times=[100], num_samples=20_000)
    values = run.data.values[:, 0, 1]
    assert abs(values.mean() - exact) < 4 * values.std() / np.sqrt(len(values))


@pytest.mark.slow
def test_potts_has_its_equilibrium():
    grid = Grid((2, 4), VonNeumann())
    weights, energies, states = gibbs(grid, 3, lambda a, b: -(a == b).astype(float), 0.8)
    share = np.array([np.bincount(s, minlength=3).max() for s in states]) / grid.num_sites
    run = simulate(Potts(3, grid), {"T": 0.8}, times=[200], num_samples=10_000, seed=1)
    values = run.data.values[:, 0]
    for column, exact in ((0, weights @ energies), (1, weights @ share)):
        assert abs(values[:, column].mean() - exact) < 4 * values[:, column].std() / 100


def movie_of(grid, beta, steps, seed):
    near, rng = neighbors(grid), np.random.default_rng(seed)
    frame = np.zeros(grid.num_sites, int)
    frame[grid.num_sites // 2] = 1
    frames = [frame]
    for _ in range(steps):
        p = 1 - (1 - beta) ** frames[-1][near].sum(1)
        frames.append(frames[-1] | (rng.random(grid.num_sites) < p))
    return np.array(frames).reshape(-1, *grid.shape)


def counts_of(grid, movies):
    """Return, for N = 1 … 8, susceptible sites with N infected neighbors, and those infected."""
    near, trials, hits = neighbors(grid), np.zeros(9), np.zeros(9)
    for movie in movies:
        flat = movie.reshape(len(movie), -1)
        for old, new in itertools.pairwise(flat):
            number = old[near].sum(1)[old == 0]
            trials += np.bincount(number, minlength=9)
            hits += np.bincount(number, new[old == 0], minlength=9)
    return trials[1:], hits[1:]


MOVIES = [movie_of(Grid((9, 9)), 0.3, 6, seed) for seed in range(8)]


def movie_problem(movies=MOVIES):
    model = Transitions(SusceptibleInfected(Grid((9, 9))), movies)
    return Problem(model, data=model.data, parameters={"beta": Parameter(0.01, 0.9, scale="logit")})


def test_the_likelihood_of_movies_is_that_of_the_counts():
    problem = movie_problem()
    trials, hits = counts_of(Grid((9, 9)), MOVIES)
    for beta in (0.1, 0.3, 0.6):
        p = 1 - (1 - beta) ** np.arange(1, 9)
        value = (hits * np.log(p) + (trials - hits) * np.log1p(-p)).sum()
        slope_p = np.arange(1, 9) * (1 - beta) ** np.arange(8)
        slope = ((hits / p - (trials - hits) / (1 - p)) * slope_p).sum()
        found, gradient = (
            TransitionLikelihood().likelihood(problem).value_and_gradient(np.array([beta]))
        )
        assert np.isclose(found, value)
        assert np.isclose(gradient[0], slope)


def test_movies_are_fitted_by_their_likelihood():
    trials, hits = counts_of(Grid((9, 9)), MOVIES)
    grid = np.linspace(0.2, 0.4, 200_001)
    p = 1 - (1 - grid[:, None]) ** np.arange(1, 9)
    best = grid[np.argmax((hits * np.log(p) + (trials - hits) * np.log1p(-p)).sum(1))]
    found = fit(movie_problem(), progress=False)
    assert isinstance(found.objective, PathLikelihood)
    assert abs(found.params["beta"] - best) < 1e-5
    assert not found.warnings


def test_movies_are_fitted_by_simulation():
    problem = movie_problem()
    exact = fit(problem, progress=False)
    found = fit(problem, objective=MomentMatching(order=1), gradient=ScoreFunction(), seed=1,
                num_starts=1, warm_start=False)  # fmt: skip
    one, other = exact.estimates[0], found.estimates[0]
    # The same data, but their counts alone: not off by more than either's own error.
    assert abs(one.value - other.value) < 1.5 * other.standard_error
    assert 0.8 < other.standard_error / one.standard_error < 2


def test_the_bootstrap_of_movies_simulates_frames():
    """The likelihood sees frames; refits of the frames as observed would all be the same."""
    found = fit(movie_problem(), num_starts=1, progress=False)
    again = bootstrap(found, num_datasets=40, seed=0)
    assert again.num_failed == 0
    assert 0.7 < again.standard_errors[0] / np.sqrt(found.covariance[0, 0]) < 1.4
    with pytest.raises(CapabilityError, match="keeps no frames"):
        simulated_movies(Unseen(), found.theta, Stream.from_seed(0))


class Unseen:
    """A problem with a simulator that keeps no frames."""

    model = movie_problem().model
    simulator = DirectMethod()


def test_transitions_start_from_the_frames():
    model = Transitions(SusceptibleInfected(Grid((9, 9))), MOVIES)
    assert model.num_transitions == 48
    none = simulate(model, {"beta": 0.0}, times=np.arange(1.0, 49.0))
    before = np.concatenate([m[:-1] for m in MOVIES]).sum((1, 2))
    assert np.array_equal(none.data.values[0, :, 0], before)
    assert np.array_equal(
        model.data["infected"], np.concatenate([m[1:] for m in MOVIES]).sum((1, 2))
    )


def test_the_score_of_a_transition_is_its_own():
    """Derivatives of all means, in closed form: Σ over sites of the slope of their chance."""
    problem = movie_problem(MOVIES[:2])
    bound = ExpectedLoss(loss=lambda y, _: y).bind(problem)
    z = problem.space.to_fit(np.array([0.3]))
    found = ScoreFunction().sample(bound, z, 4_000, Stream.from_seed(0)).jacobians[..., 0]
    near, exact = neighbors(Grid((9, 9))), []
    for movie in MOVIES[:2]:
        for frame in movie[:-1].reshape(-1, 81):
            number = frame[near].sum(1)[frame == 0]
            exact.append((number * 0.7 ** np.maximum(number - 1, 0)).sum() * 0.3 * 0.7)
    error = found.std(0) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(0) - exact) < 4.5 * error)
    assert np.all(found.std(0) < 30 * np.sqrt(np.maximum(exact, 1)))  # of one step, not of twelve


@pytest.mark.parametrize(
    ("movies", "message"),
    [
        (np.zeros((1, 9, 9)), "two frames"),
        (np.zeros((3, 8, 9)), "expected"),
        (np.full((3, 9, 9), 2), "other numbers"),
        (np.full((3, 9, 9), np.nan), "NaN"),
        (np.array([np.ones((9, 9)), np.zeros((9, 9))]), "recovers"),
        ("movie", "two frames"),
    ],
)
def test_frames_that_do_not_fit_are_refused(movies, message):
    with pytest.raises(DataError, match=message):
        Transitions(SusceptibleInfected(Grid((9, 9))), movies)


def test_models_that_tell_nothing_have_no_likelihood():
    model = Transitions(Ising(SMALL), np.ones((3, 4, 4)))
    assert not model.has_likelihood
    problem = Problem(model, data=model.data, parameters={"T": Parameter(1, 4), "field": 0.0})
    with pytest.raises(CapabilityError, match="outcomes"):
        PathLikelihood(TransitionLikelihood()).bind(problem)
    with pytest.raises(CapabilityError, match="needs a movie"):
        plain = Problem(Ising(SMALL), data={"time": [1.0], "energy": [-1.0]},
                        parameters={"T": Parameter(1, 4), "field": 0.0})  # fmt: skip
        PathLikelihood(TransitionLikelihood()).bind(plain)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Ising(Grid((5, 4), VonNeumann())),
        lambda: Ising(Grid((4, 4), Moore())),
        lambda: Ising(Grid((4, 4), WithinRadius(1))),
        lambda: Potts(3, Grid((4, 4), VonNeumann(), Fixed())),
        lambda: PredatorPrey(at_first=(0.7, 0.6)),
    ],
)
def test_settings_that_make_no_sense_are_refused(make):
    with pytest.raises(ModelError):
        make()


def test_texts_are_short_and_tell_models_apart():
    from tumble.models import Fixed, Grid, Ising, PersistentWalk, SusceptibleInfected, VonNeumann

    plain = SusceptibleInfected(Grid((16, 8)))
    assert plain.to_text() == "SusceptibleInfected(16 x 8 sites, Moore, Periodic)"
    other = SusceptibleInfected(Grid((16, 8), VonNeumann(), Fixed(1)))
    assert other.to_text() == "SusceptibleInfected(16 x 8 sites, VonNeumann, Fixed(value=1))"
    assert PersistentWalk().to_text() == "PersistentWalk()"
    assert PersistentWalk(pixel=0.5).to_text() == "PersistentWalk(pixel=0.5)"
    assert Ising(Grid((4, 4), VonNeumann())).to_text().startswith("Ising(4 x 4 sites")

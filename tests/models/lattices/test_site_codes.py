"""Movies of models with several kinds of sites, against rules written out site by site."""

from itertools import pairwise

import numpy as np
import pytest

from tests.models.lattices.test_members import neighbors
from tumble import Parameter, Problem, bootstrap, fit
from tumble._errors import DataError
from tumble.models import (
    ForestFire,
    Grid,
    PredatorPrey,
    SusceptibleInfectedRecovered,
    Transitions,
    VonNeumann,
)
from tumble.objectives import PathLikelihood
from tumble.simulators import TransitionLikelihood

EIGHT, FOUR = Grid((10, 12)), Grid((10, 12), VonNeumann())


def law_of_epidemic(params, kind, around):
    """Return the probabilities of kinds 0, 1, 2 of a site, given those of its neighbors."""
    beta, gamma = params
    caught = 1 - (1 - beta) ** np.sum(around == 1)
    return [(1 - caught, caught, 0), (0, 1 - gamma, gamma), (0, 0, 1)][kind]


def law_of_forest(params, kind, around):
    growth, lightning = params
    burns = 1.0 if np.any(around == 2) else lightning
    return [(1 - growth, growth, 0), (0, 1 - burns, burns), (1, 0, 0)][kind]


def law_of_hunt(params, kind, around):
    birth, meal, death = params
    born = 1 - (1 - birth) ** np.sum(around == 1)
    eaten = 1 - (1 - meal) ** np.sum(around == 2)
    return [(1 - born, born, 0), (0, 1 - eaten, eaten), (death, 0, 1 - death)][kind]


CASES = [
    (SusceptibleInfectedRecovered(EIGHT), law_of_epidemic, (0.25, 0.3), (0.85, 0.15, 0.0), 6),
    (ForestFire(FOUR), law_of_forest, (0.15, 0.02), (0.4, 0.5, 0.1), 8),
    (PredatorPrey(FOUR), law_of_hunt, (0.2, 0.3, 0.1), (0.6, 0.3, 0.1), 8),
]
IDS = ["epidemic", "forest", "hunt"]


def movies_of(case, num, seed):
    model, law, params, at_first, steps = case
    rng, near = np.random.default_rng(seed), neighbors(model.grid)
    movies = []
    for _ in range(num):
        frames = [rng.choice(3, model.grid.num_sites, p=at_first)]
        for _ in range(steps):
            old = frames[-1]
            frames.append(np.array([rng.choice(3, p=law(params, old[i], old[near[i]]))
                                    for i in range(len(old))]))  # fmt: skip
        movies.append(np.reshape(frames, (-1, *model.grid.shape)).astype(np.uint8))
    return movies


def log_p(case, movies, params):
    """Return the log likelihood, a site at a time."""
    model, law, *_ = case
    near, total = neighbors(model.grid), 0.0
    for movie in movies:
        flat = movie.reshape(len(movie), -1)
        for old, new in pairwise(flat):
            for i, kind in enumerate(old):
                total += np.log(law(params, kind, old[near[i]])[new[i]])
    return total


def problem_of(case, movies):
    model = Transitions(case[0], movies)
    free = {name: Parameter(1e-3, 0.9, scale="logit") for name in model.parameters}
    return Problem(model, data=model.data, parameters=free)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_likelihood_of_movies_is_that_of_the_rules(case):
    movies = movies_of(case, 2, 0)
    likelihood = TransitionLikelihood().likelihood(problem_of(case, movies))
    theta = np.array(case[2]) * 1.2
    value, gradient = likelihood.value_and_gradient(theta)
    assert np.isclose(value, log_p(case, movies, theta), rtol=1e-10)
    for j, step in enumerate(1e-5 * np.eye(len(theta))):
        sides = [log_p(case, movies, theta + sign * step) for sign in (1, -1)]
        assert np.isclose(gradient[j], (sides[0] - sides[1]) / 2e-5, rtol=1e-6)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_outputs_of_movies_are_counts_of_kinds(case):
    movies = movies_of(case, 2, 1)
    found = Transitions(case[0], movies).data
    after = np.concatenate([movie[1:] for movie in movies])
    for kind, name in enumerate(case[0].outputs, start=1):
        np.testing.assert_array_equal(found[name], (after == kind).sum((1, 2)))


def share(movies, kinds, other):
    """Return how often sites of some kind became another, as a share and its standard error."""
    old = np.concatenate([movie[:-1].ravel() for movie in movies])
    new = np.concatenate([movie[1:].ravel() for movie in movies])
    p = np.mean(new[old == kinds] == other)
    return p, np.sqrt(p * (1 - p) / np.sum(old == kinds))


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_rates_are_recovered_from_movies(case):
    movies = movies_of(case, 12, 2)
    found = fit(problem_of(case, movies), progress=False)
    assert isinstance(found.objective, PathLikelihood) and found.result.ok
    for estimate, truth in zip(found.estimates, case[2], strict=True):
        error = estimate.standard_error * truth * (1 - truth)  # that given is of a logit
        assert error < 0.2 * truth  # else anything would do
        assert abs(estimate.value - truth) < 3.5 * error
    # What depends on no neighbor is a share, in closed form.
    name, kinds, other = {"gamma": ("gamma", 1, 2), "p_growth": ("p_growth", 0, 1),
                          "p_birth": ("p_death", 2, 0)}[
        next(n for n in ("gamma", "p_growth", "p_birth") if n in case[0].parameters)]  # fmt: skip
    p, error = share(movies, kinds, other)
    estimate = next(e for e in found.estimates if e.name == name)
    assert np.isclose(estimate.value, p, rtol=1e-4)
    assert np.isclose(estimate.standard_error * p * (1 - p), error, rtol=0.02)


def test_movies_of_kinds_can_be_simulated_again():
    found = fit(problem_of(CASES[0], movies_of(CASES[0], 6, 3)), num_starts=1, progress=False)
    again = bootstrap(found, num_datasets=30, seed=0)
    assert again.num_failed == 0
    ratio = again.standard_errors / np.sqrt(np.diag(found.covariance))
    assert np.all((ratio > 0.6) & (ratio < 1.6))


def changed(case, edit):
    movie = movies_of(case, 1, 4)[0].astype(int)
    edit(movie)
    return movie


def lone(code_before, code_after, elsewhere):
    """Return an edit: a site changes although there is nothing else on the lattice."""

    def edit(movie):
        movie[:] = elsewhere
        movie[0, 5, 5], movie[1, 5, 5] = code_before, code_after
        movie[2:] = movie[1]

    return edit


@pytest.mark.parametrize(
    ("case", "edit", "message"),
    [
        (0, lambda m: m.fill(3), r"0 \(susceptible\), 1 \(infected\) and 2 \(recovered\)"),
        (0, lone(0, 2, 0), r"the site \(5, 5\) goes from susceptible to recovered"),
        (0, lone(2, 0, 0), "goes from recovered to susceptible.*is a frame missing"),
        (0, lone(0, 1, 0), r"from frame 0 to frame 1 an infection has no source at the site \(5"),
        (1, lone(2, 2, 0), "goes from fire to fire"),
        (1, lone(2, 0, 1), "the fire beside spares a tree at the site"),
        (2, lone(0, 1, 0), "a prey is born without another"),
        (2, lone(1, 2, 0), "a prey is eaten by nobody"),
        (2, lone(0, 2, 0), "goes from empty to predator"),
    ],
)
def test_frames_that_the_model_cannot_have_are_refused(case, edit, message):
    with pytest.raises(DataError, match=message):
        Transitions(CASES[case][0], changed(CASES[case], edit))


def test_frames_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"the shape \(3, 4\), expected \(10, 12\), the grid's"):
        Transitions(CASES[0][0], np.zeros((2, 3, 4), int))

"""Chemotaxis and activity against the law of every attempt on tiny lattices."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import tumble as tb
from tests.helpers import z_of_counts
from tumble._random import Stream, run_ids
from tumble.models import (
    Activity,
    Adhesion,
    Cells,
    CellularPotts,
    Chemotaxis,
    Fixed,
    Grid,
    Moore,
    Periodic,
    Volume,
    VonNeumann,
)
from tumble.movies import CellMovie
from tumble.simulators import Batch, Checkerboard, Metropolis
from tumble.simulators._metropolis import _record_rows

VALUES = {
    "J_0_1": 0.4, "J_1_1": 0.3, "J_0_2": 0.2, "J_1_2": 0.7, "J_2_2": -0.1, "lambda_volume": 0.3,
    "target_volume": 1.8, "mu_chemotaxis": 0.9, "mu_chemotaxis_1": 1.1, "mu_chemotaxis_2": -0.6,
    "lambda_activity": 4.0, "lambda_activity_1": 5.0, "lambda_activity_2": 3.0,
}  # fmt: skip
SLOPE = np.array([[0.3, 1.1, 0.2], [0.9, -0.7, 1.4]])


def model_of(ids, types, grid, *work):
    return CellularPotts(Cells(np.array(ids), types), (Adhesion(), Volume(), *work), grid=grid)


FLAT = [[0, 1, 1], [0, 2, 2]]
MODELS = {
    "gradient": model_of(FLAT, [1, 2], Grid((2, 3)), Chemotaxis(SLOPE, by_type=True)),
    "gradient, medium around": model_of(
        FLAT, [1, 1], Grid((2, 3), VonNeumann(), Fixed()), Chemotaxis(SLOPE)
    ),
    "active": model_of(
        [1, 0, 2], [1, 2], Grid((3,), VonNeumann()), Activity(2, VonNeumann(), by_type=True)
    ),
    "active, medium around": model_of(
        [[1, 1], [1, 0]], [1], Grid((2, 2), VonNeumann(), Fixed()), Activity(2, Moore())
    ),
    "both": model_of(
        [0, 1, 2], [1, 2], Grid((3,)), Chemotaxis([0.1, 0.9, -0.3]), Activity(1)
    ),
}  # fmt: skip
NEVER = 99  # steps since a site was copied to that never was


def values_of(model):
    return {name: VALUES[name] for name in model.parameters}


def chances(model, params):
    """Return a function from a state, ids and ages, to what one attempt makes of it."""
    grid, types = model.grid, model.start.types_of_ids
    places, row = list(np.ndindex(*grid.shape)), model.params_vector(params)
    oldest = max((t.memory for t in model.energy if isinstance(t, Activity)), default=0)
    works = [(t, row[model.entries(type(t))]) for t in model.energy[2:]]

    @cache
    def energy(ids):
        return model.total_energy(params, np.reshape(ids, grid.shape))

    @cache
    def after_attempt(ids, ages):
        found = {}
        at, age = (np.reshape(part, grid.shape) for part in (ids, ages))
        share = 1 / (len(places) * len(grid.offsets))
        for p, place in enumerate(places):
            for offset in grid.offsets:
                there = np.add(place, offset)
                inside = isinstance(grid.boundary, Periodic) or np.all(
                    (there >= 0) & (there < grid.shape)
                )
                source = int(at[tuple(there % grid.shape)]) if inside else 0
                if source == ids[p]:
                    found[ids, ages] = found.get((ids, ages), 0.0) + share
                    continue
                new = (*ids[:p], source, *ids[p + 1 :])
                change = energy(new) - energy(ids)
                for term, strengths in works:
                    strength = strengths[types[source or ids[p]] - 1]
                    change += term.of_copy(strength, grid, at, age, place, there)
                chance = min(1.0, np.exp(-change))
                touched = (*ages[:p], 0, *ages[p + 1 :]) if oldest else ages
                for state, weight in (((new, touched), chance), ((ids, ages), 1 - chance)):
                    found[state] = found.get(state, 0.0) + share * weight
        return found

    def older(state):
        ids, ages = state
        return ids, tuple(a if a == NEVER else (a + 1 if a < oldest else NEVER) for a in ages)

    return after_attempt, older


def law_after(model, params, attempts):
    """Return the probability of each frame after some attempts."""
    after_attempt, older = chances(model, params)
    sites = model.grid.num_sites
    now = {(tuple(model.start.ids.ravel().tolist()), (NEVER,) * sites): 1.0}
    for t in range(attempts):
        if t and t % sites == 0:  # a Monte Carlo step is over
            aged = {}
            for state, weight in now.items():
                aged[older(state)] = aged.get(older(state), 0.0) + weight
            now = aged
        later = {}
        for state, weight in now.items():
            for new, chance in after_attempt(*state).items():
                later[new] = later.get(new, 0.0) + weight * chance
        now = later
    frames = {}
    for (ids, _), weight in now.items():
        frames[ids] = frames.get(ids, 0.0) + weight
    assert sum(frames.values()) == pytest.approx(1, rel=1e-12)
    return frames


def batch_of(model, values, attempts, runs):
    return Batch(
        np.tile(model.params_vector(values), (runs, 1)), np.zeros((runs, 0), np.int64),
        np.array([attempts / model.grid.num_sites]), Stream.from_seed(5), run_ids(runs),
    )  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_law_after_some_attempts_is_that_of_the_enumerated_chain(name):
    model, runs = MODELS[name], 20_000
    attempts = 12
    exact = law_after(model, values_of(model), attempts)
    frames, codes, _ = _record_rows(
        model, batch_of(model, values_of(model), attempts, runs), np.array([attempts])
    )
    assert not np.any(codes)
    seen, counts = np.unique(frames.reshape(runs, -1), axis=0, return_counts=True)
    index = {ids: i for i, ids in enumerate(exact)}
    found = np.zeros(len(exact))
    found[[index[tuple(ids)] for ids in seen.tolist()]] = counts
    expected = runs * np.array(list(exact.values()))
    assert abs(z_of_counts(found, expected)) < 4
    if name == "active, medium around":  # one cell of so few sites is hardly ever pulled
        return
    # The test sees the work: with half of it the law is another.
    other = {k: v * (0.5 if k.startswith(("mu", "lambda_a")) else 1)
             for k, v in values_of(model).items()}  # fmt: skip
    changed = law_after(model, other, attempts)
    wrong = runs * np.array([changed.get(ids, 0.0) for ids in exact])
    assert z_of_counts(found, wrong) > 4


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("gradient, medium around", marks=pytest.mark.slow),
        pytest.param("active", marks=pytest.mark.slow),
        "both",
    ],
)
def test_scores_are_the_derivatives_of_the_enumerated_chain(name):
    model, runs = MODELS[name], 8000
    attempts = model.grid.num_sites + 2
    names = [n for n in model.parameters if n.startswith(("mu", "lambda_a"))]
    values = values_of(model)
    batch = batch_of(model, values, attempts, runs)
    frames = _record_rows(model, batch, np.array([attempts]))[0]
    score = Metropolis().sample_with_score(model, batch).score[:, 0]
    # A number of a frame that depends on where cells are.
    places = np.arange(1.0, 1 + model.grid.num_sites) ** 2
    seen = (frames.reshape(runs, -1) > 0) @ places

    def mean(name, shift):
        law = law_after(model, {**values, name: values[name] + shift}, attempts)
        return sum(p * float((np.array(ids) > 0) @ places) for ids, p in law.items())

    for name in names:
        each = (seen - seen.mean()) * score[:, model.parameters.index(name)]
        exact = (mean(name, 1e-4) - mean(name, -1e-4)) / 2e-4
        error = each.std() / np.sqrt(runs)
        assert abs(each.mean() - exact) < 4 * error
        assert abs(exact) > 3 * error or name != names[0]  # a wrong sign is seen


@pytest.mark.parametrize("boundary", [Periodic(), Fixed()])
def test_a_run_is_the_same_however_it_is_cut(boundary):
    start = Cells.blocks((17, 12), (3, 2), 4, types=[1, 2])
    model = CellularPotts(
        start, (Adhesion(), Volume(), Activity(5, by_type=True)),
        grid=Grid((17, 12), Moore(), boundary),
    )  # fmt: skip
    params = {**values_of(model), "target_volume": 16.0}
    kept = [
        tb.simulate(model, params, times=times, seed=3, outputs=tb.outputs.Frames()).states[0, -1]
        for times in ([20], [1, 2.25, 3, 20])
    ]
    np.testing.assert_array_equal(*kept)
    assert np.sum(kept[0] != start.ids) > 20


@pytest.mark.slow
def test_pseudo_likelihood_knows_from_where_a_site_is_copied():
    """Within one attempt it is the law of the frame."""
    start = Cells(np.array([[0, 1, 1, 0], [0, 2, 2, 1], [0, 0, 2, 1]]), [1, 2])
    c = np.random.default_rng(0).normal(size=(3, 4))
    grid = Grid((3, 4), VonNeumann())
    model = CellularPotts(start, (Adhesion(), Volume(), Chemotaxis(c, by_type=True)), grid=grid)
    params = values_of(model)
    mu = {1: params["mu_chemotaxis_1"], 2: params["mu_chemotaxis_2"]}
    energy, ids = model.total_energy(params), start.ids
    for place in np.ndindex(3, 4):
        rates = {}
        for offset in VonNeumann().offsets(2):
            there = tuple(np.add(place, offset) % (3, 4))
            other = int(ids[there])
            if other == ids[place]:
                continue
            after = ids.copy()
            after[place] = other
            change = model.total_energy(params, after) - energy
            change -= mu[start.types_of_ids[other or ids[place]]] * (c[place] - c[there])
            rates[other] = rates.get(other, 0.0) + min(1.0, np.exp(-change)) / (4 * 12)
        for other, rate in rates.items():
            after = ids.copy()
            after[place] = other
            movies = [np.array([ids, then]) for then in (after, ids)]
            found, stay = (CellMovie(model, m, 1 / 12).pseudo_likelihood(params) for m in movies)
            total = sum(rates.values())
            exact = np.log(rate / total * (1 - np.exp(-total))) + total
            assert found - stay == pytest.approx(exact, rel=1e-10)


def climbing():
    """Return cells on a torus with a smooth hill."""
    x = 2 * np.pi * np.arange(40) / 40
    hill = 2 * (np.cos(x)[:, None] + np.cos(x))
    start = Cells.blocks((40, 40), (4, 4), 6)
    return CellularPotts(start, (Adhesion(), Volume(), Chemotaxis(hill)))


CLIMBING = {"J_0_1": 0.6, "J_1_1": 0.4, "lambda_volume": 0.1, "target_volume": 36.0,
            "mu_chemotaxis": 0.8}  # fmt: skip


def test_derivatives_of_the_pseudo_likelihood():
    model = climbing()
    frames = tb.simulate(
        model, CLIMBING, times=[5, 6, 7], seed=2, outputs=tb.outputs.Frames()
    ).states[0]
    # Values without simple ratios: where ΔH is exactly 0 there is no derivative.
    factors = np.random.default_rng(0).uniform(0.8, 1.2, len(CLIMBING))
    movie, row = CellMovie(model, frames), model.params_vector(CLIMBING) * factors
    slope = movie._looked_at(row)[1]
    for q, name in enumerate(model.parameters):
        step = 1e-6 * np.eye(len(row))[q]  # so short that no ΔH passes 0
        ends = [movie._looked_at(row + s * step)[0] for s in (1, -1)]
        assert slope[q] == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-6), name


def test_chemotaxis_is_found_in_a_movie():
    model = climbing()
    times = 10 + np.arange(31.0)
    frames = tb.simulate(model, CLIMBING, times=times, seed=1, outputs=tb.outputs.Frames())
    start = {"J_0_1": 0.4, "J_1_1": 0.4, "mu_chemotaxis": 0.1, "lambda_volume": 0.1}
    found = CellMovie(model, frames.states[0]).fit(start, {"target_volume": 36.0}, num_replicates=4)
    error = found.standard_errors["mu_chemotaxis"]
    assert found.converged and error < 0.25
    assert abs(found.params["mu_chemotaxis"] - 0.8) < 3.5 * error


def test_activity_of_a_hand_counted_state():
    term = Activity(4, VonNeumann())
    ids = np.array([[0, 1, 1], [2, 1, 0], [2, 0, 0]])
    age = np.array([[NEVER, 1, 0], [2, 3, 0], [NEVER, 0, 0]])
    grid = Grid((3, 3), VonNeumann(), Fixed())
    middle = (3 * 4 * 1) ** (1 / 3)  # of (0, 1): itself, (0, 2) and (1, 1)
    assert term.of_copy(2.0, grid, ids, age, (0, 0), (0, 1)) == pytest.approx(-2 * middle / 4)
    # Of (1, 0): itself and (2, 0), which has none left; the medium has none.
    assert term.of_copy(2.0, grid, ids, age, (0, 0), (1, 0)) == 0
    assert term.of_copy(2.0, grid, ids, age, (0, 1), (-1, 1)) == pytest.approx(2 * middle / 4)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: model_of(FLAT, [1, 2], Grid((2, 3)), Chemotaxis(SLOPE.T)), "has shape (3, 2)"),
        (lambda: Chemotaxis([np.nan, 1.0]), "expected a finite number for each site"),
        (lambda: Activity(0), "`memory` is 0, expected a whole number of at least 1"),
        (lambda: CellMovie(MODELS["active"], np.zeros((2, 4), int)), "how active sites are"),
        (
            lambda: tb.simulate(
                MODELS["gradient"], values_of(MODELS["gradient"]), times=[1],
                simulator=Checkerboard(),
            ),
            "the model has Chemotaxis",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(make, text):
    with pytest.raises(tb.TumbleError) as error:
        make()
    assert text in str(error.value)


def test_models_with_the_same_concentration_are_the_same():
    one, other = Chemotaxis(SLOPE), Chemotaxis(SLOPE.copy())
    assert one == other and hash(one) == hash(other) and one != Chemotaxis(SLOPE + 1)

"""The Cellular Potts model against enumeration, and against its energy counted afresh."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tumble as tb
from tests.helpers import z_of_counts
from tumble._random import Stream, run_ids
from tumble.models import (
    Adhesion,
    CellCount,
    Cells,
    CellularPotts,
    ContactLength,
    Fixed,
    Grid,
    Hexagonal,
    MeanVolume,
    Moore,
    Perimeter,
    Reflective,
    ShapeIndex,
    ShapeModes,
    SquareDisplacement,
    Volume,
    VonNeumann,
    WithinRadius,
)
from tumble.simulators import Batch
from tumble.simulators._metropolis import _record_rows

VALUES = {
    "J_0_1": 0.4, "J_1_1": 0.3, "J_0_2": 0.2, "J_1_2": 0.9, "J_2_2": -0.1,
    "lambda_volume": 0.3, "target_volume": 1.7, "lambda_perimeter": 0.05, "target_perimeter": 6.0,
    "lambda_volume_1": 0.3, "target_volume_1": 2.0, "lambda_volume_2": 0.1, "target_volume_2": 1.0,
    "lambda_perimeter_1": 0.06, "target_perimeter_1": 5.0,
    "lambda_perimeter_2": 0.02, "target_perimeter_2": 8.0,
}  # fmt: skip


def values_of(model):
    return {name: VALUES[name] for name in model.parameters}


def small(ids, types, grid, energy):
    return CellularPotts(Cells(np.array(ids), types), energy, grid=grid)


FLAT = [[0, 1, 1], [0, 2, 2]]
MODELS = {
    "torus": small(FLAT, [1, 2], Grid((2, 3)), (Adhesion(), Volume())),
    "medium around": small(
        FLAT, [1, 2], Grid((2, 3), VonNeumann(), Fixed()),
        (Adhesion(Moore()), Volume(by_type=True), Perimeter(VonNeumann(), by_type=True)),
    ),
    "hexagons": small(
        FLAT, [2, 2], Grid((2, 3), Hexagonal()), (Adhesion(Hexagonal()), Perimeter(Moore()))
    ),
    "wide": small(
        [[0, 1, 1], [0, 1, 1]], [1], Grid((2, 3), VonNeumann(), Fixed()),
        (Adhesion(WithinRadius(2)), Volume()),
    ),
    "space": small(
        [[[0, 1], [1, 1]], [[0, 0], [1, 0]]], [2], Grid((2, 2, 2), VonNeumann(), Fixed()),
        (Adhesion(VonNeumann()), Volume(), Perimeter(VonNeumann())),
    ),
    "line": small([0, 1, 1, 2, 2, 0], [1, 2], Grid((6,)), (Adhesion(), Volume(), Perimeter())),
}  # fmt: skip


def transitions(model, params):
    """Return all states and the matrix of one attempt, from the total energy of each state."""
    cells, grid = model.start.num_cells, model.grid
    states = list(itertools.product(range(cells + 1), repeat=grid.num_sites))
    index = {state: i for i, state in enumerate(states)}
    energy = [model.total_energy(params, np.reshape(s, grid.shape)) for s in states]
    offsets = grid.neighborhood.offsets(len(grid.shape))
    places = list(np.ndindex(*grid.shape))
    share = 1 / (len(places) * len(offsets))
    matrix = np.zeros((len(states), len(states)))
    for i, state in enumerate(states):
        at = np.reshape(state, grid.shape)
        for p, place in enumerate(places):
            for offset in offsets:
                there = np.add(place, offset)
                inside = np.all((there >= 0) & (there < grid.shape))
                if isinstance(grid.boundary, Fixed) and not inside:
                    source = 0
                else:
                    source = int(at[tuple(there % grid.shape)])
                j = index[(*state[:p], source, *state[p + 1 :])]
                chance = min(1.0, np.exp(energy[i] - energy[j]))
                matrix[i, j] += share * chance
                matrix[i, i] += share * (1 - chance)
    return states, matrix


@pytest.mark.parametrize("name", MODELS)
def test_law_after_some_attempts_is_that_of_the_enumerated_chain(name):
    model, attempts, runs = MODELS[name], 9, 10_000
    states, matrix = transitions(model, values_of(model))
    np.testing.assert_allclose(matrix.sum(1), 1.0, rtol=1e-12)
    chance = np.zeros(len(states))
    chance[states.index(tuple(model.start.ids.ravel()))] = 1.0
    copies = 0.0
    for _ in range(attempts):
        copies += chance @ (1 - np.diag(matrix))
        chance = chance @ matrix
    batch = Batch(
        np.tile(model.params_vector(values_of(model)), (runs, 1)), np.zeros((runs, 0), np.int64),
        np.array([attempts / model.grid.num_sites]), Stream.from_seed(3), run_ids(runs),
    )  # fmt: skip
    frames, codes, made = _record_rows(model, batch, np.array([attempts]))
    assert not np.any(codes)
    base = (model.start.num_cells + 1) ** np.arange(model.grid.num_sites)[::-1]
    counts = np.bincount(frames.reshape(runs, -1) @ base, minlength=len(states))
    assert not np.any(counts[chance == 0])
    assert abs(z_of_counts(counts, chance * runs)) < 4
    # A factor of 0.94 on the chance to accept uphill is found, on two of the models.
    assert abs(made.mean() - copies) < 4 * made.std() / np.sqrt(runs)


@pytest.mark.parametrize("name", ["medium around", "space", "line"])
def test_scores_are_the_derivatives_of_the_enumerated_chain(name):
    model, attempts, runs = MODELS[name], 6, 4000
    values = values_of(model)
    row = model.params_vector(values)
    states = transitions(model, values)[0]
    watched = np.array([sum(s) for s in states], float)  # of a state: a number to look at

    def mean(params):
        chance = np.zeros(len(states))
        chance[states.index(tuple(model.start.ids.ravel()))] = 1.0
        matrix = transitions(model, dict(zip(model.parameters, params, strict=True)))[1]
        for _ in range(attempts):
            chance = chance @ matrix
        return chance @ watched

    batch = Batch(
        np.tile(row, (runs, 1)), np.zeros((runs, 0), np.int64),
        np.array([attempts / model.grid.num_sites]), Stream.from_seed(1), run_ids(runs),
    )  # fmt: skip
    frames = _record_rows(model, batch, np.array([attempts]))[0]
    sample = tb.simulators.Metropolis().sample_with_score(model, batch)
    seen = frames.reshape(runs, -1).sum(1)
    np.testing.assert_array_equal(sample.states[:9, 0], [model.observe(f)[0] for f in frames[:9]])
    score = sample.score[:, 0]
    each = (seen - seen.mean())[:, None] * score
    # All parameters at once, in the direction in which they seem not to cancel.
    direction = np.sign(each.mean(0)) * np.maximum(np.abs(row), 0.1)
    found = each @ direction
    error = found.std() / np.sqrt(runs)
    step = 1e-4
    exact = (mean(row + step * direction) - mean(row - step * direction)) / (2 * step)
    assert np.all(np.abs(score.mean(0)) <= 4 * score.std(0) / np.sqrt(runs))
    assert abs(found.mean() - exact) <= 4 * error
    assert abs(exact) > 5 * error  # a wrong sign, or a term that is missing, is seen


@pytest.mark.parametrize("boundary", [tb.models.Periodic(), Fixed()])
@pytest.mark.parametrize("reach", [Moore(), WithinRadius(2.5)])
def test_books_are_kept_over_many_steps(boundary, reach):
    from tumble.kernels._cellular_potts import copy_attempts
    from tumble.simulators._tissue import copy_tables, tissue_of

    start = Cells.blocks((17, 12), (4, 3), 3, types=[1, 2, 2])
    model = CellularPotts(
        start, (Adhesion(reach), Volume(), Perimeter(reach)),
        grid=Grid((17, 12), VonNeumann(), boundary),
    )  # fmt: skip
    params = {**values_of(model), "target_volume": 9.0, "target_perimeter": 60.0}
    params["lambda_perimeter"] = 0.001
    tables = copy_tables(model)
    tissue = tissue_of(tables, start.ids)
    couplings = tables.couplings(model.params_vector(params))
    key, run = np.uint64(5), np.uint64(2)
    done, copied = 0, 0
    for count in (1, 700, 30_001):
        code, made = copy_attempts(tables.geometry, couplings, tissue, key, run, done, count)
        done, copied = done + count, copied + made
        assert code == 0
    assert copied > 1000
    at_once = tissue_of(tables, start.ids)
    copy_attempts(tables.geometry, couplings, at_once, key, run, 0, done)
    ids = _ids(model, tables, tissue)
    fresh = tissue_of(tables, ids)
    for kept, once, again in zip(tissue, at_once, fresh, strict=True):
        np.testing.assert_array_equal(kept[1:], again[1:])  # 0 of sizes is that of the medium
        np.testing.assert_array_equal(kept, once)
    from tumble.models.cellular_potts._counts import CellCounts

    counted = CellCounts(model.grid, Cells(ids, start.types))
    np.testing.assert_array_equal(tissue.volumes[1:], counted.volumes)
    np.testing.assert_array_equal(tissue.perimeters[1:], counted.perimeters(reach))
    assert tissue.volumes.sum() == model.grid.num_sites


def _ids(model, tables, tissue):
    from tumble.kernels._cellular_potts import read_ids

    ids = np.zeros(tuple(tables.geometry.shape), np.int32)
    read_ids(tables.geometry, tissue.codes, ids)
    return ids.reshape(model.grid.shape)


def sorting(**more):
    start = Cells.blocks((30, 30), (4, 4), 6, types=[1, 2])
    return CellularPotts(start, **more)


SORTING = {"J_0_1": 0.6, "J_1_1": 0.2, "J_0_2": 0.6, "J_1_2": 1.0, "J_2_2": 0.2,
           "lambda_volume": 0.1, "target_volume": 36.0}  # fmt: skip


def test_runs_do_not_depend_on_batches_threads_or_other_runs():
    model = sorting()
    many = tb.simulate(model, SORTING, times=[1, 3, 8], num_samples=5, seed=4)
    alone = tb.simulate(model, SORTING, times=[1, 3, 8], num_samples=1, seed=4)
    np.testing.assert_array_equal(many.data[:1], alone.data)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(3) as pool:
        spread = tb.simulate(model, SORTING, times=[1, 3, 8], num_samples=5, seed=4, executor=pool)
    np.testing.assert_array_equal(many.data, spread.data)
    rare = tb.simulate(model, SORTING, times=[8], num_samples=5, seed=4)
    np.testing.assert_array_equal(many.data[:, -1], rare.data[:, 0])
    other = tb.simulate(model, SORTING, times=[1, 3, 8], num_samples=5, seed=5)
    assert np.any(other.data != many.data)


def test_frames_are_those_of_the_outputs():
    measures = (ContactLength(), MeanVolume(), CellCount(), ShapeIndex(), SquareDisplacement())
    model = sorting(measures=measures)
    run = tb.simulate(model, SORTING, times=[0, 2, 20], num_samples=2, seed=1)
    kept = tb.simulate(
        model, SORTING, times=[0, 2, 20], num_samples=2, seed=1, outputs=tb.outputs.Frames()
    )
    np.testing.assert_array_equal(kept.states[0, 0], model.start.ids)
    for frames, seen in zip(kept.states, run.data.values, strict=True):
        np.testing.assert_array_equal(model.observe(frames), seen)
    assert run.stats["events"] > 0


def test_sides_of_a_pair_with_the_same_parameters_are_the_same():
    model = sorting()
    row = model.params_vector(SORTING)
    other = row * 1.01
    params = np.array([[row, row], [row, other]])
    batch = Batch(params, np.zeros((2, 2, 0), np.int64), np.array([10.0]), Stream(1), run_ids(2))
    pairs = tb.simulators.Metropolis().sample_pairs(model, batch)
    np.testing.assert_array_equal(pairs.states[0, 0], pairs.states[0, 1])
    near = np.abs(pairs.states[1, 0] - pairs.states[1, 1])[0]
    assert 0 < near[: len(SORTING) - 2].sum() < 150


def test_measures_of_known_shapes():
    ids = np.zeros((12, 12), int)
    ids[2:6, 2:6] = 1
    ids[6:10, 2:4] = 2
    ids[2, 10] = 3
    ids[11, 11] = ids[0, 0] = ids[0, 11] = ids[11, 0] = 4  # a square across the corner
    model = CellularPotts(
        Cells(ids, [1, 2, 2, 3]),
        measures=(ContactLength(VonNeumann()), MeanVolume(), CellCount(), ShapeIndex()),
    )
    seen = dict(zip(model.outputs, model.observe(ids[None])[0], strict=True))
    assert seen["contact_1_2"] == 2 and seen["contact_1_1"] == 0
    assert seen["contact_0_1"] == 14 and seen["contact_0_2"] == 10 + 4 and seen["contact_0_3"] == 8
    assert [seen[f"volume_{k}"] for k in (1, 2, 3)] == [16, 4.5, 4]
    assert [seen[f"cells_{k}"] for k in (1, 2, 3)] == [1, 2, 1]
    np.testing.assert_allclose(
        [seen[f"shape_{k}"] for k in (1, 2, 3)], [4, (12 / np.sqrt(8) + 4) / 2, 4]
    )


def test_cells_of_masks_are_numbered_by_their_labels():
    masks = np.array([[[0, 7, 7], [0, 3, 0]], [[9, 7, 7], [0, 3, 3]]])
    start, frames = Cells.of_masks(masks, {3: 1, 7: 2, 9: 1})
    assert frames.tolist() == [[[0, 2, 2], [0, 1, 0]], [[3, 2, 2], [0, 1, 1]]]
    assert start.types.tolist() == [1, 2, 1] and start.volumes.tolist() == [1, 2, 0]
    assert Cells.of_masks(masks)[0].types.tolist() == [1, 1, 1]


def outline(radius, waves, size=160):
    """Return the sites inside r = R (1 + Σ a cos(m φ − s)), across the corner of a torus."""
    y, x = np.indices((size, size)) - size / 2 + 0.3
    angle = np.arctan2(y, x)
    wave = sum(a * np.cos(m * angle - s) for m, a, s in waves)
    return np.roll(np.hypot(x, y) < radius * (1 + wave), (size // 2, size // 3), (0, 1))


@pytest.mark.parametrize("boundary", [tb.models.Periodic(), Fixed()])
def test_modes_of_known_outlines(boundary):
    waves = [(2, 0.03, 0.4), (3, 0.02, 1.0), (5, 0.015, 2.0)]
    ids = outline(40, waves).astype(int)
    ids = ids if boundary == tb.models.Periodic() else np.roll(ids, (80, 107), (0, 1))
    model = CellularPotts(
        Cells(ids, [1, 1]), measures=(ShapeModes((2, 3, 4, 5)),),
        grid=Grid(ids.shape, boundary=boundary),
    )  # fmt: skip
    found = np.sqrt(model.observe(ids[None])[0])
    # To first order in amplitudes: of the second are products such as 3 · 0.03 · 0.02.
    np.testing.assert_allclose(found, [0.03, 0.02, 0.0, 0.015], atol=0.004)
    turned = np.sqrt(model.observe(np.rot90(ids)[None])[0])
    np.testing.assert_allclose(turned, found, atol=1e-9)


def test_mode_2_of_an_ellipse_is_in_closed_form():
    """∫ z² over an ellipse is π a b (a² − b²) / 4: the amplitude is (a / b − b / a) / 4."""
    y, x = np.indices((120, 120)) - 59.7
    ids = ((x / 45) ** 2 + (y / 36) ** 2 < 1).astype(int)
    model = CellularPotts(Cells(ids, [1]), measures=(ShapeModes([2]),))
    assert model.observe(ids[None])[0] == pytest.approx(((45 / 36 - 36 / 45) / 4) ** 2, rel=5e-3)


def test_contacts_at_a_fixed_edge_count_the_medium_beyond():
    ids = np.array([[1, 1], [1, 1]])
    model = CellularPotts(
        Cells(ids, [1]), measures=(ContactLength(VonNeumann()),),
        grid=Grid((2, 2), VonNeumann(), Fixed()),
    )  # fmt: skip
    assert model.observe(ids[None])[0].tolist() == [8.0, 0.0]


def test_cells_are_followed_around_the_torus():
    ids = np.zeros((10, 14), int)
    ids[3:5, 4:7] = 1
    frames = np.array([np.roll(ids, (2 * t, 3 * t), (0, 1)) for t in range(1, 9)])
    model = CellularPotts(Cells(ids, [1]), measures=(SquareDisplacement(),))
    expected = [13.0 * t * t for t in range(1, 9)]
    np.testing.assert_allclose(model.observe(frames)[:, 0], expected, rtol=1e-9)


def test_energy_of_a_hand_counted_state():
    model = CellularPotts(
        Cells(np.array([[0, 0, 0, 0], [0, 1, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), [1, 2]),
        (Adhesion(VonNeumann()), Volume(), Perimeter(VonNeumann())),
    )
    params = {**dict.fromkeys(model.parameters, 0.0), "J_0_1": 1.0, "J_1_2": 10.0}
    assert model.total_energy(params) == 5 * 1.0 + 10.0
    params = {**params, "lambda_volume": 2.0, "target_volume": 3.0}
    assert model.total_energy(params) == 15 + 2 * (1 + 4)
    params = {**params, "lambda_perimeter": 1.0, "target_perimeter": 5.0}
    assert model.total_energy(params) == 25 + (6 - 5) ** 2 + (4 - 5) ** 2


def test_too_large_energies_are_a_code():
    from tumble import SampleCode

    model = sorting()
    rows = {**SORTING, "lambda_volume": np.array([0.1, 1e308]), "target_volume": 1e3}
    run = tb.simulate(model, rows, times=[1], num_samples=2)
    assert run.codes.tolist() == [[0, 0], [SampleCode.NOT_FINITE] * 2]
    assert "change of the energy" in run.summary()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Cells(np.zeros((2, 2), int), [0]), "expected a type from 1 to 63"),
        (lambda: Cells(np.zeros((2, 2)), [1]), "expected an array of whole numbers"),
        (lambda: Cells(np.full((2, 2), 2), [1]), "from 2 to 2, expected 0 (the medium) to 1"),
        (lambda: Cells.blocks((9, 9), (2, 2), 5), "(2, 2) cells of width 5 do not fit"),
        (lambda: Cells.of_masks(np.ones((2, 3))), "expected frames of whole numbers: 0 around"),
        (
            lambda: Cells.of_masks(np.array([[1, 5]]), {1: 1}),
            "no type for 1 of 2 cells, the first with label 5",
        ),
        (lambda: ShapeModes([1, 2]), "`modes` is [1, 2], expected whole numbers from 2 to 12"),
        (lambda: sorting(grid=Grid((9, 9))), "the cells lie on one of (30, 30)"),
        (lambda: sorting(grid=Grid((30, 30), Moore(), Reflective())), "expected Periodic()"),
        (lambda: sorting(energy=(Volume(), Volume(by_type=True))), "two terms of kind Volume"),
        (lambda: sorting(energy=(Volume,)), "Write Volume(...), with brackets"),
        (lambda: sorting(measures=()), "`outputs` is empty"),
        (lambda: Adhesion(4), "expected a neighborhood such as"),
        (lambda: sorting().observe(np.zeros((1, 5, 5), int)), "whole numbers [frames, 30, 30]"),
        (lambda: sorting().observe(np.full((1, 30, 30), 99)), "the frames have cells 99 to 99"),
        (
            lambda: tb.simulate(sorting(), SORTING, times=[1 / 7000]),
            "is not a whole number of steps",
        ),
        (
            lambda: tb.simulate(sorting(), {"J_0_1": 1.0}, times=[1]),
            "J_1_1",
        ),
    ],
)  # fmt: skip
def test_errors_say_what_to_do(make, text):
    with pytest.raises(tb.TumbleError) as error:
        make()
    assert text in str(error.value)


def test_models_are_told_apart_and_kept():
    import pickle

    one, other = sorting(), sorting(energy=(Adhesion(), Volume(by_type=True)))
    assert one == sorting() and hash(one) == hash(sorting()) and one != other
    assert one.to_text() != other.to_text()
    assert pickle.loads(pickle.dumps(one)) == one
    assert other.parameters[-4:] == (
        "lambda_volume_1", "lambda_volume_2", "target_volume_1", "target_volume_2"
    )  # fmt: skip

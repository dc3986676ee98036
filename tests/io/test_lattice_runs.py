"""Lattices, movies and tracks in run files."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import tumble as tb
from tumble._errors import CapabilityError, DataError, TumbleError
from tumble.diagnostics import audit_fit
from tumble.io import load_run_config
from tumble.models import (
    Fixed,
    Grid,
    Ising,
    PersistentWalk,
    SusceptibleInfected,
    Transitions,
    VonNeumann,
    WithinRadius,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
MOVIE = """
model: susceptible_infected
movies: movie.npy
parameters:
  beta: {lower: 0.01, upper: 0.9, scale: logit}
"""
TRACKS = """
model: {plain_walk: {pixel: 0.5, step_time: 10}}
experiments:
  - tracks: {file: tracks.csv, pixel: 0.5, interval: 10, lags: [10, 20]}
parameters:
  p_stay: {lower: 0.01, upper: 0.9, scale: logit}
"""


@pytest.fixture
def write(tmp_path):
    frames = np.zeros((3, 6, 7), np.uint8)
    frames[0, 3, 3] = frames[1:, 2:4, 3] = frames[2, 3, 3:5] = 1
    np.save(tmp_path / "movie.npy", frames)
    np.save(tmp_path / "gray.npy", 255 * frames)
    lines = [f"{k},{t},{t * k % 3},{t}" for k in range(12) for t in range(3)]
    (tmp_path / "tracks.csv").write_text("track,frame,x,y\n" + "\n".join(lines))

    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_movie_sets_the_grid(write):
    problem = load_run_config(write(MOVIE)).problem()
    assert isinstance(problem.model, Transitions)
    assert problem.model.model == SusceptibleInfected(Grid((6, 7)))
    np.testing.assert_array_equal(problem.experiments[0].data.values.ravel(), [2, 3])


def test_movies_of_kinds(write):
    text = MOVIE.replace("susceptible_infected", "predator_prey")
    problem = load_run_config(write(text.split("parameters")[0] + _HUNT)).problem()
    assert problem.model.has_likelihood
    np.testing.assert_array_equal(problem.experiments[0].data.values[0], [[2, 0], [3, 0]])


_HUNT = """
parameters:
  p_birth: {lower: 0.01, upper: 0.9, scale: logit}
  p_meal: 0.1
  p_death: 0.1
"""


def test_several_movies_and_gray_levels(write):
    text = MOVIE.replace("movie.npy", "[movie.npy, {file: gray.npy, levels: [0, 255]}]")
    problem = load_run_config(write(text)).problem()
    np.testing.assert_array_equal(problem.experiments[0].data.values.ravel(), [2, 3, 2, 3])


def test_the_first_movie_says_what_to_simulate(write):
    config = load_run_config(write(MOVIE))
    model, times = config.lattice.like_first(config.movie_files[0])
    assert model == SusceptibleInfected(Grid((6, 7)))
    np.testing.assert_array_equal(times, [0, 1, 2])


def test_settings_of_grids(write):
    text = """
model:
  susceptible_infected:
    grid: {shape: [6, 7], neighborhood: {within_radius: 2}, boundary: {fixed: 1}}
movies: movie.npy
parameters: {beta: {lower: 0.01, upper: 0.9, scale: logit}}
"""
    found = load_run_config(write(text))
    assert found.model == SusceptibleInfected(Grid((6, 7), WithinRadius(2), Fixed(1)))
    partly = text.replace("shape: [6, 7], ", "").replace("{within_radius: 2}", "von_neumann")
    problem = load_run_config(write(partly)).problem()
    assert problem.model.model.grid == Grid((6, 7), VonNeumann(), Fixed(1))
    assert load_run_config(write("model: ising\nexperiments: [{}]")).model == Ising()


def test_tracks(write):
    said = []
    problem = load_run_config(write(TRACKS)).problem(say=said.append)
    assert problem.model == tb.models.PlainWalk(pixel=0.5, step_time=10.0)
    data = problem.experiments[0].data
    np.testing.assert_array_equal(data.times, [10, 20])
    assert data.values.shape == (12, 2, 1) and said[0].startswith("read_tracks tracks.csv")
    assert data.values[1, :, 0].tolist() == [0.5, 2.0]  # (1, 1) and (2, 2) pixels of a half
    plain = TRACKS.replace(
        "{file: tracks.csv, pixel: 0.5, interval: 10, lags: [10, 20]}", "tracks.csv"
    )
    assert load_run_config(write(plain)).problem(say=said.append).num_observations == 24


def test_a_walk_with_a_table(write, tmp_path):
    (tmp_path / "msd.csv").write_text("time,msd\n1,2\n2,3\n")
    text = """
model: persistent_walk
experiments:
  - data: msd.csv
    kind: mean
    num_averaged: 100
    conditions: {p_start: p, p_stop: p}
parameters: {p: {lower: 0.01, upper: 0.9, scale: logit}, p_turn: 0.5}
"""
    problem = load_run_config(write(text)).problem(say=lambda line: None)
    assert problem.model == PersistentWalk() and problem.kind == "mean"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("susceptible_infected", "{suseptible_infected: {}}",
         "`model` is 'suseptible_infected', expected one of susceptible_infected, "),
        ("susceptible_infected", "{susceptible_infected: 5}", "expected settings by name"),
        ("susceptible_infected", "{susceptible_infected: {grid: 5}}", "expected keys among shape"),
        ("susceptible_infected", "{susceptible_infected: {grid: {shape: [0, 3]}}}",
         "`model.susceptible_infected.grid`: `shape` is"),
        ("susceptible_infected", "{susceptible_infected: {gird: {}}}", "Did you mean 'grid'?"),
        ("susceptible_infected", "{susceptible_infected: {grid: {boundary: torus}}}",
         "expected one of periodic, reflective, fixed"),
        ("susceptible_infected", "plain_walk", "plain_walk has tracks; use `tracks`"),
        ("susceptible_infected", "{plain_walk: {grid: {shape: [3]}}}", "plain_walk lives on none"),
        ("susceptible_infected", "'S + I -> 2 I ; beta'", "`movies` are of lattices"),
        ("movies: movie.npy", "movies: []", "`movies` is empty"),
        ("movies: movie.npy", "movies: {fil: movie.npy}", "Did you mean 'file'?"),
        ("movies: movie.npy", "movies: movie.npy\nexperiments: [{}]", "give one of them"),
    ],
)  # fmt: skip
def test_errors_name_the_entry_in_one_line(write, old, new, message):
    with pytest.raises(TumbleError) as error:
        load_run_config(write(MOVIE.replace(old, new)))
    assert message in str(error.value) and "\n" not in str(error.value)
    assert str(error.value).startswith("run.yaml: ")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("movie.npy", "nothing.tif", "there is no file or folder"),
        ("movie.npy", "gray.npy", "hold other numbers than 0 (susceptible) and 1"),
        ("movie.npy", "{file: gray.npy, levels: [0, 1]}", "gray levels 255 beside `levels`, 0, 1"),
        ("susceptible_infected", "{susceptible_infected: {grid: {shape: [5, 5]}}}",
         "frames have the shape (6, 7), expected (5, 5)"),
        ("model: susceptible_infected", "model: fitzhugh_nagumo_lattice_gas", "two kinds"),
    ],
)  # fmt: skip
def test_errors_of_movies(write, old, new, message):
    with pytest.raises(TumbleError) as error:
        load_run_config(write(MOVIE.replace(old, new))).problem()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_errors_of_tracks(write):
    both = TRACKS.replace("  - tracks:", "  - data: a.csv\n    tracks:")
    with pytest.raises(TumbleError, match="has both `data` and `tracks`; give one of them"):
        load_run_config(write(both))
    with pytest.raises(TumbleError, match=r"`experiments\[0\].tracks.lags` is 10, expected a list"):
        load_run_config(write(TRACKS.replace("[10, 20]", "10")))
    with pytest.raises(DataError, match="no track was seen at all of the lags 10, 300"):
        load_run_config(write(TRACKS.replace("[10, 20]", "[10, 300]"))).problem(
            say=lambda line: None
        )


def test_the_folder_of_a_run_keeps_movies_and_tracks(write, tmp_path):
    from tumble.io import RunFolder

    (tmp_path / "frames").mkdir()
    shutil.copy(tmp_path / "movie.npy", tmp_path / "frames" / "notes.npy")
    from PIL import Image

    for k, frame in enumerate(np.load(tmp_path / "movie.npy")):
        Image.fromarray(frame).save(tmp_path / "frames" / f"{k}.png")
    for text, names in (
        (MOVIE.replace("movie.npy", "[frames, movie.npy]"), {"movie0-frames", "movie1-movie.npy"}),
        (TRACKS, {"0-tracks.csv"}),
    ):
        config = load_run_config(write(text))
        before = config.problem(say=lambda line: None)
        folder = RunFolder.create(tmp_path / f"run{len(names)}")
        folder.write_config(config)
        assert {p.name for p in (folder.path / "inputs").iterdir()} == names
        again = folder.config()
        (tmp_path / "frames").rename(tmp_path / "elsewhere") if len(names) == 2 else None
        problem = again.problem(say=lambda line: None)
        np.testing.assert_array_equal(
            problem.experiments[0].data.values, before.experiments[0].data.values
        )


def test_the_example_with_a_movie_is_fitted():
    problem = load_run_config(EXAMPLES / "infection" / "run.yaml").problem()
    fit = tb.fit(problem, num_starts=1)
    low, high = fit.estimates[0].interval
    assert fit.result.ok and low < 0.2 < high and high - low < 0.05
    with pytest.raises(CapabilityError, match="TransitionLikelihood is exact, and there is no"):
        audit_fit(fit)


@pytest.mark.slow
def test_the_example_with_tracks_is_fitted():
    config = load_run_config(EXAMPLES / "tracks" / "run.yaml")
    fit = tb.fit(config.problem(say=lambda line: None), **config.fit_options)
    truth = {"p_switch": 0.3, "p_turn": 0.1}
    for estimate in fit.estimates:
        value, true = estimate.value, truth[estimate.name]
        gap = np.log(value / (1 - value)) - np.log(true / (1 - true))
        assert abs(gap) < 3 * estimate.standard_error < 1.5

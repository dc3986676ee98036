"""Cellular Potts models in run files: starts and movies of label masks."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import tumble as tb
from tumble._errors import TumbleError
from tumble.cli import app
from tumble.io import RunFolder, load_fit, load_run_config
from tumble.models import (
    Adhesion,
    CellCount,
    Cells,
    CellularPotts,
    Fixed,
    Grid,
    MeanVolume,
    Perimeter,
    Volume,
    VonNeumann,
)
from tumble.movies import CellMovie

MODEL = CellularPotts(Cells.blocks((20, 20), (2, 2), 7, types=[1, 2]))
TRUTH = {"J_0_1": 0.8, "J_1_1": 0.2, "J_0_2": 0.8, "J_1_2": 0.8, "J_2_2": 0.2,
         "lambda_volume": 0.05, "target_volume": 50.0}  # fmt: skip
LABELS = np.array([0, 30, 7, 12, 41])  # of cells 1 to 4
TYPES = {int(label): int(kind) for label, kind in zip(LABELS[1:], MODEL.start.types, strict=True)}
MOVIE = f"""
title: Four cells
model: {{cellular_potts: {{types: {TYPES}}}}}
movies: {{file: masks.npy, interval: 2}}
parameters:
  J_0_1: {{lower: 0.01, upper: 2}}
  J_1_1: 0.2
  J_0_2: 0.8
  J_1_2: 0.8
  J_2_2: 0.2
  lambda_volume: {{lower: 0.01, upper: 0.2, start: 0.05}}
  target_volume: 50
fit: {{start: {{J_0_1: 0.6}}, seed: 3}}
output: out
"""
START = """
model:
  cellular_potts:
    start: masks.npy
    types: 1
    energy: [adhesion, {volume: {by_type: true}}, {perimeter: {neighborhood: von_neumann}}]
    measures: [mean_volume, cell_count]
    grid: {neighborhood: von_neumann, boundary: fixed}
experiments:
  - data: {time: [1, 2], volume_1: [50, 51]}
parameters: {lambda_volume_1: {lower: 0.01, upper: 1}}
"""


@pytest.fixture(scope="module")
def masks():
    kept = tb.simulate(MODEL, TRUTH, times=20 + 2 * np.arange(5), seed=1,
                       outputs=tb.outputs.Frames())  # fmt: skip
    return LABELS[kept.states[0]].astype(np.uint8)


@pytest.fixture
def write(tmp_path, monkeypatch, masks):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)
    np.save("masks.npy", masks)
    np.save("small.npy", masks[:, :10])

    def write(text):
        path = tmp_path / "run.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_movie_of_masks_is_that_of_python(write, masks):
    config = load_run_config(write(MOVIE))
    movie = config.cells.movie()
    start, frames = Cells.of_masks(masks, TYPES)
    assert movie.model == CellularPotts(start) and movie.interval == 2
    np.testing.assert_array_equal(movie.movies[0], frames)
    assert config.model.start.types.tolist() == [TYPES[label] for label in sorted(TYPES)]
    found = config.cells.fit(config.parameters, config.fit.start, 3)
    known = {k: v for k, v in TRUTH.items() if k not in ("J_0_1", "lambda_volume")}
    begin = {"J_0_1": 0.6, "lambda_volume": 0.05}
    assert (
        found.params == CellMovie(CellularPotts(start), frames, 2).fit(begin, known, seed=3).params
    )


def test_without_a_start_the_fit_begins_in_the_middle_of_the_bounds(write, monkeypatch):
    seen = {}
    monkeypatch.setattr(CellMovie, "fit", lambda self, start, known, seed: seen.update(start))
    config = load_run_config(write(MOVIE.replace("start: {J_0_1: 0.6}, ", "")))
    config.cells.fit(config.parameters, {}, 0)
    assert seen == pytest.approx({"J_0_1": np.sqrt(0.01 * 2), "lambda_volume": 0.05})


@pytest.mark.parametrize("kind", ["tif", "png"])
def test_pictures(write, tmp_path, masks, kind):
    if kind == "tif":
        pytest.importorskip("tifffile").imwrite(tmp_path / "masks.tif", masks)
    else:
        from PIL import Image

        (tmp_path / "masks.png").mkdir()
        for k, frame in enumerate(masks):
            Image.fromarray(frame).save(tmp_path / "masks.png" / f"{k}.png")
    config = load_run_config(write(MOVIE.replace("masks.npy", f"masks.{kind}")))
    np.testing.assert_array_equal(config.cells.frames[0], Cells.of_masks(masks)[1])


def test_several_movies_have_one_numbering(write, masks):
    np.save("later.npy", masks[2:4] * (masks[2:4] != 7))
    text = MOVIE.replace("{file: masks.npy, interval: 2}", "[masks.npy, later.npy]")
    cells = load_run_config(write(text)).cells
    assert cells.movie().num_transitions == 5 and cells.movie().interval == 1
    np.testing.assert_array_equal(cells.frames[1], cells.frames[0][2:4] * (cells.frames[1] > 0))
    assert set(np.unique(cells.frames[1])) == {0, 2, 3, 4}  # 7 is the least label, cell 1


def test_a_start_and_settings(write, masks):
    config = load_run_config(write(START))
    start = Cells.of_masks(masks[:1])[0]
    energy = (Adhesion(), Volume(by_type=True), Perimeter(VonNeumann()))
    grid = Grid((20, 20), VonNeumann(), Fixed())
    assert config.model == CellularPotts(start, energy, (MeanVolume(), CellCount()), grid)
    assert config.cells is None


def test_outputs_of_runs_are_a_problem(write):
    text = START.replace("parameters: {", "parameters: {J_0_1: 1, J_1_1: 1, target_volume_1: 50, "
                         "lambda_perimeter: 0, target_perimeter: 0, ")  # fmt: skip
    problem = load_run_config(write(text)).problem(say=lambda line: None)
    assert problem.model.outputs == ("volume_1", "cells_1") and problem.num_observations == 2
    result = CliRunner().invoke(
        app, ["simulate", "run.yaml", "-n", "2", "-p", "lambda_volume_1=0.1"]
    )
    assert result.exit_code == 0 and "volume_1" in result.stdout, result.stderr


def test_a_start_beside_a_movie(write, masks):
    np.save("start.npy", masks[3])
    text = MOVIE.replace("{types:", "{start: start.npy, types:")
    config = load_run_config(write(text))
    np.testing.assert_array_equal(config.model.start.ids, config.cells.frames[0][3])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("masks.npy", "nothing.npy", "there is no file or folder"),
        ("movies: {file: masks.npy, interval: 2}", "experiments: [{}]",
         "`model.cellular_potts` has no `start`, and there are no `movies`"),
        ("types:", "kinds:", "has the unknown key 'kinds'"),
        ("{file: masks.npy, interval: 2}", "[masks.npy, small.npy]",
         "frames of the shapes (20, 20) and (10, 20)"),
        ("{file: masks.npy, interval: 2}", "[masks.npy, {file: masks.npy, interval: 2}]",
         "`movies[1].interval` is 2, but that of the first movie is 1"),
        ("{file: masks.npy, interval: 2}", "{file: masks.npy, levels: [0]}",
         "`movies` has the unknown key 'levels'"),
        (f"{TYPES}", "{7: 1}", "`types` has no type for 3 of 4 cells, the first with label 12"),
        (f"{TYPES}", f"{TYPES | {5: 1}}", "names the label 5, which no mask has"),
        (f"{TYPES}", "{a: 1}", "`model.cellular_potts.types` is {'a': 1}, expected a type, or"),
        (f"{TYPES}", "0", "`model.cellular_potts.types` is 0, expected a whole number ≥ 1"),
        ("types:", "energy: [size], types:",
         "`model.cellular_potts.energy[0]` is 'size', expected one of adhesion"),
        ("types:", "energy: [volume, volume], types:", "two terms of kind Volume"),
        ("types:", "measures: [], types:", "`model.cellular_potts.measures` is empty"),
        ("types:", "grid: {shape: [3, 3]}, types:", "`grid` has shape (3, 3)"),
        ("seed: 3", "max_steps: 9", "`fit.max_steps` has no use for `movies` of label masks"),
        ("output:", "derived: {a: J_0_1}\noutput:", "`derived` has no use for `movies`"),
    ],
)  # fmt: skip
def test_errors_are_of_one_line(write, old, new, message):
    with pytest.raises(TumbleError) as error:
        load_run_config(write(MOVIE.replace(old, new)))
    text = str(error.value)
    assert message in text and "\n" not in text and text.startswith("run.yaml: ")


def test_a_movie_of_masks_is_no_problem(write):
    with pytest.raises(TumbleError, match="fitted by CellMovie, which `tumble fit` calls"):
        load_run_config(write(MOVIE)).problem()
    audited = CliRunner().invoke(app, ["audit", "run.yaml"])
    assert audited.exit_code == 2 and audited.stderr.count("\n") == 1


def test_the_command_line(write, tmp_path):
    write(MOVIE)
    fitted = CliRunner().invoke(app, ["fit", "run.yaml", "--json"])
    assert fitted.exit_code == 0, fitted.stderr
    found = json.loads(fitted.stdout)
    assert set(found["estimates"]) == {"J_0_1", "lambda_volume"} and found["ok"]
    low, high = found["estimates"]["J_0_1"]["interval"]
    assert low < found["estimates"]["J_0_1"]["value"] < high
    folder = RunFolder.open("out")
    assert {p.name for p in (folder.path / "inputs").iterdir()} == {"movie0-masks.npy"}
    stored = load_fit(folder.result_path)["fit"]
    assert stored["estimate"].sel(parameter="J_0_1").item() == found["estimates"]["J_0_1"]["value"]
    (tmp_path / "masks.npy").unlink()  # the folder has its copy
    assert folder.config().cells.movie().num_transitions == 4
    again = CliRunner().invoke(app, ["simulate", "out", "-n", "2"])
    assert again.exit_code == 0 and "contact_1_2" in again.stdout, again.stderr
    report = CliRunner().invoke(app, ["report", "out"])
    assert (
        report.exit_code == 2 and "a movie of cells, of which there is no report" in report.stderr
    )
    assert CliRunner().invoke(app, ["fit", "out", "--resume"]).exit_code == 2


def test_what_is_printed(write):
    write(MOVIE)
    checked = CliRunner().invoke(app, ["check", "run.yaml"])
    assert "transitions: 4" in checked.stdout, checked.stderr
    printed = CliRunner().invoke(app, ["fit", "run.yaml"])
    assert "converged after" in printed.stdout and "95 % interval" in printed.stdout
    narrow = MOVIE.replace("{lower: 0.01, upper: 2}", "{lower: 0.001, upper: 0.01}")
    write(narrow.replace("J_0_1: 0.6", "J_0_1: 0.01"))
    printed = CliRunner().invoke(app, ["fit", "run.yaml", "--overwrite"])
    assert "J_0_1 is outside its bounds" in printed.stdout


def test_the_folder_keeps_the_start(write, tmp_path):
    config = load_run_config(write(START))
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config(config)
    (tmp_path / "masks.npy").unlink()
    assert folder.config().model == config.model

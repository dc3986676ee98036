"""A few stochastic cases of the SBML Test Suite, with fewer runs than it asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("libsbml")

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "dsmts.py"
FOLDER = os.environ.get("TUMBLE_DSMTS")


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.skipif(not FOLDER, reason="TUMBLE_DSMTS does not name a folder with the test suite")
def test_cases_pass():
    cases = ["00001", "00011", "00019", "00024", "00028", "00030", "00033", "00037"]
    done = run(FOLDER, "--runs", 2000, "--seeds", 1, "--cases", *cases)
    assert done.stdout.splitlines()[-1] == "PASSED 8 of 8", done.stdout + done.stderr
    assert done.returncode == 0


def write_case(folder, name, mean, text):
    case = folder / name
    case.mkdir()
    (case / f"{name}-sbml-l3v2.xml").write_text(text)
    (case / f"{name}-settings.txt").write_text(
        "start: 0\nduration: 4\nsteps: 4\nvariables: X\namount: X\nconcentration: \n"
        "output: X-mean, X-sd\nmeanRange: (-3, 3)\nsdRange: (-5, 5)\n"
    )
    # Arrivals at rate 2: the mean and the variance at t are 2 t.
    rows = [f"{t},{mean * t},{(2 * t) ** 0.5}" for t in range(5)]
    (case / f"{name}-results.csv").write_text("\n".join(["time,X-mean,X-sd", *rows]))


def test_the_script_tells_right_from_wrong(tmp_path):
    from tests.formats.sbml_text import model, parameter, reaction, species

    text = model(species("X", 0), parameter("k", 2), reaction("R", {}, {"X": 1}, "k"))
    write_case(tmp_path, "00001", 2.0, text)
    done = run(tmp_path, "--runs", 1000, "--seeds", 1, 2)
    assert done.stdout.splitlines() == [
        "00001 seed 1: passed  outside in 4 steps: X-mean 0, X-sd 0",
        "00001 seed 2: passed  outside in 4 steps: X-mean 0, X-sd 0",
        "PASSED 1 of 1",
    ]
    assert done.returncode == 0
    # A mean that is 10 % too large is 3.2 standard deviations off at the first step, 4.5 at the
    # second, and more later.
    write_case(tmp_path, "00002", 2.2, text)
    write_case(tmp_path, "00003", 2.0, "<sbml")
    done = run(tmp_path, "--runs", 4000, "--seeds", 1)
    lines = done.stdout.splitlines()
    assert lines[1] == "00002 seed 1: FAILED  outside in 4 steps: X-mean 4, X-sd 0"
    assert lines[2].startswith("00003: FAILED  00003-sbml-l3v2.xml is not well-formed XML")
    assert lines[-1] == "PASSED 1 of 3"
    assert done.returncode == 1


def test_wrong_use_has_status_2(tmp_path):
    assert run(tmp_path).returncode == 2
    assert run().returncode == 2
    (tmp_path / "00001").mkdir()
    assert run(tmp_path, "--cases", "00002").returncode == 2
    assert run(tmp_path, "--runs", 1).returncode == 2

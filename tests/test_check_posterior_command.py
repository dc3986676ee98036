"""``tumble check-posterior``."""

import json
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.test_cli import assert_refused
from tumble.cli import app

RUN = """
title: Arrivals
model: "0 -> X ; k"
experiments:
  - data: {time: [1, 2, 3], X: [61, 118, 190]}
    initial: {X: 0}
parameters:
  k: {lower: 20, upper: 200}
"""


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch, tmp_path):
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(textwrap.dedent(RUN), encoding="utf-8")


def tumble(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="tumble")


def test_a_fit_is_checked_printed_and_kept():
    result = tumble(
        "check-posterior", "run.yaml", "--repeats", "40", "-o", "out/c.json", "-o", "out/c.png"
    )
    assert result.exit_code == 0, result.output
    assert "Arrivals" in result.stdout and "calibrated" in result.stdout
    kept = json.loads(Path("out/c.json").read_text())
    (k,) = kept["parameters"]
    assert kept["repeats"] == len(k["ranks"]) == 40 and k["coverage"]["0.95"] > 0.8
    assert Path("out/c.png").read_bytes()[:4] == b"\x89PNG"


def test_ways_to_sample_are_checked_too():
    result = tumble(
        "check-posterior", "run.yaml", "--by", "rejection_abc", "--repeats", "10", "--json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["what"] == "RejectionABC"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "smc"), "smc"),
        (("--repeats", "0"), "`num_repeats` is 0"),
        (("-o", "c.txt"), "expected a name that ends in .json"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    assert_refused(tumble("check-posterior", "run.yaml", *arguments), message)

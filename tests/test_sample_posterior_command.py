"""``tumble sample-posterior``."""

import json
import textwrap
from pathlib import Path

import pytest
import xarray as xr
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
derived:
  each_hour: k / 24
"""


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch, tmp_path):
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(textwrap.dedent(RUN), encoding="utf-8")


def tumble(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="tumble")


def test_draws_are_printed_and_kept():
    """190 arrivals in three units of time, and a log-uniform prior: Gamma(190, 1 / 3)."""
    files = ["out/k.nc", "out/k.json", "out/k.png"]
    result = tumble(
        "sample-posterior", "run.yaml", "--by", "rejection_abc",
        *(x for file in files for x in ("-o", file)),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "Arrivals" in result.stdout and "each_hour" in result.stdout
    kept = json.loads(Path("out/k.json").read_text())
    assert kept["ok"] and kept["method"] == "RejectionABC"
    k, each = kept["parameters"]["k"], kept["parameters"]["each_hour"]
    assert abs(k["mean"] - 190 / 3) < 1.5 and abs(k["sd"] - 190**0.5 / 3) < 1.5
    assert k["interval"][0] < k["median"] < k["interval"][1]
    assert each["mean"] == pytest.approx(k["mean"] / 24)
    with xr.open_datatree("out/k.nc") as tree:
        assert "posterior" in tree.children
    assert Path("out/k.png").read_bytes()[:4] == b"\x89PNG"


def test_what_was_drawn_before_an_interruption_is_kept(monkeypatch):
    from tumble.posteriors import _smc

    step, calls = _smc.SMCSampler.step, []

    def stopped(self, state):
        calls.append(state)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(self, state)

    monkeypatch.setattr(_smc.SMCSampler, "step", stopped)
    result = tumble("sample-posterior", "run.yaml", "--json", "-o", "k.json")
    assert result.exit_code == 130
    assert json.loads(result.stdout)["result"] == "interrupted"
    assert json.loads(Path("k.json").read_text())["draws"] > 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "smc"), "smc"),
        (("-o", "c.txt"), "expected a name that ends in .nc, .json"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    assert_refused(tumble("sample-posterior", "run.yaml", *arguments), message)

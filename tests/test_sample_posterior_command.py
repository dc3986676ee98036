"""``tumble sample-posterior``."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from tests.test_cli import assert_refused
from tumble.cli import app
from tumble.io import RunFolder, load_posterior, load_run_config

RUN = """
title: Arrivals
output: runs/arrivals
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
    folder = RunFolder.open("runs/arrivals-rejection_abc")
    assert f"folder: {folder.path}" in result.stdout
    assert folder.status["state"] == "complete" and folder.status["command"] == "sample-posterior"
    assert [m["step"] for m in folder.metrics] == list(range(1, len(folder.metrics) + 1))
    tree = load_posterior(folder.result_path)
    assert tree["estimates"]["mean"].item() == pytest.approx(k["mean"])
    assert "posterior_predictive" in tree.children and tree.attrs["title"] == "Arrivals"
    assert not folder.state_path.exists()  # nothing is left of what ended well
    assert Path("out/k.png").read_bytes()[:4] == b"\x89PNG"


MEANS = """
title: Means
output: runs/means
model: "0 -> X ; k"
experiments:
  - data: {time: [1], X: [60]}
    initial: {X: 0}
    kind: mean
    num_averaged: 50
parameters:
  k: {lower: 20, upper: 200}
"""


def test_a_posterior_by_a_loss_has_the_error_of_the_mean():
    """Of 50 numbers of arrivals, 60 on average: log k = log 60 ± 1 / √3000."""
    Path("run.yaml").write_text(textwrap.dedent(MEANS), encoding="utf-8")
    result = tumble("sample-posterior", "run.yaml", "--by", "loss_posterior", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    k, error = found["parameters"]["k"], 60 / 3000**0.5
    assert found["ok"] and found["method"] == "LossPosterior"
    # 1,000 draws; the sandwich, of 4,096 runs, is known to 2 %.
    assert abs(k["mean"] - 60) < 4 * error / 1000**0.5 + 0.1 * error
    assert abs(k["sd"] / error - 1) < 4 * (1 / 2000 + 0.02**2) ** 0.5
    folder = RunFolder.open("runs/means-loss_posterior")
    assert "around a fit of" in folder.report_path.read_text(encoding="utf-8")
    assert not folder.state_path.exists()
    tree = load_posterior(folder.result_path)
    assert tree["posterior"]["k"].shape[0] == 32


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
    folder = RunFolder.open("runs/arrivals-smc_abc")
    assert folder.status["state"] == "interrupted" and folder.report_path.is_file()
    assert "sample-posterior runs/arrivals-smc_abc --resume` goes on" in result.stderr
    monkeypatch.setattr(_smc.SMCSampler, "step", step)
    result = tumble("sample-posterior", folder.path, "--resume", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["ok"]
    assert json.loads(result.stdout)["report"] == str(folder.report_path)
    assert folder.status["state"] == "complete"


SLOWLY = """
import time
from tumble.cli import app
from tumble.posteriors import _smc

step = _smc.SMCSampler.step

def slow(self, state):
    time.sleep(0.3)
    return step(self, state)

_smc.SMCSampler.step = slow
app()
"""


def test_a_process_that_was_killed_goes_on_bitwise_where_it_was():
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-c", SLOWLY, "sample-posterior", "run.yaml", "--folder", "out", "-q",
         "--seed", "4"], env=environment,
    )  # fmt: skip
    metrics, deadline = Path("out/metrics.jsonl"), time.monotonic() + 120
    while not (metrics.is_file() and len(metrics.read_text().splitlines()) >= 3):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    folder = RunFolder.open("out")
    assert folder.status["state"] == "interrupted" and folder.state_path.is_file()
    before = folder.metrics
    assert_refused(tumble("sample-posterior", "run.yaml", "--folder", "out"), "--resume")
    assert_refused(tumble("report", "out"), "go on with `tumble sample-posterior out --resume`")
    assert_refused(
        tumble("fit", "out", "--resume"), "is one of `tumble sample-posterior`, not of `tumble fit`"
    )
    assert_refused(
        tumble("sample-posterior", "out", "--resume", "--seed", "5"), "belongs to another run"
    )
    result = tumble("sample-posterior", "out", "--resume", "-q")
    assert result.exit_code == 0, result.output
    result = tumble("sample-posterior", "run.yaml", "--folder", "whole", "-q", "--seed", "4")
    assert result.exit_code == 0, result.output
    rest, whole = (load_posterior(f"{name}/result.nc") for name in ("out", "whole"))
    np.testing.assert_array_equal(
        rest["weighted_posterior"]["k"].values, whole["weighted_posterior"]["k"].values
    )
    assert folder.metrics == RunFolder.open("whole").metrics
    assert folder.metrics[: len(before)] == before
    assert_refused(tumble("sample-posterior", "out", "--resume"), "is complete")


def test_a_report_is_written_again_from_what_is_kept():
    assert tumble("sample-posterior", "run.yaml", "--by", "rejection_abc", "-q").exit_code == 0
    page = Path("runs/arrivals-rejection_abc/report.html")
    first = page.read_text(encoding="utf-8")
    page.unlink()
    result = tumble("report", page.parent)
    assert result.exit_code == 0 and result.stdout.strip() == str(page)
    assert page.read_text(encoding="utf-8") == first
    assert "Arrivals" in first and "data in the 95 % band" in first


def test_a_full_disk_is_told_in_a_line(monkeypatch):
    def full(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert_refused(tumble("sample-posterior", "run.yaml"), "No space left on device")
    assert RunFolder.open("runs/arrivals-smc_abc").status["state"] == "failed"


def test_a_damaged_state_is_told_in_a_line():
    folder = RunFolder.create("out", command="sample-posterior")
    folder.write_config(load_run_config("run.yaml"))
    folder.write_environment(seed=0, by="smc_abc")
    folder.state_path.write_bytes(b"PK nonsense")
    folder.finish("interrupted")
    assert_refused(tumble("sample-posterior", "out", "--resume"), "state.npz' cannot be read")
    assert_refused(tumble("sample-posterior", "run.yaml", "--folder", "out"), "already holds a run")
    again = tumble("sample-posterior", "run.yaml", "--folder", "out", "--overwrite", "-q")
    assert again.exit_code == 0, again.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--by", "smc"), "smc"),
        (("-o", "c.txt"), "expected a name that ends in .nc, .json"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, message):
    assert_refused(tumble("sample-posterior", "run.yaml", *arguments), message)

"""``tumble learn``: what it leaves, what it prints, what it refuses, and how it is stopped."""

import json
import os
import signal
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tumble import read_sbml
from tumble.cli import app

RUN = """
title: Decay or more
structure:
  species: [X]
  order: 1
experiments:
  - data: data.csv
    initial: {X: 500}
predictive: {num_samples: 50}
output: out
"""
DATA = "time,X\n0.5,296\n1,181\n1.5,108\n2,65\n2.5,41\n3,26\n"


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch):
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)


@pytest.fixture
def tumble(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text(DATA)

    def run(*arguments, text=RUN):
        Path("run.yaml").write_text(textwrap.dedent(text), encoding="utf-8")
        result = CliRunner().invoke(app, [str(a) for a in arguments], prog_name="tumble")
        assert "Traceback" not in result.stderr
        return result

    return run


def refused(result, *words):
    assert result.exit_code == 2, result.output
    for word in words:
        assert word in result.stderr
    return True


def test_learn_leaves_a_folder_that_other_commands_take(tumble):
    from tumble.io import RunFolder, load_fit

    result = tumble("learn", "run.yaml")
    assert result.exit_code == 0, result.output
    for words in ("Decay or more", "X -> 0", "probability", "networks weighed", "report"):
        assert words in result.stdout
    assert "2 candidates between X" in result.stderr
    folder = RunFolder.open("out")
    assert folder.status["state"] == "complete"
    assert folder.config().structure.library.equations == ("0 -> X", "X -> 0")
    tree = load_fit(folder.result_path)
    assert "posterior_predictive" in tree.children
    assert json.loads(tree["structure"].attrs["advice"])["words"]
    rate = float(tree["fit"]["estimate"].values[0])
    assert Path("out/network.txt").read_text() == f"X -> 0 ; {rate!r}\n"
    assert read_sbml("out/network.xml").initial == {"X": 500}
    kept = json.loads(Path("out/structure.json").read_text())
    assert kept["networks"][0]["equations"] == ["X -> 0"]
    page = Path("out/report.html").read_text()
    assert "Which reactions" in page and "What to measure next" in page
    assert "Can the gradient be trusted" not in page
    Path("out/report.html").unlink()
    assert tumble("report", "out").exit_code == 0
    assert "Which reactions" in Path("out/report.html").read_text()
    simulated = tumble("simulate", "out", "--num-samples", "5", "--output", "again.csv")
    assert simulated.exit_code == 0, simulated.output
    assert refused(tumble("audit", "out"), "learnt which reactions there are")
    assert refused(tumble("learn", "run.yaml"), "already holds a run")
    assert tumble("learn", "run.yaml", "--overwrite", "--quiet").stdout == ""


def test_json_is_one_object_and_nothing_else(tumble):
    result = tumble("learn", "run.yaml", "--json")
    content = json.loads(result.stdout)
    assert content["inclusion"]["X -> 0"] > 0.9 and content["ok"]
    assert result.stderr == ""


def test_candidates_may_be_those_of_a_model(tumble):
    text = RUN.replace("structure:\n  species: [X]\n  order: 1", "model: |\n  X -> 0 ; death\n"
                       "  2 X -> X ; fight\nstructure: {next: false, largest: 2}")  # fmt: skip
    result = tumble("learn", "run.yaml", "--json", text=text)
    content = json.loads(result.stdout)
    assert set(content["inclusion"]) == {"X -> 0", "2 X -> X"}
    assert content["next"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("species: [X]", "species: [X]\n  odd: 1"), "has the unknown key 'odd'"),
        (("order: 1", "order: 3"), "`order` is 3, expected 1 or 2"),
        (("order: 1", "conserve: [Y]"), "`conserve` has species 'Y'"),
        (("order: 1", "forbid: {a: 1}"), "`structure.forbid` is {'a': 1}, expected a list"),
        (("order: 1", "spread: -1"), "`spread` is -1"),
        (("title:", "model: X -> 0 ; k\ntitle:"), "which both name candidates"),
        (("species: [X]\n  order: 1", "order: 1"), "`structure.order` goes with"),
    ],
)
def test_what_makes_no_sense_is_refused(tumble, change, words):
    assert refused(tumble("learn", "run.yaml", text=RUN.replace(*change)), words, "run.yaml")
    assert not Path("out").exists()


def test_fit_points_to_learn(tumble):
    assert refused(tumble("fit", "run.yaml"), "use `tumble learn`")


def test_ctrl_c_keeps_what_was_weighed(tumble, monkeypatch):
    from tumble.io import RunFolder
    from tumble.structure import NetworkPosterior

    weigh, count = NetworkPosterior.weigh, []

    def stopping(self, *arguments, **options):
        count.append(1)
        if len(count) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return weigh(self, *arguments, **options)

    monkeypatch.setattr(NetworkPosterior, "weigh", stopping)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = tumble("learn", "run.yaml")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert result.exit_code == 130
    assert "interrupted; what was computed is in out" in result.stderr
    assert RunFolder.open("out").status["state"] == "interrupted"
    kept = json.loads(Path("out/structure.json").read_text())
    assert kept["result"] == "INTERRUPTED" and len(kept["networks"]) == 2
    if kept["networks"][0]["equations"]:
        assert "interrupted" in Path("out/report.html").read_text()


def test_ctrl_c_before_anything_is_weighed(tumble, monkeypatch):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("tumble.structure.NetworkPosterior.weigh", stopped)
    assert tumble("learn", "run.yaml").exit_code == 130
    assert not Path("out/result.nc").exists()

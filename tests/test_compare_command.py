"""``tumble compare``, and the run files that it takes."""

import json
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.test_cli import assert_refused
from tumble.cli import app
from tumble.io import load_comparison
from tumble.structure import Evidence, HeldOut

RUN = """
title: Decay or more
models:
  death: "X -> 0 ; gamma"
  both:
    model: |
      0 -> X ; k
      X -> 0 ; gamma
    parameters: {k: {lower: 0.1, upper: 10}}
experiments:
  - data: {time: [1, 2, 3, 4], X: [61, 38, 20, 13]}
    initial: {X: 100}
parameters:
  gamma: {lower: 0.01, upper: 10}
compare:
  by: {evidence: {tolerance: 0.2, num_starts: 2}}
"""


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch, tmp_path):
    monkeypatch.setattr("tumble.cli._setup.prepare_process", lambda: None)
    monkeypatch.chdir(tmp_path)


def tumble(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], prog_name="tumble")


def write(text):
    Path("run.yaml").write_text(textwrap.dedent(text), encoding="utf-8")


def test_models_are_compared_printed_and_kept():
    write(RUN)
    result = tumble("compare", "run.yaml", "-o", "out/m.json", "-o", "out/m.png")
    assert result.exit_code == 0, result.output
    assert "Decay or more" in result.stdout and "probability" in result.stdout
    kept = json.loads(Path("out/m.json").read_text())
    assert kept["models"][0]["name"] == "death"
    assert Path("out/m.png").read_bytes()[:4] == b"\x89PNG"
    result = tumble("compare", "run.yaml", "--json", "--seed", "0")
    content = json.loads(result.stdout)
    assert content["title"] == "Decay or more"
    for printed, stored in zip(content["models"], kept["models"], strict=True):
        assert printed["probability"] == stored["probability"]
    quiet = tumble("compare", "run.yaml", "--quiet")
    assert quiet.exit_code == 0 and not quiet.output


def test_what_is_common_goes_where_it_belongs():
    folder = Path(__file__).parents[1] / "examples"
    config = load_comparison(folder / "influenza" / "compare.yaml")
    problems = config.problems(say=lambda line: None)
    assert list(problems) == ["SI", "SIS", "SIR", "SIRS", "SEIR"]
    assert problems["SI"].space.names == ("beta", "phi")
    assert set(problems["SEIR"].space.names) == {"beta", "gamma", "sigma", "phi"}
    assert set(problems["SIS"].experiments[0].initial) == {"S", "I"}
    assert config.by is None and config.seed == 0
    eyam = load_comparison(folder / "eyam" / "compare.yaml")
    assert eyam.by == Evidence()
    assert [p.space.size for p in eyam.problems(say=lambda line: None).values()] == [2, 3, 3]


def test_settings_are_read():
    write(RUN.replace("by: {evidence: {tolerance: 0.2, num_starts: 2}}",
                      "by: {held_out: {last: 0.5}}\n  prior: {death: 1, both: 3}"))  # fmt: skip
    config = load_comparison("run.yaml")
    assert config.by == HeldOut(last=0.5)
    assert config.prior == {"death": 1, "both": 3}


REFUSED = [
    (RUN.replace("models:", "modells:"), ["no `models`"]),
    (RUN.replace('  death: "X -> 0 ; gamma"\n', ""), ["`models` is", "two or more"]),
    (RUN.replace("model: |", "modell: |"), ["unknown key 'modell'", "Did you mean 'model'"]),
    (RUN.replace('"X -> 0 ; gamma"', '"X + Q -> 0 ; gamma"'),
     ["model 'death'", "'Q'"]),
    (RUN.replace("gamma: {lower", "gama: {lower"), ["`parameters` has 'gama', which no model"]),
    (RUN.replace("parameters:\n  gamma", "parameters:\n  zeta: {lower: 1, upper: 2}\n  gamma"),
     ["`parameters` has 'zeta', which no model uses"]),
    (RUN.replace("evidence:", "evidense:"), ["`compare.by` is 'evidense'", "evidence"]),
    (RUN.replace("tolerance: 0.2", "tolerance: 0"), ["`compare.by`", "`tolerance` is 0"]),
    (RUN + "  prior: {death: 1}\n", ["`prior` has no weight for 'both'"]),
    (RUN + "fit: {seed: 3}\n", ["unknown key 'fit'"]),
    (RUN.replace("experiments:", "experiments: 3\nmore:"), ["unknown key 'more'"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REFUSED, ids=[w[0] for _, w in REFUSED])
def test_what_is_wrong_is_one_line(text, words):
    write(text)
    assert_refused(tumble("compare", "run.yaml"), *words)


def test_the_wrong_command_is_named():
    write(RUN)
    assert_refused(tumble("fit", "run.yaml"), "names several `models`; `tumble compare` takes")
    assert_refused(tumble("compare", "run.yaml", "-o", "x.txt"), "`--output` is 'x.txt'", ".json")
    assert_refused(tumble("compare", "nothing.yaml"), "there is no file 'nothing.yaml'")

"""What `tumble check` calls odd."""

import json

import pytest
from typer.testing import CliRunner

import tumble as tb
from tumble.cli._app import app
from tumble.formats import find_oddities, read_model

P_SQUARED = "2 P => D ; k * P * P"


def odd(text, params=None, initial=None, **names):
    net = tb.ReactionNetwork.from_text(text, **names)
    params = dict.fromkeys(net.parameters, 1.0) | (params or {})
    initial = dict.fromkeys(net.species, 10) | (initial or {})
    return find_oddities(tb.ImportedModel(net, params, initial))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"text": "S + I -> 2 I ; b\nI -> R ; g"}, ()),
        ({"text": "S => P ; mm(S, V, K)\nP => S ; k * P / (1 + S)"}, ()),
        (
            {"text": "A -> 0 ; k", "parameters": ["k", "j"]},
            ("Parameter 'j' is not used.",),
        ),
        (
            {"text": "A => 0 ; k * A * C", "species": ["A", "C"]},
            ("Species 'C' never changes.",),
        ),
        (
            {"text": P_SQUARED},
            (
                "Reaction '2 P => D ; k * P * P': the propensity does not vanish at P = 1, where "
                "there is not enough of it.",
            ),
        ),
        ({"text": "2 P => D ; k * P * (P - 1) / 2"}, ()),
        ({"text": "P + D => 2 P ; k * P"}, (
            "Reaction 'P + D => 2 P ; k * P': the propensity does not vanish at D = 0, where "
            "there is not enough of it.",)),
        (
            {"text": "A => 0 ; k * A * (A - 20)"},
            ("Reaction 'A => 0 ; k * A * (A - 20)': the propensity at the initial state is "
             "negative, -100.",
             "Reaction 'A => 0 ; k * A * (A - 20)': it cannot fire from the initial state."),
        ),
        (
            {"text": "A => 0 ; A / B\nB -> 0 ; k", "initial": {"B": 0}},
            ("Reaction 'A => 0 ; A / B': the propensity at the initial state is inf.",
             "Reaction 'B -> 0 ; k': it cannot fire from the initial state."),
        ),
        (
            {"text": "A -> B ; k\nB -> C ; k\n2 D -> 0 ; k", "initial": {"B": 0, "C": 0, "D": 1}},
            ("Reaction '2 D -> 0 ; k': it cannot fire from the initial state.",),
        ),
        ({"text": "A -> 0 ; k\nat time > 5: A = 3", "initial": {"A": 0}}, ()),
        (
            {"text": "A -> 0 ; k", "params": {"k": 0.0}},
            ("Reaction 'A -> 0 ; k': it cannot fire from the initial state.",),
        ),
        ({"text": "V(0) = k\nV' = -V\nA => 0 ; A * V", "initial": {"A": 5}}, ()),
        ({"text": "A => 0 ; k * A * (A > 400)", "initial": {"A": 500}}, ()),
    ],
)  # fmt: skip
def test_what_is_odd(arguments, expected):
    assert odd(**arguments) == expected


def test_without_values_what_depends_on_them_is_not_looked_at():
    net = tb.ReactionNetwork.from_text(P_SQUARED)
    assert find_oddities(tb.ImportedModel(net, {}, {})) == ()


def test_moles_are_odd():
    net = tb.ReactionNetwork.from_text("A -> 0 ; k")
    model = tb.ImportedModel(net, {"k": 1}, {"A": 5}, substance_unit="mole")
    assert "The unit of substance is mole, but a stochastic model counts" in find_oddities(model)[0]


# -- the command ----------------------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def test_the_command_prints_what_was_read(tmp_path):
    file = tmp_path / "m.ant"
    file.write_text(
        "model m\n2 P -> D; k * P * P; D -> ; j; P = 9; D = 0; k = 2; j = 1; un = 1\n"
        "n := P + D\nend"
    )
    done = run(file)
    assert done.exit_code == 0
    for line in (
        "species (2)", "  P = 9", "parameters (3)", "  k = 2", "definitions (1)", "  n = P + D",
        "reactions (2)", "  2 P => D ; k * P * P   # _J0", "odd (3)", "Parameter 'un' is not used.",
        "the propensity does not vanish at P = 1", "the propensity does not vanish at D = 0",
    ):  # fmt: skip
        assert line in done.stdout
    record = json.loads(run(file, "--json").stdout)
    assert record["species"] == {"P": 9, "D": 0}
    assert record["reactions"][0] == {
        "id": "_J0", "equation": "2 P => D", "kind": "rate law", "rate": "k * P * P",
    }  # fmt: skip
    assert len(record["odd"]) == 3
    assert run(file, "--quiet").stdout == ""


def test_the_command_reads_networks_and_run_files(tmp_path):
    (tmp_path / "n.txt").write_text("A -> B ; k\nB -> A ; j\n")
    done = run(tmp_path / "n.txt")
    assert done.exit_code == 0
    assert "conserved (1)\n  A + B = constant\nnothing odd" in done.stdout
    (tmp_path / "run.yaml").write_text(
        "model: n.txt\nexperiments: [{initial: {A: 5, B: 0}}]\n"
        "parameters: {k: 2, j: {lower: 1, upper: 2}}\n"
    )
    done = run(tmp_path / "run.yaml")
    assert done.exit_code == 0
    assert "  A = 5\n  B = 0\nparameters (2)\n  k = 2\n  j\n" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.xml", "<sbml", "error: m.xml is not well-formed XML: line 1: unclosed token."),
        ("m.ant", "A -> -> B", "error: m.ant is not valid Antimony: line 1: syntax error"),
        ("m.txt", "A -> B", "error: m.txt: line 1: 'A -> B' has no rate; expected"),
        ("m.csv", "a", "m.csv' ends in '.csv', expected one of .xml, .sbml, .ant"),
    ],
)
def test_what_cannot_be_read_has_status_2(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    done = run(tmp_path / name)
    assert done.exit_code == 2
    assert message in done.output
    assert run(tmp_path / "nothing.xml").exit_code == 2


def test_a_model_in_text_has_no_values(tmp_path):
    (tmp_path / "n.txt").write_text("A -> B ; k")
    model = read_model(tmp_path / "n.txt")
    assert (model.params, model.initial, model.name) == ({}, {}, "n")

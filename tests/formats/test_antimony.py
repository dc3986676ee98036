"""Antimony."""

import pytest

pytest.importorskip("antimony")

import tumble as tb
from tumble._errors import ModelError

TEXT = """
model decay()
  compartment cell = 2; species A in cell, B in cell;
  Fall: A -> B; cell * k * A
  Meet: 2 B => ; m * B * (B - 1/cell) * cell / 2
  A = 5; B = 2; k = 0.5; m = 3
  total := A + B
  early: at 2 after time > 4, t0=false, priority=2: k = 1
end
"""


def test_a_model():
    m = tb.read_antimony(TEXT)
    assert m.network.to_text() == (
        "total = A / cell + B / cell\n"
        "k(0) = 0.5\n"
        "A => B ; cell * k * (A / cell)\n"
        "2 B -> 0 ; m / cell\n"
        "at time > 4 [name = early, delay = 2, priority = 2, initially = false]: k = 1"
    )
    assert m.initial == {"A": 10, "B": 4}
    assert m.params == {"cell": 2, "m": 3}
    assert m.name == "decay"


def test_a_file_and_one_line(tmp_path):
    (tmp_path / "m.ant").write_text(TEXT)
    assert tb.read_antimony(tmp_path / "m.ant") == tb.read_antimony(TEXT)
    assert tb.read_antimony(str(tmp_path / "m.ant")) == tb.read_antimony(TEXT)
    one = tb.read_antimony("A => ; k * A; k = 2; A = 4")
    assert str(one.network.reactions[0]) == "A -> 0 ; k"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A -> B -> C; k", "the text is not valid Antimony: line 1: syntax error"),
        (" \n", "the text is empty; expected a model such as"),
        ("(" * 200 + ";", "the text nests more than 100 deep; split formulas up."),
        ('import "other.ant"\nA -> ; 1', "the text imports another file, which is not followed"),
        ("A -> ; k * A; k = 1; A = 0.5", "species 'A' starts with 0.5, expected a whole number"),
        ("x = 3;\ny = 4", "the model has no reaction that changes a count"),
        ("A;" * 600_000, "the text has 1200000 characters, expected at most 1048576."),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(ModelError) as caught:
        tb.read_antimony(text)
    assert message in str(caught.value)
    assert "(line" not in str(caught.value)


def test_nothing_is_printed(capfd):
    tb.read_antimony(TEXT)
    with pytest.raises(ModelError):
        tb.read_antimony("A -> -> ;")
    assert capfd.readouterr() == ("", "")


def test_what_was_read_is_not_itself_a_model():
    read = tb.read_antimony("species A; A = 9; J: A => ; k * A; k = 1")
    with pytest.raises(ModelError) as caught:
        tb.simulate(read, {}, times=[1.0])
    assert "\n" not in str(caught.value)
    assert "Give its `network`, its `params`" in str(caught.value)

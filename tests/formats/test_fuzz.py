"""Whatever is in a file, the answer is a model or an error of ours."""

import random

import pytest

pytest.importorskip("libsbml")
pytest.importorskip("antimony")

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tumble as tb
from tests.formats.sbml_text import (
    event,
    function,
    initially,
    model,
    parameter,
    reaction,
    rule,
    species,
)
from tumble._errors import TumbleError
from tumble.formats import find_oddities

SBML = model(
    function("f", "lambda(x, y, x * y / (1 + x))"),
    species("A", 5), species("B", 3, hasOnlySubstanceUnits="false"),
    species("S", 2, boundaryCondition="true"),
    parameter("k", 2), parameter("v", 1, constant=False), parameter("d", constant=False),
    initially("v", "k * 2"), rule("rate", "v", "-v"), rule("assignment", "d", "A + B"),
    reaction("R", {"A": 2}, {"B": 1}, "k * A * (A - 1) / 2"),
    reaction("Q", {"B": 1}, {"A": 1}, "f(B, k) + piecewise(1, time > 2, d, A < 3, 0)"),
    reaction("T", {"S": 1}, {"B": 1}, "k * S - v * B", reversible=True, modifiers=("A",)),
    event("e", "A > 3 && time > 2", {"A": "2", "v": "v / 2"}, delay="1", priority="A"),
)  # fmt: skip
ANTIMONY = """
model m()
  compartment cell = 2; species A in cell, $S in cell;
  function f(x, y) x * y / (1 + x) end
  R1: 2 A -> B; k * A * (A - 1) / 2
  R2: B => A; f(B, k); R3: $S -> B; k * S - v * B
  A = 5; B = 3; S = 2; k = 2; v = 1; v' = -v
  d := A + B; e1: at 2 after A > 3, t0=false, priority=2: A = 2
end
"""
NETWORK = """
N = A + B
V(0) = V0
V' = -k * V
2 A + B -> C ; k
A <=> B ; mm(A, V, k), hill(B, k, 2, n)   # comment
at A > 3 [delay = 2, initially = false]: C = 0, V = V / 2
"""
SETTINGS = settings(
    max_examples=150,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def accepts(read, text):
    """Read a text; what comes out is a model, on which the checks work, or an error of ours."""
    try:
        found = read(text)
    except TumbleError as error:
        assert str(error)
        return
    if isinstance(found, tb.ReactionNetwork):
        found = tb.ImportedModel(found, {}, {})
    assert repr(found)
    assert find_oddities(found) is not None


def mutated(text, seed, pieces):
    """Cut, repeat, swap and replace parts of a text."""
    rng = random.Random(seed)
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randrange(len(text) + 1) for _ in range(2))
        j = min(j, i + 60)
        kind = rng.randrange(5)
        if kind == 0:
            text = text[:i] + text[j:]
        elif kind == 1:
            text = text[:j] + text[i:j] * rng.randint(1, 5) + text[j:]
        elif kind == 2:
            text = text[:i] + rng.choice(pieces) + text[i:]
        elif kind == 3:
            old, new = rng.choice(pieces), rng.choice(pieces)
            text = text.replace(old, new, rng.randint(1, 3))
        else:
            text = text[:i] + chr(rng.choice([0, 9, 34, 60, 233, 955, 0x1F600])) + text[i + 1 :]
    return text


SBML_PIECES = [
    "<ci> A </ci>", "<ci> k </ci>", "<ci> R </ci>", "<times/>", "<divide/>", "<plus/>", "<power/>",
    "<cn> 1e400 </cn>", "<cn> -3 </cn>", "<infinity/>", "<notanumber/>", '"A"', '"B"', '"k"', '"v"',
    '"cell"', '"0"', '"-1"', '"1e9"', '"true"', '"false"', "<apply>", "</apply>", "<math>", "NaN",
    'level="3"', 'level="2"', "<ci> f </ci>", "constant", "Amount", "Concentration", "rateRule",
    "assignmentRule", "</listOfRules>", '"time"', "<pi/>", "<factorial/>", "<lt/>", "<and/>",
]  # fmt: skip
ANTIMONY_PIECES = [
    "A", "B", "k", "->", "=>", ":=", "'", ";", "(", ")", "=", "at ", "after", "model ", "end",
    "f(", "1e400", "-", "/", "^", "$", "species ", "compartment ", "const ", "import ", '"', "is ",
    "delete ", "has ", "unit ", "piecewise(", "inf", "nan", ",", ":", "in ", "\n",
]  # fmt: skip
NETWORK_PIECES = [
    "->", "=>", "<->", ";", ",", "(", ")", "[", "]", "at ", ":", "=", "==", "'", "(0)", "mm(", "#",
    "0", "9" * 40, "1e400", "and", "not ", "lambda", "time", "A", "V", "**", "~", "\\", "\n",
]  # fmt: skip


@SETTINGS
@given(st.integers(0, 2**32))
def test_damaged_sbml(seed):
    accepts(tb.read_sbml, mutated(SBML, seed, SBML_PIECES) + "\n")


@SETTINGS
@given(st.integers(0, 2**32))
def test_damaged_antimony(seed):
    accepts(tb.read_antimony, mutated(ANTIMONY, seed, ANTIMONY_PIECES) + "\n")


@SETTINGS
@given(st.integers(0, 2**32))
def test_damaged_networks(seed):
    accepts(tb.ReactionNetwork.from_text, mutated(NETWORK, seed, NETWORK_PIECES) + "\n")


@SETTINGS
@given(st.text(max_size=200))
def test_any_text(text):
    for read in (tb.read_sbml, tb.read_antimony, tb.ReactionNetwork.from_text):
        accepts(read, text + "\n")


def test_functions_that_grow_are_refused_in_little_time():
    doubling = [function("f0", "lambda(x, x + x)")]
    doubling += [function(f"f{i}", f"lambda(x, f{i - 1}(x) + f{i - 1}(x))") for i in range(1, 40)]
    text = model(*doubling, species("A", 5), reaction("R", {"A": 1}, {}, "f39(A)"))
    with pytest.raises(TumbleError, match=r"grows to .* terms"):
        tb.read_sbml(text)


def test_rules_that_grow_are_refused_in_little_time():
    rules = [parameter("p0", 1, constant=False), rule("assignment", "p0", "A + A")]
    for i in range(1, 40):
        rules += [
            parameter(f"p{i}", constant=False),
            rule("assignment", f"p{i}", f"p{i - 1} * p{i - 1}"),
        ]
    text = model(species("A", 5), *rules, reaction("R", {"A": 1}, {}, "p39"))
    with pytest.raises(TumbleError, match=r"grows to .* terms"):
        tb.read_sbml(text)


def test_many_rules_in_a_row_are_read_or_refused():
    rules = [parameter("p0", 1)]
    for i in range(1, 1500):
        rules += [parameter(f"p{i}", constant=True), initially(f"p{i}", f"p{i - 1} + 1")]
    accepts(tb.read_sbml, model(species("A", 5), *rules, reaction("R", {"A": 1}, {}, "p1499 * A")))

"""Whatever is in a file, the answer is a model or an error of ours."""

import copy
import random
from xml.etree import ElementTree

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
function f(x, y) x * y / (1 + x) end
model m()
  compartment cell = 2; species A in cell, $S in cell;
  R1: 2 A => B; k * A * (A - 1) / 2
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

FEW = settings(SETTINGS, max_examples=40)


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


def test_without_damage_they_are_read():
    assert len(tb.read_sbml(SBML).network.reactions) == 4
    assert len(tb.read_antimony(ANTIMONY).network.reactions) == 4
    assert len(tb.ReactionNetwork.from_text(NETWORK).reactions) == 3


@SETTINGS
@given(st.integers(0, 2**32))
def test_damaged_sbml(seed):
    accepts(tb.read_sbml, mutated(SBML, seed, SBML_PIECES) + "\n")


VALUES = [
    "A", "B", "S", "k", "v", "d", "R", "Q", "e", "f", "cell", "0", "1", "2", "-1", "0.5", "1e9",
    "NaN", "INF", "true", "false", "", "time", "item", "mole", "3", "two words", "x",
]  # fmt: skip
OPERATORS = [
    "plus", "minus", "times", "divide", "power", "root", "exp", "ln", "log", "factorial", "floor",
    "lt", "eq", "and", "not", "xor", "max", "quotient", "rem", "arctanh", "piecewise", "sin", "abs",
]  # fmt: skip


def reshaped(text, seed):
    """Change a document that stays well formed: elements, attributes, operators, names."""
    rng = random.Random(seed)
    root = ElementTree.fromstring(text.replace('<?xml version="1.0" encoding="UTF-8"?>', ""))
    for _ in range(rng.randint(1, 3)):
        parents = [e for e in root.iter() if len(e)] or [root]
        parent = rng.choice(parents)
        if not len(parent):
            break
        child = rng.choice(list(parent))
        kind = rng.randrange(6)
        if kind == 0:
            parent.remove(child)
        elif kind == 1:
            rng.choice(parents).append(copy.deepcopy(child))
        elif kind == 2 and child.attrib:
            child.set(rng.choice(sorted(child.attrib)), rng.choice(VALUES))
        elif kind == 3 and child.attrib:
            del child.attrib[rng.choice(sorted(child.attrib))]
        else:
            chosen = rng.choice([e for e in root.iter() if "MathML" in e.tag])
            if chosen.text and chosen.text.strip():
                chosen.text = rng.choice(VALUES)
            elif not len(chosen):
                chosen.tag = chosen.tag.split("}")[0] + "}" + rng.choice(OPERATORS)
    return ElementTree.tostring(root, encoding="unicode")


@SETTINGS
@given(st.integers(0, 2**32))
def test_changed_sbml(seed):
    accepts(tb.read_sbml, reshaped(SBML, seed) + "\n")


@FEW  # each starts a process
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
    for read in (tb.read_sbml, tb.ReactionNetwork.from_text):
        accepts(read, text + "\n")


def test_what_ends_the_library_does_not_end_us():
    accepts(
        tb.read_antimony,
        ANTIMONY.replace("species A in cell, $S in cell;\n", "", 1).replace(
            "cell = 2; ", "cell = 2; species A in cell, $S in cell;\n m()\n  compartment cell = 2; "
        ),
    )


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

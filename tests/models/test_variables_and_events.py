from __future__ import annotations

import numpy as np
import pytest

from tumble._errors import ModelError
from tumble._expressions import parse
from tumble.models import Event, Reaction, ReactionNetwork, Variable

TEXT = """
    half = K / 2
    V' = -k * V                                  # before its initial value
    V(0) = V0 + X
    W(0) = 1
    0 -> X ; k * V
    X -> 0 ; gamma
    2 X -> Y ; W
    at time >= 25: X = 50
    at Y > half [delay = 2 * d, priority = X, persistent = false]: Y = 0, W = W + 1
    at max(X, 2) < 1 [name = reset, initially = false, values_from_trigger = false]: X = Y
"""


def network():
    return ReactionNetwork.from_text(TEXT)


# -- reading and writing --------------------------------------------------------------------------


def test_text_is_what_the_classes_say():
    reactions = [
        Reaction({}, {"X": 1}, "k * V"),
        Reaction({"X": 1}, {}, "gamma"),
        Reaction({"X": 2}, {"Y": 1}, "W"),
    ]
    events = [
        Event("time >= 25", {"X": 50}),
        Event("Y > half", {"Y": 0, "W": "W + 1"}, delay="2*d", priority="X", persistent=False),
        Event(
            "max(X, 2) < 1", {"X": "Y"}, name="reset", initially=False, values_from_trigger=False
        ),
    ]
    in_python = ReactionNetwork(
        reactions,
        definitions={"half": "K / 2"},
        variables={"V": Variable("V0 + X", "-k*V"), "W": Variable(1)},
        events=events,
    )
    assert in_python == network()
    assert hash(in_python) == hash(network())
    assert network().parameters == ("k", "gamma", "V0", "K", "d")
    assert network() != ReactionNetwork(reactions[1:2])


def test_text_round_trips():
    text = network().to_text()
    assert ReactionNetwork.from_text(text) == network()
    assert ReactionNetwork.from_text(text).to_text() == text
    assert text.splitlines()[1:4] == ["V(0) = V0 + X", "V' = -k * V", "W(0) = 1"]
    assert text.splitlines()[-1] == (
        "at max(X, 2) < 1 [name = reset, initially = false, values_from_trigger = false]: X = Y"
    )


def test_definitions_are_put_in():
    model = network()
    assert model.resolved_events[1].trigger == parse("Y > K / 2")
    assert model.resolved_variables["V"].rate == parse("-k * V")


def test_display():
    shown = repr(network())
    assert shown.startswith(
        "ReactionNetwork: 2 species, 3 reactions, 2 variables, 3 events\n  half = K / 2\n"
    )
    assert "  V' = -k * V\n" in shown
    assert "  at time >= 25: X = 50\n" in shown
    html = network()._repr_html_()
    assert "V(0) = V0 + X" in html
    assert "at time &gt;= 25: X = 50" in html


# -- structure ------------------------------------------------------------------------------------


def test_what_kind_of_process_it_is():
    plain = ReactionNetwork.from_text("X -> 0 ; k")
    assert plain.is_jump_process
    for line in ("X => 0 ; k * time", "V(0) = 1\nV' = 1", "V(0) = 1", "at X > 3: X = 0"):
        assert not ReactionNetwork.from_text(f"X -> 0 ; k\n{line}").is_jump_process
    assert ReactionNetwork.from_text("X -> 0 ; k\nat X > 3: X = 0").is_autonomous
    assert not ReactionNetwork.from_text("X -> 0 ; k\nat time > 3: X = 0").is_autonomous
    assert not ReactionNetwork.from_text("X -> 0 ; k\nV(0) = 1\nV' = time").is_autonomous


def test_events_break_conservation_laws():
    text = "A -> B ; k\nB -> A ; k\nC -> D ; k"
    both = [str(law) for law in ReactionNetwork.from_text(text).conservation_laws]
    assert both == ["A + B = constant", "C + D = constant"]
    broken = ReactionNetwork.from_text(text + "\nat D > 3: B = 0")
    assert [str(law) for law in broken.conservation_laws] == ["C + D = constant"]


def test_propensities_read_variables():
    model = network()
    params = np.array([2.0, 0.5, 1.0, 1.0, 1.0])
    got = model.propensities(np.array([4, 0]), params, variables=np.array([3.0, 0.1]))
    np.testing.assert_allclose(got, [6.0, 2.0, 0.6])
    with pytest.raises(ModelError, match=r"`variables` is None, but the network has V, W; give"):
        model.propensities(np.array([4, 0]), params)


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("V' = -V", r"line 2: \"V' = -V\" gives the rate of 'V', which has no initial value; add"),
        ("V(0) = 1\nV(0) = 2", r"line 3: 'V\(0\) = 2' defines 'V' a second time"),
        ("V(0) = 1\nU(0) = V", r"initial value of variable 'U' is 'V', which reads variable 'V'"),
        ("X(0) = 1", r"'X' names both a species and a variable"),
        ("at X > 3: XX = 5", r"line 2: .* assigns 'XX', but .* variables X\. Did you mean 'X'\?"),
        ("at X > 3: k = 5", r"line 2: .* assigns 'k', .* Declare it as a variable .*'k\(0\) = …'"),
        ("at X + 3: X = 5", r"line 2: `trigger` is 'X \+ 3', expected a condition such as"),
        ("at X > 3: X", r"line 2: .* 'X' is not an assignment; expected 'at trigger: X = 50, Y"),
        ("at X > 3:", r"line 2: .*is not an assignment"),
        ("at X > 3: X = 1, X = 2", r"line 2: .* defines 'X' a second time"),
        ("at X > 3 [dely = 2]: X = 1", r"line 2: .* has option 'dely', .*Did you mean 'delay'\?"),
        ("at X > 3 [delay = -2]: X = 1", r"line 2: `delay` is -2, expected a time ≥ 0"),
        ("at X > 3 [initially = 0]: X = 1", r"line 2: .* initially = '0', expected true or false"),
        ("at X > 3 [name = a b]: X = 1", r"line 2: `name` of an event is 'a b', expected letters"),
        ("at X > (3: X = 1", r"line 2: .*cannot be read"),
    ],
)
def test_errors_name_the_line(lines, message):
    with pytest.raises(ModelError, match=message):
        ReactionNetwork.from_text(f"X -> 0 ; k\n{lines}")


def test_errors_in_python():
    decay = [Reaction({"X": 1}, {}, "k")]
    with pytest.raises(ModelError, match=r"`variables\['V'\]` is 3, expected a Variable such as"):
        ReactionNetwork(decay, variables={"V": 3})
    with pytest.raises(ModelError, match=r"event 'at X > 3: Z = 1' assigns 'Z', but what can be"):
        ReactionNetwork(decay, events=[Event("X > 3", {"Z": 1})])
    with pytest.raises(ModelError, match=r"the event 'at X > 3' assigns nothing; give `assign"):
        Event("X > 3", {})
    with pytest.raises(ModelError, match=r"`persistent` is 1, expected True or False"):
        Event("X > 3", {"X": 0}, persistent=1)

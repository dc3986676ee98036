"""What is written is valid, and reads as the same model."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libsbml")
pytest.importorskip("antimony")

import libsbml
from hypothesis import given, settings
from hypothesis import strategies as st

import tumble as tb
from tumble._errors import ModelError, ParameterError

NETWORKS = {
    "mass action": ("S + I -> 2 I ; beta\nI -> R ; mu", {"beta": 0.1 + 0.2, "mu": 1 / 3}),
    "orders": ("3 A -> B ; k\n0 -> 4 A ; 2.5\n2 A + B -> 0 ; k * c", {"k": 1e-300, "c": 1.5e12}),
    "laws": (
        "N = A + B\nhalf = k / 2\n"
        "A => B ; k * A * B / N\nB => 0 ; where(B > 3, half * B, 0)\n"
        "A => 0 ; hill(A, k, 3, 2) + (A > 2) * B",
        {"k": 0.7},
    ),
    "time": ("A => 0 ; k * A * (1 + sin(2 * pi * time))\n0 -> A ; k * exp(-time)", {"k": 0.5}),
    "reads others": ("C => 0 ; k * C / (1 + A)\nA -> 0 ; k", {"k": 0.5}),
    "hybrid": (
        "V(0) = V0\nV' = g * V\nD(0) = 1.5\n"
        "A + B => C ; k * A * B / V\nC -> 0 ; k\n"
        "at time >= 25: C = 50\n"
        "at A > 3 and V < 2 [name = divide, delay = 2, priority = A, persistent = false, "
        "initially = false, values_from_trigger = false]: V = V / 2, D = D + 1, A = 0",
        {"V0": 1.25, "g": 0.1, "k": 0.3},
    ),
}


def build(text, params):
    net = tb.ReactionNetwork.from_text(text)
    initial = {s: 3 + i for i, s in enumerate(net.species)}
    return tb.ImportedModel(net, params, initial, (), "a model")


MODELS = {name: build(*parts) for name, parts in NETWORKS.items()}
folder = os.environ.get("TUMBLE_DSMTS")
if folder:
    for file in sorted(Path(folder).glob("*/*-sbml-l3v2.xml")):
        MODELS[file.parent.name] = tb.read_sbml(file)


def check_same(a, b, rel):
    """Equal structure, values and events, and propensities at many states, values and times."""
    one, two = a.network, b.network
    assert one.species == two.species
    assert sorted(one.parameters) == sorted(two.parameters)
    assert one.stoichiometry.tolist() == two.stoichiometry.tolist()
    assert tuple(one.variables) == tuple(two.variables)
    assert a.initial == b.initial
    for name, value in a.params.items():
        assert b.params[name] == pytest.approx(value, rel=rel)
    rng = np.random.default_rng(0)
    for time in (0.0, 1.3):
        states = rng.integers(0, 20, (30, len(one.species)))
        variables = rng.uniform(0.5, 2, (30, len(one.variables)))
        extra = {"variables": variables} if one.variables else {}
        first = one.propensities(states, one.params_vector(a.params), time, **extra)
        second = two.propensities(states, two.params_vector(b.params), time, **extra)
        assert second == pytest.approx(first, rel=max(rel, 1e-13))
    assert one.is_mass_action.tolist() == two.is_mass_action.tolist()


@pytest.mark.parametrize("name", MODELS)
def test_sbml_is_valid_and_reads_back(name):
    text = tb.write_sbml(MODELS[name])
    document = libsbml.readSBMLFromString(text)
    document.checkConsistency()
    errors = [document.getError(i) for i in range(document.getNumErrors())]
    assert not [e.getMessage() for e in errors if e.isError() or e.isFatal()]
    back = tb.read_sbml(text)
    check_same(MODELS[name], back, rel=0)
    assert back.name == MODELS[name].name
    assert back.network.variables == MODELS[name].network.variables
    named = [e.name or f"event{i + 1}" for i, e in enumerate(MODELS[name].network.events)]
    assert [str(e) for e in back.network.events] == [
        str(e) if e.name else str(type(e)(e.trigger, e.assignments, name=name))
        for e, name in zip(MODELS[name].network.events, named, strict=True)
    ]
    assert tb.read_sbml(tb.write_sbml(back)).network == back.network


@pytest.mark.parametrize("name", [name for name in MODELS if name != "orders"])
def test_antimony_reads_back(name):
    back = tb.read_antimony(tb.write_antimony(MODELS[name]))
    check_same(MODELS[name], back, rel=1e-14)
    assert len(back.network.events) == len(MODELS[name].network.events)
    again = tb.read_antimony(tb.write_antimony(back))
    assert again.network.events == back.network.events
    check_same(back, again, rel=1e-14)


@pytest.mark.skipif(not folder, reason="TUMBLE_DSMTS does not name a folder with the test suite")
def test_all_levels_of_a_case_read_alike():
    for case in sorted(Path(folder).glob("[0-9]*")):
        models = [tb.read_sbml(file) for file in sorted(case.glob("*.xml"), reverse=True)]
        for other in models[1:]:
            assert (other.params, other.initial) == (models[0].params, models[0].initial)
            # Level 2 cannot say what triggers were before the start.
            settled = [
                str(m.network.to_text()).replace(
                    "[name = reset, initially = false]", "[name = reset]"
                )
                for m in (models[0], other)
            ]
            assert settled[0] == settled[1]


TERMS = st.sampled_from(
    ["k", "c", "A", "B", "A * B", "A / (1 + B)", "exp(-A)", "A ^ 2", "0.1", "(A > B)", "time",
     "min(A, B)", "max(A, k, 2)", "where(A > 2, k, c)", "sqrt(B)", "floor(k * A)", "abs(A - B)"]
)  # fmt: skip
LAWS = st.lists(TERMS, min_size=1, max_size=4).flatmap(
    lambda parts: st.sampled_from([" + ".join(parts), " * ".join(parts), f"2 * ({parts[0]})"])
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(LAWS, min_size=1, max_size=3), st.integers(1, 3))
def test_any_law_survives(laws, count):
    text = "\n".join(f"{count} A + B => {i + 4} A ; {law}" for i, law in enumerate(laws))
    net = tb.ReactionNetwork.from_text(text, parameters=["k", "c"])
    model = tb.ImportedModel(net, {"k": 0.3, "c": 1.7}, {"A": 1, "B": 2})
    back = tb.read_sbml(tb.write_sbml(model))
    states = np.random.default_rng(1).integers(0, 9, (20, 2))
    params = np.array([0.3, 1.7])
    exact = net.propensities(states, params, 0.7)
    assert back.network.propensities(states, params, 0.7) == pytest.approx(exact, rel=1e-13)


def test_a_network_is_written_with_the_values_that_are_given(tmp_path):
    net = tb.ReactionNetwork.from_text("A -> B ; k")
    text = tb.write_sbml(
        net, tmp_path / "m.xml", params={"k": 2}, initial={"A": 1, "B": 0}, name="m"
    )
    assert (tmp_path / "m.xml").read_text() == text
    assert tb.read_sbml(tmp_path / "m.xml").params == {"k": 2}
    antimony = tb.write_antimony(
        net, tmp_path / "m.ant", params={"k": 2}, initial={"A": 1, "B": 0}, name="m"
    )
    assert (tmp_path / "m.ant").read_text() == antimony
    assert tb.read_antimony(tmp_path / "m.ant").initial == {"A": 1, "B": 0}


def test_what_cannot_be_written_is_refused():
    net = tb.ReactionNetwork.from_text("A -> B ; k")
    with pytest.raises(ModelError, match="`params` has no value for 'k'"):
        tb.write_sbml(net, initial={"A": 1, "B": 0})
    with pytest.raises(ParameterError, match="`initial` has no value for species 'B'; give 0 if"):
        tb.write_sbml(net, params={"k": 1}, initial={"A": 1})
    greek = tb.ReactionNetwork.from_text("A -> B ; kβ")
    with pytest.raises(ModelError, match="'kβ' cannot be an id in SBML, which has the letters"):
        tb.write_sbml(greek, params={"kβ": 1}, initial={"A": 1, "B": 0})


def test_words_of_antimony_get_an_underscore():
    net = tb.ReactionNetwork.from_text("I -> R ; gamma")
    model = tb.ImportedModel(net, {"gamma": 2}, {"I": 1, "R": 0})
    assert tb.read_antimony(tb.write_antimony(model)).params == {"gamma_": 2}


def test_ids_do_not_clash():
    net = tb.ReactionNetwork.from_text(
        "compartment -> reaction1 ; event1\nat time > 1: reaction1 = 0"
    )
    model = tb.ImportedModel(net, {"event1": 2}, {"compartment": 1, "reaction1": 0})
    assert tb.read_sbml(tb.write_sbml(model)).network.species == net.species

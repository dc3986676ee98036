"""Libraries of candidate reactions."""

import numpy as np
import pytest

from tumble._errors import ModelError, ParameterError
from tumble.models import ReactionNetwork
from tumble.structure import ReactionLibrary, mass_action


def test_all_reactions_between_complexes():
    library = mass_action(["S", "I", "R"])
    assert len(library) == 90
    assert len(mass_action(["A"], 1)) == 2
    assert len(mass_action(["A", "B"], 1)) == 6
    assert "I + S -> 2 I" in library.equations
    assert "0 -> R" in library.equations


def test_conserving_forbidding_and_requiring():
    library = mass_action(
        ["S", "I", "R"], conserve=["S + I + R"], forbid=["S -> R"], require=["S + I -> 2 I"]
    )
    assert len(library) == 35
    assert np.all(library.change.sum(1) == 0)
    assert [library.equations[r] for r in library.required] == ["I + S -> 2 I"]
    weighted = mass_action(["A", "D"], conserve=[{"A": 1, "D": 2}])
    assert set(weighted.equations) == {"2 A -> D", "D -> 2 A"}


def test_sums_and_single_texts_are_read():
    by_text = mass_action(["A", "D"], conserve="A + 2 D")
    assert set(by_text.equations) == {"2 A -> D", "D -> 2 A"}
    assert by_text.equations == mass_action(["A", "D"], conserve=[{"A": 1, "D": 2}]).equations
    assert len(mass_action(["A", "D"], 1, forbid="A -> D")) == 5
    one = mass_action(["A", "D"], 1, require="A -> D")
    assert [one.equations[r] for r in one.required] == ["A -> D"]


def test_combinations_are_those_of_the_network():
    library = mass_action(["A", "B"])
    states = np.array([[5.0, 3.0]])
    by_equation = dict(zip(library.equations, library.combinations(states)[0], strict=True))
    assert by_equation["A + B -> 0"] == 15
    assert by_equation["2 A -> B"] == 10
    assert by_equation["0 -> B"] == 1


def test_what_is_wrong_is_said():
    with pytest.raises(ParameterError, match=r"`species` is 'S', expected a list of names"):
        mass_action("S")
    with pytest.raises(ParameterError, match=r"`order` is 3, expected 1 or 2"):
        mass_action(["S"], 3)
    with pytest.raises(ModelError, match=r"the library has no candidate 'S -> 3 S'"):
        mass_action(["S"], require=["S -> 3 S"])
    with pytest.raises(ModelError, match=r"`conserve` has species 'X'"):
        mass_action(["S"], conserve=["S + X"])
    with pytest.raises(ModelError, match=r"`conserve` has 'S \+ 2', expected a sum of species"):
        mass_action(["S"], conserve="S + 2")
    with pytest.raises(ModelError, match=r"`forbid` has '0 -> 3 S' with 3 copies on a side"):
        mass_action(["S"], forbid=["0 -> 3 S"])
    with pytest.raises(ModelError, match=r"the library would be empty"):
        mass_action(["S"], conserve=["S"])
    with pytest.raises(ParameterError, match=r"30 species have \d+ reactions"):
        mass_action([f"X{i}" for i in range(30)])
    law = ReactionNetwork.from_text("S => P ; V * S / (K + S)")
    with pytest.raises(ModelError, match=r"follows a rate law"):
        ReactionLibrary(law.reactions, law.species)
    three = ReactionNetwork.from_text("3 S -> P ; k")
    with pytest.raises(ModelError, match=r"takes 3 copies, expected 2 at most"):
        ReactionLibrary(three.reactions, three.species)
    for text in ("S -> P ; 2.0\nP -> S ; k", "S -> P ; k\nP -> S ; k"):
        known = ReactionNetwork.from_text(text)
        with pytest.raises(ModelError, match=r"needs a parameter of its own as its constant"):
            ReactionLibrary(known.reactions, known.species)
    with pytest.raises(ModelError, match=r"required reaction 'S -> 0' breaks"):
        mass_action(["S", "P"], require=["S -> 0"]).within([{"S": 1, "P": 1}])


def test_reversible_reactions_come_in_pairs():
    library = mass_action(["A", "B"], reversible=True, forbid=["A -> 0"], require=["A -> B"])
    assert len(library) == 28  # 30 without A -> 0 and 0 -> A
    pairs = [
        library.equations[r] for r in sorted(library.units[library.positions(["2 A -> B"])[0]])
    ]
    assert pairs == ["B -> 2 A", "2 A -> B"]
    assert [library.equations[r] for r in library.required] == ["A -> B", "B -> A"]
    assert library.closed([]) == frozenset(library.required)
    one = library.closed(library.positions(["2 A -> B"]))
    assert len(one) == 4
    assert library.size(one) == 1
    assert library.size(range(len(library))) == 13
    assert library.within([{"A": 1, "B": 1}]).reversible
    plain = mass_action(["A", "B"])
    assert plain.closed([3]) == {3}
    assert plain.size([3, 4]) == 2
    with pytest.raises(ModelError, match=r"candidate '0 -> A' has no reverse in the library"):
        ReactionLibrary(plain.reactions[:1], plain.species, reversible=True)

from __future__ import annotations

import re
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import helpers
from tumble._errors import ModelError, TumbleError
from tumble.models import ReactionNetwork
from tumble.models._reaction_network import ConservationLaw, Reaction

ENZYME = """
    E + S <-> ES ; bind, part   # reversible
    ES -> E + P  ; turn
"""


# -- reading --------------------------------------------------------------------------------------


def test_sir_is_read_as_written():
    sir = helpers.sir()
    assert sir.species == ("S", "I", "R")
    assert sir.parameters == ("beta", "gamma")
    assert sir.reactions == (
        Reaction({"S": 1, "I": 1}, {"I": 2}, "beta"),
        Reaction({"I": 1}, {"R": 1}, "gamma"),
    )
    np.testing.assert_array_equal(sir.stoichiometry, [[-1, 0], [1, -1], [0, 1]])
    np.testing.assert_array_equal(sir.reactant_orders, [[1, 0], [1, 1], [0, 0]])
    np.testing.assert_array_equal(sir.rate_index, [0, 1])


@pytest.mark.parametrize(
    ("line", "reactants", "products", "rate"),
    [
        ("A -> B ; k", {"A": 1}, {"B": 1}, "k"),
        ("A->B;k", {"A": 1}, {"B": 1}, "k"),
        ("  2 A + B -> 3 C ; 0.5 # half", {"A": 2, "B": 1}, {"C": 3}, 0.5),
        ("2*A -> 2A + B ; 1e-3", {"A": 2}, {"A": 2, "B": 1}, 1e-3),
        ("0 -> A ; k", {}, {"A": 1}, "k"),
        ("∅ -> A ; k", {}, {"A": 1}, "k"),
        ("-> A ; k", {}, {"A": 1}, "k"),
        ("A -> ; k", {"A": 1}, {}, "k"),
        ("A + A -> B ; k", {"A": 2}, {"B": 1}, "k"),
        ("A + 0 B -> C ; k", {"A": 1}, {"C": 1}, "k"),
        ("x_1 -> Y2 ; k_0", {"x_1": 1}, {"Y2": 1}, "k_0"),
        ("A -> B ; 0", {"A": 1}, {"B": 1}, 0.0),
    ],
)
def test_lines(line, reactants, products, rate):
    (reaction,) = ReactionNetwork.from_text(line).reactions
    assert reaction == Reaction(reactants, products, rate)


def test_a_reversible_line_is_two_reactions():
    enzyme = ReactionNetwork.from_text(ENZYME)
    assert [str(r) for r in enzyme.reactions] == [
        "E + S -> ES ; bind",
        "ES -> E + S ; part",
        "ES -> E + P ; turn",
    ]
    assert enzyme.parameters == ("bind", "part", "turn")


def test_declared_names_set_the_order_and_may_be_idle():
    network = ReactionNetwork.from_text(
        "A -> B ; k", species=["C", "B", "A"], parameters=["unused", "k"]
    )
    assert network.species == ("C", "B", "A")
    assert network.parameters == ("unused", "k")
    np.testing.assert_array_equal(network.stoichiometry, [[0], [1], [-1]])
    np.testing.assert_array_equal(network.rate_index, [1])
    np.testing.assert_array_equal(network.rates(np.array([7.0, 3.0])), [3.0])


def test_rates_may_be_shared_or_numbers():
    network = ReactionNetwork.from_text("A -> B ; k\nB -> C ; k\nC -> A ; 2.5\nA -> C ; h")
    assert network.parameters == ("k", "h")
    np.testing.assert_array_equal(network.rate_index, [0, 0, -1, 1])
    params = np.array([[1.0, 9.0], [2.0, 8.0]])
    np.testing.assert_array_equal(network.rates(params), [[1, 1, 2.5, 9], [2, 2, 2.5, 8]])
    constant = ReactionNetwork.from_text("A -> B ; 3")
    assert constant.parameters == ()
    np.testing.assert_array_equal(constant.rates(np.empty((4, 0))), [[3.0]] * 4)


def test_the_same_reaction_twice_counts_twice():
    network = ReactionNetwork.from_text("A -> B ; k\nA -> B ; k")
    assert len(network.reactions) == 2
    np.testing.assert_array_equal(network.stoichiometry, [[-1, -1], [1, 1]])


# -- the combinatorial convention -----------------------------------------------------------------


def test_propensities_count_distinct_combinations():
    network = ReactionNetwork.from_text(
        "2 A -> B ; k\n3 A + B -> 0 ; k\n0 -> A ; k\nA + B -> A ; k"
    )
    for a in range(6):
        for b in range(3):
            exact = [comb(a, 2), comb(a, 3) * b, 1, a * b]
            np.testing.assert_allclose(network.combinations(np.array([a, b])), exact, rtol=1e-14)


def test_real_valued_states_are_continued_without_going_negative():
    network = ReactionNetwork.from_text("2 A -> B ; k")
    states = np.array([[0.5, 0.0], [1.0, 0.0], [2.5, 0.0], [-3.0, 0.0]])
    np.testing.assert_allclose(network.combinations(states), [[0], [0], [1.875], [0]])


def test_combinations_in_jax():
    import jax
    import jax.numpy as jnp

    network = ReactionNetwork.from_text("2 A + B -> C ; k")
    with jax.enable_x64(True):
        state = jnp.array([5.0, 3.0, 0.0])
        assert float(network.combinations(state, jnp)[0]) == 30.0
        slope = jax.jacfwd(lambda n: network.combinations(n, jnp)[0])(state)
    np.testing.assert_allclose(slope, [(2 * 5 - 1) / 2 * 3, 10.0, 0.0])


# -- conservation laws ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "laws"),
    [
        (helpers.sir(), ["S + I + R = constant"]),
        (helpers.dimerization(), ["P + 2 P2 = constant"]),
        (helpers.birth_death(), []),
        (ReactionNetwork.from_text("2 A -> 3 B ; k"), ["3 A + 2 B = constant"]),
        (ReactionNetwork.from_text("A + B -> 0 ; k"), ["A - B = constant"]),
        (ReactionNetwork.from_text("A + C -> B + C ; k"), ["A + B = constant", "C = constant"]),
    ],
)
def test_conservation_laws(network, laws):
    assert sorted(map(str, network.conservation_laws)) == laws
    assert_conserved(network)


def test_the_enzyme_conserves_enzyme_and_substrate():
    enzyme = ReactionNetwork.from_text(ENZYME)
    weights = [[law.weights.get(s, 0) for s in enzyme.species] for law in enzyme.conservation_laws]
    for known in ([1, 0, 1, 0], [0, 1, 1, 1]):  # E + ES and S + ES + P
        assert np.linalg.matrix_rank([*weights, known]) == 2
    assert_conserved(enzyme)


def assert_conserved(network):
    """The laws are exact, whole, irreducible, independent, and as many as there can be."""
    laws = network.conservation_laws
    weights = [[law.weights.get(s, 0) for s in network.species] for law in laws]
    table = np.array(weights, dtype=object).reshape(len(laws), len(network.species))
    assert not np.any(table @ network.stoichiometry.astype(object))
    stoichiometry = network.stoichiometry
    assert len(laws) == len(network.species) - np.linalg.matrix_rank(stoichiometry)
    if laws:
        assert np.linalg.matrix_rank(table.astype(float)) == len(laws)
    for row in weights:
        assert np.gcd.reduce(row) == 1
        assert next(w for w in row if w) > 0


species_names = st.sampled_from(["A", "B", "C", "D", "E2", "x_1"])
sides = st.dictionaries(species_names, st.integers(1, 3), max_size=3)
rates = st.one_of(
    st.sampled_from(["k", "h", "k_1", "nan", "e1"]), st.floats(0, 1e300, allow_subnormal=True)
)
reactions = st.builds(Reaction, sides, sides, rates).filter(lambda r: r.reactants != r.products)
networks = st.lists(reactions, min_size=1, max_size=6).map(lambda r: ReactionNetwork(tuple(r)))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(networks)
def test_random_networks_conserve_what_they_say(network):
    assert_conserved(network)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(networks)
def test_random_networks_survive_a_round_trip_through_text(network):
    assert ReactionNetwork.from_text(network.to_text()) == network
    assert network.species == ReactionNetwork.from_text(network.to_text()).species


@settings(max_examples=500, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=40),
        st.text(alphabet=st.sampled_from("ABk_019.,;#+*->< ∅\n"), max_size=60),
    )
)
def test_random_text_raises_nothing_but_a_model_error(text):
    try:
        network = ReactionNetwork.from_text(text)
    except ModelError:
        return
    assert network.reactions


# -- display --------------------------------------------------------------------------------------


def test_repr():
    assert repr(helpers.sir()) == (
        "ReactionNetwork: 3 species, 2 reactions\n"
        "  S + I -> 2 I ; beta\n"
        "  I -> R       ; gamma\n"
        "  conserved: S + I + R = constant"
    )
    assert repr(helpers.arrival()).endswith("  0 -> X ; k")


def test_long_networks_are_shown_in_part():
    chain = ReactionNetwork.from_text("\n".join(f"X{i} -> X{i + 1} ; k" for i in range(50)))
    *shown, last, conserved = repr(chain).splitlines()
    assert (len(shown), last) == (40, "  … and 11 more")
    assert conserved.startswith("  conserved: X0 + X1")
    page = chain._repr_html_()
    assert page.count("<tr>") == page.count("</tr>") == 40
    assert "<tr><td colspan=4>… and 11 more</td></tr>" in page
    assert ReactionNetwork.from_text(chain.to_text()) == chain


def test_html():
    text = ReactionNetwork.from_text("0 -> X ; k\n2 X -> Y ; 0.5")._repr_html_()
    for part in ("2 species", "2 reactions", "∅", "2 X", "<i>k</i>", "<i>0.5</i>"):
        assert part in text
    assert "conserved: S + I + R = constant" in helpers.sir()._repr_html_()
    assert text.count("<tr>") == text.count("</tr>") == 2


def test_a_law_is_written_with_its_signs():
    assert str(ConservationLaw({"A": -1, "B": 2, "C": -3})) == "- A + 2 B - 3 C = constant"


def test_networks_are_values():
    assert helpers.sir() == helpers.sir()
    assert hash(helpers.sir()) == hash(helpers.sir())
    assert helpers.sir() != helpers.birth_death()


# -- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"the network text holds no reaction; expected lines such "
         r"as 'S \+ I -> 2 I ; beta'\."),
        ("# A -> B ; k", r"holds no reaction"),
        ("A -> B", r"line 1: 'A -> B' has no rate; expected 'reactants -> products ; rate'\."),
        ("A -> B ;", r"line 1: 'A -> B ;' has no rate"),
        ("A -> B ; # k", r"line 1: 'A -> B ;' has no rate"),
        ("\n\nA -> B ; k\nA B ; k", r"line 4: 'A B ; k' has 0 arrows; expected one '->' "),
        ("A -> B -> C ; k", r"line 1: .* has 2 arrows"),
        ("A <- B ; k", r"has 0 arrows"),
        ("A = > B ; k", r"line 1: 'A = > B ; k': expression '.*' cannot be read"),
        ("A => B -> C ; k", r"has 2 arrows; .* or one '=>' \(or '<=>'\) before a rate law"),
        ("A -> B ; k, h", r"line 1: .* has 2 rate\(s\); '->' takes one\."),
        ("A <-> B ; k", r"has 1 rate\(s\); '<->' takes two, forward and backward\."),
        ("A <-> B ; k, h, j", r"has 3 rate\(s\); '<->' takes two"),
        ("A -> B ; k\nA -> B ; k * A", r"line 2: 'A -> B ; k \* A': the rate depends on species "
         r"'A', but '->' is mass action, which multiplies the rate constant by the reactant counts "
         r"itself\. Leave them out, or write '=>' if the rate is the whole propensity: "
         r"'A => B ; k \* A'\."),
        ("A -> B ; A", r"line 1: 'A -> B ; A': the rate depends on species 'A'"),
        ("A <-> B ; k, h / B", r"depends on species 'B', .*: 'B => A ; h / B'\."),
        ("A -> B ; kk\nkk = k * A", r"line 1: .* depends on species 'A'.*'A => B ; kk'"),
        ("A -> B ; k ; h", r"line 1: .*: expression 'k ; h' cannot be read"),
        ("A -> B ; k,", r"line 1: .* has 2 rate\(s\); '->' takes one\."),
        ("A -> B ; 2k", r"line 1: .*: expression '2k' cannot be read"),
        ("A -> B ; sqr(k)", r"line 1: .* calls 'sqr', but .* Did you mean 'sqrt'\?"),
        ("A => B ; mm(A, k)", r"line 1: .*: mm takes 3 argument\(s\), got 2\."),
        ("A <=> B ; mm(A, k, h)", r"line 1: .* has 1 rate\(s\); '<=>' takes two, forward and"),
        ("A -> B ; -1", r"line 1: rate of 'A -> B ; -1' is -1, expected a finite number ≥ 0\."),
        ("A -> B ; 1e999", r"line 1: .* holds a number beyond 1e300"),
        ("A -> B ; k\nN = A\nN = B", r"line 3: 'N = B' defines 'N' a second time; leave one out\."),
        ("A -> B ; k\nA = B", r"'A' names both a species and a definition\."),
        ("A => B ; x\nx = y\ny = 2 * z\nz = x", r"`definitions` go in a circle, x uses y uses "
         r"z uses x; define one of them without the others\."),
        ("A => B ; x\nx = x + 1", r"go in a circle, x uses x;"),
        ("time -> B ; k", r"a species in `reactants` is 'time', which stands for the time of the "
         r"model; rename it\."),
        ("A -> B ; k\ntime = A", r"a name in `definitions` is 'time', which stands for"),
        ("A + -> B ; k", r"line 1: .*: '' is not a species; expected a name, or a whole number and "
         r"a name such as '2 I'\."),
        ("1.5 A -> B ; k", r"'1\.5 A' is not a species"),
        ("-1 A -> B ; k", r"'-1 A' is not a species"),
        ("A B -> C ; k", r"'A B' is not a species"),
        ("A -> B! ; k", r"'B!' is not a species"),
        ("A -> 3 ; k", r"'3' is not a species"),
        ("2000000 A -> B ; k", r"`reactants` takes 2000000 copies of 'A', expected a whole number "
         r"from 1 to 1000000\."),
        ("A -> A ; k", r"reaction 'A -> A ; k' changes nothing; leave it out\."),
        ("0 -> 0 ; k", r"reaction '0 -> 0 ; k' changes nothing"),
        ("A + B -> B + A ; k", r"changes nothing"),
    ],
)  # fmt: skip
def test_text_errors(text, message):
    with pytest.raises(ModelError, match=message):
        ReactionNetwork.from_text(text)


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"species": ["S", "I", "Q"]}, r"a reaction uses species name 'R', but `species` has S, I"),
        ({"species": ["Susceptible", "S", "I", "Rr"]}, r"'R', but .* Did you mean 'Rr'\?"),
        ({"parameters": ["beta", "gama"]}, r"a reaction uses parameters name 'gamma', but "
         r"`parameters` has beta, gama\. Did you mean 'gama'\?"),
        ({"species": ["S", "I", "R", "S"]}, r"`species` names something twice: S, I, R, S\."),
        ({"species": ["S", "I", "R", "2x"]}, r"an entry of `species` is '2x', expected a name of "
         r"letters, digits and '_' that does not start with a digit\."),
        ({"parameters": ["beta", "gamma", "a b"]}, r"an entry of `parameters` is 'a b', expected"),
        ({"parameters": ["beta", "gamma", "S"]}, r"'S' names both a species and a parameter\."),
    ],
)  # fmt: skip
def test_declared_names_that_do_not_fit(declared, message):
    with pytest.raises(ModelError, match=message):
        ReactionNetwork.from_text(helpers.sir().to_text(), **declared)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"A": 0}, {}, "k"), r"`reactants` takes 0 copies of 'A', expected a whole number from 1"),
        (({}, {"A": 1.5}, "k"), r"`products` takes 1\.5 copies of 'A', expected a whole number"),
        (({}, {"A": -1}, "k"), r"`products` takes -1 copies of 'A'"),
        (({"2A": 1}, {}, "k"), r"a species in `reactants` is '2A', expected a name"),
        (({3: 1}, {}, "k"), r"a species in `reactants` is 3, expected a name"),
        (({"A": 1}, {}, "k +"), r"`constant`: expression 'k \+' cannot be read"),
        (({"A": 1}, {}, np.nan), r"rate of 'A -> 0 ; nan' is nan, expected a finite number ≥ 0\."),
        (({"A": 1}, {}, -0.5), r"is -0\.5, expected a finite number ≥ 0\."),
    ],
)
def test_reactions_that_make_no_sense(arguments, message):
    with pytest.raises(ModelError, match=message):
        Reaction(*arguments)


def test_an_empty_network():
    with pytest.raises(ModelError, match=r"`reactions` is empty; a network needs at least one"):
        ReactionNetwork(())


def test_params_vector_is_in_the_order_of_the_network():
    np.testing.assert_array_equal(
        helpers.sir().params_vector({"gamma": 2, "beta": 0.5}), [0.5, 2.0]
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"beta": 1.0}, r"`params` has no value for 'gamma'; give one for each of beta, gamma\."),
        ({"beta": 1.0, "gamma": 1.0, "gama": 1.0}, r"`params` has parameter 'gama', but the "
         r"network has beta, gamma\. Did you mean 'gamma'\?"),
        ({"beta": -1.0, "gamma": 1.0}, r"`params\['beta'\]` is -1\.0, expected a finite number"),
        ({"beta": 1.0, "gamma": np.inf}, r"`params\['gamma'\]` is inf, expected a finite number"),
        ({"beta": np.nan, "gamma": 1.0}, r"`params\['beta'\]` is nan"),
    ],
)  # fmt: skip
def test_params_that_do_not_fit(params, message):
    with pytest.raises(TumbleError, match=message):
        helpers.sir().params_vector(params)


def test_line_numbers_count_all_lines():
    text = "\n# a comment\n" + helpers.sir().to_text() + "\n\nS + -> I ; k\n"
    with pytest.raises(ModelError, match=re.escape("line 6: 'S + -> I ; k'")):
        ReactionNetwork.from_text(text)


def test_a_coefficient_of_very_many_digits():
    with pytest.raises(ModelError, match="line 1: "):
        ReactionNetwork.from_text("9" * 5_000 + " A -> B ; k")


def test_equal_reactions_have_equal_hashes():
    one, other = (Reaction(side, {"C": 1}, 1) for side in ({"A": 1, "B": 1}, {"B": 1, "A": 1}))
    assert one == other
    assert hash(one) == hash(other)
    assert hash(Reaction({"A": 1}, {}, 1)) == hash(Reaction({"A": 1}, {}, 1.0))


def test_a_species_named_underscore_is_refused_or_kept():
    try:
        network = ReactionNetwork((Reaction({"_": 1}, {}, "k"),))
    except ModelError:
        return
    assert ReactionNetwork.from_text(network.to_text()) == network


def test_a_rate_that_is_neither_name_nor_number():
    with pytest.raises(ModelError, match="None"):
        Reaction({"A": 1}, {}, None)


def test_unknown_parameters_are_model_errors():
    with pytest.raises(ModelError, match="`params` has parameter 'kk'"):
        ReactionNetwork.from_text("A -> 0 ; k").params_vector({"k": 1.0, "kk": 1.0})

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tumble._errors import ModelError
from tumble._expressions import parse
from tumble.models import Hill, MassAction, MichaelisMenten, RateLaw, Reaction, ReactionNetwork

SIS = """
    N = S + I            # constant
    S + I => 2 I ; beta * S * I / N
    I -> S       ; gamma
"""


# -- reading --------------------------------------------------------------------------------------


def test_the_two_arrows():
    network = ReactionNetwork.from_text("A -> B ; k1 * k2\nA => B ; k1 * A ^ 2\nB -> A ; 2")
    assert network.reactions == (
        Reaction({"A": 1}, {"B": 1}, "k1 * k2"),
        Reaction({"A": 1}, {"B": 1}, RateLaw("k1*A**2")),
        Reaction({"B": 1}, {"A": 1}, 2),
    )
    np.testing.assert_array_equal(network.is_mass_action, [True, False, True])
    np.testing.assert_array_equal(network.rate_index, [-1, -1, -1])
    np.testing.assert_array_equal(network.reads, [[1, 1, 0], [0, 0, 1]])
    assert network.parameters == ("k1", "k2")
    assert network.is_autonomous


def test_a_reversible_law():
    network = ReactionNetwork.from_text("A + B <=> C ; mm(A, V, max(K, 1)), k * C")
    assert [str(r) for r in network.reactions] == [
        "A + B => C ; V * A / (max(K, 1) + A)",
        "C => A + B ; k * C",
    ]


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (MichaelisMenten("S", "V", "K"), "mm(S, V, K)"),
        (Hill("S", "V", "K", "n"), "hill(S, V, K, n)"),
        (Hill("S", "V", "K", 2, repress=True), "hillr(S, V, K, 2)"),
        (MichaelisMenten("S", "k * E", 7.5), "k * E * S / (7.5 + S)"),
        (RateLaw("V*S"), "V * S"),
    ],
)
def test_members_and_their_text(member, text):
    in_python = Reaction({"S": 1}, {"P": 1, "E": 1}, member)
    (in_text,) = ReactionNetwork.from_text(f"S => P + E ; {text}").reactions
    assert in_python == in_text
    assert isinstance(in_python.rate, RateLaw)
    assert not in_python.is_mass_action


def test_the_values_of_the_members():
    network = ReactionNetwork.from_text(
        "S => 0 ; mm(S, V, K)\n0 => S ; hill(S, V, K, n)\n0 => S ; hillr(S, V, K, n)",
        parameters=["V", "K", "n"],
    )
    got = network.propensities(np.array([[6], [0]]), np.array([10.0, 2.0, 3.0]))
    np.testing.assert_allclose(got[0], [10 * 6 / 8, 10 * 216 / 224, 10 * 8 / 224], rtol=1e-15)
    np.testing.assert_array_equal(got[1], [0, 0, 10])


def test_mass_action_by_expression_multiplies_by_the_combinations():
    network = ReactionNetwork.from_text("2 A -> B ; 2 * k\nB -> A ; k")
    np.testing.assert_array_equal(network.rates(np.array([[3.0], [4.0]])), [[6, 3], [8, 4]])
    np.testing.assert_array_equal(
        network.propensities(np.array([5, 7]), np.array([3.0])), [6 * 10, 21]
    )


def test_propensities_in_jax_over_many_states_and_parameters():
    import jax
    import jax.numpy as jnp

    network = ReactionNetwork.from_text(SIS + "0 -> S ; a * (1 + sin(time))")
    states = np.array([[90, 10], [0, 5], [5, 0]])
    params = np.array([[2.0, 1.0, 3.0], [1.0, 1.0, 1.0], [0.5, 0.1, 1.0]])
    n, i = states.sum(1), states[:, 1]
    infection = params[:, 0] * states[:, 0] * i / n
    exact = np.stack([infection, params[:, 1] * i, params[:, 2] * (1 + np.sin(2.0))], axis=-1)
    np.testing.assert_allclose(network.propensities(states, params, 2.0), exact, rtol=1e-14)
    with jax.enable_x64(True):
        got = network.propensities(jnp.asarray(states), jnp.asarray(params), 2.0, jnp)
        slope = jax.jacfwd(
            lambda x: network.propensities(x, jnp.asarray(params[0]), 2.0, jnp)
        )(jnp.array([90.0, 10.0]))  # fmt: skip
    np.testing.assert_allclose(got, exact, rtol=1e-14)
    # ∂/∂S of β S I / (S + I) is β I² / N²
    np.testing.assert_allclose(slope[0], [2 * 100 / 1e4, 2 * 8100 / 1e4], rtol=1e-13)


def test_counts_below_zero_read_zero():
    network = ReactionNetwork.from_text("S => 0 ; V * S ^ 0.5")
    np.testing.assert_array_equal(network.propensities(np.array([-1e-9]), np.array([2.0])), [0])


# -- definitions ----------------------------------------------------------------------------------


def test_definitions_are_used_in_rates():
    network = ReactionNetwork.from_text(SIS)
    assert network.definitions == {"N": parse("S + I")}
    assert network.parameters == ("beta", "gamma")
    assert str(network.rate_expressions[0]) == "beta * S * I / (S + I)"
    np.testing.assert_array_equal(network.reads, [[True, False], [True, True]])


def test_definitions_of_definitions_in_any_order():
    network = ReactionNetwork.from_text("A => 0 ; x\nx = 2 * y\ny = A * k\nunused = h + 1")
    assert str(network.rate_expressions[0]) == "2 * (A * k)"
    assert network.parameters == ("k", "h")
    assert str(network.resolved_definitions["unused"]) == "h + 1"


def test_a_definition_of_parameters_may_be_a_constant_of_mass_action():
    network = ReactionNetwork.from_text("R0 = beta / gamma\nA -> B ; R0")
    np.testing.assert_array_equal(network.rates(np.array([6.0, 3.0])), [2.0])
    np.testing.assert_array_equal(network.rate_index, [-1])


def test_definitions_in_python():
    reactions = ReactionNetwork.from_text(SIS).reactions
    network = ReactionNetwork(reactions, definitions={"N": "S + I"})
    assert network == ReactionNetwork.from_text(SIS)
    assert hash(network) == hash(ReactionNetwork.from_text(SIS))
    assert network != ReactionNetwork(reactions)


def test_growth_by_repeated_definition_is_refused():
    lines = [f"x{i} = x{i + 1} + x{i + 1}" for i in range(40)]
    with pytest.raises(ModelError, match=r"grows to \d+ terms .*; use fewer definitions of def"):
        ReactionNetwork.from_text("\n".join([*lines, "A -> B ; x0"]))


# -- names ----------------------------------------------------------------------------------------


def test_pi_and_e_are_numbers_unless_declared():
    network = ReactionNetwork.from_text("A => 0 ; e * A\n0 -> A ; 2 * pi")
    assert network.parameters == ()
    np.testing.assert_allclose(
        network.propensities(np.array([1]), np.empty(0)), [np.e, 2 * np.pi], rtol=1e-15
    )
    for text, names in [
        ("A -> 0 ; e\n0 => A ; 2 * e", {}),
        ("0 => A ; 2 * e", {"parameters": ["e"]}),
    ]:
        network = ReactionNetwork.from_text(text, **names)
        assert network.parameters == ("e",)
        assert network.propensities(np.array([0]), np.array([5.0]))[-1] == 10.0
    species = ReactionNetwork.from_text("e => 0 ; 2 * e")
    assert species.propensities(np.array([3]), np.empty(0)) == 6.0


def test_time_is_the_time_of_the_model():
    network = ReactionNetwork.from_text("0 -> A ; time\nA => 0 ; A / (1 + time)")
    assert network.parameters == ()
    assert not network.is_autonomous
    np.testing.assert_array_equal(
        network.propensities(np.array([6]), np.empty(0), np.array([0.0, 2.0])), [[0, 6], [2, 2]]
    )
    with pytest.raises(ModelError, match=r"`parameters` is 'time', which stands for the time of"):
        ReactionNetwork.from_text("A -> B ; k", parameters=["k", "time"])


def test_a_declared_species_may_only_be_read():
    network = ReactionNetwork.from_text("S => 0 ; k * E * S", species=["S", "E"])
    assert network.parameters == ("k",)
    np.testing.assert_array_equal(network.stoichiometry, [[-1], [0]])


def test_a_misspelt_name_is_found_where_names_are_declared():
    with pytest.raises(ModelError, match=r"parameters name 'Kn', .* Did you mean 'Km'\?"):
        ReactionNetwork.from_text("S => P ; mm(S, V, Kn)", parameters=["V", "Km"])


def test_only_rate_constants_have_a_sign():
    network = ReactionNetwork.from_text("A -> 0 ; k\n0 => A ; exp(a) * 2")
    np.testing.assert_array_equal(network.params_vector({"k": 1, "a": -3.0}), [1, -3])
    with pytest.raises(ModelError, match=r"`params\['k'\]` is -1\.0, expected a finite number ≥ 0"):
        network.params_vector({"k": -1, "a": 0.0})
    with pytest.raises(ModelError, match=r"`params\['a'\]` is nan, expected a finite number\."):
        network.params_vector({"k": 1, "a": np.nan})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MassAction(None), r"`constant` is None, expected a finite number, or text such"),
        (lambda: MassAction("k +"), r"`constant`: expression 'k \+' cannot be read"),
        (lambda: RateLaw(np.inf), r"`law` is inf, expected a finite number"),
        (lambda: Hill("S", "V", [1], 2).expression, r"argument 3 of a rate law is \[1\], expected"),
        (lambda: Reaction({}, {"A": 1}, MassAction(-1)), r"rate of '0 -> A ; -1' is -1, expected"),
        (
            lambda: Reaction({}, {"A": 1}, ["k"]),
            r"rate of '0 -> A' is \['k'\], expected a number, ",
        ),
        (
            lambda: ReactionNetwork((Reaction({"A": 1}, {}, "A * k"),)),
            r"reaction 'A -> 0 ; A \* k': the rate depends on species 'A'",
        ),
        (
            lambda: ReactionNetwork((Reaction({"A": 1}, {}, "k"),), definitions={"k": "h"}),
            None,
        ),
        (
            lambda: ReactionNetwork(
                (Reaction({"A": 1}, {}, "k"),), parameters=("k",), definitions={"k": "h"}
            ),
            r"parameters name 'h', but `parameters` has k",
        ),
        (
            lambda: ReactionNetwork((Reaction({"A": 1}, {}, "k"),), definitions={"2x": "k"}),
            r"a name in `definitions` is '2x', expected a name",
        ),
        (
            lambda: ReactionNetwork((Reaction({"A": 1}, {}, "k"),), definitions={"x": "k;"}),
            r"`definitions\['x'\]`: expression 'k;' cannot be read",
        ),
    ],
)
def test_errors(make, message):
    if message is None:
        make()
        return
    with pytest.raises(ModelError, match=message):
        make()


# -- text -----------------------------------------------------------------------------------------


def test_repr_and_html():
    network = ReactionNetwork.from_text(SIS)
    assert repr(network) == (
        "ReactionNetwork: 2 species, 2 reactions\n"
        "  N = S + I\n"
        "  S + I => 2 I ; beta * S * I / N\n"
        "  I -> S       ; gamma\n"
        "  conserved: S + I = constant"
    )
    page = network._repr_html_()
    for part in ("⇒", "→", "<i>beta * S * I / N</i>", "<div>N = S + I</div>", "conserved: S + I"):
        assert part in page


names = st.sampled_from(["A", "B", "k", "h", "x", "pi", "e", "time"])
expressions = st.recursive(
    st.one_of(names, st.floats(0, 1e300).map(repr), st.integers(0, 9).map(str)),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/^<"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        st.tuples(inner, inner, inner).map(lambda t: f"where({', '.join(t)})"),
        st.tuples(inner, inner, inner).map(lambda t: f"max({', '.join(t)})"),
        inner.map(lambda t: f"(-{t})"),
        inner.map(lambda t: f"exp({t})"),
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(expressions, min_size=1, max_size=3))
def test_random_laws_survive_a_round_trip_through_text(laws):
    reactions = [Reaction({"A": 1}, {"B": 1}, RateLaw(law)) for law in laws]
    network = ReactionNetwork(tuple(reactions), definitions={"x": "A + k"})
    again = ReactionNetwork.from_text(network.to_text())
    assert again == network
    assert again.parameters == network.parameters
    assert again.rate_expressions == network.rate_expressions

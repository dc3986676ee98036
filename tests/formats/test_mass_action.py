"""Mass action is recognized exactly where it is, and never where it is not."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tumble._expressions import parse
from tumble.formats._mass_action import find_mass_action
from tumble.formats._signs import Signs
from tumble.models import MassAction, Reaction, ReactionNetwork

SPECIES = ("A", "B", "P")


@pytest.mark.parametrize(
    ("law", "constant", "counts"),
    [
        ("k", "k", {}),
        ("k * A", "k", {"A": 1}),
        ("A * k", "k", {"A": 1}),
        ("3 * A", "3", {"A": 1}),
        ("c * k * A", "c * k", {"A": 1}),
        ("k * A * B", "k", {"A": 1, "B": 1}),
        ("k * P * (P - 1) / 2", "k", {"P": 2}),
        ("k * P * (P - 1)", "2 * k", {"P": 2}),
        ("0.5 * k * (P * P - P)", "k", {"P": 2}),
        ("k * P * (P - 1) * (P - 2) / 6", "k", {"P": 3}),
        ("k * (A / V) * V", "k", {"A": 1}),
        ("k * (A / V) * (B / V) * V", "k / V", {"A": 1, "B": 1}),
        ("k * (P / V) * (P - 1) / V * V / 2", "k / V", {"P": 2}),
        ("k * A ^ 1", "k", {"A": 1}),
        ("(k1 + k2) * A", "k1 + k2", {"A": 1}),
        ("k1 * A + k2 * A", "k1 + k2", {"A": 1}),
        ("k * A / (1 + c)", "k / (1 + c)", {"A": 1}),
        ("exp(-E / T) * A * B", "exp(-E / T)", {"A": 1, "B": 1}),
        ("k ^ n * A", "k ^ n", {"A": 1}),
        ("k * (1 + sin(time)) * A", "k + k * sin(time)", {"A": 1}),
        ("k * A * P * (P - 1) / 2", "k", {"A": 1, "P": 2}),
    ],
)
def test_mass_action_is_found(law, constant, counts):
    found = find_mass_action(parse(law), SPECIES)
    assert found is not None
    assert found.counts == counts
    values = {"k": 0.3, "c": 1.7, "V": 2.5, "k1": 0.2, "k2": 0.9, "n": 1.5, "E": 0.4, "T": 3.0}
    values["time"] = 0.7
    assert found.constant(values) == pytest.approx(parse(constant)(values), rel=1e-14)
    if "(" not in constant and "+" not in constant:
        assert str(found.constant) == constant


@pytest.mark.parametrize(
    "law",
    [
        "k * P * P",  # as differential equations have it
        "k * P ^ 2 / 2",
        "k * P * (P + 1) / 2",
        "k * P * (P - 2) / 2",
        "k * P * (P - 1.0000000001) / 2",
        "k * A + c",
        "k * A + c * B",
        "k * A * (B - 1)",
        "k * A / (K + A)",
        "k * A / A",
        "k / A",
        "k * A ^ 0.5",
        "k * A ^ n",
        "k * min(A, B)",
        "k * abs(A)",
        "k * (A > 3)",
        "where(A > 3, k * A, k * A)",
        "k * A - k * A",
        "k * W * A",  # W varies
        "exp(A)",
        "factorial(P)",
    ],
)
def test_other_laws_are_not_mistaken_for_it(law):
    assert find_mass_action(parse(law), SPECIES, {"W"}) is None


_LEAVES = st.sampled_from(["A", "B", "P", "k", "c", "1", "2", "3", "0.1"])
_LAWS = st.recursive(
    _LEAVES,
    lambda inner: st.builds(
        lambda a, o, b: f"({a} {o} {b})", inner, st.sampled_from("+-*/"), inner
    ),
    max_leaves=9,
)


@settings(max_examples=500, deadline=None, derandomize=True)
@given(_LAWS)
def test_what_is_found_has_the_propensity_of_the_law(law):
    """By evaluation at all whole states 0 … 4 and by the network itself, whatever the law is."""
    expression = parse(law)
    found = find_mass_action(expression, SPECIES)
    if found is None:
        return
    net = ReactionNetwork(
        (Reaction(found.counts, {"Q": 1}, MassAction(found.constant)),), (*SPECIES, "Q"), ("k", "c")
    )
    params = {"k": 0.37, "c": 1.9}
    for state in itertools.product(range(5), repeat=3):
        exact = float(expression({**dict(zip(SPECIES, state, strict=True)), **params}))
        read = float(net.propensities(np.array([*state, 0]), np.array([0.37, 1.9]))[0])
        if np.isfinite(exact):
            assert read == pytest.approx(exact, rel=1e-9, abs=1e-9)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.sampled_from(SPECIES), st.integers(1, 3), max_size=2),
    st.sampled_from(["k", "k * c", "k / c", "2", "k + c"]),
    st.permutations(range(6)),
)
def test_every_product_of_combinations_is_found_in_any_order(counts, constant, order):
    factors = [f"({constant})"]
    for name, count in counts.items():
        factors += [f"({name} - {j}) / {j + 1}" if j else name for j in range(count)]
    ranked = sorted(range(len(factors)), key=lambda i: order[i % 6])
    found = find_mass_action(parse(" * ".join(f"({factors[i]})" for i in ranked)), SPECIES)
    assert found is not None
    assert found.counts == counts
    values = {"k": 0.3, "c": 1.7}
    assert found.constant(values) == pytest.approx(parse(constant)(values), rel=1e-13)


def test_long_laws_are_left_alone_in_little_time():
    law = parse("(" + " + ".join(f"k{i} * A" for i in range(60)) + ") ^ 12")
    assert find_mass_action(law, SPECIES) is None


SIGNS = Signs(frozenset({*SPECIES, "k", "c", "V"}), SPECIES)


@pytest.mark.parametrize(
    "law",
    ["k * A", "k * A / (c + A)", "k * P * (P - 1) / 2", "V * (P - 1) * k * P", "exp(-z)",
     "max(0, z)", "(z - 1) ^ 2", "k * (A > B)", "where(z > 0, k, c)", "P / V * (P / V - 1 / V)",
     "k * A - k * A / 2"],
)  # fmt: skip
def test_what_is_never_negative(law):
    assert SIGNS.nonnegative(parse(law))


@pytest.mark.parametrize(
    "law",
    ["z", "k * A - c * B", "1 - A", "k * P * (P - 2)", "k * (P - 1)", "min(k, z)", "-k", "log(A)",
     "k * A - k * A * A / 2", "(k - c) * A"],
)  # fmt: skip
def test_what_may_be_negative(law):
    assert not SIGNS.nonnegative(parse(law))


@pytest.mark.parametrize(
    ("law", "forward", "backward"),
    [
        ("k * A - c * B", "k * A", "c * B"),
        ("V * (k * A - c * B)", "V * (k * A)", "V * (c * B)"),
        ("(k * A - c * B) / (1 + A)", "k * A / (1 + A)", "c * B / (1 + A)"),
        ("k * A - c * B - A", "k * A", "c * B + A"),
        ("-(k - c * B)", "c * B", "k"),
        ("k * A + -c", "k * A", "c"),
        ("k * P * (P - 1) / 2 - c * B", "k * P * (P - 1) / 2", "c * B"),
        ("-2 + k * A", "k * A", "2"),
    ],
)
def test_a_difference_is_split(law, forward, backward):
    assert SIGNS.difference(parse(law)) == (parse(forward), parse(backward))


@pytest.mark.parametrize("law", ["k * z - c * B", "(k - c) * (A - B)", "sin(A)", "k * A ^ z - z"])
def test_what_cannot_be_told_apart(law):
    assert SIGNS.difference(parse(law)) is None

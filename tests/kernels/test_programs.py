from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import helpers
from tumble._expressions import parse
from tumble.kernels._interpreter import evaluate
from tumble.kernels._programs import compile_programs
from tumble.kernels._tables import law_tables, network_tables
from tumble.models import ReactionNetwork

SPECIES = ("A", "B")
PARAMETERS = ("k", "h")
BINARY = ("+", "-", "*", "/", "^", "<", "<=", ">", ">=", "==", "!=", "and", "or")
UNARY = (
    *("-", "exp", "log", "log10", "log2", "sqrt", "abs", "sign", "floor", "ceil", "sin", "cos"),
    *("tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "factorial", "digamma", "not"),
)


@numba.njit
def run(programs, index, state, params, time):
    stack = np.full(programs.depth, np.nan)
    begin, end = programs.ptr[index], programs.ptr[index + 1]
    return evaluate(programs.code, programs.constants, begin, end, state, params, time, stack)


def check(texts, state=(3, 0), params=(0.5, -2.0), time=1.25, rtol=1e-13):
    """Every program gives what NumPy does."""
    expressions = [parse(text) for text in texts]
    programs = compile_programs(expressions, SPECIES, PARAMETERS)
    values = dict(zip((*SPECIES, *PARAMETERS), map(float, (*state, *params)), strict=True))
    for i, expression in enumerate(expressions):
        got = run(programs, i, np.array(state), np.array(params), time)
        expected = expression(values | {"time": time})
        np.testing.assert_allclose(got, expected, rtol=rtol, err_msg=texts[i])


def test_every_function():
    for at in (0.5, 1.0, 0.0, 3.7, -0.6):
        check([f"{f} (k)" for f in UNARY if not (f == "digamma" and at == 0)], params=(at, -2.0))
        check([f"k {f} h" for f in BINARY], params=(at, 1.0))
    check(["min(k, h)", "max(h, k)", "where(A > 1, k, h)", "where(B, k, h)", "time * 2"])
    check(["-factorial(170)", "factorial(200)", "log(-1)", "1 / B", "-1 / B", "B / B", "0 ^ -1"])


def test_what_is_not_a_number_goes_through_min_and_max():
    check(["min(B / B, k)", "min(k, B / B)", "max(B / B, k)", "max(k, B / B)"])


numbers = st.floats(-3, 3).map(lambda v: f"{v:.3g}")
expressions = st.recursive(
    st.one_of(st.sampled_from([*SPECIES, *PARAMETERS, "time"]), numbers),
    lambda inner: st.one_of(
        st.tuples(
            inner, st.sampled_from(BINARY), inner
        ).map(lambda t: f"(({t[0]}) {t[1]} ({t[2]}))"),
        st.tuples(
            st.sampled_from(UNARY), inner
        ).map(lambda t: f"{t[0]} ({t[1]})" if t[0] == "not" else f"{t[0]}({t[1]})"),
        st.tuples(st.sampled_from(["where", "min", "max"]), inner, inner, inner).map(
            lambda t: f"{t[0]}({t[1]}, {t[2]}, {t[3]})"
        ),
    ),
    max_leaves=10,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True)
@given(expressions, st.tuples(st.integers(0, 5), st.integers(0, 5)))
def test_random_programs_give_what_numpy_gives(text, state):
    expression = parse(f"({text})" if text.startswith("not") else text)
    programs = compile_programs([parse("1"), expression], SPECIES, PARAMETERS)
    values = {"A": float(state[0]), "B": float(state[1]), "k": 0.7, "h": -1.5, "time": 2.5}
    got = run(programs, 1, np.array(state), np.array([0.7, -1.5]), 2.5)
    # A power near a step of floor or a comparison may round to either side of it: then a
    # neighbor of the arguments gives the same value.
    expected = [
        float(expression({name: v * factor for name, v in values.items()}))
        for factor in (1.0, 1 + 1e-15, 1 - 1e-15)
    ]
    assert any(
        np.isclose(got, e, rtol=1e-9, atol=1e-12, equal_nan=True) for e in expected
    ), (text, got, expected)  # fmt: skip


def test_empty_programs_are_mass_action():
    tables = law_tables(helpers.sis())
    np.testing.assert_array_equal(np.diff(tables.programs.ptr) > 0, [True, False])
    np.testing.assert_array_equal(tables.slope_ptr, [0, 1, 1])
    np.testing.assert_array_equal(tables.slope_parameter, [0])
    assert law_tables(helpers.sir()) is None


def test_a_reaction_affects_the_laws_that_read_what_it_changes():
    network = ReactionNetwork.from_text(
        "0 -> A ; k\n0 -> B ; k\n0 => C ; h * A\nC => 0 ; h", species=["A", "B", "C"]
    )
    tables = network_tables(network)
    affected = [
        list(tables.affected[tables.affected_ptr[r] : tables.affected_ptr[r + 1]]) for r in range(4)
    ]
    assert affected == [[2], [], [], []]


@pytest.mark.parametrize("depth", [1, 40])
def test_the_stack_is_deep_enough(depth):
    text = "k"
    for _ in range(depth):
        text = f"A + ({text})"
    programs = compile_programs([parse(text)], SPECIES, PARAMETERS)
    assert programs.depth == depth + 1
    assert run(programs, 0, np.array([2, 0]), np.array([0.5, 0.0]), 0.0) == 0.5 + 2 * depth

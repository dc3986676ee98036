from __future__ import annotations

import math

import numpy as np
import pytest

from tumble._duals import Dual, as_dual, split_dual, stack
from tumble._errors import DerivativeError

X = np.array([0.3, 1.7])


def dual(values):
    """Numbers [n] as functions of themselves."""
    return Dual(values, np.eye(len(values)))


FUNCTIONS = {
    "sum": lambda a, b: a + b + 2.0 + np.float64(1) + a,
    "difference": lambda a, b: 3 - a - b - 0.5,
    "product": lambda a, b: 2 * a * b * np.float64(3.0),
    "quotient": lambda a, b: a / b + 1 / a + b / 4 + np.float64(2) / b,
    "powers": lambda a, b: a**3 + a**b + 2.0**a + a**0.5 - a**-2,
    "exponential": lambda a, b: np.exp(a) * np.expm1(b) + np.exp2(a),
    "logarithms": lambda a, b: np.log(a) + np.log1p(b) + np.log2(a) * np.log10(b),
    "roots": lambda a, b: np.sqrt(a) + np.cbrt(b) + np.square(a) + np.reciprocal(b),
    "circular": lambda a, b: np.sin(a) * np.cos(b) + np.tan(a) + np.arctan(b),
    "hyperbolic": lambda a, b: np.tanh(a) + np.sinh(b) * np.cosh(a),
    "extremes": lambda a, b: np.maximum(a, 1.0) + np.minimum(a, b) + abs(a - b) + np.maximum(b, a),
    "clipped": lambda a, b: np.clip(a, 0.4, 1.0) + np.clip(b, 0.0, 5.0),
    "signs": lambda a, b: -a + +b - np.negative(a),
    "where": lambda a, b: np.where(np.array(True), a, 2.0) + np.where(a > b, a, b),
    "stack": lambda a, b: np.stack([a * a, b, a]).sum() + np.stack([a, b]).mean() * 3,
    "index": lambda a, b: stack([a, b, 1 - a])[1:].sum() + stack([a, 2.0])[0] * b,
    "cumsum": lambda a, b: np.cumsum(stack([a, b]))[1] + np.sum(stack([a, b])[None], axis=1)[0],
    "reshape": lambda a, b: stack([a, b, a, b]).reshape(2, 2).sum(axis=0)[1] * a,
    "broadcast": lambda a, b: (stack([a, b])[:, None] * np.array([1.0, 2.0, 3.0])).sum(),
    "roll": lambda a, b: (
        np.roll(stack([a, b, a * b]), 1)[0] * np.roll(stack([a, b]).reshape(1, 2), 1, 1)[0, 0]
    ),
    "copies": lambda a, b: stack([a, b]).astype(float).copy()[0] * b,
    "concatenate": lambda a, b: np.concatenate([stack([a, b]), np.ones(2), stack([b])]).sum() * a,
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name):
    """Values are NumPy's own; derivatives agree with central differences."""
    function = FUNCTIONS[name]
    found = function(*dual(X))
    assert float(found.value) == pytest.approx(float(function(*X)), rel=1e-14)
    step = 1e-6
    for j in range(2):
        shift = step * np.eye(2)[j]
        expected = (function(*(X + shift)) - function(*(X - shift))) / (2 * step)
        assert found.slope[j] == pytest.approx(float(expected), rel=1e-7, abs=1e-8)


def test_plain_numbers_stay_plain():
    assert isinstance(np.where(np.array([True, False]), 1.0, 2.0), np.ndarray)
    assert split_dual(0.5) == (0.5, None)
    assert split_dual([0.5, 0.5]) == ([0.5, 0.5], None)


def test_a_power_of_zero_has_a_derivative():
    """1 − (1 − β)^N at N = 0 is 0, whatever β."""
    beta = Dual(1.0, np.ones(1))
    p = 1 - (1 - beta) ** np.array([0, 1, 2])
    np.testing.assert_array_equal(p.value, [0, 1, 1])
    np.testing.assert_array_equal(p.slope[:, 0], [0, 1, 0])


def test_comparisons_see_the_value():
    a, b = dual(X)
    assert a < b and b >= 1 and a != b and a == 0.3 and bool(a)
    np.testing.assert_array_equal(dual(X) > 1, [False, True])
    np.testing.assert_array_equal(np.less(dual(X), 1.0), [True, False])


LOSSES = {
    "math": lambda a: math.exp(a),
    "float": float,
    "int": int,
    "array": np.asarray,
    "list": lambda a: np.array([a, 1.0]),
    "floor": np.floor,
    "sort": lambda a: np.sort(stack([a, a])),
    "reduce": lambda a: np.add.reduce(stack([a, a])),
    "out": lambda a: np.exp(a, out=np.zeros(())),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_would_lose_the_derivative_is_an_error(name):
    with pytest.raises(DerivativeError, match=r"derivative would be lost: by .*such as np.exp"):
        LOSSES[name](Dual(0.5, np.ones(1)))


# -- outcomes that are True or False -------------------------------------------------------------

FLAGS = {
    "not": (lambda x, y: ~x, lambda x, y: 1 - x),
    "and": (lambda x, y: x & y, lambda x, y: x * y),
    "or": (lambda x, y: x | y, lambda x, y: x + y - x * y),
    "exclusive or": (lambda x, y: x ^ y, lambda x, y: x + y - 2 * x * y),
    "functions": (
        lambda x, y: np.logical_or(np.logical_and(x, y), np.logical_not(x)),
        lambda x, y: (a := x * y) + (b := 1 - x) - a * b,
    ),
    "sum of arrays": (lambda x, y: x + y, lambda x, y: x + y - x * y),
    "where": (lambda x, y: np.where(x, y, 3.0), lambda x, y: x * y + (1 - x) * 3.0),
    "where plain": (lambda x, y: np.where(~x, 1, -1), lambda x, y: 1 - 2 * x),
}


@pytest.mark.parametrize("name", FLAGS)
def test_flags_are_polynomials(name):
    """Values are NumPy's; derivatives are those of the polynomial that agrees at 0 and 1."""
    function, polynomial = FLAGS[name]
    flags = np.array([False, False, True, True]), np.array([False, True, False, True])
    duals = [Dual(f, np.tile(np.eye(2)[j], (4, 1))) for j, f in enumerate(flags)]
    found = function(*duals)
    np.testing.assert_array_equal(found.value, function(*flags))
    numbers = [f.astype(float) for f in flags]
    np.testing.assert_array_equal(found.value, polynomial(*numbers))
    for j in range(2):
        up, down = ([n + s * (i == j) for i, n in enumerate(numbers)] for s in (0.5, -0.5))
        np.testing.assert_allclose(found.slope[:, j], polynomial(*up) - polynomial(*down))


def test_bits_of_whole_numbers_have_no_derivative():
    whole = Dual(np.array([2, 3]), np.eye(2))
    with pytest.raises(DerivativeError, match=r"np.bitwise_and, whose derivative is not known"):
        whole & 1
    np.testing.assert_array_equal(np.logical_not(whole), [False, False])
    assert whole.all() and np.any(whole)


def test_writing_into_arrays_says_what_to_do():
    x = Dual(np.array([2.0, 3.0]), np.eye(2))
    total = np.zeros(2)
    with pytest.raises(DerivativeError, match=r"x = x \+ y, unlike x \+= y"):
        total += x
    with pytest.raises(DerivativeError, match="writing into it"):
        x[0] = 1.0


def test_nested_lists_become_arrays():
    a, b = dual(X)
    found = as_dual([[a, 1], [b * 2, 0.5]])
    np.testing.assert_array_equal(found.value, [[0.3, 1], [3.4, 0.5]])
    np.testing.assert_array_equal(found.slope, [[[1, 0], [0, 0]], [[0, 2], [0, 0]]])
    assert isinstance(as_dual([[1, 2], [3, True]]), np.ndarray)

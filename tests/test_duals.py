from __future__ import annotations

import math

import numpy as np
import pytest

from tumble._duals import Dual, split_dual, stack
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

"""Partial derivatives of NumPy's functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["OF_FLAGS", "ON_VALUES", "PARTIALS"]


def _log_of_base(result: Any, base: Any, exponent: Any) -> Any:
    """Return ∂ baseᵉ / ∂e, which is 0 at base 0."""
    safe = np.where(np.asarray(base) > 0, base, 1.0)
    return result * np.where(np.asarray(base) >= 0, np.log(safe), np.nan)


PARTIALS: dict[Any, tuple[Callable[..., Any], ...]] = {
    np.add: (lambda r, a, b: 1.0, lambda r, a, b: 1.0),
    np.subtract: (lambda r, a, b: 1.0, lambda r, a, b: -1.0),
    np.multiply: (lambda r, a, b: b, lambda r, a, b: a),
    np.true_divide: (
        lambda r, a, b: 1 / np.asarray(b, float),
        lambda r, a, b: -r / np.asarray(b, float),
    ),
    np.power: (
        lambda r, a, b: np.where(np.equal(b, 0), 0.0, b * np.power(np.asarray(a, float), b - 1.0)),
        _log_of_base,
    ),
    np.maximum: (lambda r, a, b: a >= b, lambda r, a, b: np.asarray(a < b)),
    np.minimum: (lambda r, a, b: a <= b, lambda r, a, b: np.asarray(a > b)),
    np.negative: (lambda r, a: -1.0,),
    np.positive: (lambda r, a: 1.0,),
    np.absolute: (lambda r, a: np.sign(a),),
    np.reciprocal: (lambda r, a: -r * r,),
    np.square: (lambda r, a: 2.0 * a,),
    np.sqrt: (lambda r, a: 0.5 / np.asarray(r, float),),
    np.cbrt: (lambda r, a: 1 / (3.0 * np.square(r)),),
    np.exp: (lambda r, a: r,),
    np.exp2: (lambda r, a: r * math.log(2.0),),
    np.expm1: (lambda r, a: r + 1.0,),
    np.log: (lambda r, a: 1 / np.asarray(a, float),),
    np.log2: (lambda r, a: 1 / (np.asarray(a, float) * math.log(2.0)),),
    np.log10: (lambda r, a: 1 / (np.asarray(a, float) * math.log(10.0)),),
    np.log1p: (lambda r, a: 1 / (1.0 + np.asarray(a, float)),),
    np.sin: (lambda r, a: np.cos(a),),
    np.cos: (lambda r, a: -np.sin(a),),
    np.tan: (lambda r, a: 1.0 + r * r,),
    np.sinh: (lambda r, a: np.cosh(a),),
    np.cosh: (lambda r, a: np.sinh(a),),
    np.tanh: (lambda r, a: 1.0 - r * r,),
    np.arctan: (lambda r, a: 1 / (1.0 + np.square(a)),),
    # Of outcomes, True or False, as polynomials: and is a b, or is a + b − a b.
    np.bitwise_and: (lambda r, a, b: b, lambda r, a, b: a),
    np.bitwise_or: (lambda r, a, b: np.logical_not(b), lambda r, a, b: np.logical_not(a)),
    np.bitwise_xor: (lambda r, a, b: 1.0 - 2.0 * b, lambda r, a, b: 1.0 - 2.0 * a),
    np.invert: (lambda r, a: -1.0,),
}
"""Function → its partial derivative in each argument, of (result, arguments)."""

OF_FLAGS = {
    np.logical_not: np.invert, np.logical_and: np.bitwise_and, np.logical_or: np.bitwise_or,
    np.logical_xor: np.bitwise_xor, np.add: np.bitwise_or,
}  # fmt: skip
"""Function → what it is of True and False."""

ON_VALUES = {
    np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal,
    np.isfinite, np.isnan, np.isinf, np.sign, np.logical_not, np.logical_and, np.logical_or,
}  # fmt: skip
"""Functions that see values alone."""

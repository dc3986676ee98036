"""Fisher scoring for rates that are 0 or more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._likelihood import LogLikelihood

Evaluate = Callable[[FloatArray], LogLikelihood]
Price = Callable[[FloatArray], tuple[float, FloatArray]]
"""What rates [k] cost, and its slope [k]. Concave."""

_ITERATIONS, _HALVINGS = 40, 12
_TOLERANCE = 1e-3  # of the log likelihood
_JITTER = 1e-9


def free_of_charge(rates: FloatArray) -> tuple[float, FloatArray]:
    """Return no price."""
    return 0.0, np.zeros_like(rates)


def most_likely(
    evaluate: Evaluate,
    rates: FloatArray,
    price: Price = free_of_charge,
    iterations: int = _ITERATIONS,
) -> tuple[FloatArray, float]:
    """Return rates ≥ 0 [k] that make the log likelihood less their price large, and the former.

    Each step goes to the top, among rates ≥ 0, of the parabola that has the slope and the Fisher
    information of where it begins, or half as far and so on until it leads upward. So rates become
    exactly 0, and may come back. A concave price is replaced by its tangent, which is above it.

    Reference: Hunter, Lange, Am. Stat. 58 (2004), doi:10.1198/0003130042836 (tangents).
    """
    here = evaluate(rates)
    value = here.value - price(rates)[0]
    for _ in range(iterations if len(rates) else 0):
        if not np.isfinite(value):
            break
        goal = _top(here, rates, price(rates)[1])
        gained = 0.0
        for half in range(_HALVINGS):
            tried = rates + (goal - rates) * 0.5**half
            there = evaluate(tried)
            gained = there.value - price(tried)[0] - value
            if gained > 0:
                rates, here, value = tried, there, value + gained
                break
        if gained < _TOLERANCE:
            break
    return rates, here.value


def _top(here: LogLikelihood, rates: FloatArray, slope_of_price: FloatArray) -> FloatArray:
    """Return the rates ≥ 0 [k] that maximize g·d − d·F·d / 2 − price, d being how far they are."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    scale = np.sqrt(np.diag(here.information))
    known = scale > 0
    goal = np.zeros_like(rates)
    if not known.any():
        return goal
    wide = scale[known]
    even = here.information[np.ix_(known, known)] / np.outer(wide, wide)
    factor = np.linalg.cholesky(even + _JITTER * np.eye(len(wide)))
    pull = even @ (rates[known] * wide) + (here.slope - slope_of_price)[known] / wide
    target = solve_triangular(factor, pull, lower=True)
    goal[known] = nnls(factor.T, target, maxiter=30 * len(wide))[0] / wide
    return goal

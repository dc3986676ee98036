"""Fisher scoring for rates that are 0 or more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tumble._typing import FloatArray
from tumble.structure._likelihood import LogLikelihood

Evaluate = Callable[[FloatArray], LogLikelihood]
Price = Callable[[FloatArray], tuple[float, FloatArray]]
"""What rates [k] cost, and its slope [k]. Concave."""

_ITERATIONS, _STEEPER = 40, 12
_TOLERANCE = 1e-3  # of the log likelihood
_LEAST_DAMPING, _FIRST_DAMPING = 1e-9, 1e-4


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
    information of where it begins; where that leads down, of one that is steeper, and so on. So
    rates become exactly 0, and may come back. A concave price is replaced by its tangent, which is
    above it.

    Reference: Hunter, Lange, Am. Stat. 58 (2004), doi:10.1198/0003130042836 (tangents).
    """
    here = evaluate(rates)
    value = here.value - price(rates)[0]
    damping = _LEAST_DAMPING
    for _ in range(iterations if len(rates) else 0):
        if not np.isfinite(value):
            break
        pull = here.slope - price(rates)[1]
        gained = 0.0
        for _ in range(_STEEPER):
            tried = _top(here.information, pull, rates, damping)
            there = evaluate(tried)
            gained = there.value - price(tried)[0] - value
            if gained > 0:
                rates, here, value = tried, there, value + gained
                damping = max(damping / 10, _LEAST_DAMPING)
                break
            damping = max(30 * damping, _FIRST_DAMPING)
        if gained < _TOLERANCE:
            break
    return rates, here.value


def _top(
    information: FloatArray, pull: FloatArray, rates: FloatArray, damping: float
) -> FloatArray:
    """Return the rates ≥ 0 [k] that maximize g·d − d·F·d / 2, d being how far away they are.

    The diagonal of F is larger by ``damping``.
    """
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    scale = np.sqrt(np.diag(information))
    known = scale > 0
    goal = np.zeros_like(rates)
    if not known.any():
        return goal
    wide = scale[known]
    even = information[np.ix_(known, known)] / np.outer(wide, wide) + damping * np.eye(len(wide))
    target = even @ (rates[known] * wide) + pull[known] / wide
    factor = np.linalg.cholesky(even)
    white = solve_triangular(factor, target, lower=True)
    goal[known] = nnls(factor.T, white, maxiter=30 * len(wide))[0] / wide
    return goal

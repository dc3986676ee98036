"""A loss of expectations that the user writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tumble._errors import DataError, ParameterError, first_line, shown
from tumble._problem import Problem
from tumble._typing import FloatArray, JaxArray
from tumble.losses import Smooth
from tumble.objectives._base import AbstractObjective, BoundOutputs
from tumble.objectives._moment_matching import MomentMatching


@dataclass(frozen=True)
class LossOfExpectations(AbstractObjective):
    """ℓ(E[f(X)], y) for a smooth ℓ of yours, and f the moments of `MomentMatching`.

    Definition: ``function``(m, y) with m [F] the expected and y [F] the observed moments, in the
    order experiment, time, (means, then mean squares about them), observable; moments that were not
    observed are left out of both.

    Guarantee: values and gradients from n runs have a bias of order 1/n² (none if ℓ is a polynomial
    of degree 2 in m): the term of order 1/n of the plain batch mean is taken out by a jackknife.
    Standard errors are those of a sandwich, right to first order in the error of y.

    Arguments: ``function``, (m [F], y [F]) -> number, written in `jax.numpy` and twice
    differentiable; ``order`` of the moments, 1 (default) or 2.

    When: the agreement of averages is measured otherwise than by squares, as relative errors or a
    Kullback–Leibler divergence are. For squares use `MomentMatching`, which is unbiased.

    Reference: Quenouille, Biometrika 43 (1956), doi:10.1093/biomet/43.3-4.353.

    >>> import jax.numpy as jnp
    >>> ratios = LossOfExpectations(lambda m, y: jnp.sum(jnp.log(m / y) ** 2))
    """

    function: Callable[[JaxArray, JaxArray], JaxArray]
    order: int = 1
    loss_name: ClassVar[str] = "loss of expectations"
    citations: ClassVar[tuple[str, ...]] = (
        "Quenouille, Biometrika 43 (1956), doi:10.1093/biomet/43.3-4.353",
    )

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ParameterError(
                f"`function` is {self.function!r}, expected a function of expected and observed "
                "moments (m, y) in jax.numpy, such as lambda m, y: jnp.sum((m / y - 1) ** 2)."
            )
        if not (type(self.order) is int and self.order in (1, 2)):
            raise ParameterError(f"`order` is {shown(self.order)}, expected 1 or 2.")

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractObjective.bind`."""
        moments = MomentMatching(self.order).bind(problem)
        loss = Smooth(self.function, moments.target, np.flatnonzero(moments.weight > 0))
        at_data = _tried(loss)
        if np.shape(at_data) != () or not np.isfinite(at_data):
            raise DataError(
                f"`function` is {at_data} where expected and observed moments agree, expected one "
                "finite number; a logarithm or a quotient may meet an observed moment of 0."
            )
        return BoundOutputs(moments.objective, problem, moments.data, loss)


def _tried(loss: Smooth) -> FloatArray:
    """Return the loss of the observed moments. Raises `ParameterError` where it has no slopes."""
    try:
        loss.slope(loss.target)
        loss.second(loss.target)
        return loss.value(loss.target)
    except Exception as error:  # whatever the function of a user raises
        raise ParameterError(
            f"`function` fails with {type(error).__name__}: {first_line(error)} It is called with "
            "the expected and the observed moments (m, y), two arrays [F], is to return one real "
            "number, and must be written in jax.numpy."
        ) from error

"""The expected loss of single runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tumble._errors import ParameterError, first_line, shown
from tumble._problem import Problem
from tumble._typing import FloatArray, JaxArray
from tumble.losses import Linear
from tumble.noise import DatumLaw
from tumble.objectives._base import (
    AbstractOutputObjective,
    BoundOutputs,
    FeatureData,
    stacked,
)

_NODES = 16  # of the quadrature over a normal datum


@dataclass(frozen=True)
class ExpectedLoss(AbstractOutputObjective):
    """Expected loss of one simulated run against the mean of the data.

    Definition: mean over observables and times of E[ℓ(Y, ȳ)], with Y a simulated datum and ȳ the
    mean over replicates. By default ℓ is the squared error, (Y − ȳ)² / s² with s the largest ȳ of
    the observable, and the expectation includes the measurement noise. A ``loss`` of yours sees the
    expected datum given the state in place of Y: noise enters through its mean only.

    Guarantee: batch values and gradients are unbiased for it. It contains the simulator's own
    variance, so its minimum is in general **not** at the parameters that made the data: it prefers
    parameters under which runs vary less.

    Arguments: ``loss``, an elementwise function (Y, ȳ) -> ℓ of arrays that broadcast, written in
    `jax.numpy`; default ``None``, the squared error.

    When: to reproduce published fits that used it, or when a single run must come close to a
    target. To estimate parameters use `PathLikelihood` or `MomentMatching`.
    """

    loss: Callable[[JaxArray, JaxArray], JaxArray] | None = None
    citations: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.loss is not None and not callable(self.loss):
            raise ParameterError(
                f"`loss` is {self.loss!r}, expected a function of simulated and observed data "
                "(y, observed), such as lambda y, observed: jnp.abs(y - observed)."
            )

    @property
    def loss_name(self) -> str:  # type: ignore[override]
        """What to call its value."""
        return "expected squared error" if self.loss is None else "expected loss"

    def bind(self, problem: Problem) -> BoundOutputs:
        """See `AbstractOutputObjective.bind`."""
        if self.loss is not None:
            _try(self.loss)
        data = []
        for experiment in problem.experiments:
            values = experiment.data.values
            count = np.isfinite(values).sum(axis=0)
            center = np.nansum(values, axis=0) / np.maximum(count, 1)
            scale = np.abs(center).max(axis=0) if self.loss is None else 1.0
            weight = np.where(count > 0, 1 / np.where(scale > 0, scale, 1.0) ** 2, 0.0)
            data.append(FeatureData(center, np.zeros_like(center), weight))
        total = sum(int((d.weight > 0).sum()) for d in data)
        data = [d._replace(weight=d.weight / total) for d in data]
        return BoundOutputs(self, problem, data, Linear(stacked(data)[1]))

    def features(self, law: DatumLaw, data: FeatureData, xp: Any) -> JaxArray:
        """See `AbstractOutputObjective.features`."""
        if self.loss is None:
            return (law.mean - data.center) ** 2 + law.variance
        return self._own(law.mean, data.center, xp)

    def gaussian_features(
        self, mean: JaxArray, covariance: JaxArray, data: FeatureData, xp: Any
    ) -> JaxArray:
        """See `AbstractOutputObjective.gaussian_features`."""
        variance = xp.diagonal(covariance, axis1=-2, axis2=-1)
        if self.loss is None:
            return (mean - data.center) ** 2 + variance
        nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
        spread = xp.sqrt(xp.maximum(variance, 1e-12))
        at_nodes = self._own(mean + nodes[:, None, None] * spread, data.center, xp)
        return xp.tensordot(weights / weights.sum(), at_nodes, axes=1)

    def _own(self, y: JaxArray, center: FloatArray, xp: Any) -> JaxArray:
        import jax

        assert self.loss is not None
        with jax.enable_x64(True):
            values = self.loss(y, center)
            shape = np.shape(values)
            if shape != np.shape(y):
                raise ParameterError(
                    f"`loss` returns shape {shape} for data of shape {np.shape(y)}, expected the "
                    "same: the loss of each datum, not their sum."
                )
            return np.asarray(values) if xp is np else values


def _try(loss: Callable[[JaxArray, JaxArray], JaxArray]) -> None:
    """Raise `ParameterError` where a loss has no derivative, or not one number for each datum."""
    import jax
    import jax.numpy as jnp

    with jax.enable_x64(True):
        y = jnp.ones((2, 3))
        try:
            values, _ = jax.jvp(lambda x: loss(x, np.ones((2, 3))), (y,), (y,))
        except Exception as error:  # whatever the function of a user raises
            raise ParameterError(
                f"`loss` fails with {type(error).__name__}: {first_line(error)} It is called with "
                "simulated and observed data (y, observed), two arrays, and must be written in "
                "jax.numpy."
            ) from error
    if np.shape(values) != (2, 3):
        raise ParameterError(
            f"`loss` returns {shown(values)} for data of shape (2, 3), expected the same shape: "
            "the loss of each datum, not their sum."
        )

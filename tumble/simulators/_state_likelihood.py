"""Likelihoods through the distribution of a network's state."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._random_effect import integrated
from tumble._typing import FloatArray
from tumble.simulators._datum_density import DatumDensity
from tumble.simulators._forward_filter import log_likelihoods_of_series
from tumble.simulators._snapshots import log_likelihoods_of_cells

if TYPE_CHECKING:
    from tumble.simulators._finite_state import FiniteStateProjection


@dataclass(frozen=True)
class StateLikelihood:
    """log p(data | θ) of series or snapshots. Made by `FiniteStateProjection.likelihood`.

    Definition: that of a series by the forward algorithm; that of a snapshot is the product over
    its cells, each of which is drawn from the distribution of the state at its time. Derivatives
    with respect to all of θ are carried along: those of the model's parameters, of the noise, of
    the observables and of initial values. A `Ref` that stands for an initial count m is the mixture
    of ⌊m⌋ and ⌊m⌋ + 1 of mean m; at whole m the derivative is that from above.

    Where parameters of the model differ from cell to cell, the law of a cell is the mean over them.

    References: Rabiner, Proc. IEEE 77 (1989), doi:10.1109/5.18626 (forward algorithm).
    """

    method: FiniteStateProjection
    problem: Any

    def value_and_gradient(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Return the log likelihood of all experiments at θ [P] (natural scale), and its gradient.

        Data that are impossible at θ, or less likely than 1e-300 given those before, give -inf and
        a gradient of NaN. Raises `ModelError` when the projection needs more than ``max_states``
        states, and `ParameterError` for negative rates.
        """
        theta = np.asarray(theta, dtype=float)
        value, gradient = 0.0, np.zeros(len(theta))
        for density in self._densities:
            values, slopes = self._of_rows(density, theta)
            value += float(values.sum())
            gradient[density.used] += slopes.sum(0)
        return value, gradient if np.isfinite(value) else np.full(len(theta), np.nan)

    def value(self, theta: FloatArray) -> float:
        """Return the log likelihood alone, without the cost of the derivatives."""
        theta = np.asarray(theta, dtype=float)
        return float(sum(self._of_rows(d, theta)[0].sum() for d in self._plain_densities))

    def _of_rows(self, density: DatumDensity, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the log likelihood of each series or cell [n], and its derivatives [n, U]."""
        if self.problem.kind != "snapshots":
            return log_likelihoods_of_series(
                self.method, density, theta, *density.model_params(theta, np.zeros(0))
            )

        def given(*effects: float) -> tuple[FloatArray, FloatArray]:
            params, jacobian = density.model_params(theta, np.array(effects))
            return log_likelihoods_of_cells(self.method, density, theta, params, jacobian)

        return integrated(given) if len(density.binding.effects) else given()

    @cached_property
    def _densities(self) -> tuple[DatumDensity, ...]:
        return tuple(DatumDensity(binding) for binding in self.problem.bindings)

    @cached_property
    def _plain_densities(self) -> tuple[DatumDensity, ...]:
        return tuple(DatumDensity(b, slopes=False) for b in self.problem.bindings)

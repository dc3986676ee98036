"""The law of a datum given the state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._errors import CapabilityError
from tumble._typing import FloatArray, JaxArray
from tumble.noise._base import AbstractNoise, Exact
from tumble.noise._members import Normal


@dataclass(frozen=True)
class DatumLaw:
    """The joint law of a datum given the observables: independent over observables.

    Arguments: ``noises``, the noise of each observable with the values of its arguments;
    ``x`` [..., O], the observables; ``xp``, the array namespace.
    """

    noises: Sequence[tuple[AbstractNoise, Mapping[str, Any]]]
    x: JaxArray
    xp: Any = np

    @classmethod
    def known(cls, data: FloatArray) -> DatumLaw:
        """Return the law of ``data`` [..., O] that are there already, NaN where missing."""
        return cls([(Exact(), {})] * data.shape[-1], data)

    @cached_property
    def mean(self) -> JaxArray:
        """E[Y], [..., O]."""
        columns = [n.mean(self.x[..., o], a, self.xp) for o, (n, a) in enumerate(self.noises)]
        return self.xp.stack(columns, axis=-1)

    @cached_property
    def variance(self) -> JaxArray:
        """Var[Y], [..., O]."""
        columns = [n.variance(self.x[..., o], a, self.xp) for o, (n, a) in enumerate(self.noises)]
        return self.xp.stack(columns, axis=-1)

    def cdf(self, y: JaxArray) -> JaxArray:
        """Return P(Y_o ≤ y), [..., O, K], for y [..., O, K]."""
        parts = [
            n.cdf(y[..., o, :], self.x[..., o, None], a, self.xp)
            for o, (n, a) in enumerate(self.noises)
        ]
        return self.xp.stack(parts, axis=-2)

    def characteristic(self, omega: JaxArray) -> JaxArray:
        """Return E[exp(i ω·Y)], complex [..., K], for frequencies ω [..., K, O].

        An observable with frequency 0 may be missing.
        """
        total: Any = 1.0
        for o, (n, a) in enumerate(self.noises):
            w = omega[..., o]
            part = n.characteristic(w, self.x[..., o, None], a, self.xp)
            total = total * self.xp.where(w == 0, 1.0, part)
        return total

    def projected(self, directions: FloatArray) -> DatumLaw:
        """Return the law of the sums a·Y along ``directions`` a [D, O].

        They are given for exact and normal noise. Raises `CapabilityError` for other noise.
        """
        kinds = [n for n, _ in self.noises if not isinstance(n, (Exact, Normal))]
        if kinds:
            raise CapabilityError(
                f"sums of observables with {type(kinds[0]).__name__} noise have no distribution "
                "function in closed form; match observables one by one (joint=False), or use "
                "distances.MaximumMeanDiscrepancy()."
            )
        x = self.x @ directions.T
        if all(isinstance(n, Exact) for n, _ in self.noises):
            return DatumLaw([(Exact(), {})] * len(directions), x, self.xp)
        spread = self.xp.stack([self.xp.asarray(a.get("sd", 0.0)) for _, a in self.noises])
        sds = self.xp.sqrt(directions**2 @ spread**2)
        noises = [(Normal(1.0), {"sd": sds[d]}) for d in range(len(directions))]
        return DatumLaw(noises, x, self.xp)

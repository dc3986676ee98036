"""Where numbers come from: the entries of θ, or what is known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tumble._parameters import ParameterSpace, Ref
from tumble._random_effect import RandomEffect
from tumble._typing import BoolArray, FloatArray, IntArray, JaxArray


@dataclass(frozen=True, eq=False)
class Sources:
    """Numbers that are entries of θ [P], known, or drawn in each run about such numbers.

    ``of`` [K] of them: a `Ref`, a float, or a `RandomEffect` whose parts are such.
    """

    space: ParameterSpace
    of: tuple[Any, ...]

    @property
    def effects(self) -> IntArray:
        """Which of them differ from run to run, [E]."""
        return np.flatnonzero([isinstance(s, RandomEffect) for s in self.of])

    @property
    def names(self) -> frozenset[str]:
        """Names of the unknowns that they depend on."""
        return frozenset(s.name for s in self._parts if isinstance(s, Ref))

    @property
    def moves(self) -> BoolArray:
        """Whether they depend on each entry of θ, [P]."""
        return np.asarray(np.any(self._selection(self._parts) != 0, axis=0))

    @cached_property
    def selection(self) -> FloatArray:
        """Which entry of θ each is, 1 in a table [K, P]; none of those that are drawn or known."""
        return self._selection(self.of)

    def at(self, theta: JaxArray, effects: JaxArray | None = None) -> JaxArray:
        """Return the numbers [..., K] at θ [..., P], with ``effects`` [..., E] as drawn."""
        import jax.numpy as jnp

        xp = np if isinstance(theta, np.ndarray) else jnp
        rows = np.broadcast_shapes(theta.shape[:-1], () if effects is None else effects.shape[:-1])
        numbers, drawn = [], 0
        for source in self.of:
            if isinstance(source, RandomEffect):
                assert effects is not None
                median, sigma = (self._number(part, theta) for part in source.parts)
                value = median * xp.exp(sigma * effects[..., drawn])
                drawn += 1
            else:
                value = self._number(source, theta)
            numbers.append(xp.broadcast_to(xp.asarray(value, dtype=float), rows))
        return xp.stack(numbers, axis=-1) if numbers else xp.zeros((*rows, 0))

    def slopes(self, theta: FloatArray, effects: FloatArray) -> FloatArray:
        """Return their derivatives by θ [P]: [B, K, P], or [1, K, P] where nothing is drawn."""
        drawn = self.effects
        if not len(drawn):
            return self.selection[None]
        table = np.repeat(self.selection[None], len(effects), axis=0)
        for e, row in enumerate(drawn):
            median, sigma = self.of[row].parts
            factor = np.exp(self._number(sigma, theta) * effects[:, e])
            if isinstance(median, Ref):
                table[:, row, self.space.position(median)] += factor
            if isinstance(sigma, Ref):
                slope = self._number(median, theta) * factor * effects[:, e]
                table[:, row, self.space.position(sigma)] += slope
        return table

    # -- private -----------------------------------------------------

    @property
    def _parts(self) -> list[Any]:
        return [
            part for s in self.of for part in (s.parts if isinstance(s, RandomEffect) else (s,))
        ]

    def _number(self, source: Any, theta: JaxArray) -> JaxArray:
        if isinstance(source, Ref):
            return theta[..., self.space.position(source)]
        return np.asarray(float(source))

    def _selection(self, sources: Any) -> FloatArray:
        table = np.zeros((len(sources), self.space.size))
        for row, source in enumerate(sources):
            if isinstance(source, Ref):
                table[row, self.space.position(source)] = 1.0
        return table

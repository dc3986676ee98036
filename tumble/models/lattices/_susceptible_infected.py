"""The susceptible–infected automaton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import DataError
from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._contact import passed_on
from tumble.models.lattices._grid import Grid


@dataclass(frozen=True)
class SusceptibleInfected(AbstractLattice):
    """Sites catch an infection from their neighbors, and keep it.

    Definition: in each step a susceptible site with N infected neighbors is infected with
    probability 1 − (1 − β)^N. At first the center is infected alone. The output ``infected`` is the
    number of infected sites.

    Arguments: ``grid``, default 64 × 64 sites on a torus, eight neighbors each.

    Reference: Deijfen, Stoch. Process. Appl. 103 (2003), doi:10.1016/S0304-4149(02)00195-1 (growth
    by contact).
    """

    grid: Grid = field(default_factory=lambda: Grid((64, 64)))
    parameters = ("beta",)
    outputs = ("infected",)

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        return jnp.zeros(self.grid.shape).at[self.grid.center].set(1.0)

    def step(self, state: JaxArray, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.step`."""
        return state + draw.flip((1 - state) * self.chance(state, params["beta"]))

    def observe(self, state: JaxArray) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {"infected": state.sum()}

    def from_frames(self, frames: Any) -> Any:
        """See `AbstractLattice.from_frames`: 1 where infected, else 0."""
        if frames.shape[1:] != self.grid.shape:
            raise DataError(
                f"frames have the shape {frames.shape[1:]}, expected {self.grid.shape}, the grid's."
            )
        if not np.isin(frames, (0, 1)).all():
            raise DataError("frames hold other numbers than 0 (susceptible) and 1 (infected).")
        if np.any(frames[1:] < frames[:-1]):
            raise DataError("a site recovers in these frames, which this model does not know.")
        return frames.astype(np.uint8)

    def outcomes(self, before: Any, after: Any) -> tuple[JaxArray, ...]:
        """See `AbstractLattice.outcomes`: who has been infected."""
        return (after - before,)

    def chance(self, state: JaxArray, beta: JaxArray) -> JaxArray:
        """Return the probability that each site, were it susceptible, would be infected."""
        return passed_on(beta, self.grid.sum_neighbors(state))

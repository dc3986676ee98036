"""The susceptible–infected automaton."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
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
        return state + (1 - state) * draw.flip(self.chance(state, params["beta"]))

    def observe(self, state: JaxArray) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {"infected": state.sum()}

    def chance(self, state: JaxArray, beta: JaxArray) -> JaxArray:
        """Return the probability that each site, were it susceptible, would be infected."""
        return 1 - (1 - beta) ** self.grid.sum_neighbors(state)

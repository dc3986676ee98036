"""An epidemic on a lattice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._contact import passed_on
from tumble.models.lattices._grid import Grid
from tumble.models.lattices._site_codes import around, forbid, site_codes

_KINDS = "susceptible", "infected", "recovered"


@dataclass(frozen=True)
class SusceptibleInfectedRecovered(AbstractLattice):
    """Sites catch an infection from their neighbors, and recover.

    Definition: in each step a susceptible site with N infected neighbors is infected with
    probability 1 − (1 − β)^N, and a site that was infected before recovers with probability γ. At
    first the center is infected alone. The outputs ``infected`` and ``recovered`` are numbers of
    sites.

    Arguments: ``grid``, default 64 × 64 sites on a torus, eight neighbors each.

    Reference: Grassberger, Math. Biosci. 63 (1983), doi:10.1016/0025-5564(82)90036-0.
    """

    grid: Grid = field(default_factory=lambda: Grid((64, 64)))
    parameters = ("beta", "gamma")
    outputs = ("infected", "recovered")

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        none = jnp.zeros(self.grid.shape)
        return {"infected": none.at[self.grid.center].set(1.0), "recovered": none}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        infected, recovered = state["infected"], state["recovered"]
        chance = passed_on(params["beta"], self.grid.sum_neighbors(infected))
        caught = draw.flip((1 - infected - recovered) * chance)
        healed = draw.flip(infected * params["gamma"])
        return {"infected": infected + caught - healed, "recovered": recovered + healed}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {name: sites.sum() for name, sites in state.items()}

    def from_frames(self, frames: Any) -> Any:
        """See `AbstractLattice.from_frames`: 0 where susceptible, 1 infected, 2 recovered."""
        codes = site_codes(frames, self.grid, _KINDS, ((0, 1), (1, 2), (2,)))
        infected = codes == 1
        caught = infected[1:] & (codes[:-1] == 0)
        forbid(caught & (around(self.grid, infected[:-1]) == 0), "an infection has no source")
        return {"infected": infected.astype(np.uint8), "recovered": (codes == 2).astype(np.uint8)}

    def outcomes(self, before: Any, after: Any) -> tuple[JaxArray, ...]:
        """See `AbstractLattice.outcomes`: who has been infected, and who has recovered."""
        healed = before["infected"] * after["recovered"]
        return after["infected"] - before["infected"] + healed, healed

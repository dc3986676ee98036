"""Forests that grow and burn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._grid import Grid, VonNeumann
from tumble.models.lattices._site_codes import around, forbid, site_codes

_KINDS = "empty", "tree", "fire"


@dataclass(frozen=True)
class ForestFire(AbstractLattice):
    """The forest-fire model of Drossel and Schwabl.

    Definition: in each step a burning tree becomes an empty site; a tree catches fire if a neighbor
    burns, else by lightning with probability ``p_lightning``; on an empty site a tree grows with
    probability ``p_growth``. At first each site has a tree with probability ½. The outputs
    ``trees`` (burning ones apart) and ``fires`` are numbers of sites.

    Arguments: ``grid``, default 64 × 64 sites on a torus, four neighbors each.

    Reference: Drossel, Schwabl, Phys. Rev. Lett. 69 (1992), doi:10.1103/PhysRevLett.69.1629.
    """

    grid: Grid = field(default_factory=lambda: Grid((64, 64), VonNeumann()))
    parameters = ("p_growth", "p_lightning")
    outputs = ("trees", "fires")

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        trees = draw.flip(0.5, self.grid.shape)
        return {"trees": trees, "fires": 0 * trees}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        import jax.numpy as jnp

        trees, fires = state["trees"], state["fires"]
        near = self.grid.sum_neighbors(fires) > 0
        burns = draw.flip(trees * jnp.where(near, 1.0, params["p_lightning"]))
        grows = draw.flip((1 - trees - fires) * params["p_growth"])
        return {"trees": trees - burns + grows, "fires": burns}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {name: sites.sum() for name, sites in state.items()}

    def from_frames(self, frames: Any) -> Any:
        """See `AbstractLattice.from_frames`: 0 where empty, 1 a tree, 2 a tree that burns."""
        codes = site_codes(frames, self.grid, _KINDS, ((0, 1), (1, 2), (0,)))
        trees, fires = codes == 1, codes == 2
        spared = trees[:-1] & trees[1:]
        forbid(spared & (around(self.grid, fires[:-1]) > 0), "the fire beside spares a tree")
        return {"trees": trees.astype(np.uint8), "fires": fires.astype(np.uint8)}

    def outcomes(self, before: Any, after: Any) -> tuple[JaxArray, ...]:
        """See `AbstractLattice.outcomes`: what has caught fire, and what has grown."""
        burns = after["fires"]
        return burns, after["trees"] - before["trees"] + burns

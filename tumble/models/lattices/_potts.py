"""Spins in equilibrium: Ising and Potts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import ModelError, require_flag, require_whole
from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._grid import Grid, Periodic, VonNeumann
from tumble.models.lattices._site_codes import site_codes


@dataclass(frozen=True)
class Ising(AbstractLattice):
    """Spins ±1 that like to point as their neighbors do.

    Definition: the energy is −Σ s_i s_j over pairs of neighbors, each pair once, less ``field`` ·
    Σ s_i, the coupling and Boltzmann's constant being 1. A step is one sweep of heat-bath updates:
    first all white sites of the checkerboard, then all black ones, each pointing up with
    probability 1 / (1 + exp(−2 h / T)), h being the sum over its neighbors plus ``field``. Sites
    of one color do not interact, so that the Gibbs distribution at temperature ``T`` is stationary,
    exactly. Outputs are per site: ``energy``, ``magnetization`` and its absolute value,
    ``order``.

    Arguments: ``grid`` on a torus with neighbors that share a side, an even number of sites along
    each axis, default 64 × 64; ``ordered``, whether all spins point up at first (default), or at
    random.

    Reference: Onsager, Phys. Rev. 65 (1944), doi:10.1103/PhysRev.65.117.
    """

    grid: Grid = field(default_factory=lambda: Grid((64, 64), VonNeumann()))
    ordered: bool = True
    parameters = ("T", "field")
    outputs = ("energy", "magnetization", "order")

    def __post_init__(self) -> None:
        require_checkerboard(self.grid)
        require_flag("ordered", self.ordered, ModelError)

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        if self.ordered:
            return jnp.ones(self.grid.shape)
        return draw.pick([-1.0, 1.0], [0.5, 0.5], self.grid.shape)

    def step(self, state: JaxArray, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.step`."""
        import jax
        import jax.numpy as jnp

        for color in checkerboard(self.grid):
            pull = self.grid.sum_neighbors(state) + params["field"]
            up = draw.flip(color * jax.nn.sigmoid(2 * pull / params["T"]))
            state = jnp.where(color, 2 * up - 1, state)
        return state

    def observe(self, state: JaxArray) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`: the energy is that without a field."""
        import jax.numpy as jnp

        mean = state.mean()
        pairs = (state * self.grid.sum_neighbors(state)).mean() / 2
        return {"energy": -pairs, "magnetization": mean, "order": jnp.abs(mean)}


@dataclass(frozen=True)
class Potts(AbstractLattice):
    """Sites of q colors that like to be as their neighbors are.

    Definition: the energy is −Σ δ(c_i, c_j) over pairs of neighbors, each pair once. A step is one
    sweep of heat-bath updates on a checkerboard, as in `Ising`: color c with probability in
    proportion to exp(n_c / T), n_c neighbors being of color c. Outputs are per site: ``energy``,
    and ``share``, the largest share of a color.

    Arguments: ``num_colors``, q ≥ 2, default 3; ``grid``, as in `Ising`; ``ordered``, whether all
    sites have the first color at first (default), or random ones.

    Reference: Wu, Rev. Mod. Phys. 54 (1982), doi:10.1103/RevModPhys.54.235.
    """

    num_colors: int = 3
    grid: Grid = field(default_factory=lambda: Grid((64, 64), VonNeumann()))
    ordered: bool = True
    parameters = ("T",)
    outputs = ("energy", "share")

    def __post_init__(self) -> None:
        require_whole("num_colors", self.num_colors, 2)
        require_checkerboard(self.grid)
        require_flag("ordered", self.ordered, ModelError)

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.start`: which color a site has, one-hot [q, *shape]."""
        import jax.numpy as jnp

        if self.ordered:
            return jnp.zeros((self.num_colors, *self.grid.shape)).at[0].set(1.0)
        found = draw.pick(np.eye(self.num_colors), self.num_colors, self.grid.shape)
        return jnp.moveaxis(found, -1, 0)

    def from_frames(self, frames: Any) -> Any:
        """See `AbstractLattice.from_frames`: the color of each site, 0 to q − 1; or states."""
        if frames.shape[1:] == (self.num_colors, *self.grid.shape):
            return frames
        every = range(self.num_colors)
        codes = site_codes(frames, self.grid, [f"color {c}" for c in every], [every for _ in every])
        return np.moveaxis(np.eye(self.num_colors, dtype=np.uint8)[codes], -1, 1)

    def step(self, state: JaxArray, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.step`."""
        import jax
        import jax.numpy as jnp

        for color in checkerboard(self.grid):
            weights = jax.nn.softmax(self.grid.sum_neighbors(state) / params["T"], axis=0)
            # The sites of the other color are not drawn: they keep what they have for sure.
            weights = jnp.where(color, weights, jax.lax.stop_gradient(state))
            found = draw.pick(np.eye(self.num_colors), jnp.moveaxis(weights, 0, -1))
            state = jnp.where(color, jnp.moveaxis(found, -1, 0), state)
        return state

    def observe(self, state: JaxArray) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        same = (state * self.grid.sum_neighbors(state)).sum() / self.grid.num_sites
        return {"energy": -same / 2, "share": state.mean(tuple(range(1, state.ndim))).max()}


def checkerboard(grid: Grid) -> list[Any]:
    """Return where the sites of one color are, and where those of the other."""
    parity = np.indices(grid.shape).sum(0) % 2
    return [parity == 0, parity == 1]


def require_checkerboard(grid: Grid) -> None:
    """Raise `ModelError` unless no site of a checkerboard is next to one of its own color."""
    even = all(n % 2 == 0 for n in grid.shape)
    known = isinstance(grid.neighborhood, VonNeumann) and isinstance(grid.boundary, Periodic)
    if not (even and known):
        raise ModelError(
            f"`grid` is {grid}, expected VonNeumann neighbors on a torus of an even number of "
            "sites along each axis, which a checkerboard divides in two."
        )

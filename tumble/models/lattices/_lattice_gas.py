"""The FitzHugh–Nagumo lattice gas."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import DataError, ModelError, is_number, require_whole, shown
from tumble._typing import FloatArray, JaxArray
from tumble.models.lattices._base import AbstractLattice
from tumble.models.lattices._grid import Grid, Moore

OFFSETS = Moore().offsets(2)
DIAGONAL = (np.sqrt(2) - 1) / 4
AXIS = np.sqrt(2) * DIAGONAL
"""The chance that a move goes along a diagonal, or along an axis: they sum to 1 over all eight."""

_DIRECTIONS = np.array([DIAGONAL if i and j else AXIS for i, j in OFFSETS])


@dataclass(frozen=True)
class FitzHughNagumoLatticeGas(AbstractLattice):
    """Two kinds of particles that diffuse and react on the sites of a plane, and form patterns.

    Definition: a site holds n ≤ N particles A and m ≤ N particles B. A step is diffusion, then
    reaction. *Diffusion*, for each kind by itself: each site excites one particle with probability
    n / N; with probability D all excited particles make the same move, to one of the eight
    neighbors, axes being √2 times as likely as diagonals. *Reaction*: each site draws one of six
    channels and fires it with probability

    - A + 1: g k1 n (n − 1)(N − n) / ((N − 1)(N − 2)), and g k2 (N − n) m / N
    - A − 1: g k1 n (N − n)(N − 1 − n) / ((N − 1)(N − 2)), and g k2 n (N − m) / N
    - B + 1: g k3 (N − n)(N − m) / N
    - B − 1: g k3 n m / N

    Outputs are over the sites: the means ``A`` and ``B``, their variances ``var_A``, ``var_B`` and
    covariance ``cov_AB``; ``step_A``, the mean squared difference between neighbors; and ``wall``,
    the length a site of the walls between many and few A: the mean of ½ |s − s′| summed over the
    neighbors below and to the right, with s = tanh(4 A / N − 2).

    Arguments: ``grid``, default 64 × 64 on a torus; ``capacity`` N, default 50; ``rate`` g, default
    0.005; ``stripe``, the rows that begin with 40 particles A, default 29 to 34, other sites having
    N / 2 of both kinds.

    References: FitzHugh, Biophys. J. 1 (1961), doi:10.1016/S0006-3495(61)86902-6 (reactions);
    Chopard, Droz, *Cellular Automata Modeling of Physical Systems* (1998),
    doi:10.1017/CBO9780511549755 (lattice gases that react).
    """

    grid: Grid = field(default_factory=lambda: Grid((64, 64)))
    capacity: int = 50
    rate: float = 0.005
    stripe: tuple[int, int] = (29, 34)
    parameters = ("k1", "k2", "k3", "D_A", "D_B")
    outputs = ("A", "B", "var_A", "var_B", "cov_AB", "step_A", "wall")

    def __post_init__(self) -> None:
        require_whole("capacity", self.capacity, 3)
        if not (is_number(self.rate) and 0 < self.rate < 1):
            raise ModelError(f"`rate` is {shown(self.rate)}, expected between 0 and 1.")
        if len(self.grid.shape) != 2:
            raise ModelError(f"`grid` has {len(self.grid.shape)} axes, expected 2.")

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        half = jnp.full(self.grid.shape, float(self.capacity // 2))
        first, last = self.stripe
        return {"A": half.at[first : last + 1].set(0.8 * self.capacity), "B": half}

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        import jax.numpy as jnp

        a = self._diffused(state["A"], params["D_A"], draw)
        b = self._diffused(state["B"], params["D_B"], draw)
        chances = self.channels(a, b, params)
        channel = draw.choose(6, self.grid.shape)
        chance = sum(jnp.where(channel == c, p, 0.0) for c, p in enumerate(chances))
        fires = draw.flip(self.rate * chance)
        change = fires * (1 - 2 * (channel % 2))
        return {
            "A": a + jnp.where(channel < 4, change, 0.0),
            "B": b + jnp.where(channel < 4, 0.0, change),
        }

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        a, b = state["A"], state["B"]
        mean_a, mean_b = a.mean(), b.mean()
        beside = [self.grid.seen_from(a, offset) for offset in ((0, 1), (1, 0))]
        sides = [self._side(x) for x in beside]
        return {
            "A": mean_a,
            "B": mean_b,
            "var_A": ((a - mean_a) ** 2).mean(),
            "var_B": ((b - mean_b) ** 2).mean(),
            "cov_AB": ((a - mean_a) * (b - mean_b)).mean(),
            "step_A": sum(((a - x) ** 2).mean() for x in beside) / 2,
            "wall": sum(abs(self._side(a) - s).mean() for s in sides) / 2,
        }

    def channels(self, n: Any, m: Any, params: Mapping[str, Any]) -> list[Any]:
        """Return the chances of the six channels, in units of g."""
        top = float(self.capacity)
        cubic = params["k1"] * n * (top - n) / ((top - 1) * (top - 2))
        k2, k3 = params["k2"] / top, params["k3"] / top
        return [
            cubic * (n - 1), cubic * (top - 1 - n), k2 * (top - n) * m, k2 * n * (top - m),
            k3 * (top - n) * (top - m), k3 * n * m,
        ]  # fmt: skip

    def from_frames(self, frames: Any) -> Any:
        """See `AbstractLattice.from_frames`: arrays [frames, 2, *shape] of A and B."""
        if frames.shape[1:] != (2, *self.grid.shape):
            raise DataError(
                f"frames have the shape {frames.shape[1:]}, expected {(2, *self.grid.shape)}: A "
                "and B on the grid."
            )
        counts: FloatArray = np.asarray(frames, dtype=float)
        if np.any((counts < 0) | (counts > self.capacity) | (counts != np.rint(counts))):
            raise DataError(f"frames hold other numbers than whole ones of 0 to {self.capacity}.")
        return {"A": counts[:, 0], "B": counts[:, 1]}

    def _side(self, counts: JaxArray) -> JaxArray:
        """Return about 1 where there are many, −1 where there are few."""
        import jax.numpy as jnp

        return jnp.tanh(4 * counts / self.capacity - 2)

    def _diffused(self, counts: JaxArray, chance: JaxArray, draw: Any) -> JaxArray:
        """Return the counts after the excited particles have moved, or not."""
        excited = draw.flip(counts / self.capacity)
        moves = draw.flip(chance)
        where = draw.pick(np.eye(len(OFFSETS)), _DIRECTIONS)
        # A particle that moves by an offset comes from the site at minus that offset.
        around = Grid(self.grid.shape, Moore(), self.grid.boundary).neighbors(excited)
        arrived = sum(where[k] * around[-1 - k] for k in range(len(OFFSETS)))
        return counts + moves * (arrived - excited)

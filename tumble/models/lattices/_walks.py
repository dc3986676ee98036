"""Walks of single particles and of a small cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tumble._errors import ModelError, is_number, require_whole, shown
from tumble._typing import JaxArray
from tumble.models.lattices._base import AbstractLattice

_BOX = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
_AROUND = _BOX[np.any(_BOX != 0, axis=1)]


@dataclass(frozen=True)
class PlainWalk(AbstractLattice):
    """A particle that moves along each axis by itself, one site to either side, or rests.

    Definition: along each axis and in each step, it stays with probability ``p_stay``, and moves to
    either side with equal probability otherwise. The output ``msd`` is the squared distance from
    the start, with the mean axes · (1 − p_stay) · steps.

    Arguments: ``num_axes``, default 2; ``pixel``, the width of a site in the unit of the data, and
    ``step_time``, the time that a step takes, default 1.
    """

    num_axes: int = 2
    pixel: float = 1.0
    step_time: float = 1.0
    parameters = ("p_stay",)
    outputs = ("msd",)

    def __post_init__(self) -> None:
        _check_units(self)

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        return jnp.zeros(self.num_axes)

    def step(self, state: JaxArray, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.step`."""
        stays = draw.flip(params["p_stay"], self.num_axes)
        return state + (1 - stays) * draw.pick([-1.0, 1.0], [0.5, 0.5], self.num_axes)

    def observe(self, state: JaxArray) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {"msd": self.pixel**2 * (state**2).sum()}


@dataclass(frozen=True)
class PersistentWalk(AbstractLattice):
    """A particle that starts and stops, and keeps its direction for a while.

    Definition: along each axis and in each step, first it starts to move, if it rests, with
    probability ``p_start``, or stops, if it moves, with probability ``p_stop``; then its direction
    turns round with probability ``p_turn``; then it moves by one site in its direction, if it
    moves. At first it moves, in a random direction along each axis. With a single probability
    ``p_switch`` for both, give `Ref("p_switch")` for either. The output ``msd`` is the squared
    distance from the start.

    Arguments: ``num_axes``, default 2; ``pixel``, the width of a site in the unit of the data, and
    ``step_time``, the time that a step takes, default 1.
    """

    num_axes: int = 2
    pixel: float = 1.0
    step_time: float = 1.0
    parameters = ("p_start", "p_stop", "p_turn")
    outputs = ("msd",)

    def __post_init__(self) -> None:
        _check_units(self)

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.start`."""
        import jax.numpy as jnp

        zero = jnp.zeros(self.num_axes)
        return {
            "x": zero,
            "moves": zero + 1,
            "side": draw.pick([-1.0, 1.0], [0.5, 0.5], self.num_axes),
        }

    def step(self, state: Any, params: Mapping[str, JaxArray], draw: Any) -> Any:
        """See `AbstractLattice.step`."""
        moves, side = state["moves"], state["side"]
        change = moves * params["p_stop"] + (1 - moves) * params["p_start"]
        moves = moves + (1 - 2 * moves) * draw.flip(change)
        side = side * (1 - 2 * draw.flip(params["p_turn"], self.num_axes))
        return {"x": state["x"] + side * moves, "moves": moves, "side": side}

    def observe(self, state: Any) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {"msd": self.pixel**2 * (state["x"] ** 2).sum()}


@dataclass(frozen=True)
class RestrictedPottsWalk(AbstractLattice):
    """A cell of one or two pixels that grows and shrinks, and so moves.

    Definition: a copy attempt a step. The source is drawn uniformly from the 3 × 3 blocks around
    the pixels of the cell (9 or 18 entries), the target from its eight neighbors. Where a pixel of
    the cell would be copied to the medium, one pixel becomes two with probability ``p``, and two
    never become three; where medium would be copied to a pixel of the cell, two become one, and
    one never vanishes. The output ``msd`` is the mean over the pixels of the squared distance from
    the start, the center of a ``width`` × ``width`` plane with mirrors for edges.

    Arguments: ``width``, default 128.
    """

    width: int = 128
    parameters = ("p",)
    outputs = ("msd",)

    def __post_init__(self) -> None:
        require_whole("width", self.width, 3)

    def start(self, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.start`: both pixels [2, 2], the same one where there is one."""
        import jax.numpy as jnp

        return jnp.zeros((2, 2)) + self.width // 2

    def step(self, state: JaxArray, params: Mapping[str, JaxArray], draw: Any) -> JaxArray:
        """See `AbstractLattice.step`."""
        import jax.numpy as jnp

        one, other = state
        first = draw.choose([0.5, 0.5]) == 0
        block, around = draw.choose(9), draw.choose(8)
        source = self._inside(jnp.where(first, one, other) + jnp.asarray(_BOX, float)[block])
        target = self._inside(source + jnp.asarray(_AROUND, float)[around])
        from_cell = _same(source, one) | _same(source, other)
        to_one, to_other = _same(target, one), _same(target, other)
        single = _same(one, other)
        grows = single & from_cell & ~to_one
        shrinks = ~single & ~from_cell & (to_one | to_other)
        # Where nothing grows there is nothing to accept, and no score.
        accepted = draw.flip(jnp.where(grows, params["p"], 0.0))
        grown = jnp.stack([one, target])
        left = jnp.where(to_one, other, one)
        shrunk = jnp.stack([left, left])
        state = state + accepted * (grown - state)
        return jnp.where(shrinks, shrunk, state)

    def observe(self, state: JaxArray) -> Mapping[str, JaxArray]:
        """See `AbstractLattice.observe`."""
        return {"msd": ((state - self.width // 2) ** 2).sum() / 2}

    def _inside(self, site: JaxArray) -> JaxArray:
        """Return the mirror image of a site that lies outside."""
        import jax.numpy as jnp

        site = jnp.where(site < 0, -1 - site, site)
        return jnp.where(site >= self.width, 2 * self.width - 1 - site, site)


def _check_units(walk: PlainWalk | PersistentWalk) -> None:
    require_whole("num_axes", walk.num_axes)
    for name, what in (("pixel", "width"), ("step_time", "time")):
        value = getattr(walk, name)
        if not (is_number(value) and 0 < value < np.inf):
            raise ModelError(f"`{name}` is {shown(value)}, expected a {what} > 0.")


def _same(one: JaxArray, other: JaxArray) -> JaxArray:
    return (one == other).all()

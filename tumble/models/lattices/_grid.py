"""Where the sites of a lattice lie, and which are next to which."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tumble._errors import ModelError, is_number, shown
from tumble._typing import JaxArray

Offset = tuple[int, ...]


class AbstractBoundary(abc.ABC):
    """What lies beyond the edge."""

    @abc.abstractmethod
    def padded(self, values: JaxArray, widths: Sequence[tuple[int, int]]) -> JaxArray:
        """Return an array with so many values added before and after each axis."""


@dataclass(frozen=True)
class Periodic(AbstractBoundary):
    """The other side: a torus."""

    def padded(self, values: JaxArray, widths: Sequence[tuple[int, int]]) -> JaxArray:
        """See `AbstractBoundary.padded`."""
        import jax.numpy as jnp

        return jnp.pad(values, widths, mode="wrap")


@dataclass(frozen=True)
class Reflective(AbstractBoundary):
    """The mirror image, edge sites next to themselves: nothing flows through."""

    def padded(self, values: JaxArray, widths: Sequence[tuple[int, int]]) -> JaxArray:
        """See `AbstractBoundary.padded`."""
        import jax.numpy as jnp

        return jnp.pad(values, widths, mode="symmetric")


@dataclass(frozen=True)
class Fixed(AbstractBoundary):
    """Sites that never change. Arguments: their ``value``, default 0."""

    value: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.value) and np.isfinite(self.value)):
            raise ModelError(f"`value` is {shown(self.value)}, expected a finite number.")

    def padded(self, values: JaxArray, widths: Sequence[tuple[int, int]]) -> JaxArray:
        """See `AbstractBoundary.padded`."""
        import jax.numpy as jnp

        return jnp.pad(values, widths, constant_values=self.value)


class AbstractNeighborhood(abc.ABC):
    """Which offsets lead from a site to its neighbors."""

    @abc.abstractmethod
    def offsets(self, num_axes: int) -> tuple[Offset, ...]:
        """Return the offsets, without the site itself. Raises `ModelError`."""


@dataclass(frozen=True)
class VonNeumann(AbstractNeighborhood):
    """The sites that share a side: 2 along a line, 4 in a plane, 6 in space."""

    def offsets(self, num_axes: int) -> tuple[Offset, ...]:
        """See `AbstractNeighborhood.offsets`."""
        return tuple(o for o in _box(num_axes, 1) if sum(map(abs, o)) == 1)


@dataclass(frozen=True)
class Moore(AbstractNeighborhood):
    """The sites that share a side or a corner: 8 in a plane, 26 in space."""

    def offsets(self, num_axes: int) -> tuple[Offset, ...]:
        """See `AbstractNeighborhood.offsets`."""
        return _box(num_axes, 1)


@dataclass(frozen=True)
class WithinRadius(AbstractNeighborhood):
    """The sites whose centers are at most ``radius`` ≥ 1 away, in units of the lattice."""

    radius: float

    def __post_init__(self) -> None:
        if not (is_number(self.radius) and 1 <= self.radius < 1000):
            raise ModelError(f"`radius` is {shown(self.radius)}, expected a number ≥ 1.")

    def offsets(self, num_axes: int) -> tuple[Offset, ...]:
        """See `AbstractNeighborhood.offsets`."""
        near = self.radius**2 * (1 + 1e-12)
        reach = int(self.radius)
        return tuple(o for o in _box(num_axes, reach) if sum(i * i for i in o) <= near)


@dataclass(frozen=True)
class Hexagonal(AbstractNeighborhood):
    """The six neighbors in a plane of hexagons, whose axes are 60° apart (axial coordinates).

    Site (i, j) lies at i (1, 0) + j (½, √3/2).
    """

    def offsets(self, num_axes: int) -> tuple[Offset, ...]:
        """See `AbstractNeighborhood.offsets`."""
        if num_axes != 2:
            raise ModelError(f"hexagons fill a plane, but the grid has {num_axes} axes.")
        return (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0)


@dataclass(frozen=True)
class Grid:
    """Sites in rows: how many along each axis, which are neighbors, and what is beyond the edge.

    Arguments: ``shape``, the sites along one to three axes; ``neighborhood``, default `Moore`;
    ``boundary``, default `Periodic`. Raises `ModelError`.

    Methods take arrays [..., *shape], whatever is in front. They know nothing of what happens on
    the sites.

    >>> import numpy as np
    >>> from tumble.models import Grid, VonNeumann
    >>> grid = Grid((3, 3), VonNeumann())
    >>> spot = np.zeros((3, 3)); spot[0, 0] = 1
    >>> np.asarray(grid.sum_neighbors(spot)).astype(int).tolist()
    [[0, 1, 1], [1, 0, 0], [1, 0, 0]]
    """

    shape: tuple[int, ...]
    neighborhood: AbstractNeighborhood = field(default_factory=Moore)
    boundary: AbstractBoundary = field(default_factory=Periodic)

    def __post_init__(self) -> None:
        try:
            shape = tuple(int(n) for n in self.shape)
            whole = all(n == m for n, m in zip(shape, self.shape, strict=True))
        except (TypeError, ValueError):
            shape, whole = (), False
        if not (whole and 1 <= len(shape) <= 3 and min(shape) >= 1):
            raise ModelError(
                f"`shape` is {shown(self.shape)}, expected one to three whole numbers ≥ 1, such as "
                "(64, 64)."
            )
        object.__setattr__(self, "shape", shape)
        reach = max(max(map(abs, offset)) for offset in self.offsets)
        if reach > min(shape):
            raise ModelError(
                f"neighbors are up to {reach} sites away, but the grid is only {min(shape)} wide."
            )

    @property
    def offsets(self) -> tuple[Offset, ...]:
        """The offsets that lead to neighbors."""
        return self.neighborhood.offsets(len(self.shape))

    @property
    def num_sites(self) -> int:
        """How many sites there are."""
        return int(np.prod(self.shape))

    @property
    def center(self) -> tuple[int, ...]:
        """The site in the middle."""
        return tuple(n // 2 for n in self.shape)

    def to_text(self) -> str:
        """Return ``64 x 64 sites, Moore, Periodic``; members in full where they have settings."""
        members = (self.neighborhood, self.boundary)
        names = (repr(m).removesuffix("()") for m in members)
        return f"{' x '.join(map(str, self.shape))} sites, {', '.join(names)}"

    def seen_from(self, values: JaxArray, offset: Sequence[int]) -> JaxArray:
        """Return, at each site, the value of the site at ``offset`` from it."""
        return self._window(self._padded(values, _reach([tuple(offset)])), [tuple(offset)], offset)

    def neighbors(self, values: JaxArray) -> JaxArray:
        """Return the values of all neighbors, [K, ..., *shape]."""
        import jax.numpy as jnp

        padded = self._padded(values, _reach(self.offsets))
        return jnp.stack([self._window(padded, self.offsets, o) for o in self.offsets])

    def sum_neighbors(self, values: JaxArray) -> JaxArray:
        """Return the sum over the neighbors of each site."""
        padded = self._padded(values, _reach(self.offsets))
        if isinstance(self.neighborhood, Moore):  # along one axis after the other
            total = padded
            for axis in range(-len(self.shape), 0):
                size = total.shape[axis] - 2
                total = sum(_cut(total, axis, k, size) for k in range(3))
            return total - values
        return sum(self._window(padded, self.offsets, offset) for offset in self.offsets)

    def _padded(self, values: JaxArray, reach: Sequence[int]) -> JaxArray:
        import jax
        import jax.numpy as jnp

        # Else XLA computes the values, and the edges, anew for each neighbor.
        values = jax.lax.optimization_barrier(jnp.asarray(values))
        front = values.ndim - len(self.shape)
        if front < 0 or values.shape[front:] != self.shape:
            raise ValueError(f"the values have shape {values.shape}, expected [..., *{self.shape}]")
        widths = [(0, 0)] * front + [(r, r) for r in reach]
        return jax.lax.optimization_barrier(self.boundary.padded(values, widths))

    def _window(
        self, padded: JaxArray, offsets: Sequence[Offset], offset: Sequence[int]
    ) -> JaxArray:
        reach = _reach(offsets)
        for axis, (n, r, o) in enumerate(zip(self.shape, reach, offset, strict=True)):
            padded = _cut(padded, axis - len(self.shape), r + int(o), n)
        return padded


def _cut(values: JaxArray, axis: int, start: int, size: int) -> JaxArray:
    where = [slice(None)] * values.ndim
    where[axis] = slice(start, start + size)
    return values[tuple(where)]


def _reach(offsets: Sequence[Offset]) -> list[int]:
    """Return how far the offsets go along each axis."""
    return [max(abs(o[axis]) for o in offsets) for axis in range(len(offsets[0]))]


def _box(num_axes: int, reach: int) -> tuple[Offset, ...]:
    every = itertools.product(range(-reach, reach + 1), repeat=num_axes)
    return tuple(o for o in every if any(o))

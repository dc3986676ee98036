"""Work that copies do: what makes cells crawl."""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tumble._errors import ModelError, require_flag, require_whole, shown
from tumble._typing import IntArray
from tumble.models.cellular_potts._energy import AbstractTerm, names_by_type, require_neighborhood
from tumble.models.lattices import AbstractNeighborhood, Grid, Moore, Periodic

Site = Sequence[int]


class AbstractWork(AbstractTerm):
    """What a copy costs or gains by itself, whatever the energy before and after: added to ΔH.

    It is that of the cell which is copied or, where medium is copied, of the cell that gives way,
    with the strength that belongs to the type of that cell.
    """

    @abc.abstractmethod
    def of_copy(self, strength: float, grid: Grid, ids: IntArray, age: IntArray, site: Site,
                source: Site) -> float:  # fmt: skip
        """Return the work of copying ``source`` to ``site``, given the strength of the cell.

        Arguments: ``ids`` [*shape], the cell of each site; ``age`` [*shape], Monte Carlo steps
        since the site was copied to, whole ones; ``source``, a neighbor of ``site``, maybe beyond
        an edge.
        """


@dataclass(frozen=True, eq=False, repr=False)
class Chemotaxis(AbstractWork):
    """Cells climb a gradient: −μ (c(site) − c(source)) for a copy from source to site.

    Parameters: ``mu_chemotaxis`` μ, or ``mu_chemotaxis_1``, … with ``by_type``: attraction where
    positive, in units of the temperature over those of c.

    Arguments: ``concentration`` c [*shape], the same throughout; beyond a fixed edge that of the
    nearest site. On a torus it has to be periodic, or there is a cliff.

    Reference: Savill, Hogeweg, J. Theor. Biol. 184 (1997), doi:10.1006/jtbi.1996.0237.
    """

    concentration: Any
    by_type: bool = False

    def __post_init__(self) -> None:
        require_flag("by_type", self.by_type, ModelError)
        try:
            found = np.array(self.concentration, dtype=float)
        except (TypeError, ValueError):
            found = np.array(np.nan)
        if not 1 <= found.ndim <= 3 or not np.isfinite(found).all():
            raise ModelError(
                f"`concentration` is {shown(self.concentration)}, expected a finite number for "
                "each site, an array of the shape of the lattice."
            )
        found.flags.writeable = False
        object.__setattr__(self, "concentration", found)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractTerm.names`."""
        return names_by_type(("mu_chemotaxis",), self.by_type, num_types)

    def check(self, grid: Grid) -> None:
        """See `AbstractTerm.check`."""
        if self.concentration.shape != grid.shape:
            raise ModelError(
                f"`concentration` has shape {self.concentration.shape}, but the cells lie on a "
                f"lattice of {grid.shape}."
            )

    def of_copy(self, strength: float, grid: Grid, ids: IntArray, age: IntArray, site: Site,
                source: Site) -> float:  # fmt: skip
        """See `AbstractWork.of_copy`."""
        size = np.array(grid.shape)
        wrapped = np.mod(source, size)
        there = wrapped if isinstance(grid.boundary, Periodic) else np.clip(source, 0, size - 1)
        rise = self.concentration[tuple(site)] - self.concentration[tuple(there)]
        return float(-strength * rise)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chemotaxis) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @property
    def _key(self) -> tuple[Any, ...]:
        digest = hashlib.blake2b(self.concentration.tobytes(), digest_size=8)
        return self.concentration.shape, self.by_type, digest.hexdigest()

    def __repr__(self) -> str:
        shape, apart, digest = self._key
        return f"Chemotaxis(shape={shape}, by_type={apart}, digest={digest!r})"


@dataclass(frozen=True)
class Activity(AbstractWork):
    """The Act model: sites that a cell has just taken pull it on.

    Definition: −λ / M (G(source) − G(site)) for a copy from source to site. A site that a cell
    takes has activity M, ``memory``, which falls by 1 in each Monte Carlo step, down to 0; G is the
    geometric mean of the activities of a site and of those of its neighbors that are in the same
    cell, 0 in the medium. No site is active at first.

    Parameters: ``lambda_activity`` λ, or ``lambda_activity_1``, … with ``by_type``.

    Arguments: ``memory`` M in Monte Carlo steps, default 20; ``neighborhood``, default `Moore`;
    ``by_type``. How active sites are is no part of a frame, so `CellMovie` does not take it.

    Reference: Niculescu, Textor, de Boer, PLoS Comput. Biol. 11 (2015),
    doi:10.1371/journal.pcbi.1004280.
    """

    memory: int = 20
    neighborhood: AbstractNeighborhood = field(default_factory=Moore)
    by_type: bool = False

    def __post_init__(self) -> None:
        require_whole("memory", self.memory)
        require_neighborhood(self.neighborhood)
        require_flag("by_type", self.by_type, ModelError)

    def names(self, num_types: int) -> tuple[str, ...]:
        """See `AbstractTerm.names`."""
        return names_by_type(("lambda_activity",), self.by_type, num_types)

    def neighborhoods(self) -> tuple[AbstractNeighborhood, ...]:
        """See `AbstractTerm.neighborhoods`."""
        return (self.neighborhood,)

    def of_copy(self, strength: float, grid: Grid, ids: IntArray, age: IntArray, site: Site,
                source: Site) -> float:  # fmt: skip
        """See `AbstractWork.of_copy`."""
        level = np.where(ids > 0, np.maximum(self.memory - age, 0), 0)
        pull = self._mean(level, ids, grid, source) - self._mean(level, ids, grid, site)
        return -strength * pull / self.memory

    def _mean(self, level: IntArray, ids: IntArray, grid: Grid, site: Site) -> float:
        """Return G of a site, 0 of what lies beyond an edge."""
        size = np.array(grid.shape)
        offsets = [(0,) * ids.ndim, *self.neighborhood.offsets(ids.ndim)]
        around = np.array(site) + np.array(offsets)
        if isinstance(grid.boundary, Periodic):
            around %= size
        around = around[np.all((around >= 0) & (around < size), axis=1)]
        if not len(around) or np.any(around[0] != np.mod(site, size)):
            return 0.0
        cells, levels = ids[tuple(around.T)], level[tuple(around.T)]
        own = levels[cells == cells[0]].astype(float)
        return float(np.prod(own) ** (1 / len(own)))

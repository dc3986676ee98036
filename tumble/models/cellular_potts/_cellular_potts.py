"""The Cellular Potts model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np

from tumble._errors import DataError, ModelError, require_member, shown
from tumble._typing import FloatArray, IntArray
from tumble.models._black_box import AbstractBlackBox
from tumble.models.cellular_potts._cells import Cells
from tumble.models.cellular_potts._counts import CellCounts
from tumble.models.cellular_potts._energy import AbstractEnergy, AbstractTerm, Adhesion, Volume
from tumble.models.cellular_potts._measures import AbstractMeasure, ContactLength, MeanVolume
from tumble.models.lattices import Fixed, Grid, Periodic

Term = TypeVar("Term", bound=AbstractTerm)


@dataclass(frozen=True)
class CellularPotts(AbstractBlackBox):
    """Cells of many sites that stick together, keep their size, and crawl by copying sites.

    Definition: each site belongs to a cell or to the medium. A copy attempt draws a site uniformly
    and one of its neighbors uniformly; where that neighbor belongs to another cell, the site is
    given to that cell with probability min(1, exp(−ΔH)), ΔH being the change of the energy H, the
    sum of the terms, and the work of the copy, if there are terms of that kind. One after another,
    as many attempts as there are sites are one Monte Carlo step, the unit of time; observation
    times are whole numbers of attempts. Energies are in units of the temperature, since data tell
    no more than J / T and λ / T.

    Guarantee: none of the process leaves it as it is: copying has no detailed balance, so that H
    does not give its stationary law. Cells may break into pieces, and vanish for good.

    Arguments:

    - ``start``: the `Cells` that every run begins with.
    - ``energy``: terms of H, `Adhesion`, `Volume` and `Perimeter`, and of work, `Chemotaxis` and
      `Activity`; at most one of each kind. Default the first two.
    - ``measures``: what runs show. Default `ContactLength` and `MeanVolume`.
    - ``grid``: its neighborhood is that of copy attempts, its boundary `Periodic`, or ``Fixed()``:
      medium all around, which never changes. Default a torus with `Moore` neighbors, of the shape
      of ``start``.

    ``parameters`` and ``outputs`` are the names that terms and measures bring along.
    Raises `ModelError`.

    References: Graner, Glazier, Phys. Rev. Lett. 69 (1992), doi:10.1103/PhysRevLett.69.2013.

    >>> import tumble as tb
    >>> from tumble.models import CellularPotts, Cells
    >>> model = CellularPotts(Cells.blocks((40, 40), (4, 4), width=6, types=[1, 2]))
    >>> model.parameters[-2:], model.outputs[:2]
    (('lambda_volume', 'target_volume'), ('contact_0_1', 'contact_1_1'))
    """

    start: Cells
    energy: Sequence[AbstractTerm] = (Adhesion(), Volume())
    measures: Sequence[AbstractMeasure] = (ContactLength(), MeanVolume())
    grid: Grid = None  # type: ignore[assignment]  # a torus
    parameters: tuple[str, ...] = field(init=False, repr=False)
    outputs: tuple[str, ...] = field(init=False, repr=False)
    species: tuple[str, ...] = field(init=False, repr=False)
    initial: tuple[str, ...] = field(init=False, repr=False, default=())
    noun: ClassVar[str] = "the model"

    def __post_init__(self) -> None:
        require_member("start", self.start, Cells, "a Cells such as Cells.blocks(...)")
        grid = Grid(self.start.shape) if self.grid is None else self.grid
        require_member("grid", grid, Grid, "a Grid")
        if grid.shape != self.start.shape:
            raise ModelError(
                f"`grid` has shape {grid.shape}, but the cells lie on one of {self.start.shape}."
            )
        medium_beyond = isinstance(grid.boundary, Fixed) and grid.boundary.value == 0
        if not (isinstance(grid.boundary, Periodic) or medium_beyond):
            raise ModelError(
                f"the boundary of `grid` is {grid.boundary!r}, expected Periodic() or Fixed(), "
                "medium all around."
            )
        energy, measures = tuple(self.energy), tuple(self.measures)
        for term in energy:
            require_member("energy", term, AbstractTerm, "terms such as models.Volume()")
            term.check(grid)
        for measure in measures:
            require_member("measures", measure, AbstractMeasure, "some such as MeanVolume()")
        kinds = [type(term) for term in energy]
        twice = next((k.__name__ for k in kinds if kinds.count(k) > 1), None)
        if twice is not None:
            raise ModelError(f"`energy` has two terms of kind {twice}, expected at most one.")
        size = self.start.num_types
        names = [name for term in energy for name in term.names(size)]
        found = {
            "grid": grid, "energy": energy, "measures": measures,
            "parameters": tuple(dict.fromkeys(names)),
            "outputs": tuple(name for measure in measures for name in measure.names(size)),
        }  # fmt: skip
        for label, value in found.items():
            object.__setattr__(self, label, value)
        self._set_names()

    @property
    def step_time(self) -> float:
        """The time that an attempt takes, in Monte Carlo steps."""
        return 1.0 / self.grid.num_sites

    def term(self, kind: type[Term]) -> Term | None:
        """Return the term of a kind, or None without."""
        return next((term for term in self.energy if isinstance(term, kind)), None)

    def entries(self, kind: type[AbstractTerm]) -> IntArray:
        """Return which parameter each entry of a term is, by its index; none without the term."""
        term = self.term(kind)
        names = term.names(self.start.num_types) if term else ()
        return np.array([self.parameters.index(name) for name in names], dtype=np.int64)

    def total_energy(self, params: Mapping[str, float], ids: Any = None) -> float:
        """Return H of a frame ``ids``, default that of the start, counted afresh."""
        values = self.params_vector(params)
        cells = self.start if ids is None else Cells(ids, self.start.types)
        counts = CellCounts(self.grid, cells)
        terms = [term for term in self.energy if isinstance(term, AbstractEnergy)]
        return sum(term.total(values[self.entries(type(term))], counts) for term in terms)

    def observe(self, frames: Any) -> FloatArray:
        """Return the outputs [T, O] of the frames [T, *shape] of one run. Raises `DataError`."""
        frames = self.checked_frames(frames)
        counts = [CellCounts(self.grid, Cells(ids, self.start.types)) for ids in frames]
        return np.concatenate([m.along(self.start, counts) for m in self.measures], axis=1)

    def checked_frames(self, frames: Any) -> IntArray:
        """Return frames [T, *shape] as whole numbers. Raises `DataError` for what are none."""
        found = np.asarray(frames)
        if found.dtype.kind not in "iu" or found.shape[1:] != self.grid.shape:
            raise DataError(
                f"the frames are {shown(frames)}, expected whole numbers [frames, "
                f"{', '.join(map(str, self.grid.shape))}]: the cell of each site."
            )
        if found.size and not 0 <= found.min() <= found.max() <= self.start.num_cells:
            raise DataError(
                f"the frames have cells {found.min()} to {found.max()}, but the model has 0 (the "
                f"medium) to {self.start.num_cells}."
            )
        return found.astype(np.int32)

    def to_text(self) -> str:
        """See `AbstractModel.to_text`."""
        return repr(self)

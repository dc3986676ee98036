"""Cellular Potts models in run files: cells of label masks, and movies of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, TumbleError
from tumble._parameters import Parameter, ParameterSpace
from tumble._random import Stream
from tumble.io._algorithms import make
from tumble.io._images import read_masks
from tumble.io._lattice_entry import read_grid
from tumble.io._run_section import Section, items_of, shorten
from tumble.io._yaml import RunFileError

if TYPE_CHECKING:
    from tumble.models import CellularPotts
    from tumble.movies import CellMovie, CellMovieFit

CELLS = "cellular_potts"
_KEYS = ("start", "types", "energy", "measures", "grid")
_NOT_OF_MOVIES = ("observables", "derived", "simulator")
_FIT_OF_MOVIES = ("start", "seed")


@dataclass(frozen=True)
class MasksEntry:
    """Label masks: their ``file``, ``name`` and ``axes`` as in `read_masks`.

    ``interval`` is from frame to frame of a movie, in Monte Carlo steps.
    """

    file: str
    name: str | None = None
    axes: str | None = None
    interval: float = 1.0

    def labels(self, folder: Path, inputs: Path | None, what: str) -> tuple[np.ndarray, Path]:
        """Return the labels [frames, *shape], and the file: a run's copy, or the one in ``folder``.

        Raises `DataError`.
        """
        from tumble.io._run_config import input_name

        copied = inputs / input_name(what, self.file) if inputs else None
        path = copied if copied is not None and copied.exists() else folder / self.file
        return read_masks(path, name=self.name, axes=self.axes).values, path


@dataclass(frozen=True)
class CellsEntry:
    """A Cellular Potts model of a run file, as its masks are read, and its movies if it has some.

    ``frames`` [frames, *shape] of each movie are numbered as the cells of ``model``; ``file`` is
    that of the start, where it has one of its own.
    """

    model: CellularPotts
    movies: tuple[MasksEntry, ...]
    frames: tuple[np.ndarray, ...]
    file: Path | None

    def movie(self) -> CellMovie:
        """Return the `CellMovie` of the movies. Raises a `TumbleError`."""
        from tumble.movies import CellMovie

        if not self.movies:
            raise RunFileError("the run file has no `movies`; name files of label masks.")
        return CellMovie(self.model, list(self.frames), self.movies[0].interval)

    def fit(
        self,
        parameters: Mapping[str, Parameter | float],
        start: Mapping[str, float],
        seed: int,
    ) -> CellMovieFit:
        """Return the fit of the movies, from the starts of the unknown ones. Raises `TumbleError`.

        Bounds say where it starts, no more: `CellMovie` knows none.
        """
        unknown = {k: v for k, v in parameters.items() if isinstance(v, Parameter)}
        known = {k: float(v) for k, v in parameters.items() if not isinstance(v, Parameter)}
        space = ParameterSpace(unknown)
        first = space.from_fit(space.starts(1, Stream.from_seed(0))[0])
        # Starts that are given are taken as they are, not by way of the scale and back.
        own = {k: v.start for k, v in unknown.items() if v.start is not None}
        begin = {k: float(v) for k, v in {**space.unpack(first), **own, **start}.items()}
        return self.movie().fit(begin, known, seed=seed)

    def transitions(self, files: tuple[Path, ...]) -> Any:
        """Raise `RunFileError`: movies of cells have no likelihood, and make no `Problem`."""
        raise RunFileError(
            "`movies` of label masks are fitted by CellMovie, which `tumble fit` calls; they make "
            "no Problem. Give `experiments` to fit outputs of runs."
        )

    def like_first(self, file: Path) -> tuple[CellularPotts, np.ndarray]:
        """Return the model, and the times of the frames of the first movie."""
        return self.model, self.movies[0].interval * np.arange(len(self.frames[0]))


def read_cells(top: Section, folder: Path, inputs: Path | None) -> CellsEntry:
    """Read ``model`` and ``movies``, and the masks that they name. Raises a `TumbleError`."""
    given = top.raw("model")
    settings = given[CELLS] if isinstance(given, Mapping) else {}
    where = f"model.{CELLS}"
    part = Section.read(settings, where, _KEYS)
    start = _masks(part.raw("start"), part.path("start"), False) if part.has("start") else None
    movies = tuple(_masks(item, at, True) for at, item in items_of(top, "movies"))
    if start is None and not movies:
        raise RunFileError(
            f"`{where}` has no `start`, and there are no `movies`; name a file of label masks."
        )
    _check_movies(top, movies)
    stacks, file = [], None
    if start is not None:
        labels, file = start.labels(folder, inputs, "model")
        stacks.append(labels[:1])
    stacks += [m.labels(folder, inputs, f"movie{i}")[0] for i, m in enumerate(movies)]
    cells, frames = _numbered(stacks, _types(part))
    return CellsEntry(_model(part, cells), movies, frames[len(stacks) - len(movies) :], file)


def _numbered(stacks: list[np.ndarray], types: Any) -> tuple[Any, tuple[np.ndarray, ...]]:
    """Return the cells of the first frame, and all frames, whose labels have one numbering."""
    from tumble.models import Cells

    for labels in stacks:
        if labels.shape[1:] != stacks[0].shape[1:]:
            raise DataError(
                f"masks have frames of the shapes {stacks[0].shape[1:]} and {labels.shape[1:]}; "
                "those of one model lie on one grid."
            )
    labels = np.concatenate(stacks)
    if isinstance(types, Mapping):
        odd = sorted(set(types) - set(np.unique(labels).tolist()))
        if odd:
            raise RunFileError(
                f"`model.{CELLS}.types` names the label {odd[0]}, which no mask has."
            )
    cells, frames = Cells.of_masks(labels, types)
    cuts = np.cumsum([len(labels) for labels in stacks])[:-1]
    return cells, tuple(np.split(frames, cuts))


def _model(part: Section, cells: Any) -> CellularPotts:
    from tumble.models import CellularPotts, Grid

    more: dict[str, Any] = {}
    for key, family in (("energy", "term"), ("measures", "measure")):
        if part.has(key):
            more[key] = tuple(make(family, item, at) for at, item in items_of(part, key))
    if part.has("grid"):
        more["grid"] = read_grid(part.raw("grid"), Grid(cells.shape), part.path("grid"))
    try:
        return CellularPotts(cells, **more)
    except TumbleError as error:
        raise RunFileError(f"`{part.where}`: {error}") from None


def _masks(given: Any, where: str, movie: bool) -> MasksEntry:
    if isinstance(given, str):
        return MasksEntry(given)
    known = tuple(f.name for f in fields(MasksEntry) if movie or f.name != "interval")
    part = Section.read(given, where, known)
    return MasksEntry(
        part.text("file"), part.text("name", None), part.text("axes", None),
        part.number("interval", 1.0),
    )  # fmt: skip


def _types(part: Section) -> int | dict[int, int]:
    """Return one type for all cells, or one for each label."""
    given, where = part.raw("types", 1), part.path("types")
    if not isinstance(given, Mapping):
        return int(part.whole("types", 1, at_least=1))
    odd = [label for label in given if not isinstance(label, int) or isinstance(label, bool)]
    if odd or not given:
        raise RunFileError(
            f"`{where}` is {shorten(dict(given))}, expected a type, or labels with a type each."
        )
    entry = Section({str(label): kind for label, kind in given.items()}, where)
    return {label: entry.whole(str(label), at_least=1) for label in given}


def _check_movies(top: Section, movies: tuple[MasksEntry, ...]) -> None:
    """Raise `RunFileError` for what fits of movies of masks cannot take into account."""
    if not movies:
        return
    for key in _NOT_OF_MOVIES:
        if top.has(key):
            raise RunFileError(f"`{key}` has no use for `movies` of label masks; take it out.")
    fit = top.raw("fit", None)
    for key in fit if isinstance(fit, Mapping) else ():
        if key not in _FIT_OF_MOVIES:
            raise RunFileError(
                f"`fit.{key}` has no use for `movies` of label masks, expected "
                f"{' and '.join(_FIT_OF_MOVIES)}; take it out."
            )
    for i, entry in enumerate(movies):
        if entry.interval != movies[0].interval:
            raise RunFileError(
                f"`movies[{i}].interval` is {entry.interval:g}, but that of the first movie is "
                f"{movies[0].interval:g}; all movies of a fit have one."
            )

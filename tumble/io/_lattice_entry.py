"""Lattices in run files: the model by name, its movies, and tracks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, TumbleError
from tumble.io._algorithms import ALGORITHMS, check_name, make
from tumble.io._images import read_images
from tumble.io._run_section import Section, items_of, number, shorten
from tumble.io._tracks import read_tracks, squared_displacements
from tumble.io._yaml import RunFileError

if TYPE_CHECKING:
    import xarray as xr

_MEMBERS = {"neighborhood": "moore", "boundary": "periodic"}
_EXAMPLE = "{susceptible_infected: {grid: {shape: [64, 64]}}}"


@dataclass(frozen=True)
class MovieEntry:
    """One movie: its ``file``, the ``name`` and ``axes`` as in `read_images`, and its ``levels``.

    These are the gray levels of the states, in their order: 0 for the first, 1 for the second …
    """

    file: str
    name: str | None = None
    axes: str | None = None
    levels: tuple[float, ...] | None = None

    def frames(self, path: Path) -> np.ndarray:
        """Return the frames of the movie at ``path``. Raises `DataError`."""
        values = read_images(path, name=self.name, axes=self.axes).values
        if self.levels is None:
            return np.asarray(values)
        states = np.full(values.shape, -1, np.int16)
        for state, level in enumerate(self.levels):
            states[values == level] = state
        if (states < 0).any():
            odd = np.unique(values[states < 0])[:3]
            known = ", ".join(f"{level:g}" for level in self.levels)
            raise DataError(
                f"'{path.name}' holds the gray levels {', '.join(f'{v:g}' for v in odd)} beside "
                f"`levels`, {known}; name those of all states."
            )
        return states


@dataclass(frozen=True)
class TracksEntry:
    """Tracks of an experiment, as in `read_tracks` and `squared_displacements`."""

    file: str
    pixel: float = 1.0
    interval: float = 1.0
    columns: Mapping[str, str] | None = None
    lags: tuple[float, ...] | None = None
    windows: bool = False

    def displacements(self, path: Path, say: Callable[[str], None] | None) -> xr.DataArray:
        """Return the squared displacements of the tracks at ``path``. Raises `DataError`."""
        tracks = read_tracks(path, pixel=self.pixel, interval=self.interval, columns=self.columns,
                             say=say)  # fmt: skip
        return squared_displacements(tracks, lags=self.lags, windows=self.windows, say=say)


@dataclass(frozen=True)
class LatticeEntry:
    """A lattice model of a run file, its movies, and whether its grid is that of their frames."""

    model: Any
    movies: tuple[MovieEntry, ...] = ()
    fits_frames: bool = False

    def transitions(self, files: tuple[Path, ...]) -> Any:
        """Return the `Transitions` of the movies in ``files``. Raises a `TumbleError`."""
        from tumble.models import Transitions

        movies = [entry.frames(file) for entry, file in zip(self.movies, files, strict=True)]
        return Transitions(self._sized(movies[0]), movies)

    def like_first(self, file: Path) -> tuple[Any, np.ndarray]:
        """Return the lattice itself, and the times of the frames of the first movie."""
        frames = self.movies[0].frames(file)
        model = self._sized(frames)
        return model, model.step_time * np.arange(len(frames))

    def _sized(self, frames: np.ndarray) -> Any:
        """Return the model on the grid of the frames, where the run file does not say."""
        from tumble.models import Grid

        if not self.fits_frames:
            return self.model
        grid = self.model.grid
        shape = frames.shape[-len(grid.shape) :]
        return replace(self.model, grid=Grid(shape, grid.neighborhood, grid.boundary))


def is_lattice(given: Any) -> bool:
    """Return whether the ``model`` of a run file is that of a lattice."""
    return isinstance(given, Mapping) or (
        isinstance(given, str) and given.strip() in ALGORITHMS["lattice"]
    )


def lattice_name(top: Section) -> str:
    """Return the name of the model, one of the lattices. Raises `RunFileError`."""
    given = top.raw("model")
    given = given.strip() if isinstance(given, str) else given
    check_name("lattice", given, "model")
    return str(given if isinstance(given, str) else next(iter(given)))


def read_lattice(top: Section) -> LatticeEntry:
    """Read ``model`` and ``movies``. Raises `RunFileError`."""
    given, name = top.raw("model"), lattice_name(top)
    settings = {} if isinstance(given, str) else given[name]
    if not isinstance(settings, Mapping | None):
        raise RunFileError(
            f"`model.{name}` is {shorten(settings)}, expected settings by name, as in '{_EXAMPLE}'."
        )
    settings = dict(settings or {})
    grid = settings.pop("grid", None)
    model = make("lattice", {name: settings}, "model")
    has_grid = any(entry.name == "grid" for entry in fields(model))
    if grid is not None:
        if not has_grid:
            raise RunFileError(f"`model.{name}` has 'grid', but {name} lives on none.")
        model = replace(model, grid=read_grid(grid, model.grid, f"model.{name}.grid"))
    movies = _movies(top)
    if movies and not has_grid:
        raise RunFileError(f"`movies` are of lattices, but {name} has tracks; use `tracks`.")
    sized = isinstance(grid, Mapping) and "shape" in grid
    return LatticeEntry(model, movies, fits_frames=bool(movies) and not sized)


def read_tracks_entry(entry: Section) -> TracksEntry | None:
    """Read ``tracks`` of an experiment, a file or a mapping. Raises `RunFileError`."""
    given = entry.raw("tracks", None)
    if given is None:
        return None
    if entry.has("data"):
        raise RunFileError(f"`{entry.where}` has both `data` and `tracks`; give one of them.")
    if isinstance(given, str):
        return TracksEntry(given)
    where = entry.path("tracks")
    part = Section.read(given, where, tuple(f.name for f in fields(TracksEntry)))
    lags = part.raw("lags", None)
    columns = part.mapping("columns") or None
    return TracksEntry(
        part.text("file"),
        part.number("pixel", 1.0),
        part.number("interval", 1.0),
        None if columns is None else {k: str(v) for k, v in columns.items()},
        None if lags is None else _numbers(lags, f"{where}.lags"),
        part.flag("windows", False) if part.has("windows") else False,
    )


def _movies(top: Section) -> tuple[MovieEntry, ...]:
    found = []
    for where, item in items_of(top, "movies"):
        if isinstance(item, str):
            found.append(MovieEntry(item))
            continue
        part = Section.read(item, where, tuple(f.name for f in fields(MovieEntry)))
        levels = part.raw("levels", None)
        found.append(
            MovieEntry(
                part.text("file"),
                part.text("name", None),
                part.text("axes", None),
                None if levels is None else _numbers(levels, f"{where}.levels"),
            )
        )
    return tuple(found)


def _numbers(given: Any, where: str) -> tuple[float, ...]:
    if not isinstance(given, list) or not given:
        raise RunFileError(f"`{where}` is {shorten(given)}, expected a list of numbers.")
    return tuple(number(x, f"{where}[{i}]") for i, x in enumerate(given))


def read_grid(given: Any, default: Any, where: str) -> Any:
    """Return a `Grid`; what is not said is as in ``default``. Raises `RunFileError`."""
    from tumble.models import Grid

    entry = Section.read(given, where, ("shape", *_MEMBERS))
    members = {
        name: make(name, entry.raw(name), f"{where}.{name}")
        if entry.has(name)
        else getattr(default, name)
        for name in _MEMBERS
    }
    shape = entry.raw("shape", list(default.shape))
    sizes = _numbers(shape if isinstance(shape, list) else [shape], f"{where}.shape")
    try:
        return Grid(sizes, **members)  # type: ignore[arg-type]  # Grid checks that they are whole
    except TumbleError as error:
        raise RunFileError(f"`{where}`: {error}") from None

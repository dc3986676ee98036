"""Run files: a problem and what to do with it, in YAML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import TumbleError
from tumble._experiment import Experiment
from tumble._observable import Observable
from tumble._parameters import Parameter
from tumble.io._algorithms import make
from tumble.io._yaml import RunFileError

if TYPE_CHECKING:
    from tumble._problem import Problem
    from tumble.io._cells_entry import CellsEntry
    from tumble.io._lattice_entry import LatticeEntry, TracksEntry
    from tumble.io._structure_entry import StructureEntry

ALGORITHMS_OF_FIT = ("objective", "gradient", "optimizer")


@dataclass(frozen=True)
class ExperimentEntry:
    """One entry of ``experiments``: as `Experiment`, with the data still in a file."""

    data: Any
    time: str | None
    columns: Any
    replicate: str | None
    initial: Mapping[str, Any]
    conditions: Mapping[str, Any]
    start: float
    kind: str
    num_averaged: int | None
    tracks: TracksEntry | None = None

    @property
    def file(self) -> str | None:
        """The name of the file that the data are in; None where they are in the run file."""
        if self.tracks is not None:
            return self.tracks.file
        return self.data if isinstance(self.data, str) else None


@dataclass(frozen=True)
class SimulateEntry:
    """The section ``simulate``: ``times`` to record, ``num_samples``, and ``params``."""

    times: Any = None
    num_samples: int = 100
    params: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PredictiveEntry:
    """The section ``predictive``: ``num_samples`` runs; 0 for none."""

    num_samples: int = 1000


@dataclass(frozen=True)
class AuditEntry:
    """The section ``audit``: whether to audit a fit, and what that may spend."""

    enabled: bool = True
    simulations: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class FitEntry:
    """The section ``fit``; algorithms by name, as in `tumble.io`'s table."""

    objective: Any = None
    gradient: Any = None
    optimizer: Any = None
    start: Mapping[str, float] | None = None
    num_starts: int | None = None
    warm_start: bool | None = None
    max_steps: int | None = None
    tolerance: float | None = None
    seed: int = 0
    simulations: float | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class RunConfig:
    """A run file, checked, as `load_run_config` reads it.

    Attributes: ``path`` and ``text`` of the file; ``title``; ``model``; ``experiments``,
    ``observables``, ``parameters``, ``derived``, ``simulator`` as in `Problem`; ``simulate``,
    ``fit``, ``predictive`` and ``audit``, what to do with it; ``output``, the run folder;
    ``model_file``, of which the model was read, if any; ``lattice``, the model and its movies where
    it is one; ``structure``, which reactions to choose among, if any.
    """

    path: Path
    text: str
    title: str
    model: Any
    experiments: tuple[ExperimentEntry, ...]
    observables: Mapping[str, Observable] | None
    parameters: Mapping[str, Parameter | float]
    derived: Mapping[str, str]
    simulator: Any
    simulate: SimulateEntry
    fit: FitEntry
    predictive: PredictiveEntry
    audit: AuditEntry
    output: Path
    inputs: Path | None = None
    model_file: Path | None = None
    lattice: LatticeEntry | CellsEntry | None = None
    structure: StructureEntry | None = None

    def problem(self, *, say: Callable[[str], None] | None = None) -> Problem:
        """Read the data and return the `Problem`.

        ``say`` takes what `read_data` guesses. Raises a `TumbleError` that names the run file.
        """
        from tumble._problem import Problem

        try:
            extra = {} if self.simulator is None else {
                "simulator": make("simulator", self.simulator, "simulator")
            }  # fmt: skip
            model = self.model
            if self.lattice is not None and self.lattice.movies:
                model = self.lattice.transitions(self.movie_files)
                experiments = [Experiment(model.data)]
            else:
                experiments = [self._experiment(i, say) for i in range(len(self.experiments))]
            return Problem(
                model,
                experiments=experiments,
                parameters=dict(self.parameters),
                observables=self.observables,
                derived=dict(self.derived),
                **extra,
            )
        except RunFileError:
            raise
        except TumbleError as error:
            raise type(error)(f"{self.path.name}: {error}") from None

    @property
    def cells(self) -> CellsEntry | None:
        """Cells with movies of label masks, which `CellMovie` fits; None where there are none."""
        from tumble.io._cells_entry import CellsEntry

        found = self.lattice
        return found if isinstance(found, CellsEntry) and found.movies else None

    @property
    def fit_options(self) -> dict[str, Any]:
        """Keyword arguments for `fit`; what the file leaves out is left to `fit`."""
        from tumble._budget import Budget

        options: dict[str, Any] = {"seed": self.fit.seed}
        for name in ("start", "num_starts", "warm_start", "max_steps", "tolerance"):
            if getattr(self.fit, name) is not None:
                options[name] = getattr(self.fit, name)
        for name in ALGORITHMS_OF_FIT:
            given = getattr(self.fit, name)
            if given is not None:
                options[name] = make(name, given, f"fit.{name}")
        if self.fit.simulations is not None or self.fit.seconds is not None:
            options["budget"] = Budget(self.fit.simulations, self.fit.seconds)
        return options

    @property
    def objective(self) -> Any:
        """The objective that the file names, or None."""
        given = self.fit.objective
        return None if given is None else make("objective", given, "fit.objective")

    @property
    def audit_budget(self) -> Any:
        """What an audit may spend, or None."""
        from tumble._budget import Budget

        if self.audit.simulations is None and self.audit.seconds is None:
            return None
        return Budget(self.audit.simulations, self.audit.seconds)

    @property
    def data_files(self) -> tuple[Path | None, ...]:
        """The file of each experiment's data; None where the data are in the run file."""
        files = []
        for i, entry in enumerate(self.experiments):
            files.append(None if entry.file is None else self._copied(i, entry.file))
        return tuple(files)

    @property
    def movie_files(self) -> tuple[Path, ...]:
        """The file, or folder, of each movie."""
        entries: tuple[Any, ...] = () if self.lattice is None else self.lattice.movies
        return tuple(self._copied(f"movie{i}", entry.file) for i, entry in enumerate(entries))

    def _copied(self, what: int | str, name: str) -> Path:
        """Return the copy of a file in the folder of a run, or else the file itself."""
        copied = self.inputs / input_name(what, name) if self.inputs else None
        return copied if copied is not None and copied.exists() else self.path.parent / name

    def initial_state(self, index: int = 0) -> Mapping[str, Any]:
        """Return the initial state of an experiment: numbers, `Ref`s and priors."""
        return self.experiments[index].initial

    def _experiment(self, index: int, say: Callable[[str], None] | None) -> Experiment:
        from tumble.io._tables import read_data

        entry = self.experiments[index]
        if entry.data is None and entry.tracks is None:
            raise RunFileError(
                f"`experiments[{index}]` has no `data`; name a file with observations."
            )
        file = self.data_files[index]
        data = entry.data
        if file is not None and entry.tracks is not None:
            data = entry.tracks.displacements(file, say)
        elif file is not None:
            data = read_data(file, time=entry.time, columns=entry.columns,
                             replicate=entry.replicate, say=say)  # fmt: skip
        return Experiment(
            data, entry.initial, entry.conditions, entry.start, entry.kind, entry.num_averaged
        )


def input_name(what: int | str, name: str) -> str:
    """Return the name of a file's copy in a run folder: of an experiment's data, or the model."""
    return f"{what}-{Path(name).name.removeprefix(f'{what}-')}"

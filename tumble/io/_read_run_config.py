"""Reading a run file into a `RunConfig`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from tumble._errors import ModelError, ParameterError, TumbleError, require_known
from tumble._observable import Observable
from tumble._parameters import Parameter, Ref
from tumble._random_effect import RandomEffect
from tumble.io._algorithms import as_number, check_name, make
from tumble.io._cells_entry import CELLS, CellsEntry, read_cells
from tumble.io._lattice_entry import (
    LatticeEntry,
    is_lattice,
    lattice_name,
    read_lattice,
    read_tracks_entry,
)
from tumble.io._run_config import (
    ALGORITHMS_OF_FIT,
    AuditEntry,
    ExperimentEntry,
    FitEntry,
    PredictiveEntry,
    RunConfig,
    SimulateEntry,
    input_name,
)
from tumble.io._run_section import Section, names_or_renaming, number, shorten
from tumble.io._structure_entry import StructureEntry, any_rates, read_structure
from tumble.io._yaml import RunFileError, read_yaml
from tumble.models import ReactionNetwork

_TOP = ("title", "model", "movies", "experiments", "observables", "parameters", "derived",
        "simulator", "simulate", "fit", "structure", "predictive", "audit", "output")  # fmt: skip
# A model of one line without an arrow is the name of a file.
_FILE = re.compile(r"[^\n;>]+\.(xml|sbml|ant|antimony|sb|txt|network)", re.IGNORECASE)


def load_run_config(path: str | Path, *, inputs: str | Path | None = None) -> RunConfig:
    """Read a run file.

    Arguments: ``path`` of the YAML file; ``inputs``, a folder with copies of the data files, which
    are read instead where they are there (a run folder has them).

    Returns a `RunConfig`; the data are read by its ``problem()``. Raises a `TumbleError` of one
    line that names the entry at fault.
    """
    path = Path(path)
    content, text = read_yaml(path)
    try:
        return build_config(path, text, content, None if inputs is None else Path(inputs))
    except TumbleError as error:
        if str(error).startswith(f"'{path.name}'"):
            raise
        raise type(error)(f"{path.name}: {error}") from None


# -- sections ------------------------------------------------------------------------------------


def build_config(path: Path, text: str, content: Any, inputs: Path | None) -> RunConfig:
    """Return the `RunConfig` of what a run file holds."""
    if content.get("models") is not None:
        raise RunFileError("the run file names several `models`; `tumble compare` takes those.")
    top = Section.read(content, "", _TOP)
    structure = read_structure(top)
    has_library = structure is not None and structure.library is not None
    lattice: LatticeEntry | CellsEntry | None = None
    if not has_library and is_lattice(top.raw("model")):
        of_cells = lattice_name(top) == CELLS
        lattice = read_cells(top, path.parent, inputs) if of_cells else read_lattice(top)
    if lattice is None and top.has("movies"):
        raise RunFileError("`movies` are of lattices, but `model` is a network; name a lattice.")
    if lattice is not None and structure is not None:
        raise RunFileError("`structure` is of networks, but `model` is a lattice.")
    model = _model_or_library(top, path, inputs, lattice, structure)
    # What the file of the model says is known, unless the run file says otherwise.
    parameters = {**model.params, **_parameters(top)}
    simulator = top.raw("simulator", None)
    if simulator is not None:
        check_name("simulator", simulator, "simulator")
    return RunConfig(
        path=path,
        text=text,
        title=top.text("title", _default_name(path)),
        model=model.network,
        experiments=_experiments(top, parameters, model.initial),
        observables=_observables(top),
        parameters=parameters,
        derived={k: str(v) for k, v in top.mapping("derived").items()},
        simulator=simulator,
        simulate=_simulate(top),
        fit=_fit(top),
        predictive=_predictive(top),
        audit=_audit(top),
        output=Path(top.text("output", f"runs/{_default_name(path)}")),
        inputs=inputs,
        model_file=model.file,
        lattice=lattice,
        structure=structure,
    )


def _default_name(path: Path) -> str:
    return path.resolve().parent.name if path.stem == "run" else path.stem


class _Model(NamedTuple):
    """A network or lattice, the values that come with it, and its file if it has one."""

    network: Any
    params: Mapping[str, Parameter | float]
    initial: Mapping[str, int]
    file: Path | None


def _model_or_library(
    top: Section,
    path: Path,
    inputs: Path | None,
    lattice: LatticeEntry | CellsEntry | None,
    structure: StructureEntry | None,
) -> _Model:
    """Return the model; where its reactions are candidates, no bounds of their rates are needed."""
    if isinstance(lattice, CellsEntry):
        return _Model(lattice.model, {}, {}, lattice.file)
    if lattice is not None:
        return _Model(lattice.model, {}, {}, None)
    if structure is None:
        return _model(top, path, inputs)
    if structure.library is not None:
        return _Model(structure.library.network, any_rates(structure.library), {}, None)
    model = _model(top, path, inputs)
    return model._replace(params=any_rates(structure.candidates(model.network)))


def _model(top: Section, path: Path, inputs: Path | None) -> _Model:
    text = top.text("model")
    try:
        if not _FILE.fullmatch(text.strip()):
            return _Model(ReactionNetwork.from_text(text), {}, {}, None)
        from tumble.formats import read_model

        name = text.strip()
        copied = inputs / input_name("model", name) if inputs else None
        file = copied if copied and copied.is_file() else path.parent / name
        found = read_model(file)
        return _Model(found.network, found.params, found.initial, file)
    except ModelError as error:
        raise RunFileError(f"`model` {error}") from None


def _parameters(top: Section) -> dict[str, Parameter | float]:
    known = ("lower", "upper", "scale", "prior", "start")
    parameters: dict[str, Parameter | float] = {}
    for name, given in top.mapping("parameters").items():
        where = f"parameters.{name}"
        if not isinstance(given, Mapping):
            parameters[name] = number(given, where)
            continue
        entry = Section.read(given, where, known)
        prior = make("prior", entry.raw("prior"), f"{where}.prior") if entry.has("prior") else None
        try:
            parameters[name] = Parameter(
                entry.number("lower"),
                entry.number("upper"),
                entry.text("scale", "log"),
                prior,
                entry.number("start", None),
            )
        except RunFileError:
            raise
        except TumbleError as error:
            raise RunFileError(f"`{where}`: {error}") from None
    return parameters


def _experiments(
    top: Section, parameters: Mapping[str, Parameter | float], initial: Mapping[str, int]
) -> tuple[ExperimentEntry, ...]:
    if top.has("movies"):
        if top.has("experiments"):
            raise RunFileError("the run file has `movies` and `experiments`; give one of them.")
        return (ExperimentEntry(None, None, None, None, {}, {}, 0.0, "series", None),)
    given = top.raw("experiments")
    given = [given] if isinstance(given, Mapping) else given
    if not isinstance(given, list) or not given:
        raise RunFileError(
            f"`experiments` is {shorten(given)}, expected a list of entries with `data` and "
            "`initial`, each behind a '-'."
        )
    known = tuple(f.name for f in fields(ExperimentEntry))
    entries = []
    for i, item in enumerate(given):
        entry = Section.read(item, f"experiments[{i}]", known)
        entries.append(
            ExperimentEntry(
                data=_data(entry),
                time=entry.text("time", None),
                columns=names_or_renaming(entry.raw("columns", None), entry.path("columns")),
                replicate=entry.text("replicate", None),
                initial={**initial, **_values(entry, "initial", parameters)},
                conditions=_values(entry, "conditions", parameters),
                start=entry.number("start", 0.0),
                kind=entry.text("kind", "series"),
                num_averaged=entry.whole("num_averaged", None, at_least=1),
                tracks=read_tracks_entry(entry),
            )
        )
    return tuple(entries)


def _data(entry: Section) -> Any:
    data = entry.raw("data", None)
    if data is None or isinstance(data, str):
        return data
    where = entry.path("data")
    if not isinstance(data, Mapping) or not all(isinstance(v, list) for v in data.values()):
        raise RunFileError(
            f"`{where}` is {shorten(data)}, expected the name of a file, or columns with lists of "
            "numbers."
        )
    return {
        str(k): [float("nan") if x is None else number(x, f"{where}.{k}[{i}]")
                 for i, x in enumerate(v)]
        for k, v in data.items()
    }  # fmt: skip


def _values(
    entry: Section, key: str, parameters: Mapping[str, Parameter | float]
) -> dict[str, Any]:
    """Numbers, names of parameters, priors and lists of numbers, by name."""
    values: dict[str, Any] = {}
    for name, given in entry.mapping(key).items():
        where = f"{entry.path(key)}.{name}"
        value = as_number(given)
        if isinstance(value, str):
            require_known([value], parameters, what=f"`{where}` names parameter",
                          owner="`parameters`", error=RunFileError)  # fmt: skip
            known = parameters[value]
            values[name] = Ref(value) if isinstance(known, Parameter) else known
        elif isinstance(value, Mapping) and key == "conditions":
            values[name] = _random_effect(Section.read(value, where, ("median", "sigma")))
        elif isinstance(value, Mapping):
            values[name] = make("prior", value, where)
        elif isinstance(value, list):
            values[name] = [number(x, f"{where}[{i}]") for i, x in enumerate(value)]
        else:
            values[name] = number(value, where)
    return values


def _random_effect(entry: Section) -> RandomEffect:
    """Return a parameter that differs from run to run. Raises `RunFileError`."""
    try:
        return RandomEffect(as_number(entry.raw("median")), as_number(entry.raw("sigma")))
    except ParameterError as error:
        raise RunFileError(f"`{entry.where}`: {error}") from None


def _observables(top: Section) -> dict[str, Observable] | None:
    if not top.has("observables"):
        return None
    observables = {}
    for name, given in top.mapping("observables").items():
        where = f"observables.{name}"
        if isinstance(given, Mapping):
            entry = Section.read(given, where, ("formula", "noise"))
            formula = entry.text("formula")
            noise = entry.raw("noise", "exact")
        else:
            formula, noise = str(given), "exact"
        try:
            observables[name] = Observable(formula, make("noise", noise, f"{where}.noise"))
        except RunFileError:
            raise
        except TumbleError as error:
            raise RunFileError(f"`{where}`: {error}") from None
    return observables


def _fit(top: Section) -> FitEntry:
    known = (*ALGORITHMS_OF_FIT, "start", "num_starts", "warm_start", "max_steps", "tolerance",
             "seed", "budget")  # fmt: skip
    entry = Section.read(top.raw("fit", None), "fit", known)
    algorithms = {}
    for name in ALGORITHMS_OF_FIT:
        given = entry.raw(name, None)
        if given in (None, "default", "auto"):  # what `fit` takes when it is told nothing
            continue
        check_name(name, given, f"fit.{name}")
        algorithms[name] = given
    budget = Section.read(entry.raw("budget", None), "fit.budget", ("simulations", "seconds"))
    start = {k: number(v, f"fit.start.{k}") for k, v in entry.mapping("start").items()}
    return FitEntry(
        **algorithms,
        start=start or None,
        num_starts=entry.whole("num_starts", None, at_least=1),
        warm_start=entry.flag("warm_start", True) if entry.has("warm_start") else None,
        max_steps=entry.whole("max_steps", None, at_least=1),
        tolerance=entry.number("tolerance", None),
        seed=entry.whole("seed", 0),
        simulations=budget.number("simulations", None),
        seconds=budget.number("seconds", None),
    )


def _predictive(top: Section) -> PredictiveEntry:
    given = top.raw("predictive", None)
    if isinstance(given, bool):
        return PredictiveEntry() if given else PredictiveEntry(0)
    entry = Section.read(given, "predictive", ("num_samples",))
    return PredictiveEntry(entry.whole("num_samples", 1000))


def _audit(top: Section) -> AuditEntry:
    given = top.raw("audit", None)
    if isinstance(given, bool):
        return AuditEntry(enabled=given)
    entry = Section.read(given, "audit", tuple(f.name for f in fields(AuditEntry)))
    return AuditEntry(
        entry.flag("enabled", True),
        entry.number("simulations", None),
        entry.number("seconds", None),
    )


def _simulate(top: Section) -> SimulateEntry:
    entry = Section.read(top.raw("simulate", None), "simulate", ("times", "num_samples", "params"))
    times = entry.raw("times", None)
    if isinstance(times, Mapping):
        grid = Section.read(times, "simulate.times", ("start", "stop", "num"))
        times = (grid.number("start", 0.0), grid.number("stop"), grid.whole("num", 101, at_least=2))
    elif isinstance(times, list):
        times = [number(t, f"simulate.times[{i}]") for i, t in enumerate(times)]
    elif times is not None:
        raise RunFileError(
            f"`simulate.times` is {shorten(times)}, expected a list of numbers, or start, stop and "
            "num."
        )
    params = {k: number(v, f"simulate.params.{k}") for k, v in entry.mapping("params").items()}
    return SimulateEntry(times, entry.whole("num_samples", 100, at_least=1), params)

"""``tumble check``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tumble.formats import ImportedModel

_RUN_FILES = (".yaml", ".yml")


def run_check(path: Path, quiet: bool, json: bool) -> None:
    """Read a model, and print what it holds and what is odd."""
    from tumble.formats import find_oddities

    if _is_lattice(path):
        _check_lattice(path, quiet, json)
        return
    model = _read(path)
    odd = find_oddities(model)
    if json:
        from tumble.io import to_json

        print(to_json(_record(model, odd), indent=2))
    elif not quiet:
        _show(model, odd, path)


def _is_lattice(path: Path) -> bool:
    from tumble.io import load_run_config

    return path.suffix.lower() in _RUN_FILES and load_run_config(path).lattice is not None


def _check_lattice(path: Path, quiet: bool, json: bool) -> None:
    """Read a run file of a lattice with its data, and print what it holds."""
    from tumble.io import load_run_config, to_json

    config = load_run_config(path)
    if config.cells is None:
        problem = config.problem(say=lambda line: None)
        model, seen = problem.model, {"observations": problem.num_observations}
    else:
        model, seen = config.model, {"transitions": config.cells.movie().num_transitions}
    record = {
        "model": model.to_text(),
        "outputs": list(model.species),
        "parameters": list(model.parameters),
        **seen,
    }
    if json:
        print(to_json(record, indent=2))
    elif not quiet:
        for name, value in record.items():
            print(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _read(path: Path) -> ImportedModel:
    from tumble.formats import ImportedModel, read_model

    if path.suffix.lower() not in _RUN_FILES:
        return read_model(path)
    from tumble._parameters import Parameter
    from tumble.io import load_run_config

    config = load_run_config(path)
    params = {
        name: float(value)
        for name, value in config.parameters.items()
        if not isinstance(value, Parameter) and name in config.model.parameters
    }
    entry = config.experiments[0]
    initial = {
        name: int(value) for name, value in entry.initial.items() if isinstance(value, int | float)
    }
    return ImportedModel(config.model, params, initial, (), config.title)


def _record(model: ImportedModel, odd: tuple[str, ...]) -> dict[str, Any]:
    network = model.network
    ids = model.reaction_ids or ("",) * len(network.reactions)
    return {
        "name": model.name,
        "species": {s: model.initial.get(s) for s in network.species},
        "parameters": {p: model.params.get(p) for p in network.parameters},
        "definitions": {k: str(v) for k, v in network.definitions.items()},
        "variables": {
            k: {"initial": str(v.initial), "rate": None if v.rate is None else str(v.rate)}
            for k, v in network.variables.items()
        },
        "reactions": [
            {
                "id": name,
                "equation": reaction.equation,
                "kind": "mass action" if reaction.is_mass_action else "rate law",
                "rate": str(reaction.rate),
            }
            for name, reaction in zip(ids, network.reactions, strict=True)
        ],
        "events": [str(event) for event in network.events],
        "conserved": [str(law) for law in network.conservation_laws],
        "notes": list(model.notes),
        "odd": list(odd),
    }


def _show(model: ImportedModel, odd: tuple[str, ...], path: Path) -> None:
    from rich.markup import escape

    from tumble.cli._terminal import make_console

    network = model.network
    console = make_console()
    console.print(f"\n[bold]{escape(model.name or path.name)}[/]")
    ids = model.reaction_ids or ("",) * len(network.reactions)
    width = max(len(r.equation) for r in network.reactions)
    sections = {
        "species": [_valued(s, model.initial) for s in network.species],
        "parameters": [_valued(p, model.params) for p in network.parameters],
        "definitions": [f"{k} = {v}" for k, v in network.definitions.items()],
        "variables": [line for k, v in network.variables.items() for line in v.lines(k)],
        "reactions": [
            f"{r.equation:<{width}} ; {r.rate}" + (f"   # {name}" if name else "")
            for name, r in zip(ids, network.reactions, strict=True)
        ],
        "events": [str(event) for event in network.events],
        "conserved": [str(law) for law in network.conservation_laws],
        "notes": list(model.notes),
    }
    for title, lines in sections.items():
        if lines:
            console.print(f"[dim]{title} ({len(lines)})[/]")
            for line in lines:
                console.print(f"  {escape(line)}")
    console.print(f"[dim]odd ({len(odd)})[/]" if odd else "[green]nothing odd[/]")
    for line in odd:
        console.print(f"  [yellow]{escape(line)}[/]")


def _valued(name: str, values: Mapping[str, float]) -> str:
    return f"{name} = {values[name]:g}" if name in values else name

"""``tumble learn``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tumble._errors import TumbleError

if TYPE_CHECKING:
    from tumble.io import RunConfig, RunFolder
    from tumble.structure import StructureResult


def run_learn(
    run: Path,
    output: Path | None,
    overwrite: bool,
    refine: bool,
    seed: int | None,
    quiet: bool,
    json: bool,
) -> None:
    """Learn, check, write, print."""
    from tumble.cli._setup import prepare_process
    from tumble.cli._terminal import noting, show_structure
    from tumble.io import RunFolder, load_run_config
    from tumble.io._structure_entry import StructureEntry

    prepare_process()
    silent = quiet or json
    config = load_run_config(run)
    problem = config.problem(say=noting(silent))
    seed = config.fit.seed if seed is None else seed
    library = (config.structure or StructureEntry()).candidates(config.model)
    folder = RunFolder.create(config.output if output is None else output, overwrite=overwrite)
    try:
        with folder:
            folder.write_config(config)
            folder.write_environment(seed=seed, run_file=str(config.path))
            found = _learn(config, problem, library, silent)
            # Written before what follows from it, so that nothing that happens to that can lose it.
            _write(folder, config, found, {}, [])
            parts, notes = _parts(config, found, refine, seed, silent)
            _write(folder, config, found, parts, notes)
            stopped = found.result.name == "INTERRUPTED"
            folder.finish("interrupted" if stopped else "complete", found.result.value)
    except KeyboardInterrupt:
        raise _interrupted(folder) from None
    if json:
        _print_json(found, config, parts, notes, folder)
    elif not quiet:
        show_structure(found, config.title, parts, notes, folder.report_path)
    if stopped:
        raise _interrupted(folder)


def _learn(config: RunConfig, problem: Any, library: Any, silent: bool) -> StructureResult:
    from tumble import learn_structure
    from tumble.cli._terminal import note
    from tumble.io._structure_entry import StructureEntry

    entry = config.structure or StructureEntry()
    if not silent:
        note(f"{len(library)} candidates between {', '.join(library.species)}")
    return learn_structure(problem, library=library, prior=entry.prior, method=entry.search)


def _parts(
    config: RunConfig, found: StructureResult, refine: bool, seed: int, silent: bool
) -> tuple[dict[str, Any], list[str]]:
    """Return what follows from a structure, and why some of it could not be made."""
    from tumble.cli._terminal import note
    from tumble.diagnostics import posterior_predictive

    entry = config.structure
    makers: dict[str, Any] = {}
    if config.predictive.num_samples:
        count = config.predictive.num_samples
        makers["predictive"] = lambda: posterior_predictive(
            found.as_fit(), num_samples=count, seed=seed
        )
    if entry is None or entry.next:
        makers["advice"] = lambda: found.next_observation(seed=seed)
    if refine or (entry is not None and entry.refine):
        makers["refinement"] = lambda: found.refine(seed=seed, progress=False)
    if found.result.name == "INTERRUPTED":
        return {}, []
    parts: dict[str, Any] = {}
    notes: list[str] = []
    words = {"predictive": "simulating the network", "advice": "what to measure next",
             "refinement": "testing what was left out on the simulator"}  # fmt: skip
    for name, make in makers.items():
        if not silent:
            note(words[name])
        try:
            parts[name] = make()
        except TumbleError as error:
            notes.append(f"not done: {words[name]}: {error}")
    return parts, notes


def _write(
    folder: RunFolder,
    config: RunConfig,
    found: StructureResult,
    parts: dict[str, Any],
    notes: list[str],
) -> None:
    from tumble.formats import write_sbml
    from tumble.io import save_fit, structure_tree, to_json
    from tumble.io._atomic import write_text
    from tumble.report import write_report

    best = found.networks[0]
    if best.equations:
        settings = {"candidates": len(found.library), "largest": found.prior.largest,
                    "spread": found.prior.spread}  # fmt: skip
        tree = structure_tree(found, title=config.title, settings=settings, **parts)
        if notes:
            tree["fit"].attrs["warnings"] = to_json(notes)
        save_fit(tree, folder.result_path)
        write_report(tree, folder.report_path)
        initial = {k: v for k, v in config.initial_state().items() if isinstance(v, (int, float))}
        write_text(folder.path / "network.txt", found.network.to_text() + "\n")
        if len(initial) == len(found.library.species):
            counts = {name: round(value) for name, value in initial.items()}
            try:
                text = write_sbml(found.network, initial=counts, name=config.title)
                write_text(folder.path / "network.xml", text)
            except TumbleError as error:
                if f"no SBML: {error}" not in notes:
                    notes.append(f"no SBML: {error}")
    write_text(folder.path / "structure.json", to_json(found.to_dict(), indent=2) + "\n")


def _interrupted(folder: RunFolder) -> typer.Exit:
    print(
        f"interrupted; what was computed is in {folder.path}, and `tumble learn … --overwrite` "
        "begins again",
        file=sys.stderr,
    )
    return typer.Exit(130)


def _print_json(
    found: StructureResult,
    config: RunConfig,
    parts: dict[str, Any],
    notes: list[str],
    folder: RunFolder,
) -> None:
    from tumble.io import to_json

    content = found.to_dict()
    content |= {
        "title": config.title,
        "result": found.result.value,
        "ok": found.result.ok,
        "networks": content["networks"][:20],
        "next": parts["advice"].words if "advice" in parts else None,
        "refinement": parts["refinement"].words if "refinement" in parts else None,
        "predictive": {"coverage": parts["predictive"].coverage} if "predictive" in parts else None,
        "warnings": notes,
        "folder": str(folder.path),
        "report": str(folder.report_path),
    }
    print(to_json(content, indent=2))

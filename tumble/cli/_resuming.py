"""What the commands share that leave a folder and can go on in it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tumble._errors import ParameterError

if TYPE_CHECKING:
    from tumble.io import RunConfig, RunFolder


def read_run(run: Path, resume: bool) -> RunConfig:
    """Read a run file; with ``resume``, it may be the one in the folder of a run."""
    from tumble.io import RunFolder, load_run_config

    if not (resume and run.is_dir()):
        return load_run_config(run)
    folder = RunFolder.open(run)
    config = folder.config()
    seed = folder.environment.get("seed", config.fit.seed)
    return replace(config, fit=replace(config.fit, seed=int(seed)))


def folder_of(run: Path, output: Path, overwrite: bool, resume: bool, command: str) -> RunFolder:
    """Return the folder of a run of ``command``: ``output``, unless ``run`` is one itself."""
    from tumble.io import RunFolder

    if resume and overwrite:
        raise ParameterError("`--resume` and `--overwrite` exclude each other; give one of them.")
    path = run if run.is_dir() else output
    if resume:
        return RunFolder.resume(path, command=command)
    return RunFolder.create(path, overwrite=overwrite, command=command)


def interrupted(folder: RunFolder) -> typer.Exit:
    """Say how to go on, and return the exit status of Ctrl-C."""
    print(
        f"interrupted; what was computed is in {folder.path}, and `tumble {folder.command} "
        f"{folder.path} --resume` goes on",
        file=sys.stderr,
    )
    return typer.Exit(130)

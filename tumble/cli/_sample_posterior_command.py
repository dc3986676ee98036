"""``tumble sample-posterior``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

_DRAWS = ".nc"


def run_sample_posterior(
    run: Path, by: str, output: list[Path], seed: int | None, quiet: bool, json: bool
) -> None:
    """Draw parameters that may have made the data; print, and write what is asked."""
    from tumble.cli._setup import prepare_process

    prepare_process()
    from tumble import ResultCode, sample_posterior
    from tumble.cli._outcome import require_writable_kinds, tell
    from tumble.cli._terminal import noting
    from tumble.io import load_run_config
    from tumble.io._algorithms import make

    require_writable_kinds(output, _DRAWS)
    config = load_run_config(run)
    silent = quiet or json
    method = make("posterior", by, "--by")
    found = sample_posterior(
        config.problem(say=noting(silent)), method=method,
        seed=config.fit.seed if seed is None else seed, progress=False if silent else None,
    )  # fmt: skip
    tell(found, config.title, output, _draw, quiet=quiet, json=json)
    if found.result is ResultCode.INTERRUPTED:
        raise typer.Exit(130)


def _draw(found: Any) -> Any:
    return found.plot().flat[0].figure

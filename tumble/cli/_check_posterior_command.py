"""``tumble check-posterior``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_FIT = "fit"


def run_check_posterior(
    run: Path, by: str, repeats: int, output: list[Path], seed: int | None, quiet: bool, json: bool
) -> None:
    """Ask whether intervals hold the truth as often as they say; print, and write what is asked."""
    from tumble.cli._setup import prepare_process

    prepare_process()
    from tumble.cli._outcome import require_writable_kinds, tell
    from tumble.cli._terminal import noting
    from tumble.diagnostics import check_calibration
    from tumble.io import load_run_config

    require_writable_kinds(output)
    config = load_run_config(run)
    silent = quiet or json
    found = check_calibration(
        config.problem(say=noting(silent)), method=_method(by, config), num_repeats=repeats,
        seed=config.fit.seed if seed is None else seed, progress=False if silent else None,
    )  # fmt: skip
    tell(found, config.title, output, _draw, quiet=quiet, json=json)


def _method(by: str, config: Any) -> Any:
    """Return what answers each data set: a fit as the run file has it, or a way to sample."""
    from tumble.io._algorithms import make

    if by != _FIT:
        return make("posterior", by, "--by")
    from tumble._fit import fit

    options = config.fit_options

    def fitted(problem: Any) -> Any:
        return fit(problem, progress=False, **options)

    return fitted


def _draw(found: Any) -> Any:
    from tumble.plot import ranks

    return ranks(found).figure

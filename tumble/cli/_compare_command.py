"""``tumble compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def run_compare(run: Path, output: list[Path], seed: int | None, quiet: bool, json: bool) -> None:
    """Compare the models of a run file; print, and write what is asked for."""
    from tumble.cli._setup import prepare_process

    prepare_process()
    from tumble._compare_models import compare_models
    from tumble.cli._outcome import require_writable_kinds, tell
    from tumble.cli._terminal import noting
    from tumble.io import load_comparison

    require_writable_kinds(output)
    config = load_comparison(run)
    silent = quiet or json
    found = compare_models(
        config.problems(say=noting(silent)),
        by=config.by,
        prior=config.prior,
        seed=config.seed if seed is None else seed,
        progress=False if silent else None,
    )
    tell(found, config.title, output, _draw, quiet=quiet, json=json)


def _draw(found: Any) -> Any:
    import matplotlib.pyplot as plt

    from tumble.plot import model_fits, model_probabilities

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    model_probabilities(found, ax=axes[0])
    model_fits(found, ax=axes[1])
    return figure

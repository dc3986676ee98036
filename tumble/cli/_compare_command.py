"""``tumble compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tumble._errors import ParameterError

_PICTURES = (".png", ".svg", ".pdf")


def run_compare(run: Path, output: list[Path], seed: int | None, quiet: bool, json: bool) -> None:
    """Compare the models of a run file; print, and write what is asked for."""
    from tumble.cli._setup import prepare_process

    prepare_process()
    from tumble._compare_models import compare_models
    from tumble.cli._terminal import make_console, note
    from tumble.io import load_comparison, to_json

    for file in output:
        if file.suffix not in (".json", *_PICTURES):
            raise ParameterError(
                f"`--output` is '{file}', expected a name that ends in .json, or for a picture in "
                f"{', '.join(_PICTURES)}."
            )
    config = load_comparison(run)
    silent = quiet or json
    found = compare_models(
        config.problems(say=_ignore if silent else note),
        by=config.by,
        prior=config.prior,
        seed=config.seed if seed is None else seed,
        progress=False if silent else None,
    )
    for file in output:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            found.save(file)
        else:
            _draw(found, file)
    if json:
        print(to_json({"title": config.title, **found.to_dict()}, indent=2))
    elif not quiet:
        console = make_console()
        console.print(f"\n{config.title}", style="bold", markup=False)
        console.print(found.summary(), markup=False)


def _draw(found: Any, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from tumble.plot import model_fits, model_probabilities

    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    model_probabilities(found, ax=axes[0])
    model_fits(found, ax=axes[1])
    figure.savefig(file)
    plt.close(figure)


def _ignore(line: str) -> None:
    pass

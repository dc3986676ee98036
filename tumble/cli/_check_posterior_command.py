"""``tumble check-posterior``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tumble._errors import ParameterError

_FIT = "fit"
_PICTURES = (".png", ".svg", ".pdf")


def run_check_posterior(
    run: Path, by: str, repeats: int, output: list[Path], seed: int | None, quiet: bool, json: bool
) -> None:
    """Ask whether intervals hold the truth as often as they say; print, and write what is asked."""
    from tumble.cli._setup import prepare_process

    prepare_process()
    from tumble.cli._terminal import make_console, note
    from tumble.diagnostics import check_calibration
    from tumble.io import load_run_config, to_json

    for file in output:
        if file.suffix not in (".json", *_PICTURES):
            raise ParameterError(
                f"`--output` is '{file}', expected a name that ends in .json, or for a picture in "
                f"{', '.join(_PICTURES)}."
            )
    config = load_run_config(run)
    silent = quiet or json
    problem = config.problem(say=_ignore if silent else note)
    found = check_calibration(
        problem, method=_method(by, config), num_repeats=repeats,
        seed=config.fit.seed if seed is None else seed, progress=False if silent else None,
    )  # fmt: skip
    for file in output:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".json":
            file.write_text(to_json(found.to_dict(), indent=2) + "\n", encoding="utf-8")
        else:
            _draw(found, file)
    if json:
        print(to_json({"title": config.title, **found.to_dict()}, indent=2))
    elif not quiet:
        console = make_console()
        console.print(f"\n{config.title}", style="bold", markup=False)
        console.print(found.summary(), markup=False)


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


def _draw(found: Any, file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from tumble.plot import ranks

    ranks(found).figure.savefig(file, dpi=150)
    plt.close("all")


def _ignore(line: str) -> None:
    pass

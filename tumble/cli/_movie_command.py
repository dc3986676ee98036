"""``tumble fit`` of a movie of cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import ParameterError

if TYPE_CHECKING:
    from tumble.io import RunConfig, RunFolder
    from tumble.movies import CellMovieFit


def run_movie_fit(
    config: RunConfig,
    output: Path | None,
    overwrite: bool,
    resume: bool,
    seed: int | None,
    quiet: bool,
    json: bool,
) -> None:
    """Fit, write, print."""
    from tumble.io import RunFolder, cell_movie_tree, save_fit

    if resume:
        raise ParameterError(
            "`--resume` has no use for movies of cells, whose fits keep no state; use --overwrite."
        )
    assert config.cells is not None
    seed = config.fit.seed if seed is None else seed
    folder = RunFolder.create(config.output if output is None else output, overwrite=overwrite)
    with folder:
        folder.write_config(config)
        folder.write_environment(seed=seed, run_file=str(config.path))
        fit = config.cells.fit(config.parameters, config.fit.start or {}, seed)
        save_fit(cell_movie_tree(fit, title=config.title), folder.result_path)
        folder.finish("complete", _ending(fit))
    if json:
        _print_json(fit, config, folder)
    elif not quiet:
        _show(fit, config, folder)


def _ending(fit: CellMovieFit) -> str:
    return f"{'converged' if fit.converged else 'not converged'} after {fit.steps} steps"


def _outside(fit: CellMovieFit, config: RunConfig) -> list[str]:
    """Return the names of estimates that are outside the bounds of the run file."""
    bounds: Any = config.parameters
    return [
        name
        for name in fit.standard_errors
        if not bounds[name].lower <= fit.params[name] <= bounds[name].upper
    ]


def _show(fit: CellMovieFit, config: RunConfig, folder: RunFolder) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from tumble.cli._terminal import make_console
    from tumble.report._numbers import to_digits

    console = make_console()
    color, mark = ("green", "✓") if fit.converged else ("yellow", "!")
    console.print(f"\n[bold]{escape(config.title)}[/]")
    console.print(f"[{color} bold]{mark} {_ending(fit)}[/]")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name, style in (("", None), ("estimate", "bold"), ("95 % interval", None)):
        table.add_column(name, justify="right" if name else "left", style=style)
    for name, (low, high) in fit.intervals().items():
        interval = f"{to_digits(low, 3)} – {to_digits(high, 3)}"
        table.add_row(escape(name), to_digits(fit.params[name], 4), interval)
    console.print(table)
    for name in _outside(fit, config):
        console.print(f"[yellow]warning[/] {escape(name)} is outside its bounds, which only say "
                      "where the fit starts")  # fmt: skip
    console.print(f"[dim]result[/] {escape(str(folder.result_path))}")


def _print_json(fit: CellMovieFit, config: RunConfig, folder: RunFolder) -> None:
    from tumble.io import to_json

    intervals = fit.intervals()
    content = {
        "title": config.title,
        "result": _ending(fit),
        "ok": fit.converged,
        "estimates": {
            name: {
                "value": fit.params[name],
                "standard_error": error,
                "interval": intervals[name],
                "pilot": fit.pilot[name],
            }
            for name, error in fit.standard_errors.items()
        },
        "outside_bounds": _outside(fit, config),
        "folder": str(folder.path),
    }
    print(to_json(content, indent=2))

"""The commands and their options. What they do is imported when they run."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_RUN_TO_FIT = typer.Argument(
    metavar="RUN", help="A run file in YAML; to resume, also a folder.", show_default=False
)
_RUN_OR_FOLDER = typer.Argument(
    metavar="RUN", help="A run file, or the folder of a run.", show_default=False
)
_MODEL = typer.Argument(
    metavar="MODEL",
    help="SBML (.xml), Antimony (.ant), reactions (.txt), or a run file (.yaml).",
    show_default=False,
)
_FOLDER = typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)
_SEED = typer.Option(help="Seed of all random numbers; default: that of the run file.", min=0)
_PARAM = typer.Option(
    "--param", "-p", metavar="NAME=VALUE", help="A parameter's value; can be given again."
)
_QUIET = typer.Option("--quiet", "-q", help="Print nothing but errors.")
_JSON = typer.Option("--json", help="Print one JSON object on standard output, and nothing else.")


def _guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn exceptions into one line on standard error and an exit status."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        from tumble._errors import TumbleError

        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            raise typer.Exit(130) from None
        except TumbleError as error:
            _fail(error, str(error), 2)
        except BrokenPipeError:  # the reader has left, as in `tumble … | head`; typer ends quietly
            raise
        except OSError as error:
            where = f" '{error.filename}'" if error.filename else ""
            _fail(error, f"{error.strerror or error}{where}; check the path and permissions.", 2)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            bug = "this is a bug; TUMBLE_DEBUG=1 shows where it happened"
            _fail(error, f"{type(error).__name__}: {error} ({bug})", 1)

    return run


def _fail(error: BaseException, text: str, status: int) -> None:
    if os.environ.get("TUMBLE_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    print(f"error: {' '.join(text.split())}", file=sys.stderr)
    raise typer.Exit(status) from None


def _show_version(wanted: bool) -> None:
    if wanted:
        from tumble import __version__

        print(f"tumble {__version__}")
        raise typer.Exit()


@app.callback()
def tumble(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Fit stochastic, discrete simulators to data, and say how far each answer can be trusted."""


_OUTPUTS = typer.Option(
    "--output",
    "-o",
    help="A file that ends in .json, or .png, .svg, .pdf; can be given again.",
    show_default=False,
)


@app.command()
@_guarded
def fit(
    run: Annotated[Path, _RUN_TO_FIT],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The run folder; default: that of the run file.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that the folder holds.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds.")
    ] = False,
    seed: Annotated[int | None, _SEED] = None,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", help="Do not test the gradient of the fit.")
    ] = False,
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Fit the problem of a run file; leaves a folder with the result and a report."""
    from tumble.cli._fit_command import run_fit

    run_fit(run, output, overwrite, resume, seed, not no_audit, quiet, json)


@app.command()
@_guarded
def learn(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run file.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="The run folder; default: that of the run file.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that the folder holds.")
    ] = False,
    refine: Annotated[
        bool, typer.Option("--refine", help="Fit and test the network on the simulator, too.")
    ] = False,
    seed: Annotated[int | None, _SEED] = None,
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Find out which reactions there are; leaves a folder with the networks and a report."""
    from tumble.cli._learn_command import run_learn

    run_learn(run, output, overwrite, refine, seed, quiet, json)


@app.command()
@_guarded
def simulate(
    run: Annotated[Path, _RUN_OR_FOLDER],
    num_samples: Annotated[
        int | None, typer.Option("--num-samples", "-n", min=1, help="Independent runs.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A file that ends in .nc or .csv.", show_default=False),
    ] = None,
    moments: Annotated[
        bool, typer.Option("--moments", help="Keep means and variances, not the runs.")
    ] = False,
    histogram: Annotated[
        bool, typer.Option("--histogram", help="Keep how many runs have which count.")
    ] = False,
    species: Annotated[
        list[str] | None,
        typer.Option("--species", metavar="NAME", help="Keep this one; can be given again."),
    ] = None,
    param: Annotated[list[str] | None, _PARAM] = None,
    seed: Annotated[int | None, _SEED] = None,
    quiet: Annotated[bool, _QUIET] = False,
) -> None:
    """Run the model of a run file, or of a run at its estimate, and write what is to be kept."""
    from tumble.cli._simulate_command import choose_outputs, run_simulate

    outputs = choose_outputs(moments, histogram, species)
    run_simulate(run, num_samples, output, outputs, param or [], seed, quiet)


@app.command()
@_guarded
def audit(
    run: Annotated[Path, _RUN_OR_FOLDER],
    param: Annotated[list[str] | None, _PARAM] = None,
    seed: Annotated[int | None, _SEED] = None,
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Test the gradient: near the estimate of a run, or where a fit of a run file would start."""
    from tumble.cli._audit_command import run_audit

    run_audit(run, param or [], seed, quiet, json)


@app.command()
@_guarded
def compare(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run file with `models`.", show_default=False)
    ],
    output: Annotated[list[Path] | None, _OUTPUTS] = None,
    seed: Annotated[int | None, _SEED] = None,
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say which of several models explains the data, and how firmly."""
    from tumble.cli._compare_command import run_compare

    run_compare(run, output or [], seed, quiet, json)


@app.command("sample-posterior")
@_guarded
def sample_posterior(
    run: Annotated[Path, _RUN_TO_FIT],
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="The way to sample, such as `adaptive_metropolis`; default: `smc_abc`.",
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            help="The run folder; default: that of the run file, with `-` and the way to sample.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the run that the folder holds.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run that the folder holds.")
    ] = False,
    output: Annotated[list[Path] | None, _OUTPUTS] = None,
    seed: Annotated[int | None, _SEED] = None,
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Draw parameters that may have made the data; leaves a folder with them and a report."""
    from tumble.cli._sample_posterior_command import run_sample_posterior

    run_sample_posterior(run, by, folder, overwrite, resume, output or [], seed, quiet, json)


@app.command("check-posterior")
@_guarded
def check_posterior(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run file.", show_default=False)],
    by: Annotated[
        str,
        typer.Option(
            "--by", help="`fit`, as the file has it, or a way to sample, such as `smc_abc`."
        ),
    ] = "fit",
    repeats: Annotated[int, typer.Option("--repeats", help="Data sets that are simulated.")] = 200,
    output: Annotated[list[Path] | None, _OUTPUTS] = None,
    seed: Annotated[int | None, _SEED] = None,
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Ask whether intervals hold the truth as often as they say, on simulated data."""
    from tumble.cli._check_posterior_command import run_check_posterior

    run_check_posterior(run, by, repeats, output or [], seed, quiet, json)


@app.command()
@_guarded
def check(
    model: Annotated[Path, _MODEL],
    quiet: Annotated[bool, _QUIET] = False,
    json: Annotated[bool, _JSON] = False,
) -> None:
    """Say what a model holds, what is conserved, and what is odd about it."""
    from tumble.cli._check_command import run_check

    run_check(model, quiet, json)


@app.command()
@_guarded
def report(run: Annotated[Path, _FOLDER]) -> None:
    """Write the report of a finished run again."""
    from tumble.io import RunFolder
    from tumble.report import write_report

    folder = RunFolder.open(run)
    print(write_report(folder.require_result(), folder.report_path))


@app.command()
@_guarded
def example(
    name: Annotated[str | None, typer.Argument(help="Which one.", show_default=False)] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="Where to copy it; default: a folder of its name, here.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List the examples, or copy one."""
    from tumble.cli._examples import copy_example, list_examples

    if name is None:
        list_examples()
    else:
        copy_example(name, to)

"""``tumble sample-posterior``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import TumbleError

if TYPE_CHECKING:
    from tumble.io import RunConfig, RunFolder
    from tumble.posteriors import Posterior

_COMMAND = "sample-posterior"
_DRAWS = ".nc"
_BY = "smc_abc"


def run_sample_posterior(
    run: Path,
    by: str | None,
    folder_path: Path | None,
    overwrite: bool,
    resume: bool,
    output: list[Path],
    seed: int | None,
    quiet: bool,
    json: bool,
) -> None:
    """Draw parameters that may have made the data; write, print, and write what else is asked."""
    from tumble.cli._setup import prepare_process

    prepare_process()
    from tumble.cli._outcome import require_writable_kinds, tell
    from tumble.cli._resuming import folder_of, interrupted, read_run
    from tumble.cli._terminal import noting
    from tumble.io._algorithms import make

    require_writable_kinds(output, _DRAWS)
    silent = quiet or json
    config = read_run(run, resume)
    by = _way(run, by, resume)
    method = make("posterior", by, "--by")
    seed = config.fit.seed if seed is None else seed
    problem = config.problem(say=noting(silent))
    path = config.output.with_name(f"{config.output.name}-{by}")
    path = path if folder_path is None else folder_path
    folder = folder_of(run, path, overwrite, resume, _COMMAND)
    try:
        with folder:
            if not resume:  # else a seed that is refused would take the place of the right one
                folder.write_config(config)
                folder.write_environment(seed=seed, run_file=str(config.path), by=by)
            found = _sampled(folder, config, problem, method, seed, silent)
            _write(folder, config, found)
    except KeyboardInterrupt:
        raise interrupted(folder) from None
    places = {"folder": str(folder.path), "report": str(folder.report_path)}
    tell(found, config.title, output, _draw, quiet=quiet, json=json, places=places)
    if found.result.name == "INTERRUPTED":
        raise interrupted(folder)


def _way(run: Path, by: str | None, resume: bool) -> str:
    """Return the way to sample: of a run that goes on in its folder, that which it had."""
    from tumble.io import RunFolder

    if by is None and resume and run.is_dir():
        return str(RunFolder.open(run).environment.get("by", _BY))
    return _BY if by is None else by


def _sampled(
    folder: RunFolder, config: RunConfig, problem: Any, method: Any, seed: int, silent: bool
) -> Posterior:
    from tumble import sample_posterior
    from tumble.io import posterior_tree, save_posterior

    found = sample_posterior(
        problem,
        method=method,
        seed=seed,
        progress=False if silent else None,
        callback=folder.append_round,
        checkpoint=folder.state_path,
    )
    # Saved before the check, so that nothing that happens to it can lose the draws.
    save_posterior(posterior_tree(found, title=config.title), folder.result_path)
    return found


def _write(folder: RunFolder, config: RunConfig, found: Posterior) -> None:
    from dataclasses import replace

    from tumble.diagnostics import posterior_predictive
    from tumble.io import posterior_tree, save_posterior
    from tumble.report import write_report

    stopped = found.result.name == "INTERRUPTED"
    predictive, count = None, config.predictive.num_samples
    if count and not stopped:
        try:
            predictive = posterior_predictive(found, num_samples=count, seed=found.seed)
        except TumbleError as error:
            note = f"no predictive check: {error}"
            found = replace(found, warnings=(*found.warnings, note))
    tree = posterior_tree(found, predictive=predictive, title=config.title)
    save_posterior(tree, folder.result_path)
    write_report(tree, folder.report_path)
    folder.finish("interrupted" if stopped else "complete", found.reason)


def _draw(found: Any) -> Any:
    return found.plot().flat[0].figure

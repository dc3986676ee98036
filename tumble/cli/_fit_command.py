"""``tumble fit``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tumble._errors import ParameterError, TumbleError

if TYPE_CHECKING:
    from tumble._fit_result import FitResult
    from tumble.io import RunConfig, RunFolder


def run_fit(
    run: Path,
    output: Path | None,
    overwrite: bool,
    resume: bool,
    seed: int | None,
    audit: bool,
    quiet: bool,
    json: bool,
) -> None:
    """Fit, check, write, print."""
    from tumble.cli._movie_command import run_movie_fit
    from tumble.cli._resuming import folder_of, interrupted, read_run
    from tumble.cli._setup import prepare_process
    from tumble.cli._terminal import noting, show_fit

    prepare_process()
    silent = quiet or json
    config = read_run(run, resume)
    if config.structure is not None:
        raise ParameterError(
            f"'{run}' has a section `structure`, so its reactions are candidates to choose among, "
            "and no model to fit; use `tumble learn`, or take the section out."
        )
    if config.cells is not None:
        run_movie_fit(config, output, overwrite, resume, seed, quiet, json)
        return
    problem = config.problem(say=noting(silent))
    options = config.fit_options | ({} if seed is None else {"seed": seed})
    folder = folder_of(run, config.output if output is None else output, overwrite, resume, "fit")
    try:
        with folder:
            if not resume:  # else a seed that is refused would take the place of the right one
                folder.write_config(config)
                folder.write_environment(seed=options["seed"], run_file=str(config.path))
            fit = _fit(folder, config, problem, options, silent)
            audited, predictive, notes = _checks(folder, config, fit, options, audit, silent)
            _write(folder, config, fit, options, audited, predictive, notes)
    except KeyboardInterrupt:
        raise interrupted(folder) from None
    if json:
        _print_json(fit, config, audited, predictive, notes, folder)
    elif not quiet:
        show_fit(fit, config.title, audited, predictive, notes, folder.report_path)
    if fit.result.name == "INTERRUPTED":
        raise interrupted(folder)


def _fit(
    folder: RunFolder, config: RunConfig, problem: Any, options: dict[str, Any], silent: bool
) -> FitResult:
    from tumble import fit
    from tumble.io import save_fit

    names = problem.space.names

    def note_step(step: Any) -> None:
        folder.append_step(step, names)

    result = fit(
        problem,
        **options,
        progress=False if silent else None,
        callback=note_step,
        checkpoint=folder.state_path,
    )
    folder.write_checkpoint(result.params, len(result.history))
    # Saved before the checks, so that nothing that happens to them can lose it.
    save_fit(result, folder.result_path, title=config.title, settings=_settings(options))
    return result


def _checks(
    folder: RunFolder,
    config: RunConfig,
    fit: FitResult,
    options: dict[str, Any],
    audit: bool,
    silent: bool,
) -> tuple[Any, Any, list[str]]:
    """Return the audit, the predictive check, and why one of them could not be made."""
    import numpy as np

    from tumble.diagnostics import audit_fit, posterior_predictive

    notes: list[str] = []
    audited = predictive = None
    if fit.result.name in ("INTERRUPTED", "DIVERGED") or not np.all(np.isfinite(fit.theta)):
        return None, None, notes
    if config.predictive.num_samples:
        try:
            predictive = posterior_predictive(
                fit, num_samples=config.predictive.num_samples, seed=options["seed"]
            )
        except TumbleError as error:
            notes.append(f"no predictive check: {error}")
    if audit and config.audit.enabled:
        try:
            audited = audit_fit(fit, budget=config.audit_budget, seed=options["seed"],
                                progress=False if silent else None)  # fmt: skip
        except TumbleError as error:
            notes.append(f"no audit: {error}")
    return audited, predictive, notes


def _write(
    folder: RunFolder,
    config: RunConfig,
    fit: FitResult,
    options: dict[str, Any],
    audited: Any,
    predictive: Any,
    notes: list[str],
) -> None:
    from dataclasses import replace

    from tumble.io import fit_tree, lattice_movie, save_fit
    from tumble.report import write_report

    noted = replace(fit, warnings=(*fit.warnings, *notes))
    tree = fit_tree(noted, audit=audited, predictive=predictive, movie=lattice_movie(noted),
                    title=config.title, settings=_settings(options))  # fmt: skip
    save_fit(tree, folder.result_path)
    write_report(tree, folder.report_path)
    stopped = fit.result.name == "INTERRUPTED"
    folder.finish("interrupted" if stopped else "complete", fit.reason)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    plain = {k: v for k, v in options.items() if isinstance(v, (int, float, str))}
    return plain | {k: str(options[k]) for k in ("budget", "start") if k in options}


def _print_json(
    fit: FitResult,
    config: RunConfig,
    audited: Any,
    predictive: Any,
    notes: list[str],
    folder: RunFolder,
) -> None:
    from tumble.io import to_json

    def entries(estimates: Any) -> dict[str, Any]:
        return {
            e.name: {
                "value": e.value,
                "standard_error": e.standard_error,
                "interval": e.interval,
                "at_bound": e.at_bound,
                "scale": e.scale,
            }
            for e in estimates
        }

    content = {
        "title": config.title,
        "result": fit.result.value,
        "ok": fit.result.ok,
        "reason": fit.reason,
        "advice": fit.result.advice,
        "loss_name": fit.objective.loss_name,
        "loss": fit.loss,
        "estimates": entries(fit.estimates),
        "derived": entries(fit.derived),
        "audit": None if audited is None else audited.to_dict(),
        "predictive": None if predictive is None else {
            "coverage": {b.name: b.coverage for b in predictive.experiments},
            "verdict": predictive.verdict,
        },
        "warnings": [*fit.warnings, *notes],
        "runs": fit.stats.get("runs"),
        "seconds": fit.stats.get("seconds"),
        "folder": str(folder.path),
        "report": str(folder.report_path),
    }  # fmt: skip
    print(to_json(content, indent=2))

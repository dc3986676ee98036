"""``tumble audit``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tumble._errors import ParameterError, require_known


def run_audit(run: Path, param: Sequence[str], seed: int | None, quiet: bool, json: bool) -> None:
    """Audit a run near its estimate, or a run file where its fit would start."""
    from tumble.cli._params import parse_params
    from tumble.cli._setup import prepare_process
    from tumble.cli._terminal import show_audit

    prepare_process()
    from tumble.io import to_json

    given = parse_params(param)
    audit = _audit_folder if run.is_dir() else _audit_file
    audited = audit(run, given, seed, quiet or json)
    if json:
        print(to_json(audited.to_dict(), indent=2))
    elif not quiet:
        show_audit(audited)


def _audit_folder(run: Path, given: dict[str, float], seed: int | None, silent: bool) -> Any:
    from tumble.cli._terminal import noting
    from tumble.diagnostics import audit_fit
    from tumble.io import RunFolder, load_fit, restore_fit, save_fit
    from tumble.objectives import default_objective
    from tumble.report import write_report

    folder = RunFolder.open(run)
    tree = load_fit(folder.require_result())
    if given:
        raise ParameterError(
            "`--param` goes with a run file; a run is audited near its own estimate."
        )
    if "structure" in tree.children:
        raise ParameterError(
            f"the run in '{run}' learnt which reactions there are, by a likelihood; it has no "
            "simulated gradient to audit."
        )
    config = folder.config()
    problem = config.problem(say=noting(silent=True))
    fit = restore_fit(tree, problem, config.objective or default_objective(problem))
    seed = int(folder.environment.get("seed", 0)) if seed is None else seed
    audited = audit_fit(
        fit, budget=config.audit_budget, seed=seed, progress=False if silent else None
    )
    save_fit(tree, folder.result_path, audit=audited)
    write_report(folder.result_path, folder.report_path)
    return audited


def _audit_file(run: Path, given: dict[str, float], seed: int | None, silent: bool) -> Any:
    from tumble._random import Stream
    from tumble.cli._terminal import note, noting
    from tumble.diagnostics import audit_gradient
    from tumble.io import load_run_config

    config = load_run_config(run)
    problem = config.problem(say=noting(silent))
    space = problem.space
    require_known(given, space.parameters, what="`--param` names parameter", owner="the run file",
                  error=ParameterError)  # fmt: skip
    start = space.from_fit(space.starts(1, Stream.from_seed(0))[0])
    params = {**space.unpack(start), **(config.fit.start or {}), **given}
    space.pack(params)  # so that values outside the bounds are refused before anything is said
    if not silent:
        shown = ", ".join(f"{k} = {float(v):.4g}" for k, v in params.items())
        note(f"at {shown}")
    return audit_gradient(
        problem,
        params,
        objective=config.objective,
        budget=config.audit_budget,
        seed=config.fit.seed if seed is None else seed,
        progress=False if silent else None,
    )

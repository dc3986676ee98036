"""From a stored fit back to a `FitResult`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import RunFolderError
from tumble._fit_result import FitResult, FitStep
from tumble._results import ResultCode

if TYPE_CHECKING:
    from tumble._problem import Problem


def restore_fit(tree: Any, problem: Problem, objective: Any) -> FitResult:
    """Return the `FitResult` of a stored fit, given the problem and the objective it had.

    ``tree`` as `load_fit` gives it. Raises `RunFolderError` when the parameters of the problem are
    not those of the fit.
    """
    fit, history = tree["fit"], tree["history"]
    names = tuple(str(n) for n in fit["parameter"].values)
    if names != problem.space.names:
        raise RunFolderError(
            f"the stored fit has parameters {', '.join(names)}, but the problem has "
            f"{', '.join(problem.space.names)}; run the fit again."
        )
    columns = ("step", "phase", "loss", "gradient_norm", "noise_norm", "num_runs", "seconds")
    params = [tuple(row) for row in history["params"].values.tolist()]
    steps = zip(*(history[c].values.tolist() for c in columns), params, strict=True)
    return FitResult(
        problem=problem,
        objective=objective,
        gradient=fit.attrs["gradient"],
        optimizer=fit.attrs["optimizer"],
        theta=np.asarray(fit["estimate"].values, dtype=float),
        covariance=np.asarray(fit["covariance"].values, dtype=float),
        loss=float(fit.attrs["loss"]),
        result=ResultCode(fit.attrs["result"]),
        reason=fit.attrs["reason"],
        history=tuple(FitStep(*step) for step in steps),
        starts=np.asarray(fit["start_loss"].values, dtype=float),
        warnings=tuple(json.loads(fit.attrs["warnings"])),
        stats=json.loads(fit.attrs["stats"]),
        uncertainty=fit.attrs["uncertainty"],
    )

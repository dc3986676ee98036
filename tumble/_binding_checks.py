"""Whether what is observed in an experiment can be computed, and be what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tumble._errors import DataError, ModelError, require_known
from tumble._expressions import TIME, Expression


def check_columns(binding: Any) -> None:
    """Raise `DataError` unless each column of the data is an observable."""
    require_known(binding.observed.names, binding.observables, what="`data` has column",
                  owner="the problem", error=DataError)  # fmt: skip


def check_observables(
    binding: Any, formulas: Mapping[str, Expression], varying: Mapping[str, str]
) -> None:
    """Raise `ModelError` unless the observables in the data can be computed.

    ``formulas``, of these; ``varying``, by what stands for them, the names of parameters that
    differ from run to run.
    """
    numbers = [*binding.space.parameters, *binding.fixed]
    arrays = {k: p.shape for k, p in binding.space.parameters.items() if p.shape}
    for name in binding.observed.names:
        observable = binding.observables[name]
        if TIME in formulas[name].names and TIME not in numbers:
            raise ModelError(
                f"observable {name!r} depends on `time`, but observables are functions of the "
                "state; let a rate or an experiment's condition depend on it."
            )
        for used in set(varying) & set(formulas[name].names):
            raise ModelError(
                f"observable {name!r} reads {varying[used]!r}, which differs from run to run; "
                "observe a species instead."
            )
        for used in formulas[name].names:
            if used in binding.model.variables and used not in numbers:
                raise ModelError(
                    f"observable {name!r} reads variable {used!r}, but observables are "
                    "functions of counts and parameters so far; observe a species instead."
                )
        for used in (*observable.expression.names, *observable.noise.names):
            if used in arrays:
                raise ModelError(
                    f"observable {name!r} uses {used!r} as one number, but parameter {used!r} "
                    f"has shape {arrays[used]}; give it an entry of its own."
                )
        known = [
            *binding.model.species,
            *numbers,
            *binding.model.definitions,
            *binding.model.variables,
        ]
        require_known(observable.expression.with_constants(known).names, known,
                      what=f"observable {name!r} uses", owner="the problem",
                      error=ModelError)  # fmt: skip
        require_known(observable.noise.names, numbers,
                      what=f"the noise of observable {name!r} uses parameter",
                      owner="the problem", error=ModelError)  # fmt: skip


def check_data(binding: Any) -> None:
    """Raise `DataError` for data that their noise cannot make."""
    for o, name in enumerate(binding.observed.names):
        noise = binding.observables[name].noise
        column = binding.observed.values[..., o]
        given = column[np.isfinite(column)]
        if binding.is_exact[o] and not binding.model.shows_counts:
            continue
        if (noise.counts or noise.positive) and np.any(given < 0):
            raise DataError(
                f"`data` column {name!r} holds {given.min():g}, but {type(noise).__name__} "
                "data cannot be negative; correct the datum or mark it missing."
            )
        if noise.positive and np.any(given == 0):
            raise DataError(f"`data` column {name!r} holds 0, but LogNormal data are positive.")
        whole = binding.experiment.kind != "mean" and noise.counts
        if whole and np.any(given != np.rint(given)):
            odd = given[given != np.rint(given)][0]
            raise DataError(
                f"`data` column {name!r} holds {odd:g}, but {type(noise).__name__} data are "
                "whole numbers; choose another noise, or kind='mean' for averages."
            )

"""What a result keeps of its problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._parameters import Ref
from tumble._random_effect import RandomEffect
from tumble.io._run_folder import to_json
from tumble.models import ReactionNetwork

if TYPE_CHECKING:
    import xarray as xr

    from tumble._problem import Problem


def observed_data(problem: Problem) -> xr.Dataset:
    """Return the data: one variable an observable, with dimensions (replicate, time).

    With several experiments, names end in the number of the experiment: ``in_bed_0``. Attributes
    of a variable name the ``experiment`` and the ``observable``.
    """
    import xarray as xr

    data: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    count = len(problem.experiments)
    for i, experiment in enumerate(problem.experiments):
        suffix = "" if count == 1 else f"_{i}"
        observed = experiment.data
        coords[f"time{suffix}"] = observed.times
        for o, name in enumerate(observed.names):
            data[variable_name(name) + suffix] = (
                (f"replicate{suffix}", f"time{suffix}"),
                observed.values[:, :, o],
                {"experiment": i, "observable": name},
            )
    return xr.Dataset(data, coords, {"kind": problem.kind})


def constant_data(problem: Problem) -> xr.Dataset:
    """Return what is known of the problem beside the data."""
    import xarray as xr

    model = problem.model
    known = problem.fixed
    observables: Any = problem.observables
    reactions = [str(r) for r in model.reactions]
    is_network = isinstance(model, ReactionNetwork)
    changes = model.stoichiometry if is_network else np.zeros((len(model.species), 0), np.int64)
    laws = [str(law) for law in model.conservation_laws] if is_network else []
    return xr.Dataset(
        {
            "stoichiometry": (("species", "reaction"), changes),
            "known": ("known_parameter", np.array(list(known.values()), dtype=float)),
        },
        {
            "species": np.array(model.species, dtype="U"),
            "reaction": np.array(reactions, dtype="U"),
            "known_parameter": np.array(list(known), dtype="U"),
        },
        {
            "model": model.to_text(),
            "conservation_laws": to_json(laws),
            "observables": to_json(
                {
                    k: {"formula": v.formula, "noise": describe_noise(v.noise)}
                    for k, v in observables.items()
                }
            ),
            "experiments": to_json([_experiment(e) for e in problem.experiments]),
            "simulator": str(problem.simulator),
        },
    )


def describe_noise(noise: Any) -> str:
    """Return ``NegativeBinomial(phi)`` or ``Normal(sd=2)``."""
    settings = [key if key == value else f"{key}={value}" for key, value in noise.arguments.items()]
    return f"{type(noise).__name__}({', '.join(settings)})" if settings else type(noise).__name__


def variable_name(observable: str) -> str:
    """Return a name that netCDF allows; the attribute ``observable`` keeps the original."""
    return observable.replace("/", "_")


def _experiment(experiment: Any) -> dict[str, Any]:
    return {
        "initial": {k: describe_value(v) for k, v in experiment.initial.items()},
        "conditions": {k: describe_value(v) for k, v in experiment.conditions.items()},
        "start": experiment.start,
        "kind": experiment.kind,
        "num_averaged": experiment.num_averaged,
    }


def describe_value(value: Any) -> Any:
    """Return a number as it is, the name of a `Ref`, and anything else as text."""
    if isinstance(value, RandomEffect):
        return f"{describe_value(value.median)} exp({describe_value(value.sigma)} ε)"
    if isinstance(value, Ref):
        return value.name if value.index is None else f"{value.name}[{value.index}]"
    return float(value) if isinstance(value, (int, float, np.number)) else str(value)

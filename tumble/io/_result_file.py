"""Results as files: one netCDF file that holds everything a report shows."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import RunFolderError
from tumble.io._atomic import replacing
from tumble.io._environment import describe_environment
from tumble.io._problem_record import constant_data, observed_data, variable_name
from tumble.io._run_folder import to_json

if TYPE_CHECKING:
    import xarray as xr

    from tumble._fit_result import Estimate, FitResult
    from tumble._parameters import ParameterSpace

FORMAT = 1
"""Version of the layout, in the attribute ``format`` of the root."""


def save_fit(
    fit: FitResult | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    audit: Any = None,
    predictive: Any = None,
    title: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write a fit to a netCDF file, completely or not at all, and return its path.

    Arguments: ``fit``, and with it ``audit`` (a `GradientAudit`), ``predictive`` (a
    `PosteriorPredictive`), a ``title``, and ``settings``, name → value, that a report should show;
    see `fit_tree` for the groups. Raises `RunFolderError` when the file cannot be written.
    """
    path = Path(path)
    tree = fit_tree(fit, audit=audit, predictive=predictive, title=title, settings=settings)
    with replacing(path) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")
    return path


def open_tree(path: Path, what: str) -> xr.DataTree:
    """Read a netCDF file of ``what`` into memory. Raises `RunFolderError`."""
    import xarray as xr

    if not path.is_file():
        raise RunFolderError(f"there is no file '{path}'; check the path.")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as file:
            return file.load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunFolderError(f"'{path}' is not a netCDF file of {what}: {reason[:200]}.") from None


def load_fit(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read what `save_fit` wrote, into memory. Raises `RunFolderError`."""
    path = Path(path)
    tree = open_tree(path, "a fit")
    if "format" not in tree.attrs or "fit" not in tree.children:
        raise RunFolderError(f"'{path}' holds no fit of tumble, expected a file of `save_fit`.")
    require_format(tree, path)
    return tree


def require_format(tree: xr.DataTree, path: Path) -> None:
    """Raise `RunFolderError` for a file of a newer layout."""
    if tree.attrs["format"] > FORMAT:
        raise RunFolderError(
            f"'{path}' was written by tumble {tree.attrs.get('tumble', '?')} in a newer layout; "
            "update tumble to read it."
        )


def fit_tree(
    fit: FitResult | xr.DataTree,
    *,
    audit: Any = None,
    predictive: Any = None,
    movie: xr.Dataset | None = None,
    title: str = "",
    settings: Mapping[str, Any] | None = None,
) -> xr.DataTree:
    """Return a fit as an `xarray.DataTree`.

    Groups, the first three named as ArviZ names them:

    - ``observed_data``: one variable an observable, dimensions (replicate, time).
    - ``posterior_predictive``: their quantiles, dimensions (quantile, time); with ``predictive``.
    - ``constant_data``: the model, initial states and known parameters.
    - ``fit``: estimates, intervals, covariance, final losses of the starts; how the fit ended.
    - ``history``: one entry a step.
    - ``audit``: one entry a parameter and estimator; with ``audit``.
    - ``movie``: frames of a lattice at the estimate; with ``movie``, as `lattice_movie` makes it.

    A tree that is given instead of a fit is returned with what is new replaced.
    """
    import xarray as xr

    if isinstance(fit, xr.DataTree):
        tree = fit.copy()
    else:
        tree = xr.DataTree.from_dict(
            {
                "/": xr.Dataset(attrs=root_attributes()),
                "/observed_data": observed_data(fit.problem),
                "/constant_data": constant_data(fit.problem),
                "/fit": _fit_group(fit),
                "/history": _history_group(fit),
            }
        )
    if title:
        tree.attrs["title"] = title
    if settings is not None:
        tree.attrs["settings"] = to_json(dict(settings))
    if predictive is not None:
        tree["posterior_predictive"] = xr.DataTree(predictive_group(predictive))
    if audit is not None:
        tree["audit"] = xr.DataTree(_audit_group(audit))
    if movie is not None:
        tree["movie"] = xr.DataTree(movie)
    return tree


def root_attributes() -> dict[str, Any]:
    """Return the attributes of the root of a file: its layout, when it was written, and by what."""
    environment = describe_environment()
    return {
        "format": FORMAT,
        "title": "",
        "settings": "{}",
        "tumble": environment["versions"]["tumble"],
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "environment": to_json(environment),
    }


def _fit_group(fit: FitResult) -> xr.Dataset:
    import xarray as xr

    space, derived = fit.problem.space, fit.derived
    data: dict[str, Any] = _estimate_columns("parameter", fit.estimates)
    data |= _estimate_columns("derived", derived, "derived_")
    data["formula"] = "derived", words(fit.problem.derived[e.name] for e in derived)
    data |= bounds_columns(space, fit.fit_scale)
    data["covariance"] = ("parameter", "parameter_"), np.asarray(fit.covariance, dtype=float)
    data["start_loss"] = "start", np.asarray(fit.starts, dtype=float)
    coords = {"parameter": words(space.names), "derived": words(e.name for e in derived)}
    attributes = {
        "loss": float(fit.loss),
        "loss_name": fit.objective.loss_name,
        "result": fit.result.value,
        "ok": int(fit.result.ok),
        "reason": fit.reason,
        "advice": fit.result.advice,
        "objective": str(fit.objective),
        "gradient": fit.gradient,
        "optimizer": fit.optimizer,
        "uncertainty": fit.uncertainty,
        "warnings": to_json(list(fit.warnings)),
        "citations": to_json(list(fit.citations())),
        "stats": to_json(dict(fit.stats)),
    }
    return xr.Dataset(data, coords, attributes)


def _estimate_columns(
    dim: str, estimates: tuple[Estimate, ...], prefix: str = ""
) -> dict[str, Any]:
    return {
        f"{prefix}estimate": (dim, _numbers(e.value for e in estimates)),
        f"{prefix}standard_error": (dim, _numbers(e.standard_error for e in estimates)),
        f"{prefix}interval_low": (dim, _numbers(e.interval[0] for e in estimates)),
        f"{prefix}interval_high": (dim, _numbers(e.interval[1] for e in estimates)),
        f"{prefix}at_bound": (dim, np.array([e.at_bound for e in estimates], dtype=bool)),
        f"{prefix}scale": (dim, words(e.scale for e in estimates)),
    }


def bounds_columns(space: ParameterSpace, z: np.ndarray) -> dict[str, Any]:
    """Return bounds and priors of each parameter, and where between the bounds z [P] lies."""
    priors: list[str] = []
    for parameter in space.parameters.values():
        text = "" if parameter.prior is None else str(parameter.prior)
        priors += [text] * int(np.prod(parameter.shape, dtype=int))
    return {
        "lower_bound": ("parameter", np.asarray(space.from_fit(space.lower))),
        "upper_bound": ("parameter", np.asarray(space.from_fit(space.upper))),
        "position": ("parameter", (z - space.lower) / (space.upper - space.lower)),
        "prior": ("parameter", words(priors)),
    }


def _history_group(fit: FitResult) -> xr.Dataset:
    import xarray as xr

    steps = fit.history
    size = fit.problem.space.size
    return xr.Dataset(
        {
            "loss": ("step", _numbers(s.loss for s in steps)),
            "gradient_norm": ("step", _numbers(s.gradient_norm for s in steps)),
            "noise_norm": ("step", _numbers(s.noise_norm for s in steps)),
            "num_runs": ("step", _numbers(s.num_runs for s in steps)),
            "seconds": ("step", _numbers(s.seconds for s in steps)),
            "phase": ("step", words(s.phase for s in steps)),
            "params": (
                ("step", "parameter"),
                np.array([s.params for s in steps], dtype=float).reshape(len(steps), size),
            ),
        },
        {
            "step": np.array([s.step for s in steps], dtype=np.int64),
            "parameter": words(fit.problem.space.names),
        },
    )


def predictive_group(predictive: Any) -> xr.Dataset:
    """Return quantiles of simulated data, one variable an observable."""
    import xarray as xr

    data: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    count = len(predictive.experiments)
    for i, band in enumerate(predictive.experiments):
        suffix = "" if count == 1 else f"_{i}"
        coords[f"time{suffix}"] = np.asarray(band.times, dtype=float)
        coords["quantile"] = np.asarray(band.levels, dtype=float)
        for o, name in enumerate(band.observables):
            data[variable_name(name) + suffix] = (
                ("quantile", f"time{suffix}"),
                np.asarray(band.quantiles, dtype=float)[:, :, o],
                {
                    "experiment": i,
                    "experiment_name": str(band.name),
                    "observable": name,
                    "coverage": float(np.mean(band.coverage)),
                    "quiet_fraction": float(band.quiet_fraction),
                },
            )
    attributes = {
        "num_samples": int(predictive.num_samples),
        "verdict": str(predictive.verdict),
        "summary": predictive.summary(),
    }
    return xr.Dataset(data, coords, attributes)


def _audit_group(audit: Any) -> xr.Dataset:
    import xarray as xr

    rows = audit.rows
    texts = ("estimator", "parameter", "verdict")
    numbers = ("estimate", "standard_error", "reference", "reference_error", "margin",
               "runs_needed", "work_variance")  # fmt: skip
    data: dict[str, Any] = {n: ("row", words(getattr(r, n) for r in rows)) for n in texts}
    data |= {n: ("row", _numbers(getattr(r, n) for r in rows)) for n in numbers}
    attributes = {
        "reference": str(audit.reference),
        "words": str(audit.words),
        "verdicts": to_json({str(k): str(v) for k, v in audit.verdicts.items()}),
        "params": to_json(_plain(audit.params)),
        "displacement": to_json({k: list(v) for k, v in audit.displacement.items()}),
        "summary": audit.summary(),
    }
    return xr.Dataset(data, attrs=attributes)


def _plain(params: Mapping[str, Any]) -> dict[str, Any]:
    return {k: np.asarray(v, dtype=float).tolist() for k, v in params.items()}


def _numbers(values: Any) -> np.ndarray:
    return np.array([float(v) for v in values], dtype=float)


def words(values: Any) -> np.ndarray:
    """Return texts as an array."""
    return np.array([str(v) for v in values], dtype="U")

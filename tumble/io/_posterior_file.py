"""A posterior as a netCDF file, in groups as ArviZ names them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import RunFolderError
from tumble.io._atomic import replacing
from tumble.io._problem_record import constant_data, observed_data
from tumble.io._result_file import (
    bounds_columns,
    load_fit,
    open_tree,
    predictive_group,
    require_format,
    root_attributes,
    words,
)
from tumble.io._run_folder import to_json
from tumble.posteriors import AdjustedChains, Chains, NearDataSets, Posterior

if TYPE_CHECKING:
    import xarray as xr


def save_posterior(posterior: Posterior | xr.DataTree, path: str | os.PathLike[str]) -> Path:
    """Write a posterior to a netCDF file, completely or not at all, and return its path.

    See `posterior_tree` for the groups. Raises `RunFolderError` when the file cannot be written.
    """
    path = Path(path)
    tree = posterior_tree(posterior)
    with replacing(path) as temporary:
        tree.to_netcdf(temporary, engine="h5netcdf")
    return path


def load_posterior(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read what `save_posterior` wrote, into memory. Raises `RunFolderError`."""
    path = Path(path)
    tree = open_tree(path, "a posterior")
    if "weighted_posterior" not in tree.children:
        raise RunFolderError(
            f"'{path}' holds no posterior of tumble, expected a file of `save_posterior`."
        )
    require_format(tree, path)
    return tree


def load_result(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read what `save_fit` or `save_posterior` wrote, into memory. Raises `RunFolderError`."""
    tree = open_tree(Path(path), "a fit or a posterior")
    return load_posterior(path) if "weighted_posterior" in tree.children else load_fit(path)


def posterior_tree(
    posterior: Posterior | xr.DataTree, *, predictive: Any = None, title: str = "",
    settings: Mapping[str, Any] | None = None,
) -> xr.DataTree:  # fmt: skip
    """Return a posterior as an `xarray.DataTree`.

    Arguments: ``posterior``, and with it ``predictive`` (a `PosteriorPredictive`), a ``title``, and
    ``settings``, name → value, that a report should show. A tree that is given instead of a
    posterior is returned with what is new replaced.

    Groups, of which ArviZ knows the first four:

    - ``posterior``: *even* draws, one variable a parameter with dimensions (chain, draw, …): the
      chains as they are, or as many as there are weighted ones, drawn from these.
    - ``observed_data``: one variable an observable, dimensions (replicate, time).
    - ``constant_data``: the model, initial states and known parameters.
    - ``posterior_predictive``: quantiles of simulated data, dimensions (quantile, time); with
      ``predictive``.
    - ``estimates``: medians, means, intervals and effective draws of each parameter and derived
      quantity, beside bounds and priors.
    - ``weighted_posterior``: the draws as they are, with their ``weight``, dimension (particle, …),
      and, where data sets were compared, the ``distance`` of theirs; its attributes say how they
      were made.
    - ``unadjusted_posterior``: the same before regression adjustment, where there was one.
    - ``rounds``: one entry a round.
    """
    import xarray as xr

    tree = posterior.copy() if isinstance(posterior, xr.DataTree) else _tree(posterior)
    if title:
        tree.attrs["title"] = title
    if settings is not None:
        tree.attrs["settings"] = to_json(dict(settings))
    if predictive is not None:
        tree["posterior_predictive"] = xr.DataTree(predictive_group(predictive))
    return tree


def _tree(posterior: Posterior) -> xr.DataTree:
    import xarray as xr

    basis = posterior.basis
    weighted = _draws(posterior, posterior.theta, ("particle",)).assign(
        weight=("particle", posterior.weights)
    )
    attributes = {
        "method": str(posterior.method),
        "basis": basis.words,
        "seed": str(posterior.seed),  # it may be larger than any number that netCDF has
        "result": posterior.result.value,
        "ok": int(posterior.result.ok),
        "reason": posterior.reason,
        "advice": posterior.result.advice,
        "warnings": to_json(list(posterior.cautions)),
        "citations": to_json(list(posterior.citations())),
        "effective_sample_size": posterior.effective_sample_size,
        "stats": to_json(dict(posterior.stats)),
    }
    groups = {"/": xr.Dataset(attrs=root_attributes())}
    even = posterior.sample(len(posterior.theta))[None]
    if isinstance(basis, NearDataSets):
        weighted = weighted.assign(distance=("particle", basis.distances))
        attributes["summary"] = str(basis.summary)
        groups["/unadjusted_posterior"] = _draws(posterior, basis.unadjusted, ("particle",)).assign(
            weight=("particle", basis.unadjusted_weights)
        )
    elif isinstance(basis, (Chains, AdjustedChains)):
        chains = basis if isinstance(basis, Chains) else basis.chains
        even = np.asarray(posterior.problem.space.from_fit(chains.z))
    groups["/posterior"] = _draws(posterior, even, ("chain", "draw"))
    groups["/observed_data"] = observed_data(posterior.problem)
    groups["/constant_data"] = constant_data(posterior.problem)
    groups["/estimates"] = _estimates(posterior)
    groups["/weighted_posterior"] = weighted.assign_attrs(attributes)
    groups["/rounds"] = _rounds(posterior)
    return xr.DataTree.from_dict(groups)


def _estimates(posterior: Posterior) -> xr.Dataset:
    """Return what is said of each parameter, and of each derived quantity."""
    import xarray as xr

    space, told = posterior.problem.space, posterior.estimates()
    data: dict[str, Any] = {}
    for dim, prefix, names in (
        ("parameter", "", space.names), ("derived", "derived_", tuple(posterior.problem.derived)),
    ):  # fmt: skip
        for column in ("median", "mean", "sd"):
            data[prefix + column] = dim, np.array([told[n][column] for n in names])
        for side, column in enumerate(("interval_low", "interval_high")):
            data[prefix + column] = dim, np.array([told[n]["interval"][side] for n in names])
    data |= bounds_columns(space, np.asarray(space.to_fit(data["median"][1])))
    data["effective_sample_size"] = "parameter", posterior.effective_sample_sizes
    data["scale"] = "parameter", words(space.scales)
    data["formula"] = "derived", words(posterior.problem.derived.values())
    coords = {"parameter": words(space.names), "derived": words(posterior.problem.derived)}
    return xr.Dataset(data, coords)


def _rounds(posterior: Posterior) -> xr.Dataset:
    """Return what each round did, one variable a figure."""
    import xarray as xr

    names = [f.name for f in fields(posterior.rounds[0])]
    return xr.Dataset(
        {
            name: ("round", np.array([getattr(r, name) for r in posterior.rounds], dtype=float))
            for name in names
        }
    )


def _draws(posterior: Posterior, theta: np.ndarray, dims: tuple[str, ...]) -> xr.Dataset:
    """Return draws [..., P] as one variable a parameter."""
    import xarray as xr

    data: dict[str, Any] = {}
    at = 0
    for name, parameter in posterior.problem.space.parameters.items():
        size = int(np.prod(parameter.shape, dtype=int))
        values = theta[..., at : at + size].reshape(*theta.shape[:-1], *parameter.shape)
        own = tuple(f"{name}_dim_{i}" for i in range(len(parameter.shape)))
        data[name] = ((*dims, *own), values)
        at += size
    coords = {dim: np.arange(n) for dim, n in zip(dims, theta.shape, strict=False)}
    return xr.Dataset(data, coords)

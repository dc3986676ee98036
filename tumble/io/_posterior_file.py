"""A posterior as a netCDF file, in groups as ArviZ names them."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import RunFolderError
from tumble.io._atomic import replacing
from tumble.io._problem_record import constant_data, observed_data
from tumble.io._result_file import open_tree, root_attributes
from tumble.io._run_folder import to_json
from tumble.posteriors import AdjustedChains, Chains, NearDataSets, Posterior

if TYPE_CHECKING:
    import xarray as xr


def save_posterior(posterior: Posterior, path: str | os.PathLike[str]) -> Path:
    """Write a posterior to a netCDF file, completely or not at all, and return its path.

    See `posterior_tree` for the groups. Raises `RunFolderError` when the file cannot be written.
    """
    path = Path(path)
    with replacing(path) as temporary:
        posterior_tree(posterior).to_netcdf(temporary, engine="h5netcdf")
    return path


def load_posterior(path: str | os.PathLike[str]) -> xr.DataTree:
    """Read what `save_posterior` wrote, into memory. Raises `RunFolderError`."""
    path = Path(path)
    tree = open_tree(path, "a posterior")
    if "weighted_posterior" not in tree.children:
        raise RunFolderError(
            f"'{path}' holds no posterior of tumble, expected a file of `save_posterior`."
        )
    return tree


def posterior_tree(posterior: Posterior) -> xr.DataTree:
    """Return a posterior as an `xarray.DataTree`.

    Groups, of which ArviZ knows the first three:

    - ``posterior``: *even* draws, one variable a parameter with dimensions (chain, draw, …): the
      chains as they are, or as many as there are weighted ones, drawn from these.
    - ``observed_data``: one variable an observable, dimensions (replicate, time).
    - ``constant_data``: the model, initial states and known parameters.
    - ``weighted_posterior``: the draws as they are, with their ``weight``, dimension (particle, …),
      and, where data sets were compared, the ``distance`` of theirs; its attributes say how they
      were made.
    - ``unadjusted_posterior``: the same before regression adjustment, where there was one.
    - ``rounds``: one entry a round.
    """
    import xarray as xr

    basis = posterior.basis
    weighted = _draws(posterior, posterior.theta, ("particle",)).assign(
        weight=("particle", posterior.weights)
    )
    attributes = {
        "method": str(posterior.method),
        "result": posterior.result.value,
        "reason": posterior.reason,
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
    groups["/weighted_posterior"] = weighted.assign_attrs(attributes)
    groups["/rounds"] = _rounds(posterior)
    return xr.DataTree.from_dict(groups)


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

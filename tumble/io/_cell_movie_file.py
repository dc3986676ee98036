"""Fits of movies of cells as files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tumble.io._result_file import root_attributes

if TYPE_CHECKING:
    import xarray as xr

    from tumble.movies import CellMovieFit


def cell_movie_tree(fit: CellMovieFit, *, title: str = "") -> xr.DataTree:
    """Return a fit of `CellMovie` as an `xarray.DataTree`, which `save_fit` takes.

    Its group ``fit`` holds, for each unknown parameter, ``estimate``, ``standard_error``,
    ``interval_low`` and ``interval_high`` of 95 %, the ``pilot``, and their ``covariance``.
    """
    import xarray as xr

    names = list(fit.standard_errors)
    low, high = np.array([fit.intervals()[name] for name in names]).T
    columns = {
        "estimate": [fit.params[name] for name in names],
        "standard_error": [fit.standard_errors[name] for name in names],
        "interval_low": low,
        "interval_high": high,
        "pilot": [fit.pilot[name] for name in names],
    }
    data = {what: ("parameter", np.asarray(values, float)) for what, values in columns.items()}
    group = xr.Dataset(
        {**data, "covariance": (("parameter", "parameter_"), fit.covariance)},
        {"parameter": np.array(names, dtype="U")},
        {"converged": int(fit.converged), "steps": fit.steps},
    )
    attributes = root_attributes() | {"title": title}
    return xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes), "/fit": group})

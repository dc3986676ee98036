"""Data and what the fitted model predicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, require_known
from tumble.plot._style import BLUE, as_tree, ink, new_axes, paper, quiet

if TYPE_CHECKING:
    import xarray as xr

_FEW = 6  # replicates up to this many are drawn with full markers
_MOST_POINTS = 800  # of data; more would make a page heavy and show nothing further
_MOST_TIMES = 800  # of a band


def fit_band(
    source: Any, *, experiment: int = 0, observable: str | None = None, ax: Any = None
) -> Any:
    """Draw the data and, where there are any, the quantiles of data simulated from the fit.

    Arguments: ``source``, a stored fit (`DataTree` or its path) or a `FitResult`; ``experiment``,
    its number; ``observable``, its name, default the first; ``ax``, default axes of a new figure.
    Returns ``ax``. Raises `DataError` for an experiment or observable that is not there.
    """
    tree = as_tree(source)
    observed = _variable(tree, "observed_data", experiment, observable)
    ax = new_axes() if ax is None else ax
    if "posterior_predictive" in tree.children:
        name = str(observed.attrs["observable"])
        _draw_bands(ax, _variable(tree, "posterior_predictive", experiment, name))
    _draw_data(ax, observed)
    ax.set_xlabel("time")
    ax.set_ylabel(str(observed.attrs["observable"]))
    if ax.get_ylim()[0] < 0 <= float(np.nanmin(observed.values)):
        ax.set_ylim(bottom=0)
    quiet(ax)
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], frameon=False)
    return ax


def panels(source: Any) -> list[tuple[int, str]]:
    """Return (experiment, observable) of everything that `fit_band` can draw."""
    tree = as_tree(source)
    return [
        (int(v.attrs["experiment"]), str(v.attrs["observable"]))
        for v in tree["observed_data"].data_vars.values()
    ]


def _variable(
    tree: xr.DataTree, group: str, experiment: int, observable: str | None
) -> xr.DataArray:
    variables = [v for v in tree[group].data_vars.values() if v.attrs["experiment"] == experiment]
    if not variables:
        raise DataError(
            f"`experiment` is {experiment}, but the fit has no experiment of that number."
        )
    if observable is None:
        return variables[0]
    by_name = {str(v.attrs["observable"]): v for v in variables}
    require_known([observable], by_name, what="`observable` is", owner=f"experiment {experiment}",
                  error=DataError)  # fmt: skip
    return by_name[observable]


def _draw_bands(ax: Any, quantiles: xr.DataArray) -> None:
    thin = -(-quantiles.shape[1] // _MOST_TIMES)
    times = quantiles[quantiles.dims[1]].values[::thin]
    levels, values = quantiles["quantile"].values, quantiles.values[:, ::thin]
    for depth in range(len(levels) // 2):
        share = 100 * (levels[-1 - depth] - levels[depth])
        ax.fill_between(
            times,
            values[depth],
            values[-1 - depth],
            color=BLUE,
            alpha=0.16 + 0.14 * depth,
            linewidth=0,
            label=f"{share:.0f} % of the runs",
        )
    if len(levels) % 2:
        ax.plot(
            times, values[len(levels) // 2], color=BLUE, linewidth=1.8, label="median of the runs"
        )


def _draw_data(ax: Any, observed: xr.DataArray) -> None:
    times = observed[observed.dims[1]].values
    count, length = observed.shape
    few = count <= _FEW
    shown = max(1, min(count, _MOST_POINTS // length))
    thin = -(-length // _MOST_POINTS)
    label = "data" if shown == count else f"data, {shown} of {count} replicates"
    for i, series in enumerate(observed.values[:shown]):
        ax.plot(
            times[::thin],
            series[::thin],
            "o",
            markersize=5.5 if few else 3,
            color=ink(),
            markeredgecolor=paper(),
            markeredgewidth=0.8 if few else 0.3,
            alpha=1 if few else 0.5,
            label=label if i == 0 else None,
            zorder=3,
            clip_on=False,
        )

"""Models that were compared: their probabilities, and what they make of the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tumble._errors import DataError, require_known, require_member, require_whole
from tumble.plot._style import BLUE, GRAY, GREEN, ORANGE, ink, new_axes, paper, quiet

if TYPE_CHECKING:
    from tumble.structure import ModelComparison

_COLORS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", GRAY)
_RUNS = 400


def model_probabilities(comparison: ModelComparison, *, ax: Any = None) -> Any:
    """Draw the probability of each model as a bar, most probable first, with its log score.

    Arguments: ``comparison``, of `tumble.compare_models`; ``ax``, default axes of a new figure.
    Returns ``ax``.
    """
    _check(comparison)
    ax = new_axes() if ax is None else ax
    models = comparison.models
    places = np.arange(len(models))
    colors = [_COLORS[k % len(_COLORS)] for k in places]
    ax.barh(places, [m.probability for m in models], color=colors, height=0.6)
    best = comparison.best.score.log_score
    for place, m in zip(places, models, strict=True):
        label = f"{m.probability:.2g}" if m.weighed else "not weighed"
        if m.weighed and place:
            label += f"   ({m.score.log_score - best:+.1f})"
        ax.text(m.probability + 0.01, place, label, va="center", color=ink())
    ax.set_yticks(places, [m.name for m in models])
    ax.invert_yaxis()
    ax.set_xlim(0, 1.25)
    ax.set_xticks(np.linspace(0, 1, 5))
    ax.set_xlabel(f"probability   (difference of {comparison.criterion.score_name})")
    quiet(ax, grid="x")
    return ax


def model_fits(
    comparison: ModelComparison,
    *,
    experiment: int = 0,
    observable: str | None = None,
    num_samples: int = _RUNS,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw the data, and the median and 95 % of runs at the best fit of each model.

    Arguments: ``comparison``, of `tumble.compare_models`; ``experiment``, its number;
    ``observable``, its name, default the first; ``num_samples``, runs of each model, default 400,
    and their ``seed``; ``ax``, default axes of a new figure. Returns ``ax``. Models without a fit
    are left out. Raises `DataError` for an experiment or observable that is not there.
    """
    from tumble.diagnostics import posterior_predictive

    _check(comparison)
    require_whole("num_samples", num_samples, least=20)
    fits = comparison.fits
    name = _observable(comparison, experiment, observable)
    ax = new_axes() if ax is None else ax
    for k, model in enumerate(comparison.names):
        if model not in fits:
            continue
        found = posterior_predictive(fits[model], num_samples=num_samples, seed=seed)
        band = found.experiments[experiment]
        column = band.quantiles[:, :, band.observables.index(name)]
        color = _COLORS[k % len(_COLORS)]
        ax.fill_between(band.times, column[0], column[-1], color=color, alpha=0.12, linewidth=0)
        label = f"{model} ({comparison.probabilities[model]:.2g})"
        ax.plot(band.times, column[len(column) // 2], color=color, linewidth=1.8, label=label)
        data = band.observed[:, :, band.observables.index(name)].T
    ax.plot(
        band.times, data, "o", markersize=5, color=ink(), markeredgecolor=paper(), zorder=3,
        label=["data", *[None] * (data.shape[1] - 1)],
    )  # fmt: skip
    ax.set_xlabel("time")
    ax.set_ylabel(name)
    quiet(ax)
    ax.legend(frameon=False)
    return ax


def _check(comparison: Any) -> None:
    from tumble.structure import ModelComparison

    require_member("comparison", comparison, ModelComparison, "what compare_models returns")


def _observable(comparison: ModelComparison, experiment: int, observable: str | None) -> str:
    if not comparison.fits:
        raise DataError("no model has a fit, as nothing was unknown or all fits failed.")
    experiments = next(iter(comparison.fits.values())).problem.experiments
    if not 0 <= experiment < len(experiments):
        raise DataError(
            f"`experiment` is {experiment}, but the data have {len(experiments)}, counted from 0."
        )
    names = experiments[experiment].data.names
    if observable is None:
        return str(names[0])
    require_known([observable], names, what="`observable` is", owner=f"experiment {experiment}",
                  error=DataError)  # fmt: skip
    return observable

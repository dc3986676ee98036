"""Estimates with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble.plot._style import BLUE, GREEN, as_tree, ink, new_axes, paper, quiet

_WIDE = 300.0  # percent; beyond it the axis is compressed


def parameters(source: Any, *, ax: Any = None) -> Any:
    """Draw each estimate with its 95 % interval, in percent of the estimate.

    Arguments: ``source``, a stored fit (`DataTree` or its path) or a `FitResult`; ``ax``, default
    axes of a new figure. Derived quantities stand below the parameters. Returns ``ax``.
    """
    fit = as_tree(source)["fit"]
    rows: list[tuple[str, float, float, float, str]] = []
    for dim, prefix, color in (("parameter", "", BLUE), ("derived", "derived_", GREEN)):
        for i, name in enumerate(fit[dim].values):
            value, low, high = (
                float(fit[f"{prefix}{column}"].values[i])
                for column in ("estimate", "interval_low", "interval_high")
            )
            rows.append((str(name), value, low, high, color))
    ax = new_axes(size=(6.4, 0.9 + 0.42 * len(rows))) if ax is None else ax
    widest = 0.0
    for y, (_, value, low, high, color) in enumerate(rows):
        unit = abs(value) / 100 if value else 1.0
        ends = np.array([low - value, high - value]) / unit
        if np.all(np.isfinite(ends)):
            ax.plot(ends, [y, y], color=color, linewidth=2.2, solid_capstyle="round")
            widest = max(widest, float(np.abs(ends).max()))
        ax.plot(0, y, "o", color=color, markersize=7, markeredgecolor=paper(), zorder=3)
        text = f"{value:.4g}  [{low:.3g}, {high:.3g}]" if np.isfinite(low) else f"{value:.4g}"
        ax.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center", color=ink())
    ax.axvline(0, color=ink(), alpha=0.25, linewidth=0.8, zorder=0)
    if widest > _WIDE:
        ax.set_xscale("symlog", linthresh=100)
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel("95 % interval, percent of the estimate")
    quiet(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    return ax

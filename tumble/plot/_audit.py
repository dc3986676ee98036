"""Gradient estimators against a reference."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._errors import DataError
from tumble.diagnostics import GradientAudit
from tumble.plot._style import GRAY, GREEN, ORANGE, as_tree, ink, new_axes, paper, quiet

_LOOK = {"RIGHT": (GREEN, "o"), "WRONG": (ORANGE, "X"), "UNDECIDED": (GRAY, "D")}
_EDGE = 5.0  # margins; what lies beyond is drawn at the edge, with its value
_Z95 = 1.959963984540054


def audit_plot(source: Any, *, ax: Any = None) -> Any:
    """Draw the error of each gradient estimate against the reference, in units of the margin.

    The shaded band is what counts as right: an estimator is RIGHT when its interval lies inside it,
    WRONG when wholly outside, UNDECIDED otherwise. The bars are 95 % intervals with the error of
    the reference included.

    Arguments: ``source``, a `GradientAudit`, or a stored fit with one (`DataTree` or its path);
    ``ax``, default axes of a new figure. Returns ``ax``. Raises `DataError` when there is no audit.
    """
    rows = [_scaled(row) for row in _rows(source)]
    ax = new_axes(size=(6.4, 1.1 + 0.34 * len(rows))) if ax is None else ax
    ax.axvspan(-1, 1, color=GREEN, alpha=0.12, linewidth=0)
    ax.axvline(0, color=ink(), alpha=0.3, linewidth=0.8)
    seen: set[str] = set()
    for y, (_, error, half, verdict) in enumerate(rows):
        color, marker = _LOOK.get(verdict, (GRAY, "D"))
        if not np.isfinite(half):
            ax.text(1.15, y, "no reference", va="center", color=color)
            continue
        place = float(np.clip(error, -_EDGE, _EDGE))
        if abs(error) <= _EDGE:
            ends = np.clip([error - half, error + half], -_EDGE, _EDGE)
            ax.plot(ends, [y, y], color=color, linewidth=2, solid_capstyle="butt")
        ax.plot(place, y, marker, color=color, markersize=8, markeredgecolor=paper(),
                markeredgewidth=0.6, zorder=3,
                label=verdict if verdict not in seen else None, clip_on=False)  # fmt: skip
        seen.add(verdict)
        if abs(error) > _EDGE:  # an arrowless mark at the edge, with the number beside it
            side = "right" if error > 0 else "left"
            ax.annotate(f"{error:+.3g} ", (place, y), xytext=(-9 if error > 0 else 9, 0),
                        textcoords="offset points", ha=side, va="center", color=color)  # fmt: skip
    ax.set_yticks(range(len(rows)), [row[0] for row in rows])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(-_EDGE * 1.08, _EDGE * 1.08)
    ax.set_xlabel("error of the gradient, in margins")
    quiet(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    order = [word for word in _LOOK if word in seen]
    handles = dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
    if order:
        ax.legend(
            [handles[w] for w in order],
            order,
            frameon=False,
            ncols=3,
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
        )
    return ax


def _rows(source: Any) -> list[dict[str, Any]]:
    if isinstance(source, GradientAudit):
        return source.to_dict()["rows"]
    tree = as_tree(source)
    if "audit" not in tree.children:
        raise DataError("the fit has no audit; run audit_gradient and save both together.")
    table = tree["audit"]
    return [{name: table[name].values[i] for name in table} for i in range(table.sizes["row"])]


def _scaled(row: dict[str, Any]) -> tuple[str, float, float, str]:
    """Return label, error and half-width of its interval in margins, and verdict."""
    unit = float(row["margin"]) if row["margin"] > 0 else 1.0
    half = _Z95 * float(np.hypot(row["standard_error"], row["reference_error"]))
    error = float(row["estimate"] - row["reference"])
    return f"{row['parameter']} · {row['estimator']}", error / unit, half / unit, row["verdict"]

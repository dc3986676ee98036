"""A learnt structure: the network, its candidates and its rivals."""

from __future__ import annotations

import math
from typing import Any

from tumble._errors import DataError
from tumble.plot._network_layout import Arrow, arrows_of, layout
from tumble.plot._style import BLUE, GRAY, as_tree, ink, new_axes, paper, quiet

_LEAST = 0.05  # probability of a reaction that is drawn
_MOST_ROWS = 14
_MOST_NETWORKS = 6


def network_picture(source: Any, *, least: float = _LEAST, ax: Any = None) -> Any:
    """Draw a network: species as circles, reactions as small boxes, lines as wide as probable.

    Arrows go from what a reaction takes to its box, and on to what it makes; a number beside an
    arrow counts copies. Lines of reactions that are not in the most probable network are dashed.

    Arguments: ``source``, a `StructureResult`, or a stored one (`DataTree` or its path); ``least``,
    the probability from which on a reaction is drawn, default 0.05; ``ax``, default axes of a new
    figure. Returns ``ax``. Raises `DataError` where there is no structure.
    """
    import json

    group = _group(source)
    species = json.loads(group.attrs["species"])
    likely = _candidates(group, least)
    arrows = [arrows_of(equation) for equation, _, _ in likely]
    points, boxes = layout(species, arrows)
    ax = new_axes(size=(6.0, 5.0)) if ax is None else ax
    for (_, probability, inside), own, box in zip(likely, arrows, boxes, strict=True):
        color = BLUE if inside else GRAY
        for arrow in own:
            _draw_arrow(ax, points[arrow.species], box, arrow, color, probability, inside)
    for (_, _, inside), box in zip(likely, boxes, strict=True):
        ax.plot(*box, "s", markersize=9, color=BLUE if inside else GRAY, markeredgecolor=paper(),
                zorder=4)  # fmt: skip
    for name, (x, y) in points.items():
        ax.plot(x, y, "o", markersize=34, color=paper(), markeredgecolor=ink(), zorder=5)
        size = 12 if len(name) < 4 else max(6.0, 30.0 / len(name))
        ax.text(x, y, name, ha="center", va="center", fontsize=size, color=ink(), zorder=6)
    places = [*points.values(), *boxes]
    for limit, k in ((ax.set_xlim, 0), (ax.set_ylim, 1)):
        low, high = min(p[k] for p in places), max(p[k] for p in places)
        half = max((high - low) / 2 + 0.3, 1.0)
        limit((low + high) / 2 - half, (low + high) / 2 + half)
    ax.set_aspect("equal")
    ax.set_axis_off()
    return ax


def inclusion(source: Any, *, ax: Any = None) -> Any:
    """Draw the probability of each candidate, the probable ones first, with its rate.

    Arguments and return as `network_picture`.
    """
    group = _group(source)
    rows = _candidates(group, 0.01)[:_MOST_ROWS]
    ax = new_axes(size=(6.4, 0.9 + 0.36 * len(rows))) if ax is None else ax
    values = {
        str(name): [float(group[column].values[i])
                    for column in ("rate", "interval_low", "interval_high")]
        for i, name in enumerate(group["candidate"].values)
    }  # fmt: skip
    for y, (equation, probability, inside) in enumerate(rows):
        ax.barh(y, probability, height=0.62, color=BLUE if inside else GRAY)
        rate, low, high = values[equation]
        if inside:
            ax.annotate(f"{rate:.3g}  [{low:.3g}, {high:.3g}]", (1.03, y), va="center",
                        xycoords=("axes fraction", "data"), color=ink())  # fmt: skip
    _label_rows(ax, [equation for equation, _, _ in rows])
    ax.set_xlabel("probability of the reaction")
    return ax


def runners_up(source: Any, *, ax: Any = None) -> Any:
    """Draw the probability of the first networks, named by how they differ from the first.

    Arguments and return as `network_picture`.
    """
    group = _group(source)
    texts = [str(text) for text in group["equations"].values[:_MOST_NETWORKS]]
    shares = group["probability"].values[:_MOST_NETWORKS]
    first = texts[0].split("; ")
    labels = ["most probable", *(_difference(first, text.split("; ")) for text in texts[1:])]
    ax = new_axes(size=(6.4, 0.9 + 0.36 * len(labels))) if ax is None else ax
    for y, share in enumerate(shares):
        ax.barh(y, float(share), height=0.62, color=BLUE if y == 0 else GRAY)
        ax.annotate(f"{float(share):.3f}", (1.03, y), va="center",
                    xycoords=("axes fraction", "data"), color=ink())  # fmt: skip
    _label_rows(ax, labels)
    ax.set_xlabel("probability of the network")
    return ax


def _group(source: Any) -> Any:
    tree = as_tree(source)
    if "structure" not in tree.children:
        raise DataError("the file holds no learnt structure, expected one of learn_structure.")
    return tree["structure"]


def _candidates(group: Any, least: float) -> list[tuple[str, float, bool]]:
    """Return equation, probability, and whether it is in the first network, of the likely ones."""
    inside = set(str(group["equations"].values[0]).split("; "))
    return [
        (str(name), float(share), str(name) in inside)
        for name, share in zip(group["candidate"].values, group["inclusion"].values, strict=True)
        if share >= least or str(name) in inside
    ]


def _difference(first: list[str], other: list[str]) -> str:
    more = [f"+ {name}" for name in other if name not in first]
    less = [f"without {name}" for name in first if name not in other]
    parts = [*less, *more]
    return "\n".join(parts[:3]) + (" …" if len(parts) > 3 else "")


def _label_rows(ax: Any, labels: list[str]) -> None:
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    quiet(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _draw_arrow(
    ax: Any,
    point: tuple[float, float],
    box: tuple[float, float],
    arrow: Arrow,
    color: str,
    probability: float,
    inside: bool,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    ends = (point, box) if arrow.taken else (box, point)
    shrink = (18.0, 5.0) if arrow.taken else (5.0, 19.0)
    ax.add_patch(
        FancyArrowPatch(
            *ends,
            arrowstyle="-" if arrow.taken else "-|>",
            mutation_scale=13,
            connectionstyle=f"arc3,rad={arrow.bend}",
            shrinkA=shrink[0],
            shrinkB=shrink[1],
            linewidth=0.8 + 2.4 * probability,
            linestyle="solid" if inside else (0, (3, 2)),
            color=color,
            zorder=2,
        )
    )
    if arrow.copies > 1:
        (x0, y0), (x1, y1) = ends
        # Beside the middle of the arc, on its outer side.
        x = (x0 + x1) / 2 + 0.5 * arrow.bend * (y1 - y0)
        y = (y0 + y1) / 2 - 0.5 * arrow.bend * (x1 - x0)
        away = 9 / max(math.hypot(x1 - x0, y1 - y0), 1e-9)
        ax.annotate(str(arrow.copies), (x, y), xytext=(away * (y1 - y0), away * (x0 - x1)),
                    textcoords="offset points", ha="center", va="center", fontsize=10,
                    color=color, zorder=6)  # fmt: skip

"""What the figures share: colors that color-blind readers can tell apart, and quiet axes."""

from __future__ import annotations

from typing import Any

from tumble._late import call_late

# Okabe and Ito's colors.
BLUE = "#0072b2"
ORANGE = "#d55e00"
GREEN = "#009e73"
GRAY = "#7f868e"


def ink() -> str:
    """Return the color of text, which follows the style in use."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def paper() -> str:
    """Return the color behind the axes."""
    import matplotlib as mpl

    return str(mpl.rcParams["axes.facecolor"])


def new_axes(rows: int = 1, *, size: tuple[float, float] = (6.4, 4.0)) -> Any:
    """Return axes of a new figure of pyplot, or an array of them that share x."""
    import matplotlib.pyplot as plt

    return plt.subplots(rows, 1, figsize=size, sharex=rows > 1, layout="constrained")[1]


def quiet(ax: Any, *, grid: str = "y") -> None:
    """Take away what carries no information."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_alpha(0.4)
    ax.tick_params(length=3, color=GRAY)
    ax.set_axisbelow(True)
    ax.grid(False)
    if grid:
        ax.grid(True, axis=grid, color=ink(), alpha=0.1, linewidth=0.8)


def as_tree(source: Any) -> Any:
    """Return the stored form of a fit or a structure: the result, a path or the tree itself."""
    import os

    import xarray as xr

    if isinstance(source, xr.DataTree):
        return source
    if isinstance(source, (str, os.PathLike)):
        return call_late("tumble.io", "load_fit", source)
    from tumble.structure import StructureResult

    if isinstance(source, StructureResult):
        return call_late("tumble.io", "structure_tree", source)
    return call_late("tumble.io", "fit_tree", source)

"""How a fit went."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble.plot._style import BLUE, GRAY, ORANGE, as_tree, new_axes, paper, quiet

# A difference in -log likelihood of this much is what random error explains.
_SAME = 2.0


def convergence(source: Any, *, ax: Any = None) -> Any:
    """Draw the loss, and the norm of the gradient with its noise, over the steps.

    Arguments: ``source``, a stored fit (`DataTree` or its path) or a `FitResult`; ``ax``, two axes,
    for the loss and for the gradient; default those of a new figure. Returns both.
    """
    tree = as_tree(source)
    history, loss_name = tree["history"], str(tree["fit"].attrs["loss_name"])
    upper, lower = axes = new_axes(2, size=(6.4, 5.0)) if ax is None else np.ravel(ax)
    step = history["step"].values
    loss = history["loss"].values
    marker = "o" if len(step) <= 30 else ""
    upper.plot(step, loss, marker=marker, markersize=3.5, color=BLUE, linewidth=1.6)
    _scale_loss(upper, loss)
    upper.set_ylabel(loss_name)
    norm, noise = history["gradient_norm"].values, history["noise_norm"].values
    lower.plot(step, norm, marker=marker, markersize=3.5, color=BLUE, linewidth=1.6,
               label="gradient")  # fmt: skip
    if np.any(noise > 0):
        lower.plot(step, noise, color=ORANGE, linewidth=1.6, linestyle=(0, (4, 2)),
                   label="its standard error")  # fmt: skip
        lower.legend(frameon=False)
    if np.any(norm > 0):
        lower.set_yscale("log")
    lower.set_ylabel("norm of the gradient")
    lower.set_xlabel("step")
    for each in axes:
        quiet(each)
        each.xaxis.get_major_locator().set_params(integer=True)
    return axes


def waterfall(source: Any, *, ax: Any = None) -> Any:
    """Draw the final losses of all starts, best first.

    Starts that end level with the best have found the same minimum; one alone at the bottom calls
    for more starts. Arguments and return as in `convergence`, with one axes.
    """
    tree = as_tree(source)
    ax = new_axes() if ax is None else ax
    losses = np.sort(np.asarray(tree["fit"]["start_loss"].values, dtype=float))
    good = losses[np.isfinite(losses)]
    above = good - good[0] if len(good) else good
    level = above <= _tolerance(str(tree["fit"].attrs["loss_name"]), good)
    rank = np.arange(1, len(good) + 1)
    ax.plot(rank, above, color=GRAY, linewidth=1, zorder=1)
    for mask, color, label in (
        (level, BLUE, "level with the best"),
        (~level, ORANGE, "above it"),
    ):
        if np.any(mask):
            ax.plot(rank[mask], above[mask], "o", color=color, markersize=7,
                    markeredgecolor=paper(), label=label, zorder=3, clip_on=False)  # fmt: skip
    if len(above) and above[-1] > 10:
        ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(bottom=0, top=None if len(above) and above[-1] > 0 else 1)
    failed = len(losses) - len(good)
    note = f" ({failed} more found no finite loss)" if failed else ""
    ax.set_xlabel(f"start, best first{note}")
    ax.set_ylabel("loss above the best")
    ax.set_xlim(0.5, max(len(good), 1) + 0.5)
    ax.xaxis.get_major_locator().set_params(integer=True)
    quiet(ax)
    if len(good):
        ax.legend(frameon=False, loc="upper left")
    return ax


def _tolerance(loss_name: str, losses: Any) -> float:
    if "likelihood" in loss_name:
        return _SAME
    return 0.05 * abs(float(losses[0])) if len(losses) else 0.0


def _scale_loss(ax: Any, loss: Any) -> None:
    finite = loss[np.isfinite(loss)]
    if len(finite) and finite.min() > 0 and finite.max() > 20 * finite.min():
        ax.set_yscale("log")

"""The figures of the page of a posterior."""

from __future__ import annotations

from typing import Any

import numpy as np

from tumble._parameters import Parameter, ParameterSpace
from tumble._typing import FloatArray
from tumble.plot._posteriors import MOST_DRAWN, corner_size, draw_corner
from tumble.plot._style import BLUE, quiet
from tumble.report._figures import draw_svg

_MOST_DRAWS = 4000
_WIDE = 10.0  # the ratio of values from which on they are drawn by their logarithms
# What is drawn of rounds, from above.
_COURSES = {
    "tolerance": "tolerance",
    "r_hat": "R-hat",
    "loss": "loss",
    "acceptance": "share accepted",
    "region": "share of the prior",
}


def corner_chart(tree: Any) -> tuple[str, int]:
    """Return every parameter and every pair of them, and how many were left out."""
    space = _space(tree["estimates"])
    z = np.asarray(space.to_fit(_even_draws(tree)))
    size = min(space.size, MOST_DRAWN)

    def draw(axes: Any) -> None:
        draw_corner(np.reshape(axes, (size, size)), [z], space)

    label = f"Densities of {', '.join(space.names[:size])}, and of pairs of them"
    return draw_svg(draw, label, corner_size(size), (size, size)), space.size - size


def rounds_chart(tree: Any) -> str:
    """Return how the rounds went, empty where there is one alone."""
    rounds = tree["rounds"]
    names = [n for n in _COURSES if tells(rounds, n) and np.isfinite(rounds[n].values).sum() > 1]
    if not names:
        return ""

    def draw(axes: Any) -> None:
        for ax, name in zip(np.ravel(axes), names, strict=True):
            values = np.asarray(rounds[name].values, dtype=float)
            known = np.flatnonzero(np.isfinite(values))
            ax.plot(known + 1, values[known], "o-", color=BLUE, markersize=3.5, linewidth=1.5)
            ax.set_xlim(0.5, len(values) + 0.5)
            ax.set_ylabel(_COURSES[name])
            if values[known].max() > _WIDE * values[known].min() > 0:
                ax.set_yscale("log")
            ax.xaxis.get_major_locator().set_params(integer=True)
            quiet(ax)
        np.ravel(axes)[-1].set_xlabel("round")

    labels = " and ".join(_COURSES[name] for name in names)
    return draw_svg(draw, f"{labels} over the rounds", (6.0, 1.9 * len(names)), (len(names), 1))


def tells(rounds: Any, name: str) -> bool:
    """Return whether rounds have such a figure; the share accepted is none where it is 1 always."""
    return name in rounds and not (name == "acceptance" and np.all(rounds[name].values == 1))


def _space(estimates: Any) -> ParameterSpace:
    """Return the parameters, entries of arrays one by one."""
    columns = (estimates[name].values for name in ("parameter", "lower_bound", "upper_bound"))
    scales = estimates["scale"].values
    return ParameterSpace(
        {
            str(name): Parameter(float(low), float(high), scale=str(scale))
            for name, low, high, scale in zip(*columns, scales, strict=True)
        }
    )


def _even_draws(tree: Any) -> FloatArray:
    """Return draws θ [N, P], the same number of each chain."""
    parts = [np.asarray(v.values, dtype=float) for v in tree["posterior"].data_vars.values()]
    chains, length = parts[0].shape[:2]
    every = -(-chains * length // _MOST_DRAWS)
    thinned = [part[:, ::every].reshape(-1, int(np.prod(part.shape[2:]))) for part in parts]
    return np.concatenate(thinned, axis=1)

"""Posteriors, beside each other, and whether they are calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from tumble._errors import ParameterError, require_member
from tumble._fit_result import FitResult
from tumble._parameters import ParameterSpace
from tumble._typing import FloatArray
from tumble.plot._style import BLUE, GRAY, GREEN, ORANGE, ink, quiet
from tumble.posteriors import Posterior

if TYPE_CHECKING:
    from tumble.diagnostics import Calibration

_COLORS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", GRAY)
_DRAWS, _GRID = 4000, 60
_LEVELS = (0.5, 0.95)  # of the draws, inside the lines
MOST_DRAWN = 8  # parameters
_SURE = 1e-3  # share of calibrated answers that leave the band


def posteriors(answers: Any, *, seed: int = 0) -> Any:
    """Draw posteriors over each other: every parameter, and every pair of them.

    Arguments: ``answers``, a `Posterior` or `FitResult`, or a mapping of names to several of the
    same problem; of a fit the normal law of its estimate on the fit scale is drawn; ``seed`` of
    the draws. On the diagonal densities, below it lines that hold 50 and 95 % of the draws, of the
    first eight parameters, on the scale of each. Returns the axes, [P, P]. Raises `ParameterError`.
    """
    import matplotlib.pyplot as plt

    named = _named(answers)
    space = next(iter(named.values())).problem.space
    names = space.names[:MOST_DRAWN]
    draws = {name: _drawn(answer, space, seed) for name, answer in named.items()}
    figure, axes = plt.subplots(
        len(names), len(names), figsize=corner_size(len(names)), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    draw_corner(axes, list(draws.values()), space)
    if len(named) > 1:
        handles = [
            plt.Line2D([], [], color=_COLORS[k % len(_COLORS)], label=name, linewidth=2)
            for k, name in enumerate(named)
        ]
        place: Any = {"loc": "upper right"} if len(names) > 1 else {"loc": "outside upper center"}
        figure.legend(handles=handles, frameon=False, **place)
    return axes


def corner_size(size: int) -> tuple[float, float]:
    """Return width and height of a figure of this many parameters, in inches."""
    width = 1.2 + 2.1 * size
    return (width, width) if size > 1 else (4.5, 3.2)


def draw_corner(axes: Any, draws: list[FloatArray], space: ParameterSpace) -> None:
    """Draw sets of even draws [N, P] on the fit scale on axes [P, P]: see `posteriors`.

    Of a ``space`` of more parameters they are the first.
    """
    size = len(axes)
    ranges = [_range([z[:, p] for z in draws]) for p in range(size)]
    for row in range(size):
        for column in range(size):
            ax = axes[row, column]
            if column > row:
                ax.set_axis_off()
                continue
            for k, z in enumerate(draws):
                color = _COLORS[k % len(_COLORS)]
                if row == column:
                    _marginal(ax, z[:, row], ranges[row], color)
                else:
                    _pair(ax, z[:, column], z[:, row], ranges[column], ranges[row], color)
            _label(ax, row, column, space.names[:size], space, ranges)


def ranks(calibration: Calibration, *, ax: Any = None) -> Any:
    """Draw where truths lie in their posteriors: what share of ranks is below each, less itself.

    A line that stays in the band is that of a calibrated posterior: by Kolmogorov and Smirnov one
    in a thousand leaves it. A hill at the left and a valley at the right is of one that is too
    narrow, the reverse of one that is too wide, a valley of one that is too low.

    Arguments: ``calibration``, of `check_calibration`; ``ax``, default axes of a new figure.
    Returns ``ax``.
    """
    from tumble.diagnostics import Calibration as Expected
    from tumble.plot._style import new_axes

    require_member("calibration", calibration, Expected, "what check_calibration returns")
    ax = new_axes() if ax is None else ax
    count = calibration.num_repeats
    half = stats.kstwo.isf(_SURE / (len(calibration.names) + 1), count)
    ax.axhspan(-half, half, color=GRAY, alpha=0.2, linewidth=0)
    columns = [*calibration.ranks.T, calibration.joint_ranks]
    for k, (name, column) in enumerate(zip([*calibration.names, "jointly"], columns, strict=True)):
        at = np.sort(column)
        # The steps of an empirical distribution, from both sides.
        x = np.concatenate([[0.0], np.repeat(at, 2), [1.0]])
        y = np.concatenate([[0.0], np.repeat(np.arange(count + 1), 2)[1:-1], [count]]) / count
        style = {"color": ink(), "linestyle": ":"} if name == "jointly" else {
            "color": _COLORS[k % len(_COLORS)]
        }  # fmt: skip
        ax.plot(x, y - x, label=name, linewidth=1.6, **style)
    ax.axhline(0, color=ink(), alpha=0.25, linewidth=0.8, zorder=0)
    ax.set_xlim(0, 1)
    ax.set_xlabel("rank of the truth")
    ax.set_ylabel("share below, less the rank")
    word = "calibrated" if calibration.is_calibrated else "NOT CALIBRATED"
    ax.set_title(f"{calibration.what}: {word} ({count} repeats)", fontsize="medium")
    ax.legend(frameon=False)
    quiet(ax)
    return ax


# -- private ---------------------------------------------------------


def _named(answers: Any) -> dict[str, Any]:
    named = answers if isinstance(answers, dict) else {"": answers}
    known = all(isinstance(a, (Posterior, FitResult)) for a in named.values())
    if not named or not known:
        raise ParameterError(
            "`answers` is expected to be a Posterior or FitResult, or a dict of names to several."
        )
    first, *rest = (a.problem.space.names for a in named.values())
    if any(names != first for names in rest):
        raise ParameterError("`answers` are of different parameters; draw them one by one.")
    return named


def _drawn(answer: Any, space: Any, seed: int) -> FloatArray:
    """Return even draws on the fit scale [N, P]."""
    if isinstance(answer, FitResult):
        theta = answer.sample_params(_DRAWS, np.random.default_rng(seed))
    else:
        theta = answer.sample(_DRAWS, seed=seed)
    return np.asarray(space.to_fit(theta))


def _range(columns: list[FloatArray]) -> tuple[float, float]:
    low = min(float(np.quantile(c, 0.002)) for c in columns)
    high = max(float(np.quantile(c, 0.998)) for c in columns)
    pad = 0.08 * (high - low) or 0.5
    return low - pad, high + pad


def _marginal(ax: Any, values: FloatArray, limits: tuple[float, float], color: str) -> None:
    x = np.linspace(*limits, 200)
    density = _density(values, x)
    ax.plot(x, density, color=color, linewidth=1.8)
    ax.fill_between(x, density, color=color, alpha=0.12, linewidth=0)
    ax.set_yticks([])
    ax.set_ylim(0, 1.08 * max(np.max(line.get_ydata()) for line in ax.lines) or 1.0)


def _density(values: FloatArray, x: FloatArray) -> FloatArray:
    if not values.std() > 0:
        return np.zeros_like(x)
    return np.asarray(stats.gaussian_kde(values)(x))


def _pair(
    ax: Any, x: FloatArray, y: FloatArray, over: tuple[float, float], up: tuple[float, float],
    color: str,
) -> None:  # fmt: skip
    """Draw lines that hold shares of the draws."""
    if not (x.std() > 0 and y.std() > 0) or abs(np.corrcoef(x, y)[0, 1]) > 1 - 1e-9:
        ax.plot(x, y, ".", color=color, markersize=2)
        return
    across, along = np.meshgrid(np.linspace(*over, _GRID), np.linspace(*up, _GRID))
    law = stats.gaussian_kde(np.stack([x, y]))
    heights = law(np.stack([across.ravel(), along.ravel()])).reshape(across.shape)
    own = np.sort(law(np.stack([x[::4], y[::4]])))
    levels = sorted({float(own[int((1 - share) * len(own))]) for share in _LEVELS})
    ax.contour(across, along, heights, levels=levels, colors=color, linewidths=(1.0, 1.8))


def _label(
    ax: Any, row: int, column: int, names: tuple[str, ...], space: Any, ranges: list[Any]
) -> None:
    """Name the axes at the edges, and mark natural values on them."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def natural(which: int) -> Any:
        def text(z: float, _: Any) -> str:
            point = np.array((space.lower + space.upper) / 2)
            point[which] = z
            return f"{float(space.from_fit(point)[which]):.3g}"

        return FuncFormatter(text)

    ax.set_xlim(*ranges[column])
    ax.xaxis.set_major_locator(MaxNLocator(3))
    ax.xaxis.set_major_formatter(natural(column))
    if row != column:
        ax.set_ylim(*ranges[row])
        ax.yaxis.set_major_locator(MaxNLocator(3))
        ax.yaxis.set_major_formatter(natural(row))
    if row == len(names) - 1:
        ax.set_xlabel(names[column])
    else:
        ax.tick_params(labelbottom=False)
    if column == 0 and row != column:
        ax.set_ylabel(names[row])
    elif column:
        ax.tick_params(labelleft=False)
    quiet(ax, grid="")

"""How networks were learnt: losses as surfaces, along the way, and what was chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tumble._errors import DataError, require_known, require_member, require_whole
from tumble._fit_result import FitResult
from tumble._problem import Problem
from tumble._random import Stream
from tumble._typing import FloatArray
from tumble.models import ReactionNetwork
from tumble.objectives import AbstractObjective, BoundLikelihood, BoundOutputs, ExpectedLoss
from tumble.plot._style import BLUE, GRAY, GREEN, ORANGE, paper, quiet
from tumble.structure import StructureResult

_COLORS = (BLUE, ORANGE, GREEN, "#cc79a7", "#56b4e9", "#e69f00")
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
_LEVELS = 12
_MARGIN = 0.08  # of the way, on either side
_SHOWN = 0.02


def response_surface(
    fit: FitResult,
    names: Sequence[str] | None = None,
    *,
    objective: AbstractObjective | None = None,
    num_points: int = 24,
    num_runs: int = 32,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw a loss over two parameters, on their natural and on logarithmic scales, with the way.

    Lines are at equal steps of the logarithm of the loss above its least. The way of the fit is the
    same on both; the dot is where it ended.

    Arguments: ``fit``; ``names`` of two parameters, default the first two; ``objective``, default
    that of the fit, without smoothing; ``num_points`` on either axis; ``num_runs`` at each, with
    random numbers in common, where the loss has to be simulated; ``seed``; ``ax``, two axes,
    default those of a new figure. Returns both. Other parameters stay at the estimate.

    Raises `DataError` for fits of one parameter, `ParameterError`.
    """
    require_member("fit", fit, FitResult, "what tumble.fit returns")
    require_whole("num_points", num_points, 2)
    known = fit.problem.space.names
    if len(known) < 2:
        raise DataError("`fit` has one parameter, but a surface needs two.")
    pair = known[:2] if names is None else tuple(names)
    require_known(pair, known, what="`names` has", owner="the fit")
    places = [known.index(name) for name in pair]
    bound = (fit.objective if objective is None else objective).bind(fit.problem)
    path = np.array([[step.params[p] for p in places] for step in fit.history])
    path = np.concatenate([path, np.asarray(fit.theta)[None, places]])
    axes = _two_axes() if ax is None else np.ravel(ax)
    for each, is_log in zip(axes, (False, True), strict=True):
        grid = [_spread(way, num_points, is_log) for way in path.T]
        losses = np.empty((num_points, num_points))
        for i, j in np.ndindex(losses.shape):
            theta = np.array(fit.theta, dtype=float)
            theta[places] = grid[0][j], grid[1][i]
            losses[i, j] = _loss_at(bound, theta, num_runs, Stream.from_seed(seed))
        _contours(each, grid, losses)
        each.plot(*path.T, "-", color=ORANGE, linewidth=1.6, marker=".", markersize=5)
        each.plot(*path[-1], "o", color=ORANGE, markersize=7, markeredgecolor=paper(), zorder=3)
        if is_log:
            each.set_xscale("log")
            each.set_yscale("log")
        for axis in (each.xaxis, each.yaxis):
            _name_few(axis, is_log)
        each.set_title("logarithmic" if is_log else "natural", fontsize="medium")
        each.set_xlabel(pair[0])
        each.set_ylabel(pair[1])
        quiet(each, grid="")
    return axes


def loss_paths(
    problem: Problem,
    paths: Mapping[str, Sequence[ReactionNetwork]],
    *,
    objective: AbstractObjective | None = None,
    num_points: int = 30,
    num_runs: int = 64,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw the loss of networks along the way of several searches, as plain runs have it.

    Whatever a search made small, and however smooth: each network is simulated exactly, so that
    ways can be compared.

    Arguments: ``problem``, for its data; ``paths``, networks with numbers as rates, in order, by
    what to call the way (`StructureResult.path` gives those of a descent); ``objective``, default
    the expected absolute error as a share of the largest count; ``num_points`` of each way that are
    simulated, ever sparser; ``num_runs``, ``seed``; ``ax``, default axes of a new figure. Returns
    ``ax``.
    """
    require_whole("num_points", num_points)
    if ax is None:
        ax = _new(size=(6.4, 4.0))
    objective = _absolute(problem) if objective is None else objective
    for k, (label, networks) in enumerate(paths.items()):
        steps = np.unique(np.geomspace(1, len(networks), num_points).astype(int)) - 1
        losses = []
        for step in steps:
            alone = Problem(networks[step], problem.experiments, observables=problem.observables)
            bound: Any = objective.bind(alone)
            losses.append(_loss_at(bound, np.zeros(0), num_runs, Stream.from_seed(seed)))
        ax.plot(steps + 1, losses, label=label, **_line(k))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("iteration")
    ax.set_ylabel("loss of plain runs")
    ax.legend(frameon=False)
    quiet(ax)
    return ax


def chosen_reactions(
    found: StructureResult, start: int = 0, *, most: int = 6, ax: Any = None
) -> Any:
    """Draw how probable each reaction was in the networks that a descent drew, by iteration.

    Of coefficients, which are rounded and not drawn, reactions are there or not.

    Arguments: ``found``, of a search by descents; ``start``, which of them; ``most`` reactions,
    those that were there most; ``ax``, default axes of a new figure. Returns ``ax``. Raises
    `DataError`.
    """
    require_member("found", found, StructureResult, "what tumble.learn_structure returns")
    require_whole("most", most)
    if not found.descents:
        raise DataError(
            "`found` has no descents: it was not found by structure.ChoiceSearch or "
            "CoefficientSearch."
        )
    if not 0 <= start < len(found.descents):
        raise DataError(f"`start` is {start}, expected one of 0 … {len(found.descents) - 1}.")
    if ax is None:
        ax = _new(size=(6.4, 3.6))
    shares = found.descents[start].shares
    steps = np.arange(1, len(shares) + 1)
    weight = shares.mean(0) + shares[-1]
    for k, r in enumerate(np.argsort(-weight)[:most]):
        if shares[:, r].max() > _SHOWN:
            ax.plot(steps, shares[:, r], label=found.library.equations[r], **_line(k))
    ax.set_xlabel("iteration")
    ax.set_ylabel("probability in the slots")
    ax.set_ylim(-0.03, 1.03)
    ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    quiet(ax)
    return ax


def _line(k: int) -> dict[str, Any]:
    """Return how line k is told apart from the others."""
    return {
        "color": _COLORS[k % len(_COLORS)],
        "linestyle": _DASHES[k % len(_DASHES)],
        "linewidth": 1.6,
    }


def _new(size: tuple[float, float]) -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def _two_axes() -> Any:
    import matplotlib.pyplot as plt

    return plt.subplots(1, 2, figsize=(9.0, 4.0), layout="constrained")[1]


def _name_few(axis: Any, is_log: bool) -> None:
    """Write a few numbers beside an axis, 1, 2 and 5 of each power of ten, so that none overlap."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)) if is_log else MaxNLocator(5))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _spread(way: FloatArray, count: int, is_log: bool) -> FloatArray:
    """Return points evenly over a way, and a margin around it."""
    ends = np.log([way.min(), way.max()]) if is_log else np.array([way.min(), way.max()])
    margin = max(_MARGIN * (ends[1] - ends[0]), 1e-6 * abs(ends[1]), 1e-12)
    low, high = ends[0] - margin, ends[1] + margin
    if is_log:
        return np.exp(np.linspace(low, high, count))
    return np.linspace(max(low, way.min() / 2), high, count)


def _loss_at(
    bound: BoundOutputs | BoundLikelihood, theta: FloatArray, num_runs: int, stream: Stream
) -> float:
    """Return a loss at natural parameters [P], of plain runs where it has to be simulated."""
    problem = bound.problem
    if isinstance(bound, BoundLikelihood):
        z = problem.space.to_fit(theta)
        return float(bound.evaluate(z[None]).values[0])
    means = []
    for e in range(len(problem.bindings)):
        sample = problem.simulate_binding(e, theta, stream.child("experiment", e), num_runs, None)
        if np.any(sample.codes != 0):
            return float("nan")
        means.append(np.asarray(bound.features_of(e, sample.states, theta)).mean(0).ravel())
    return float(bound.value(np.concatenate(means)))


def _absolute(problem: Problem) -> ExpectedLoss:
    """Return the absolute error as a share of the largest count."""
    largest = max(float(np.nanmax(e.data.values)) for e in problem.experiments)

    def loss(y: Any, observed: Any) -> Any:
        import jax.numpy as jnp

        return jnp.abs(y - observed) / largest

    return ExpectedLoss(loss)


def _contours(ax: Any, grid: Sequence[FloatArray], losses: FloatArray) -> None:
    finite = losses[np.isfinite(losses)]
    if len(finite) == 0:
        return
    spread = max(float(finite.max() - finite.min()), 1e-300)
    height = np.log10(losses - finite.min() + 1e-3 * spread)
    ax.contourf(grid[0], grid[1], height, levels=_LEVELS, cmap="Greys", alpha=0.6)
    ax.contour(grid[0], grid[1], height, levels=_LEVELS, colors=GRAY, linewidths=0.5)
